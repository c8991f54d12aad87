-- The event log: the only truth. Everything else in this database can be thrown away and rebuilt from it.

-- Positions are drawn from here, under the lock that events_in_commit_order() takes. Not cached per session: a session
-- that keeps a range for itself would hand out old positions late.
create sequence events_global_position as bigint cache 1;

-- The first seven columns are postgres-es 0.5's, names and types, so that its PostgresEventRepository reads and writes
-- this table as it is. It names its columns, so the others are filled by their defaults.
create table events (
    aggregate_type  text        not null,                        -- which kind of stream: 'order'
    aggregate_id    text        not null,                        -- which stream of that kind
    sequence        bigint      not null check (sequence >= 0),  -- the stream's version after this event, from 1, dense
    event_type      text        not null,                        -- 'OrderCreated'
    event_version   text        not null,                        -- of the payload's shape: '1.0'
    payload         json        not null,                        -- what happened; json, not jsonb: kept to the letter
    metadata        json        not null,                        -- who and why: a flat object of strings
    global_position bigint      not null default nextval('events_global_position'), -- place in the log, in commit order
    event_id        uuid        not null default gen_random_uuid(), -- UUIDv7 where this library wrote it
    recorded_at     timestamptz not null default clock_timestamp(), -- by the database's clock
    constraint events_pkey primary key (aggregate_type, aggregate_id, sequence)
);

-- Subscriptions read along this.
create unique index events_by_position on events (global_position);

-- Two writers that draw positions 1 and 2 may commit in the order 2, 1: a subscriber that has seen 2 would never come
-- back for 1. So a transaction takes this lock before it draws its first position and holds it until its commit can be
-- seen. It is a trigger because it has to hold for writers that know nothing of it. The key is any fixed number.
create function events_lock() returns void language sql as $$
    select pg_advisory_xact_lock(7311864570230142)
$$;

create function events_in_commit_order() returns trigger language plpgsql as $$
begin
    perform events_lock();
    -- Once a transaction, however many statements: Postgres drops repeated notifications.
    perform pg_notify('ordo_events', '');
    return null;
end
$$;

-- A statement-level trigger runs before the statement's first row, and thus before its first nextval().
create trigger events_in_commit_order before insert on events
    for each statement execute function events_in_commit_order();

create function events_are_final() returns trigger language plpgsql as $$
begin
    raise exception 'events are never changed: % on events is refused', tg_op
        using errcode = 'integrity_constraint_violation';
end
$$;

create trigger events_are_final before update or delete or truncate on events
    for each statement execute function events_are_final();

-- How far each subscription has come. The row is locked while a batch is handled, so that copies of a subscriber take
-- turns; what the batch changes and the new position commit together.
create table subscriptions (
    name       text        primary key,
    position   bigint      not null default 0,     -- everything up to here is done
    updated_at timestamptz not null default now()
);

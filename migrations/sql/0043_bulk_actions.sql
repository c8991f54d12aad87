-- Bulk actions of operators: one thing done to all sagas, dead letters or parked streams that match. A process takes a run by its lease,
-- goes through what matches, and saves after each batch how far it is, so that another goes on there after a crash.

create table bulk_actions (
    id              uuid        primary key,          -- UUIDv7
    kind            text        not null check (kind in ('retry_sagas', 'compensate_sagas', 'redrive_dead_letters',
                                    'discard_dead_letters', 'retry_parked_events', 'skip_parked_events')),
    filter          json        not null check (octet_length(filter::text) <= 1048576), -- what is meant, as it was posted
    reason          text        not null check (octet_length(reason) <= 4096),
    actor           text        not null,             -- the operator
    rate            integer     not null check (rate between 1 and 100),  -- the most in a second
    idempotency_key text,                             -- of the request that began it; null: it had none
    request_hash    bytea       not null,             -- of that request, so that the key is good for no other one
    state           text        not null default 'running'
                                check (state in ('running', 'stopping', 'stopped', 'finished', 'failed')),
    matched         bigint,                           -- how many there were at its start; null: too many to count
    done            bigint      not null default 0,
    moved_on        bigint      not null default 0,   -- those for which there was nothing to do any more
    failed          bigint      not null default 0,
    errors          json        not null default '[]', -- the first 20 of these
    failures_in_row integer     not null default 0,   -- of what the items need, not of the items themselves
    note            text,                             -- why it failed, or what it did not get to
    cursor          json,                             -- the last item that it is through with; null: it is at its start
    claim           uuid,                             -- drawn by the process that took it. Nobody else saves anything
    leased_until    timestamptz,                      -- then another process may take it; null: at once
    created_at      timestamptz not null default clock_timestamp(),       -- what came later is not meant
    updated_at      timestamptz not null default clock_timestamp(),
    ended_at        timestamptz,
    unique (actor, idempotency_key),
    check ((state in ('running', 'stopping')) = (ended_at is null))
);
create index bulk_actions_unfinished on bulk_actions (leased_until nulls first) where ended_at is null;

comment on table bulk_actions is 'What operators have done to all that matches, and how far it is.';

-- An action is about sagas that were stuck when it began: one that gets stuck meanwhile is left alone, however long it has been at its step.
alter table saga_work
    add column stuck_since timestamptz;               -- null: it is not stuck, or was before this column was there

create function note_stuck_saga() returns trigger
    language plpgsql set search_path = pg_catalog
as $$
begin
    new.stuck_since := clock_timestamp();
    return new;
end
$$;

create trigger saga_work_inserted_stuck before insert on saga_work for each row
    when (new.stuck) execute function note_stuck_saga();
create trigger saga_work_stuck before update on saga_work for each row
    when (new.stuck and not old.stuck) execute function note_stuck_saga();

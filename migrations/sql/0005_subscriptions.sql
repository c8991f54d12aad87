-- A subscription's work is divided into partitions by a hash of the stream's id, so that copies of a subscriber share it. A
-- copy holds partitions for as long as its lease runs, and renews it. What it writes in a transaction commits only while it
-- still holds them: a copy that was given up for dead and wakes up again changes nothing.
create table subscription_partitions (
    subscription text        not null,               -- whose: 'orders'
    partition    smallint    not null,               -- which share, from 0; computed in the program, the same for ever
    position     bigint      not null default 0,     -- everything of this partition up to here is done
    owner        uuid,                               -- the copy that holds it, under an id it drew when it started; null: nobody
    fence        bigint      not null default 0,     -- grows whenever it changes hands: whoever has an older number is out
    leased_until timestamptz,                        -- by this database's clock; later it is anybody's
    exclusive    boolean     not null default false, -- held by a rebuild, from which no copy takes a share
    session      integer,                            -- the server's process that the owner writes through, and when that began:
    session_from timestamptz,                        -- it is ended when the owner is given up for dead
    updated_at   timestamptz not null default now(), -- when a batch last ended
    primary key (subscription, partition)
) with (fillfactor = 50); -- a batch changes every row of its copy: with room on the page no index entry has to be made

insert into subscription_partitions (subscription, partition, position, updated_at)
select name, partition, position, updated_at from subscriptions, generate_series(0, 15) as partition;

drop table subscriptions;

-- Whoever changes who holds what takes this for the rest of the transaction, and advance_subscription() shares it. So those
-- that change several rows meet in no particular order and yet never wait for each other in a circle. The first number is any.
create function lock_leases(of_subscription text) returns void language sql as $$
    select pg_advisory_xact_lock(7311, hashtext(of_subscription))
$$;

-- Takes partitions that still have the given fences, or renews them if they are the owner's; returns those it got. One statement,
-- so that nobody stands still in the middle of it. A copy that froze in the middle of a batch may hold rows that whoever takes
-- over will write, and the locks of this very function: once its lease has run out its session is ended first. Whoever comes
-- before that does not wait for those locks for longer than a third of a lease, and comes again.
create function take_partitions(
    of_subscription text, by_owner uuid, of_partitions smallint[], with_fences bigint[], milliseconds bigint, alone boolean
) returns setof subscription_partitions language plpgsql as $$
begin
    perform pg_terminate_backend(a.pid)
       from (select distinct session, session_from from subscription_partitions
              where subscription = of_subscription and partition = any(of_partitions)
                and owner <> by_owner and leased_until < clock_timestamp()) as dead
       join pg_stat_activity a on a.pid = dead.session and a.backend_start = dead.session_from;
    perform set_config('lock_timeout', greatest(milliseconds / 3, 1)::text, true);
    perform lock_leases(of_subscription);
    return query
        update subscription_partitions p
           set fence = p.fence + (p.owner is distinct from by_owner)::int, owner = by_owner, exclusive = alone,
               leased_until = clock_timestamp() + milliseconds * interval '1 millisecond',
               session = a.pid, session_from = a.backend_start
          from unnest(of_partitions, with_fences) as wanted(partition, fence), pg_stat_activity a
         where p.subscription = of_subscription and p.partition = wanted.partition and p.fence = wanted.fence
           and a.pid = pg_backend_pid()
        returning p.*;
end
$$;

-- Keeps what a copy holds while it is busy; returns how much that is.
create function renew_partitions(of_subscription text, by_owner uuid, milliseconds bigint) returns bigint language plpgsql as $$
declare
    renewed bigint;
begin
    perform set_config('lock_timeout', greatest(milliseconds / 3, 1)::text, true);
    perform lock_leases(of_subscription);
    update subscription_partitions set leased_until = clock_timestamp() + milliseconds * interval '1 millisecond'
     where subscription = of_subscription and owner = by_owner;
    get diagnostics renewed = row_count;
    return renewed;
end
$$;

-- Gives everything back, and tells the copies.
create function release_partitions(of_subscription text, by_owner uuid) returns void language plpgsql as $$
begin
    perform lock_leases(of_subscription);
    update subscription_partitions
       set owner = null, leased_until = null, exclusive = false, session = null, session_from = null
     where subscription = of_subscription and owner = by_owner;
    if found then
        perform pg_notify('ordo_subscriptions', '');
    end if;
end
$$;

-- Moves partitions to where their copy has come; the last statement of the transaction that handled the events up to there.
-- It fails if one of them has changed hands, and the transaction with it.
create function advance_subscription(
    of_subscription text, by_owner uuid, of_partitions smallint[], with_fences bigint[], up_to bigint
) returns void language plpgsql as $$
declare
    moved integer;
begin
    perform pg_advisory_xact_lock_shared(7311, hashtext(of_subscription));
    update subscription_partitions p
       set position = greatest(p.position, up_to), updated_at = now()
      from unnest(of_partitions, with_fences) as held(partition, fence)
     where p.subscription = of_subscription and p.partition = held.partition
       and p.owner = by_owner and p.fence = held.fence;
    get diagnostics moved = row_count;
    if moved < cardinality(of_partitions) then
        raise exception 'a partition of subscription % has changed hands', of_subscription using errcode = 'OR001';
    end if;
end
$$;

-- Events that a subscriber can't handle, and those of the same streams after them, which wait: order is kept within a stream.
-- Everything else goes on. An operator has a stream tried again, or its first parked event forgotten.
create table parked_events (
    subscription text        not null,
    stream_type  text        not null,
    stream_id    text        not null,
    position     bigint      not null,               -- of the event in the log, where its content is
    version      bigint      not null,               -- the stream's version after it
    event_type   text        not null,
    error        text,                               -- why it failed; null: it waits behind one that did
    attempts     integer     not null default 0,     -- how often it was tried by itself
    parked_at    timestamptz not null default now(),
    request      text        check (request in ('retry', 'skip')), -- on a stream's first: what an operator asked for
    primary key (subscription, stream_type, stream_id, position)
);
create index parked_events_requested on parked_events (subscription) where request is not null;

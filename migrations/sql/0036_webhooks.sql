-- Webhooks: programs that are told of the events of orders, and what became of each delivery. The events themselves stay in the log:
-- a delivery names one by its position.

create table webhook_endpoints (
    id                    uuid        primary key,
    url                   text        not null check (octet_length(url) <= 2048),
    description           text        not null check (octet_length(description) <= 512),
    event_types           text[]      not null check (cardinality(event_types) <= 100),  -- empty: all
    role                  text        not null,   -- it gets of each event what this role sees of it
    secret                bytea       not null,   -- what deliveries are signed with. In plain: a hash can't sign
    previous_secret       bytea,                  -- signs as well until the time beside it
    previous_secret_until timestamptz,
    created_at            timestamptz not null default now(),
    from_position         bigint      not null,   -- it is told of the events after this position
    disabled_at           timestamptz,            -- null: it is enabled
    disabled_because      text        check (disabled_because in ('operator', 'gone', 'failing')),
    missed_from           bigint,                 -- the first event that came while it was disabled; null: none
    failing_since         timestamptz,            -- the first of the failures since its last success; null: none has failed since
    failures              integer     not null default 0,  -- how many there are
    failed_at             timestamptz,            -- the last of all
    not_before            timestamptz,            -- when it asked to be called again (Retry-After)
    deleted_at            timestamptz,            -- what is left of it is removed bit by bit
    check ((disabled_at is null) = (disabled_because is null)),
    check ((previous_secret is null) = (previous_secret_until is null))
);

comment on table webhook_endpoints is 'Where the events of orders are posted to.';

-- One for each endpoint and event.
create table webhook_deliveries (
    id           bigint      generated always as identity primary key,
    endpoint_id  uuid        not null references webhook_endpoints,
    position     bigint      not null,            -- of the event in the log
    order_id     text        not null,
    event_id     uuid        not null,            -- the header webhook-id
    event_type   text        not null,
    state        text        not null default 'pending' check (state in ('pending', 'delivered', 'failed')),
    created_at   timestamptz not null default now(),
    ended_at     timestamptz,                     -- when it was delivered or given up; null while it is pending
    -- The last attempt.
    attempts     integer     not null default 0,
    attempted_at timestamptz,
    duration_ms  integer,
    status       smallint,                        -- of the answer; null: there was none
    answer       text        check (octet_length(answer) <= 4096),  -- the first of its body
    error        text        check (octet_length(error) <= 1024),   -- null: it succeeded
    unique (endpoint_id, position),
    check ((state = 'pending') = (ended_at is null))
);
create index webhook_deliveries_pending on webhook_deliveries (endpoint_id, order_id, position) where state = 'pending';
create index webhook_deliveries_by_state on webhook_deliveries (endpoint_id, state, position);
create index webhook_deliveries_delivered on webhook_deliveries (ended_at) where state = 'delivered';

comment on table webhook_deliveries is 'What became of each event for each endpoint.';

-- One for each endpoint and order with pending deliveries. The first of them by position is the next to go; the others wait behind it.
create table webhook_queues (
    endpoint_id uuid        not null references webhook_endpoints,
    order_id    text        not null,
    due_at      timestamptz not null,             -- when the first delivery is tried, or when the claim ends
    claim       uuid,                             -- drawn by the process that has the first delivery in work
    primary key (endpoint_id, order_id)
);
create index webhook_queues_due on webhook_queues (endpoint_id, due_at);

comment on table webhook_queues is 'The orders that have something to deliver, and when.';

-- Events that are delivered to an endpoint again, from a position to another.
create table webhook_replays (
    id            uuid        primary key,
    endpoint_id   uuid        not null references webhook_endpoints,
    from_position bigint      not null,           -- both are included
    to_position   bigint      not null,
    reached       bigint      not null,           -- events up to here have their deliveries
    missed_from   bigint,                         -- of the endpoint, when it began to make up for that
    deliveries    bigint      not null default 0,
    created_at    timestamptz not null default now(),
    ended_at      timestamptz                     -- null: it goes on. Cancelled, if it had not reached its end
);
create index webhook_replays_of_endpoint on webhook_replays (endpoint_id, created_at);

comment on table webhook_replays is 'Replays of events to an endpoint.';

-- Which commands were given under an Idempotency-Key, and what they came to. A row is written in the transaction that
-- stores the command's events, so that there is one exactly when there are the others.
create table idempotency_records (
    scope        text        not null,   -- who asked for what: 'shop POST /orders'
    key          text        not null,   -- the client's own name for its request
    request_hash bytea       not null,   -- SHA-256 of the request's body: the same key with another body is a mistake
    stream_type  text        not null,   -- the stream that the answer tells of
    stream_id    text        not null,
    version      bigint      not null,   -- and its version then: with its event's position, all that an answer says
    recorded_at  timestamptz not null default clock_timestamp(), -- rows are kept for a day at least, then pruned
    constraint idempotency_records_pkey primary key (scope, key)
);

-- Pruning looks for old rows, which lie together. Such an index costs a write next to nothing.
create index idempotency_records_by_age on idempotency_records using brin (recorded_at);

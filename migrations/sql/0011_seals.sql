-- The hash chain over the log. The hash after an event is SHA-256 over the hash after the event before it, 32 zero bytes to begin
-- with, and the event's digest; that is SHA-256 over its row as `copy (select global_position, aggregate_type, aggregate_id,
-- sequence, event_type, event_version, payload, metadata, event_id, recorded_at …) to stdout (format binary)` writes it in UTF-8. So the hash
-- after an event speaks for every column of it and of all before it. What is kept here is made from the log and could be made
-- again: it is there to tell which event is not what it was when it was sealed.
create table event_seals (
    up_to     bigint      not null primary key, -- the position of the last event that it seals
    after     bigint      not null unique,      -- where the one before it ends; 0: it is the first
    events    integer     not null,             -- how many it seals
    hash      bytea       not null,             -- after the event at up_to
    entries   bytea       not null,             -- of each event 60 bytes: its position; its digest; of each column 16 bits of its CRC-32
    sealed_at timestamptz not null default now()
);

-- Digests can't be compressed: trying would only cost time.
alter table event_seals alter column entries set storage external;

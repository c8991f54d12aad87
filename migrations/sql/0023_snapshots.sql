-- Long streams as they were at some version, so that whoever needs one reads only what came after it. They are a cache and never the
-- truth: one is used only if its last event is in the log, and any of them can be deleted at any time.
create table stream_snapshots (
    aggregate_type text        not null,
    aggregate_id   text        not null,
    version        bigint      not null,               -- of the stream
    last_event     uuid        not null,               -- the id of the event at that version
    state_version  integer     not null,               -- of the fold that made the state; a build uses only what has its own
    state          json        not null,               -- what the stream's events up to there come to
    digest         bytea       not null,               -- SHA-256 over last_event, state_version and state: a damaged row shows
    taken_at       timestamptz not null default now(),
    primary key (aggregate_type, aggregate_id)
);

-- How often handlers have failed with a message of a queue. The queue itself counts how often it handed a message out, which
-- includes what was handed back untried. A message that is done the first time has no row, and one that is done with has none any more.
create table message_failures (
    queue      text        not null,
    message_id text        not null,             -- the queue's own id of the message
    failures   integer     not null,             -- how often its handler failed
    failed_at  timestamptz not null default now(),  -- the last time; no queue keeps a message for more than 14 days
    primary key (queue, message_id)
);
create index message_failures_failed_at on message_failures (failed_at);

comment on table message_failures is 'How often handlers have failed with a message of a queue that is not done with.';

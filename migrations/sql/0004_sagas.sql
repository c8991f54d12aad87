-- What a saga waits for or has to try again. Where an order is in its saga is folded from its events; this table only
-- knows when to look again. A step that succeeds at once has no row.
create table saga_work (
    saga       text        not null,             -- 'order_fulfilment'
    order_id   text        not null,
    step       text        not null,             -- the step that is under way
    sent       integer     not null default 0,   -- how often its request went out
    failures   integer     not null default 0,   -- how often in a row it could not even be tried
    due_at     timestamptz not null,             -- when to try again, by this database's clock
    last_error text,                             -- why it was not done the last time
    primary key (saga, order_id)
);
create index saga_work_due on saga_work (saga, due_at);

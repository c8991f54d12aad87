-- Read models that are kept in DynamoDB: which of their tables there is the one that is read. The answer is here, so that
-- generations change places in the transaction that moves the checkpoint. Read models in this database have no row.
create table read_model_generations (
    read_model text     collate "C" primary key, -- whose: 'orders'
    last       bigint   not null default 0,      -- the last number that a table was made with: PREFIX-orders-7
    live       bigint,                           -- the number of the table that is read and kept up to date
    next       bigint,                           -- of the one that is being built to take its place
    previous   bigint,                           -- of the one whose place was taken
    dropped    bigint[] not null default '{}'    -- of those that nobody needs any more and that are still to be deleted
);

-- The books of the sandbox, the payment provider that needs no account anywhere. They are a provider's books, not ours: the
-- platform learns of them only by calling it. They are here so that they outlive a crash, and can be added up against orders.
create table sandbox_payments (
    reference  text        not null,             -- the provider's id of the payment, derived from its key
    key        text        not null,             -- the idempotency key of its authorization
    order_id   text        not null,             -- the order it pays for
    currency   text        not null,             -- ISO 4217; the same for every movement
    amount     bigint      not null,             -- minor units that were asked for
    token      text,                             -- what the customer paid with: it chooses what happens
    declined   text,                             -- why the provider said no; null: the amount was authorized
    captured   bigint      not null default 0,   -- minor units taken so far
    refunded   bigint      not null default 0,   -- minor units given back so far
    closed_at  timestamptz,                      -- when the rest was let go, by a void or the last capture; null: it is held
    created_at timestamptz not null default clock_timestamp(),
    constraint sandbox_payments_pkey primary key (reference),
    constraint sandbox_payments_amounts check (amount > 0 and 0 <= refunded and refunded <= captured and captured <= amount),
    constraint sandbox_payments_declined check (declined is null or captured = 0)
);

-- The ledger is read by order.
create index sandbox_payments_by_order on sandbox_payments (order_id, reference);

-- Every capture and refund, once: the amounts above are their sums.
create table sandbox_movements (
    reference   text        not null,   -- the provider's id of the movement, derived from its key
    key         text        not null,   -- its idempotency key
    payment     text        not null,   -- the payment it belongs to
    kind        text        not null,   -- capture or refund
    amount      bigint      not null,   -- minor units
    recorded_at timestamptz not null default clock_timestamp(),
    constraint sandbox_movements_pkey primary key (reference),
    constraint sandbox_movements_payment foreign key (payment) references sandbox_payments (reference),
    constraint sandbox_movements_kind check (kind in ('capture', 'refund')),
    constraint sandbox_movements_amount check (amount > 0)
);

-- How often the sandbox has failed a call on purpose (tok_flaky): it stops after a while, across restarts too.
create table sandbox_failures (
    key      text     not null,   -- the idempotency key that failed
    failures smallint not null,   -- how often
    constraint sandbox_failures_pkey primary key (key)
);

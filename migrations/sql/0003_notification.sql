-- What became of each mail that was asked for. It is what keeps a mail from being sent twice: the row is inserted, and so
-- locked, before the mail is handed over, and committed with the outcome. A copy of the same request waits for that and then
-- finds the outcome; a consumer that dies takes its uncommitted row with it.

create table notification_deliveries (
    notification_id uuid primary key,
    order_id text not null,
    template text not null,
    recipient text,
    outcome text not null,
    provider_message_id text,
    reason text,
    attempts integer not null,
    decided_at timestamptz not null default now(),
    constraint notification_outcome_known check (outcome in ('sent', 'failed')),
    constraint notification_outcome_explained check (
        (outcome = 'sent' and provider_message_id is not null and recipient is not null and reason is null)
        or (outcome = 'failed' and provider_message_id is null and reason is not null)
    ),
    constraint notification_attempts_positive check (attempts > 0)
);

-- For people who ask which mails an order had.
create index notification_deliveries_order on notification_deliveries (order_id);

comment on table notification_deliveries is 'One row per mail that was asked for and decided: sent, or failed for good.';
comment on column notification_deliveries.notification_id is 'Names the mail, derived from the event that caused it. One mail is sent per id.';
comment on column notification_deliveries.order_id is 'The order that the mail is about.';
comment on column notification_deliveries.template is 'Which mail, by the name it has on the wire: order-confirmed.';
comment on column notification_deliveries.recipient is 'Where it went; null if there was no address that a mail could go to.';
comment on column notification_deliveries.outcome is 'sent: the mail service accepted it. failed: it never will be sent under this id.';
comment on column notification_deliveries.provider_message_id is 'The mail service''s own id of a sent mail.';
comment on column notification_deliveries.reason is 'Why it failed, for an operator.';
comment on column notification_deliveries.attempts is 'How many times the request had been received when this was decided.';
comment on column notification_deliveries.decided_at is 'When the transaction that decided it began.';

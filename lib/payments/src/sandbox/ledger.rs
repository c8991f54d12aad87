//! Reads the sandbox's books, to compare them with the orders.

use sqlx::{PgExecutor, PgPool};

/// A payment that the sandbox authorized. Amounts are minor units. `authorized - captured - voided` is still held.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct SandboxPaymentRow {
    pub order_id: String,
    /// The sandbox's id of the payment.
    pub reference: String,
    /// ISO 4217.
    pub currency: String,
    pub authorized: i64,
    pub captured: i64,
    pub refunded: i64,
    /// Released by a void or by the last capture.
    pub voided: i64,
    /// How many payments were authorized for the same order. There should be one for each of its payments.
    pub authorizations: i64,
}

/// The next `limit` payments after a row, ordered by order, without declined ones.
pub async fn ledger(
    pool: &PgPool,
    after: Option<&SandboxPaymentRow>,
    limit: u32,
) -> Result<Vec<SandboxPaymentRow>, sqlx::Error> {
    let (order_id, reference) = after.map_or(("", ""), |row| (&row.order_id, &row.reference));
    sqlx::query_as(
        "select order_id, reference, currency, amount as authorized, captured, refunded,
                case when closed_at is null then 0 else amount - captured end as voided,
                (select count(*) from sandbox_payments other
                  where other.order_id = payment.order_id and other.declined is null) as authorizations
           from sandbox_payments payment
          where (order_id, reference) > ($1, $2) and declined is null
          order by order_id, reference
          limit $3",
    )
    .bind(order_id)
    .bind(reference)
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await
}

/// The payments of these orders, ordered by order, without declined ones.
pub async fn ledger_of(
    executor: impl PgExecutor<'_>,
    order_ids: &[String],
) -> Result<Vec<SandboxPaymentRow>, sqlx::Error> {
    sqlx::query_as(
        "select order_id, reference, currency, amount as authorized, captured, refunded,
                case when closed_at is null then 0 else amount - captured end as voided,
                count(*) over (partition by order_id) as authorizations
           from sandbox_payments
          where order_id = any($1) and declined is null
          order by order_id, reference",
    )
    .bind(order_ids)
    .fetch_all(executor)
    .await
}

/// Whether the sandbox made this reference, so that its books should have the payment.
pub fn is_sandbox_payment(reference: &str) -> bool {
    reference.starts_with(super::book::PAYMENT_PREFIX)
}

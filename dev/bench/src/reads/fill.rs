//! Orders to be read: into the log, and from there by the platform's projections into the read model.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sqlx::{Executor, PgPool};

/// What the orders' ids begin with, and how many digits follow.
pub(crate) const ORDER_ID: &str = "read-";
pub(crate) const DIGITS: usize = 12;
/// Whose they all are.
pub(crate) const CUSTOMER: &str = "customer-1";

/// Without any progress for so long, something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// The demo order, paid for, confirmed and told of.
const FILL: &str = r#"
    insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
    select 'order', 'read-' || lpad(nth::text, 12, '0'), version, type, '1.0', json_build_object(type, content),
           json_build_object('actor', 'shop', 'correlationId', md5(nth::text))
      from generate_series(0, $1 - 1) as nth,
           lateral (values
               (1, 'OrderCreated', json_build_object(
                   'customerId', 'customer-1', 'currency', 'USD', 'totalMinor', 12999,
                   'lines', json_build_array(json_build_object(
                       'sku', 'sku-123', 'title', 'Wireless Headphones', 'quantity', 1, 'unitPriceMinor', 12999)),
                   'notes', 'REST Client sample order',
                   'metadata', json_build_object('channel', 'rest-client', 'requestedAt', '1759035874964'))),
               (2, 'PaymentAuthorized', json_build_object('reference', 'auth-' || nth, 'amountMinor', 12999)),
               (3, 'OrderConfirmed', json_build_object()),
               (4, 'NotificationSent', json_build_object(
                   'notificationId', md5(nth::text)::uuid, 'template', 'order-confirmed',
                   'recipient', 'customer@ordo.example', 'providerMessageId', 'm-' || nth))
           ) as event(version, type, content)
     order by nth, version"#;

/// Makes so many orders, and waits until all of them can be read.
pub(crate) async fn orders(pool: &PgPool, orders: u64) -> anyhow::Result<()> {
    let count = i64::try_from(orders).context("that is too many orders")?;
    sqlx::query(FILL).bind(count).execute(pool).await.context("the orders cannot be entered")?;
    let last: i64 = sqlx::query_scalar("select max(global_position) from events").fetch_one(pool).await?;
    let (mut reached, mut since) = (0, Instant::now());
    while reached < last {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let checkpoints = event_store::operations::checkpoints(pool).await?;
        let slowest = projections::REGISTRY.iter().filter_map(|projection| checkpoints.get(projection.name)).min();
        let position = slowest.copied().unwrap_or(0);
        if position > reached {
            (reached, since) = (position, Instant::now());
        }
        ensure!(since.elapsed() < PATIENCE, "the read model stands still at position {reached} of {last}");
    }
    // What writing them left to be done is not to be done while they are read.
    pool.execute("vacuum analyze read_model_orders").await?;
    pool.execute("checkpoint").await?;
    let made: i64 =
        sqlx::query_scalar("select count(*) from read_model_orders where sk = '#META'").fetch_one(pool).await?;
    ensure!(made == count, "of {count} orders {made} are in the read model");
    Ok(())
}

//! Removes what nobody looks at any more: deliveries that were made long ago, and what is left of deleted endpoints.

use std::time::Duration;

use error_chain::error_chain;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(60);
/// Rows that one statement removes.
const CHUNK: i64 = 5_000;
/// Replays of an endpoint that are kept.
const REPLAYS: i64 = 100;

/// Removes deliveries that were made longer ago than `retention`. Those that were not made stay, as long as their endpoint does.
pub(crate) async fn clean_up_regularly(pool: PgPool, retention: Duration, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match clean_up(&pool, retention).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::warn!(error = error_chain(&error), "old webhook deliveries can't be removed"),
        }
        let _ = stop.run_until_cancelled(tokio::time::sleep(EVERY)).await;
    }
}

/// Returns whether there may be more to remove.
async fn clean_up(pool: &PgPool, retention: Duration) -> Result<bool, sqlx::Error> {
    let of_deleted = "in (select id from webhook_endpoints where deleted_at is not null)";
    let old = "delete from webhook_deliveries where id = any (array(
                 select id from webhook_deliveries where state = 'delivered' and ended_at < now() - $1 limit $2))
                 and state = 'delivered'";
    let old = sqlx::query(old).bind(retention).bind(CHUNK).execute(pool).await?.rows_affected();
    let deleted = format!(
        "delete from webhook_deliveries where id = any (array(
           select id from webhook_deliveries where endpoint_id {of_deleted} limit $1))"
    );
    let deleted = sqlx::query(&deleted).bind(CHUNK).execute(pool).await?.rows_affected();
    let queues = format!(
        "delete from webhook_queues where (endpoint_id, order_id) in (
           select endpoint_id, order_id from webhook_queues where endpoint_id {of_deleted} limit $1)"
    );
    let queues = sqlx::query(&queues).bind(CHUNK).execute(pool).await?.rows_affected();
    let replays = format!(
        "delete from webhook_replays where endpoint_id {of_deleted}
            or id in (select id from (select id, ended_at, row_number() over (partition by endpoint_id order by created_at desc) as nth
                                        from webhook_replays) as replay where nth > $1 and ended_at is not null)"
    );
    sqlx::query(&replays).bind(REPLAYS).execute(pool).await?;
    let endpoints = "delete from webhook_endpoints endpoint where deleted_at < now() - interval '1 minute'
                        and not exists (select from webhook_deliveries where endpoint_id = endpoint.id)
                        and not exists (select from webhook_queues where endpoint_id = endpoint.id)
                        and not exists (select from webhook_replays where endpoint_id = endpoint.id)";
    sqlx::query(endpoints).execute(pool).await?;
    let full = u64::try_from(CHUNK).unwrap_or(u64::MAX);
    Ok(old >= full || deleted >= full || queues >= full)
}

//! Claims on deliveries. A claim is a time until which nobody else takes an order's queue, so a process that dies holds nothing up for
//! longer. No transaction is open while an endpoint is called.

use std::time::Duration;

use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use crate::secret::WebhookSecret;

/// How many seconds a queue waits whose first delivery comes after events of a replay that have no deliveries yet: a tenth of the time
/// for which the replay has gone on, so that the looks at all that wait do not grow with that time.
const SECONDS_BEHIND_A_REPLAY: &str = "least(greatest(extract(epoch from now() - replay.created_at) / 10, 1), 60)";

/// An endpoint that has something to deliver now.
#[derive(Debug, Clone)]
pub(crate) struct DueEndpoint {
    pub(crate) id: Uuid,
    pub(crate) url: String,
    pub(crate) role: String,
    /// The newest first.
    pub(crate) secrets: Vec<WebhookSecret>,
    /// How often it has failed since its last success.
    pub(crate) failures: i32,
}

#[derive(FromRow)]
struct DueEndpointRow {
    id: Uuid,
    url: String,
    role: String,
    secret: Vec<u8>,
    previous_secret: Option<Vec<u8>>,
    failures: i32,
}

/// A delivery that this process has in work.
#[derive(Debug, Clone)]
pub(crate) struct ClaimedDelivery {
    pub(crate) endpoint_id: Uuid,
    pub(crate) order_id: String,
    /// Tells this claim from those of others.
    pub(crate) claim: Uuid,
    pub(crate) id: i64,
    pub(crate) position: i64,
    /// How often it was tried before.
    pub(crate) attempts: i32,
}

/// What a look at the queues of an endpoint came to.
#[derive(Debug, Default)]
pub(crate) struct ClaimedQueues {
    pub(crate) deliveries: Vec<ClaimedDelivery>,
    /// Whether there were queues that are due, also such as have to wait.
    pub(crate) any_due: bool,
}

/// The endpoints that have something to deliver, and may be called.
pub(crate) async fn due_endpoints(pool: &PgPool) -> Result<Vec<DueEndpoint>, sqlx::Error> {
    let query = "select id, url, role, secret, case when previous_secret_until > now() then previous_secret end as previous_secret, failures
                   from webhook_endpoints endpoint
                  where disabled_at is null and (not_before is null or not_before <= now())
                    and exists (select from webhook_queues where endpoint_id = endpoint.id and due_at <= now())
                  order by id";
    let rows: Vec<DueEndpointRow> = sqlx::query_as(query).fetch_all(pool).await?;
    let endpoint = |row: DueEndpointRow| {
        let secrets = [Some(row.secret), row.previous_secret].into_iter().flatten().map(WebhookSecret::of_bytes);
        DueEndpoint { id: row.id, url: row.url, role: row.role, secrets: secrets.collect(), failures: row.failures }
    };
    Ok(rows.into_iter().map(endpoint).collect())
}

/// Claims the first pending deliveries of up to `limit` orders, those that have been due for the longest time.
pub(crate) async fn claim(
    pool: &PgPool,
    endpoint_id: Uuid,
    limit: usize,
    lasts: Duration,
) -> Result<ClaimedQueues, sqlx::Error> {
    let claim = Uuid::new_v4();
    let mut connection = pool.acquire().await?;
    let take = "update webhook_queues queue set due_at = now() + $3, claim = $4
                  from (select endpoint_id, order_id from webhook_queues where endpoint_id = $1 and due_at <= now()
                         order by due_at limit $2 for update skip locked) as due
                 where queue.endpoint_id = due.endpoint_id and queue.order_id = due.order_id
                returning queue.order_id";
    let orders: Vec<String> = sqlx::query_scalar(take)
        .bind(endpoint_id)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .bind(lasts)
        .bind(claim)
        .fetch_all(&mut *connection)
        .await?;
    if orders.is_empty() {
        return Ok(ClaimedQueues::default());
    }
    // A statement of its own: it sees what was delivered up to the moment of the claim.
    let first = format!(
        "select taken.order_id, first.id, first.position, first.attempts, replay.seconds
           from unnest($2::text[]) as taken (order_id)
           left join lateral (select id, position, attempts from webhook_deliveries delivery
                               where delivery.endpoint_id = $1 and delivery.order_id = taken.order_id and state = 'pending'
                               order by position limit 1) as first on true
           left join lateral (select {SECONDS_BEHIND_A_REPLAY}::float8 as seconds from webhook_replays replay
                               where replay.endpoint_id = $1 and replay.ended_at is null
                                 and exists (select from events event
                                              where event.aggregate_type = 'order' and event.aggregate_id = taken.order_id
                                                and event.global_position > replay.reached
                                                and event.global_position <= replay.to_position
                                                and event.global_position < first.position)
                               order by created_at desc limit 1) as replay on true"
    );
    let first: Vec<FirstDeliveryRow> =
        sqlx::query_as(&first).bind(endpoint_id).bind(&orders).fetch_all(&mut *connection).await?;
    let mut deliveries = Vec::with_capacity(first.len());
    let (mut waiting, mut empty) = (Vec::new(), Vec::new());
    for row in first {
        match (row.id.zip(row.position), row.seconds) {
            (Some((id, position)), None) => deliveries.push(ClaimedDelivery {
                endpoint_id,
                order_id: row.order_id,
                claim,
                id,
                position,
                attempts: row.attempts.unwrap_or(0),
            }),
            (Some(_), Some(seconds)) => waiting.push((row.order_id, seconds)),
            (None, _) => empty.push(row.order_id),
        }
    }
    put_back(&mut connection, endpoint_id, &waiting, claim).await?;
    remove_empty(&mut connection, endpoint_id, &empty, claim).await?;
    Ok(ClaimedQueues { deliveries, any_due: true })
}

#[derive(FromRow)]
struct FirstDeliveryRow {
    order_id: String,
    id: Option<i64>,
    position: Option<i64>,
    attempts: Option<i32>,
    /// How long it waits for a replay.
    seconds: Option<f64>,
}

/// Leaves queues whose deliveries have to wait for a replay, each for so many seconds.
async fn put_back(
    connection: &mut PgConnection,
    endpoint_id: Uuid,
    waiting: &[(String, f64)],
    claim: Uuid,
) -> Result<(), sqlx::Error> {
    if waiting.is_empty() {
        return Ok(());
    }
    let (orders, seconds): (Vec<&str>, Vec<f64>) =
        waiting.iter().map(|(order_id, seconds)| (order_id.as_str(), *seconds)).unzip();
    let wait = "update webhook_queues queue set due_at = now() + make_interval(secs => waiting.seconds), claim = null
                  from unnest($2::text[], $3::float8[]) as waiting (order_id, seconds)
                 where queue.endpoint_id = $1 and queue.order_id = waiting.order_id and queue.claim = $4";
    sqlx::query(wait).bind(endpoint_id).bind(orders).bind(seconds).bind(claim).execute(connection).await.map(drop)
}

/// Removes queues that have nothing to deliver. One that has by now is due at once.
async fn remove_empty(
    connection: &mut PgConnection,
    endpoint_id: Uuid,
    orders: &[String],
    claim: Uuid,
) -> Result<(), sqlx::Error> {
    for order_id in orders {
        // Locked first, so that a delivery that is being recorded is seen.
        let mut transaction = sqlx::Connection::begin(&mut *connection).await?;
        let lock = "update webhook_queues set due_at = now(), claim = null
                     where endpoint_id = $1 and order_id = $2 and claim = $3";
        let locked = sqlx::query(lock).bind(endpoint_id).bind(order_id).bind(claim).execute(&mut *transaction).await?;
        if locked.rows_affected() > 0 {
            remove_if_empty(&mut transaction, endpoint_id, order_id).await?;
        }
        transaction.commit().await?;
    }
    Ok(())
}

/// Removes an order's queue that has nothing to deliver any more. It has to be locked.
pub(crate) async fn remove_if_empty(
    connection: &mut PgConnection,
    endpoint_id: Uuid,
    order_id: &str,
) -> Result<(), sqlx::Error> {
    let remove = "delete from webhook_queues where endpoint_id = $1 and order_id = $2
                     and not exists (select from webhook_deliveries
                                      where endpoint_id = $1 and order_id = $2 and state = 'pending')";
    sqlx::query(remove).bind(endpoint_id).bind(order_id).execute(connection).await.map(drop)
}

/// Gives claimed deliveries back, which nothing is known of: others may try them at once.
pub(crate) async fn release(pool: &PgPool, claims: &[Uuid]) -> Result<(), sqlx::Error> {
    let release = "update webhook_queues set due_at = now(), claim = null where claim = any ($1)";
    sqlx::query(release).bind(claims).execute(pool).await.map(drop)
}

//! Deliveries for operators to look at, and to have made again.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use crate::endpoint::{EndpointError, WebhookEndpoint, keep_endpoints};

/// A delivery, and what its last attempt came to.
#[derive(Debug, Clone, FromRow)]
pub struct WebhookDelivery {
    pub id: i64,
    /// Of the event in the log.
    pub position: i64,
    pub order_id: String,
    /// Receivers know the delivery by it: it is the header `webhook-id`.
    pub event_id: Uuid,
    pub event_type: String,
    /// `pending`, `delivered` or `failed` (given up).
    pub state: String,
    pub created_at: DateTime<Utc>,
    /// When it was delivered or given up.
    pub ended_at: Option<DateTime<Utc>>,
    pub attempts: i32,
    pub attempted_at: Option<DateTime<Utc>>,
    /// When it is tried next; `None`: it has ended, or waits for an earlier one of its order.
    pub next_attempt_at: Option<DateTime<Utc>>,
    pub duration_ms: Option<i32>,
    /// The status of the last answer; `None`: there was none.
    pub status: Option<i16>,
    /// The first of its body.
    pub answer: Option<String>,
    /// Why the last attempt failed.
    pub error: Option<String>,
}

/// Why a delivery can't be made again.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    #[error("there is no delivery {0}")]
    Unknown(i64),
    #[error("the deliveries can't be used")]
    Database(#[from] sqlx::Error),
}

/// The states of deliveries.
pub(crate) const DELIVERY_STATES: [&str; 3] = ["pending", "delivered", "failed"];

impl WebhookDelivery {
    /// The deliveries to an endpoint before a position of the log, the latest event first. `state`: `pending`, `delivered` or `failed`.
    pub async fn list(
        pool: &PgPool,
        endpoint: Uuid,
        state: Option<&str>,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<Self>, EndpointError> {
        WebhookEndpoint::find(pool, endpoint).await?;
        let query = "select delivery.id, delivery.position, delivery.order_id, event_id, event_type, state, created_at, ended_at,
                            attempts, attempted_at, duration_ms, status, answer, error,
                            case when state = 'pending' and not exists (
                                   select from webhook_deliveries earlier
                                    where earlier.endpoint_id = $1 and earlier.order_id = delivery.order_id
                                      and earlier.state = 'pending' and earlier.position < delivery.position)
                                 then queue.due_at end as next_attempt_at
                       from webhook_deliveries delivery
                       left join webhook_queues queue on queue.endpoint_id = $1 and queue.order_id = delivery.order_id
                      where delivery.endpoint_id = $1 and ($2::text is null or state = $2) and delivery.position < $3
                      order by delivery.position desc limit $4";
        let query = sqlx::query_as(query).bind(endpoint).bind(state).bind(before.unwrap_or(i64::MAX)).bind(limit);
        Ok(query.fetch_all(pool).await?)
    }

    /// Has a delivery made again, whatever came of it, with all its attempts. Later ones of its order wait for it. With `endpoint`
    /// it has to be one to that.
    pub async fn resend(pool: &PgPool, endpoint: Option<Uuid>, delivery: i64) -> Result<(), DeliveryError> {
        let mut transaction = pool.begin().await?;
        keep_endpoints(&mut transaction).await?;
        let queue = "insert into webhook_queues (endpoint_id, order_id, due_at)
                     select endpoint_id, order_id, now() from webhook_deliveries delivery
                       join webhook_endpoints endpoint on endpoint.id = endpoint_id and endpoint.deleted_at is null
                      where delivery.id = $1 and ($2::uuid is null or endpoint_id = $2)
                         on conflict (endpoint_id, order_id) do update
                            set due_at = case when webhook_queues.claim is null then excluded.due_at else webhook_queues.due_at end";
        let queued = sqlx::query(queue).bind(delivery).bind(endpoint).execute(&mut *transaction).await?;
        if queued.rows_affected() == 0 {
            return Err(DeliveryError::Unknown(delivery));
        }
        let again = "update webhook_deliveries
                        set state = 'pending', ended_at = null, attempts = 0,
                            created_at = case when state = 'pending' then created_at else now() end
                      where id = $1";
        sqlx::query(again).bind(delivery).execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    }
}

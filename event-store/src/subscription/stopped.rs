//! Subscriptions that are stopped at events that their builds do not know, for operators to see.

use chrono::{DateTime, Utc};
use error_chain::error_chain;
use sqlx::PgPool;

use super::partition_of;
use crate::event::{EventDecodeError, StoredEvent};

/// A subscription that is stopped before an event, or a version of one, that its build does not know.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct StoppedSubscription {
    pub subscription: String,
    /// The partition that can't go on. The copy's other partitions wait with it.
    pub partition: i16,
    /// The position of the first event that waits.
    pub waits_from: i64,
    /// The position of the unknown event: that one, or a later one of its stream.
    pub position: i64,
    pub stream_id: String,
    pub event_type: String,
    pub event_version: String,
    pub error: String,
    /// When the subscription first stopped there.
    pub since: DateTime<Utc>,
    /// When it last tried.
    pub tried_at: DateTime<Utc>,
}

/// Subscriptions that are stopped, by name and position. Those that have gone on are missing.
pub async fn stopped_subscriptions(pool: &PgPool) -> Result<Vec<StoppedSubscription>, sqlx::Error> {
    sqlx::query_as(
        "select s.* from stopped_subscriptions s join subscription_partitions p using (subscription, partition)
          where p.position < s.waits_from order by s.subscription, s.waits_from",
    )
    .fetch_all(pool)
    .await
}

/// Logs and records that a subscription is stopped before an event. If the record can't be written, only the log says so.
pub(super) async fn record_stopped(
    pool: &PgPool,
    subscription: &str,
    before: &StoredEvent,
    unknown: &EventDecodeError,
) {
    tracing::error!(
        subscription,
        position = unknown.position(),
        stream_id = unknown.stream_id(),
        event_type = unknown.event_type(),
        event_version = unknown.event_version(),
        error = error_chain(unknown),
        "subscription is stopped at an event that this build does not know"
    );
    let insert = sqlx::query(
        "insert into stopped_subscriptions as s
                (subscription, partition, waits_from, position, stream_id, event_type, event_version, error)
         values ($1, $2, $3, $4, $5, $6, $7, $8)
         on conflict (subscription, partition) do update
            set waits_from = excluded.waits_from, position = excluded.position, stream_id = excluded.stream_id,
                event_type = excluded.event_type, event_version = excluded.event_version, error = excluded.error,
                since = case when s.position = excluded.position then s.since else excluded.since end,
                tried_at = excluded.tried_at",
    )
    .bind(subscription)
    .bind(i16::try_from(partition_of(&before.stream_id)).unwrap_or(i16::MAX))
    .bind(before.position)
    .bind(unknown.position())
    .bind(unknown.stream_id())
    .bind(unknown.event_type())
    .bind(unknown.event_version())
    .bind(error_chain(unknown));
    if let Err(error) = insert.execute(pool).await {
        tracing::warn!(
            subscription,
            error = error_chain(&error),
            "that the subscription is stopped could not be noted"
        );
    }
}

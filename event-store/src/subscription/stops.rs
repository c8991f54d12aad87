//! Where subscribers stand still at events that their builds do not know, for operators to see.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::error::whole;
use super::partition_of;
use crate::event::{DecodeError, StoredEvent};

/// A subscriber that stands still because of an event, or a version of one, that its build does not know.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Stop {
    /// Which subscription.
    pub subscription: String,
    /// Of its partitions the one that can't go on. The others of the same copy wait with it.
    pub partition: i16,
    /// The position of the first event that waits.
    pub waits_from: i64,
    /// The position of the event that is not known: that one, or a later one of its stream.
    pub position: i64,
    /// The stream that has it.
    pub stream_id: String,
    /// Its name.
    pub event_type: String,
    /// The version of its shape.
    pub event_version: String,
    /// What was not understood.
    pub error: String,
    /// When it was first met.
    pub since: DateTime<Utc>,
    /// When it was last met.
    pub tried_at: DateTime<Utc>,
}

/// Where subscriptions stand still, by name and by what waits. Those that have gone on are missing.
pub async fn stops(pool: &PgPool) -> Result<Vec<Stop>, sqlx::Error> {
    sqlx::query_as(
        "select s.* from stopped_subscriptions s join subscription_partitions p using (subscription, partition)
          where p.position < s.waits_from order by s.subscription, s.waits_from",
    )
    .fetch_all(pool)
    .await
}

/// Says loudly, and notes, that a subscriber stands still before an event. That it does may come to nobody's notice for a
/// while if the database does not take the note.
pub(super) async fn stopped(pool: &PgPool, subscription: &str, before: &StoredEvent, unknown: &DecodeError) {
    tracing::error!(
        subscription,
        position = unknown.position(),
        stream_id = unknown.stream_id(),
        event_type = unknown.event_type(),
        event_version = unknown.event_version(),
        error = unknown as &dyn std::error::Error,
        "subscription is stopped at an event that this build does not know"
    );
    let note = sqlx::query(
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
    .bind(whole(unknown));
    if let Err(error) = note.execute(pool).await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(subscription, error, "that the subscription is stopped could not be noted");
    }
}

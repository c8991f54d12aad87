//! Subscriptions: the log, batch by batch, with a durable checkpoint.
//!
//! The checkpoint row is locked for as long as a batch is handled. So copies of a subscriber take turns, one that dies
//! frees the row with its connection, and what the subscriber writes in the same transaction happens exactly once.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::{Connection, PgConnection, PgPool};
use tokio_util::sync::CancellationToken;

use crate::event::StoredEvent;
use crate::{EventStore, read_after};

/// The most events in one batch: enough to pay for its commit, few enough to be seen soon.
const BATCH: i64 = 500;
/// How long a failing subscriber waits before it tries again, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Whatever went wrong in a subscriber.
pub type SubscriberError = Box<dyn std::error::Error + Send + Sync>;

/// Someone who follows the log.
#[async_trait]
pub trait Subscriber: Send {
    /// Its name, under which its checkpoint is kept.
    fn name(&self) -> &str;

    /// Takes the next events, in order. What it writes through the transaction commits together with the checkpoint;
    /// any other effect may happen again after a crash. After an error the same events come again.
    async fn handle(&mut self, events: &[StoredEvent], transaction: &mut PgConnection) -> Result<(), SubscriberError>;
}

/// What a look at the log came to.
enum Step {
    Handled,
    NothingNew,
    HeldByACopy,
}

#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    #[error("the subscriber failed on events {from} to {to}")]
    Subscriber { from: i64, to: i64, source: SubscriberError },
    #[error(transparent)]
    TookTooLong(#[from] TookTooLong),
}

/// Work in a transaction took too long and was given up; it is as if it had never begun.
#[derive(Debug, thiserror::Error)]
#[error("it took too long, or the process is stopping")]
pub struct TookTooLong;

/// Gives work that holds a transaction open a bounded time: less than the server lets a transaction stand idle, and
/// little once the process is told to stop. What it did in the transaction is undone then, so it must be such that it
/// can be done again.
pub async fn within_patience<T>(stop: &CancellationToken, work: impl Future<Output = T>) -> Result<T, TookTooLong> {
    const PATIENCE: Duration = Duration::from_secs(50);
    const ONCE_STOPPED: Duration = Duration::from_secs(3);
    let stopped = async {
        stop.cancelled().await;
        tokio::time::sleep(ONCE_STOPPED).await;
    };
    tokio::select! {
        done = work => Ok(done),
        () = tokio::time::sleep(PATIENCE) => Err(TookTooLong),
        () = stopped => Err(TookTooLong),
    }
}

impl EventStore {
    /// Hands the log to a subscriber until told to stop. A failing subscriber is loud and tries again; it holds up no
    /// one else.
    pub async fn subscribe(&self, mut subscriber: impl Subscriber, stop: CancellationToken) {
        let mut ear = self.wake.ear();
        let mut backoff = BACKOFF.0;
        while !stop.is_cancelled() {
            ear.clear();
            let step = within_patience(&stop, self.step(&mut subscriber)).await;
            let pause = match step.unwrap_or_else(|error| Err(error.into())) {
                Ok(Step::Handled) => {
                    backoff = BACKOFF.0;
                    continue;
                }
                Ok(Step::NothingNew | Step::HeldByACopy) => None,
                Err(error) => {
                    let subscription = subscriber.name();
                    tracing::error!(subscription, error = &error as &dyn std::error::Error, "subscription is stopped");
                    let pause = backoff;
                    backoff = (backoff * 2).min(BACKOFF.1);
                    Some(pause)
                }
            };
            let wait = async {
                match pause {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => ear.hear().await,
                }
            };
            let _ = stop.run_until_cancelled(wait).await;
        }
    }

    async fn step(&self, subscriber: &mut impl Subscriber) -> Result<Step, StepError> {
        let mut connection = self.pool.acquire().await?;
        let mut transaction = connection.begin().await?;
        let Some(position) = lock_checkpoint(&mut transaction, subscriber.name()).await? else {
            return Ok(Step::HeldByACopy);
        };
        let events = read_after(&mut transaction, position, BATCH).await?;
        let (Some(first), Some(last)) = (events.first(), events.last()) else {
            // A commit would wait for the disk, for nothing.
            transaction.rollback().await?;
            return Ok(Step::NothingNew);
        };
        subscriber.handle(&events, &mut transaction).await.map_err(|source| StepError::Subscriber {
            from: first.position,
            to: last.position,
            source,
        })?;
        save_checkpoint(&mut transaction, subscriber.name(), last.position).await?;
        transaction.commit().await?;
        Ok(Step::Handled)
    }
}

/// How far each subscription has come; one that has not begun is missing.
pub async fn checkpoints(pool: &PgPool) -> Result<HashMap<String, i64>, sqlx::Error> {
    let positions = sqlx::query_as("select name, position from subscriptions").fetch_all(pool).await?;
    Ok(positions.into_iter().collect())
}

/// Takes a subscription's checkpoint for the rest of the transaction; `None` while a copy has it.
pub async fn lock_checkpoint(connection: &mut PgConnection, name: &str) -> Result<Option<i64>, sqlx::Error> {
    let lock = "select position from subscriptions where name = $1 for update skip locked";
    if let Some(position) = sqlx::query_scalar(lock).bind(name).fetch_optional(&mut *connection).await? {
        return Ok(Some(position));
    }
    // Either a copy has it, or it is new; then it is made, by the one of several copies that is first.
    let make = "insert into subscriptions (name) values ($1) on conflict do nothing returning position";
    sqlx::query_scalar(make).bind(name).fetch_optional(connection).await
}

/// Moves a subscription's checkpoint, which the transaction must have locked.
pub async fn save_checkpoint(connection: &mut PgConnection, name: &str, position: i64) -> Result<(), sqlx::Error> {
    let save = "update subscriptions set position = $2, updated_at = now() where name = $1";
    sqlx::query(save).bind(name).bind(position).execute(connection).await?;
    Ok(())
}

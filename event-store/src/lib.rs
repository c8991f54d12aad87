//! The event store: Postgres in postgres-es's shape, with one log that every subscriber can follow.
//!
//! - [`EventStore::append`] stores events with optimistic concurrency, many commands in one transaction.
//! - [`EventStore::handle`] runs a [`Command`]: it decides, is appended, and decides again after a conflict. [`EventStore::execute`] is
//!   the simplest one.
//! - [`StreamLocks`] let commands on a hot stream wait for each other instead of colliding; [`snapshots`] spare them long reads.
//! - [`EventStore::load`] folds a stream; [`read`] has the log page by page, [`bulk`] as a whole.
//! - [`EventStore::subscribe`] hands the log to a [`Subscriber`], batch by batch, with durable checkpoints; copies share it.
//!   [`operations`] is for those who operate subscriptions.
//! - [`hash_chain`] seals the log and finds what was changed since.
//! - [`database_checks`] tells whether a database can keep the promises.
//! - `repository` implements cqrs-es's `PersistedEventRepository`, for `CqrsFramework` and `QueryReplay`.
//!
//! Positions follow commit order for every writer, this library or not (see `migrations/sql/0001_events.sql`), so a
//! reader that has seen a position has seen all before it.

mod append;
pub mod bulk;
pub mod database_checks;
mod event;
mod filter;
mod handle;
pub mod hash_chain;
mod idempotency;
mod listing;
mod metrics;
pub mod read;
mod repository;
pub mod snapshots;
mod stream_locks;
mod subscription;
mod wake;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use append::{Append, AppendError, AppendPosition, AppendQueueSettings, StreamAppend};
pub use event::{BorrowedEvent, EventDecodeError, Metadata, NewEvent, StoredEvent};
pub use filter::EventFilter;
pub use handle::{Command, ConflictRetryPolicy, Decision, HandleError, Handled};
pub use idempotency::{IdempotencyKey, IdempotencyRecord, prune_idempotency_records};
pub use listing::{LogDirection, LogPage, position_at};
pub use metrics::EventStoreMetrics;
pub use read::{ReadError, StreamVersion, Versioned};
pub use stream_locks::{LockedStreams, StreamLocks};
pub use subscription::{
    ExclusiveLease, LeaseSettings, PARTITIONS, Subscriber, SubscriberError, TransactionTimedOut, lacks_rights,
    operations, partition_of, with_transaction_timeout,
};
pub use wake::LogWakeUpReceiver;

/// Settings of a store.
#[derive(Debug, Clone, Copy, Default)]
pub struct StoreSettings {
    /// How appends are queued.
    pub append: AppendQueueSettings,
    /// How subscriptions share their work.
    pub subscriptions: LeaseSettings,
}

impl From<AppendQueueSettings> for StoreSettings {
    fn from(append: AppendQueueSettings) -> Self {
        Self { append, ..Self::default() }
    }
}

/// A handle to the event store; clones share its writer and its wake-ups.
#[derive(Clone)]
pub struct EventStore {
    pool: PgPool,
    appender: append::AppendQueue,
    metrics: EventStoreMetrics,
    wake: wake::SubscriptionWakeUps,
    subscriptions: LeaseSettings,
    progress: subscription::progress::SubscriptionPositionCache,
    refused: subscription::refused::RefusedSubscriptions,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl EventStore {
    /// Starts the writer and the listener on a database whose schema is up to date.
    pub fn start(pool: PgPool, settings: impl Into<StoreSettings>) -> Self {
        let StoreSettings { append, subscriptions } = settings.into();
        let (tasks, stop, wake) = (TaskTracker::new(), CancellationToken::new(), wake::SubscriptionWakeUps::default());
        let metrics = EventStoreMetrics::default();
        let progress = subscription::progress::SubscriptionPositionCache::default();
        let listeners = (wake.clone(), progress.clone());
        let appender =
            append::AppendQueue::start(pool.clone(), append, metrics.clone(), listeners, &tasks, stop.clone());
        tasks.spawn(wake.clone().listen(pool.clone(), progress.clone(), stop.clone()));
        tasks.spawn(idempotency::prune_regularly(pool.clone(), stop.clone()));
        let refused = subscription::refused::RefusedSubscriptions::default();
        Self { pool, appender, metrics, wake, subscriptions, progress, refused, tasks, stop }
    }

    /// The same store with a pool of its own for reading, so that readers can't take connections from everything else. Appends use the
    /// same writer.
    pub fn reading_through(&self, pool: PgPool) -> Self {
        Self { pool, ..self.clone() }
    }

    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub fn metrics(&self) -> &EventStoreMetrics {
        &self.metrics
    }

    /// Updates the metric of waiting commands, which change too often to be counted each time.
    pub fn measure_queue(&self) {
        self.metrics.waiting.set(i64::try_from(self.appender.waiting()).unwrap_or(i64::MAX));
    }

    /// Whether it accepts events.
    pub fn is_running(&self) -> bool {
        self.appender.is_running()
    }

    /// Stores what is queued, refuses what comes after, and ends the store's tasks.
    pub async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

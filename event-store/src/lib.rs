//! The event store: Postgres in postgres-es's shape, with one log that every subscriber can follow.
//!
//! - [`EventStore::append`] writes events with optimistic concurrency, many commands in one transaction.
//! - [`EventStore::execute`] decides a command on a stream and appends what comes of it.
//! - [`EventStore::execute_once`] does so once for an idempotency key.
//! - [`SingleWriter`] has those who decide on a hot stream take turns instead of colliding.
//!   [`snapshots`] are what it begins with where a stream is long.
//! - As cqrs-es's `PersistedEventRepository` it serves `CqrsFramework` and `QueryReplay`.
//! - [`EventStore::load`] folds a stream; [`read_after`] reads the log, [`read_by_stream`] one stream after another.
//! - [`copy_out`] reads the log in bulk, [`copy_in`] fills an empty one.
//! - [`EventStore::subscribe`] hands the log to a [`Subscriber`], batch by batch, with durable checkpoints; copies share it.
//! - [`seal_regularly`] notes what the log is by a hash chain over it, and [`check_chain`] finds what was changed since.
//! - [`lag`], [`stops`], [`tail_holder`], [`holders`], [`parked`] and [`request`] are for those who operate it.
//! - [`check_durability`] and [`check_sessions`] tell whether a database can keep the promises.
//!
//! Positions follow commit order for every writer, this library or not (see `migrations/sql/0001_events.sql`), so a
//! reader that has seen a position has seen all before it.

mod append;
mod copy;
mod durability;
mod event;
mod execute;
mod idempotency;
mod metrics;
mod read;
mod repository;
mod seal;
mod selection;
mod single_writer;
mod snapshot;
mod subscription;
mod wake;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use append::{AppendError, AppendSettings, Appended, StreamAppend};
pub use copy::{
    CopiedEvent, CopiedIn, CopyInError, CopyOrder, EventSource, EventsOut, MalformedRow, copy_in, copy_out,
};
pub use durability::{DurabilityError, SessionError, check_durability, check_sessions};
pub use event::{DecodeError, EventRef, Metadata, NewEvent, StoredEvent};
pub use execute::{ExecuteError, Executed};
pub use idempotency::{OnceOnly, Outcome, prune};
pub use metrics::Metrics;
pub use read::{
    EventPage, Loaded, ReadError, read_after, read_by_stream, read_end, read_selected, read_stream, read_stream_after,
    read_version,
};
pub use seal::{Checked, Fault, Head, MalformedHead, SealSettings, SealsSay, check_chain, seal_all, seal_regularly};
pub use selection::Selection;
pub use single_writer::{SingleWriter, Turn};
pub use snapshot::{Snapshot, snapshots};
pub use subscription::operating::{
    Holder, ParkedEvent, ParkedRequest, RequestError, SubscriptionLag, TailHolder, checkpoints, find_subscription,
    holders, lag, parked, request, tail_holder,
};
pub use subscription::stops::{Stop, stops};
pub use subscription::{
    PARTITIONS, Subscriber, SubscriberError, SubscriptionSettings, Takeover, TookTooLong, partition_of, within_patience,
};

pub use wake::News;

/// How a store works.
#[derive(Debug, Clone, Copy, Default)]
pub struct StoreSettings {
    /// How appends are queued.
    pub append: AppendSettings,
    /// How subscriptions share their work.
    pub subscriptions: SubscriptionSettings,
}

impl From<AppendSettings> for StoreSettings {
    fn from(append: AppendSettings) -> Self {
        Self { append, ..Self::default() }
    }
}

/// A handle to the event store; clones share its writer and its wake-ups.
#[derive(Clone)]
pub struct EventStore {
    pool: PgPool,
    appender: append::Appender,
    metrics: Metrics,
    wake: wake::Wake,
    subscriptions: SubscriptionSettings,
    progress: subscription::progress::Progress,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl EventStore {
    /// Starts the writer and the listener on a database whose schema is up to date.
    pub fn start(pool: PgPool, settings: impl Into<StoreSettings>) -> Self {
        let StoreSettings { append, subscriptions } = settings.into();
        let (tasks, stop, wake) = (TaskTracker::new(), CancellationToken::new(), wake::Wake::default());
        let metrics = Metrics::default();
        let progress = subscription::progress::Progress::default();
        let told = (wake.clone(), progress.clone());
        let appender = append::Appender::start(pool.clone(), append, metrics.clone(), told, &tasks, stop.clone());
        tasks.spawn(wake.clone().listen(pool.clone(), stop.clone()));
        tasks.spawn(idempotency::prune_regularly(pool.clone(), stop.clone()));
        Self { pool, appender, metrics, wake, subscriptions, progress, tasks, stop }
    }

    /// The same store for those who only read: their statements have connections of their own, so that they can't take those that
    /// others need in order to get on. What is appended through it goes the way it always does.
    pub fn reading_through(&self, pool: PgPool) -> Self {
        Self { pool, ..self.clone() }
    }

    /// The database it stands on.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// What it counts.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Enters how many commands are waiting now: they come and go too often to be counted each time.
    pub fn measure_queue(&self) {
        self.metrics.waiting.set(i64::try_from(self.appender.waiting()).unwrap_or(i64::MAX));
    }

    /// Whether it takes events.
    pub fn is_running(&self) -> bool {
        self.appender.is_running()
    }

    /// Writes what is already queued, refuses what comes after, and ends the store's tasks.
    pub async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

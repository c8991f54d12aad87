//! Subscriptions: the log, batch by batch, shared among copies, with durable checkpoints.
//!
//! A copy of a subscriber holds some of the partitions by leases (`leases`). It reads the log once for all of them, has the
//! subscriber handle their events, and moves their positions in the transaction in which the subscriber wrote. That transaction
//! commits only while the copy still holds the partitions. So what a subscriber writes there happens exactly once, whichever copy
//! dies, freezes or wakes up again. Events that can't be handled are parked with their streams (`parking`); all others go on.

mod batch;
mod error;
mod exclusive_lease;
mod gathering;
mod leases;
pub mod operations;
mod parking;
mod partitions;
pub(crate) mod progress;
pub(crate) mod refused;
mod stopped;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bounds::Budget;
use error_chain::error_chain;
use sqlx::pool::PoolConnection;
use sqlx::{Connection, PgConnection, Postgres};
use tokio_util::sync::CancellationToken;

use self::batch::FetchedBatch;
pub use self::error::SubscriberError;
pub use self::exclusive_lease::ExclusiveLease;
use self::gathering::EventRate;
use self::leases::HeldPartitions;
pub use self::partitions::{PARTITIONS, partition_of};
use self::progress::ReachedPositions;
pub use self::refused::lacks_rights;
use crate::EventStore;
use crate::event::{EventDecodeError, StoredEvent};
use crate::wake::WakeUpReceiver;

/// The most events in one batch: enough to pay for its commit, few enough to be seen soon. Its bytes are bounded, too.
const BATCH: usize = 1_000;
/// The first batch of a copy is small: the copy before it may have died because it read too much.
const FIRST_BATCH: usize = BATCH / 4;
/// Begins the transaction of a batch. Nobody waits until its commit is on disk: a crash of the database that loses it loses the checkpoint
/// with it, so the batch is handled again. It loses the end of what was committed only, and nothing whose commit was waited for.
const BEGIN_BATCH: &str = "begin; set local synchronous_commit = off";
/// How long a failing subscriber waits before it tries again, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How long giving partitions back may take; after that their leases run out.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// How subscriptions share their work.
#[derive(Debug, Clone, Copy)]
pub struct LeaseSettings {
    /// How long a lease on partitions lasts. A copy renews it three times as often.
    pub lease: Duration,
}

impl Default for LeaseSettings {
    fn default() -> Self {
        Self { lease: Duration::from_secs(10) }
    }
}

/// A follower of the log.
#[async_trait]
pub trait Subscriber: Send {
    /// The name under which its checkpoints are kept; all copies have the same.
    fn name(&self) -> &str;

    /// The stream type that it follows; `None`: all. Events of other types only move its position.
    fn follows(&self) -> Option<&'static str> {
        None
    }

    /// How long events may gather before its next batch while many come. A request that waits for its position ends that.
    fn gathers_for(&self) -> Duration {
        Duration::from_millis(50)
    }

    /// The position after which a subscription begins that has no checkpoints yet; without this it begins with the first event. It is
    /// asked in the transaction that makes the checkpoints.
    async fn begins_after(&mut self, _transaction: &mut PgConnection) -> Result<i64, sqlx::Error> {
        Ok(0)
    }

    /// Handles the next events of its partitions, in order within each stream. Copies handle other streams at the same time. What it
    /// writes through the transaction commits together with the checkpoint; any other effect may happen again after a crash or an
    /// error. A crash of the database may lose both, also after the commit: so only what follows from the events is written there. The
    /// error says what becomes of the events.
    async fn handle(&mut self, events: &[StoredEvent], transaction: &mut PgConnection) -> Result<(), SubscriberError>;
}

/// Work in a transaction took too long and was cancelled; nothing of it is stored.
#[derive(Debug, thiserror::Error)]
#[error("it took too long, or the process is stopping")]
pub struct TransactionTimedOut;

/// Bounds the time of work that holds a transaction open: less than the server lets a transaction be idle, and little once the process
/// is told to stop. The transaction is rolled back then, so the work must be repeatable.
pub async fn with_transaction_timeout<T>(
    stop: &CancellationToken,
    work: impl Future<Output = T>,
) -> Result<T, TransactionTimedOut> {
    const TIMEOUT: Duration = Duration::from_secs(50);
    const ONCE_STOPPED: Duration = Duration::from_secs(3);
    let stopped = async {
        stop.cancelled().await;
        tokio::time::sleep(ONCE_STOPPED).await;
    };
    tokio::select! {
        done = work => Ok(done),
        () = tokio::time::sleep(TIMEOUT) => Err(TransactionTimedOut),
        () = stopped => Err(TransactionTimedOut),
    }
}

impl EventStore {
    /// Runs a copy of a subscriber on its share of the log until told to stop, and then gives the share back. A subscriber that fails
    /// is logged and tries again; it holds up no other.
    pub async fn subscribe(&self, subscriber: impl Subscriber, stop: CancellationToken) {
        let mut copy = SubscriberCopy {
            leases: HeldPartitions::new(subscriber.name(), self.subscriptions.lease),
            known: self.progress.of(subscriber.name()),
            forgotten: 0,
            store: self,
            subscriber,
            connection: None,
            limit: FIRST_BATCH,
        };
        copy.follow(&stop).await;
        copy.leave().await;
    }
}

/// One of the copies of a subscriber.
struct SubscriberCopy<'a, S> {
    store: &'a EventStore,
    subscriber: S,
    leases: HeldPartitions,
    /// The positions for those who wait for this subscription.
    known: Arc<ReachedPositions>,
    /// How often all positions had been forgotten when this copy read its own.
    forgotten: u64,
    /// Kept between batches, and replaced after an error.
    connection: Option<PoolConnection<Postgres>>,
    /// How many events to read at once.
    limit: usize,
}

/// What one step came to.
enum SubscriptionStep {
    /// So many events were read; `more`: there are probably as many behind them.
    Handled {
        read: usize,
        more: bool,
    },
    NothingNew,
}

#[derive(Debug, thiserror::Error)]
enum SubscriptionStepError {
    #[error("the database failed")]
    Database(#[source] sqlx::Error),
    #[error("partitions have changed hands")]
    FencedOut,
    #[error("the subscriber failed on events {from} to {to}")]
    Subscriber { from: i64, to: i64, source: SubscriberError },
    /// Everything before this event is handled.
    #[error("the subscriber is stopped before event {}", .before.position)]
    Stopped { before: Box<StoredEvent>, source: EventDecodeError },
    #[error(transparent)]
    TransactionTimedOut(#[from] TransactionTimedOut),
}

impl<S: Subscriber> SubscriberCopy<'_, S> {
    async fn follow(&mut self, stop: &CancellationToken) {
        let mut wake = self.store.wake.receiver();
        let (mut rate, mut backoff) = (EventRate::default(), BACKOFF.0);
        while !stop.is_cancelled() {
            wake.mark_seen();
            let step = with_transaction_timeout(stop, self.step(&mut wake)).await;
            let step = step.unwrap_or_else(|error| Err(error.into()));
            self.note_rights(&step);
            let wait = match step {
                Ok(SubscriptionStep::Handled { read, more }) => {
                    backoff = BACKOFF.0;
                    let pause = rate.pause(read, self.subscriber.gathers_for(), tokio::time::Instant::now());
                    if !more && !pause.is_zero() {
                        let gathered = tokio::time::timeout(pause, self.known.awaited());
                        let _ = stop.run_until_cancelled(gathered).await;
                    }
                    continue;
                }
                Ok(SubscriptionStep::NothingNew) => None,
                Err(error) => {
                    self.reset();
                    if self.retries_at_once(&error) {
                        continue;
                    }
                    self.report(&error).await;
                    let pause = backoff;
                    backoff = (backoff * 2).min(BACKOFF.1);
                    Some(pause)
                }
            };
            let until_there_may_be_more = async {
                match wait {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => tokio::select! {
                        () = wake.changed() => {}
                        () = tokio::time::sleep_until(self.leases.due()) => {}
                    },
                }
            };
            let _ = stop.run_until_cancelled(until_there_may_be_more).await;
        }
    }

    /// Notes whether the database's user may do what a step needs.
    fn note_rights(&self, step: &Result<SubscriptionStep, SubscriptionStepError>) {
        let error = step.as_ref().err().map(|error| error as &(dyn std::error::Error + 'static));
        self.store.refused.note(self.subscriber.name(), error);
    }

    /// Logs why it does not go on for now; records a stop at an unknown event.
    async fn report(&self, error: &SubscriptionStepError) {
        let subscription = self.subscriber.name();
        match error {
            SubscriptionStepError::Stopped { before, source } => {
                stopped::record_stopped(&self.store.pool, subscription, before, source).await;
            }
            SubscriptionStepError::Database(_)
            | SubscriptionStepError::FencedOut
            | SubscriptionStepError::Subscriber { .. }
            | SubscriptionStepError::TransactionTimedOut(_) => {
                tracing::error!(subscription, error = error_chain(error), "subscription is stopped");
            }
        }
    }

    /// The state after a failed batch is unknown, so the leases are renewed over a new connection. The old one must not be used: a copy
    /// that takes partitions over may end its session. What was published is forgotten, as the database may have crashed.
    fn reset(&mut self) {
        drop(self.connection.take().map(PoolConnection::detach));
        self.leases.invalidate();
        self.known.forget();
    }

    /// Whether another try comes without a pause; makes the next batch smaller where that may help.
    fn retries_at_once(&mut self, error: &SubscriptionStepError) -> bool {
        match error {
            SubscriptionStepError::FencedOut => {
                tracing::info!(subscription = self.subscriber.name(), "another copy has taken over some of the work");
                true
            }
            // Batches are halved until everything before the unknown event is handled.
            SubscriptionStepError::Subscriber { source: SubscriberError::Unknown(_), .. } if self.limit > 1 => {
                self.limit /= 2;
                true
            }
            // The batch may have been too large.
            SubscriptionStepError::TransactionTimedOut(_)
            | SubscriptionStepError::Subscriber { source: SubscriberError::Unavailable(_), .. } => {
                self.limit = (self.limit / 2).max(1);
                false
            }
            SubscriptionStepError::Subscriber { .. }
            | SubscriptionStepError::Stopped { .. }
            | SubscriptionStepError::Database(_) => false,
        }
    }

    async fn step(&mut self, wake: &mut WakeUpReceiver) -> Result<SubscriptionStep, SubscriptionStepError> {
        let asked = wake.leases_changed() || self.forgotten != self.known.forgotten();
        if asked || self.leases.due() <= tokio::time::Instant::now() {
            self.rebalance().await?;
        }
        if self.leases.held.is_empty() {
            return Ok(SubscriptionStep::NothingNew);
        }
        let Some(batch) = self.read().await? else { return Ok(SubscriptionStep::NothingNew) };
        let FetchedBatch { end, read, cut, .. } = batch;
        match self.handle(&batch).await {
            Err(SubscriptionStepError::Subscriber { source: SubscriberError::Poison(_), .. }) => {
                self.handle_by_stream(batch).await?;
            }
            handled => handled?,
        }
        self.publish_position(end);
        let more = cut || read >= self.limit;
        self.limit = if cut { read } else { (self.limit * 2).min(BATCH) };
        Ok(SubscriptionStep::Handled { read, more })
    }

    /// Renews and rebalances the leases, and does what operators asked for.
    async fn rebalance(&mut self) -> Result<(), SubscriptionStepError> {
        let connection = connection(&mut self.connection, self.store).await?;
        self.forgotten = self.known.forgotten();
        self.leases.rebalance(connection, &mut self.subscriber).await?;
        self.known.publish(&self.leases.held, self.forgotten);
        self.retry_requested().await
    }

    /// The events after the lowest position of the held partitions; `None`: there are none. No transaction has begun, so a lost
    /// connection only costs another try.
    async fn read(&mut self) -> Result<Option<FetchedBatch>, SubscriptionStepError> {
        let (follows, budget) = (self.subscriber.follows(), Budget::of(self.limit));
        if let Some(kept) = &mut self.connection {
            match FetchedBatch::read(kept, &self.leases, follows, budget).await {
                Err(sqlx::Error::Io(_)) => self.reset(),
                read => return Ok(read?),
            }
        }
        // The leases belong to the session of a connection.
        self.rebalance().await?;
        let fresh = connection(&mut self.connection, self.store).await?;
        Ok(FetchedBatch::read(fresh, &self.leases, follows, budget).await?)
    }

    /// Handles all events of a batch in one transaction.
    async fn handle(&mut self, batch: &FetchedBatch) -> Result<(), SubscriptionStepError> {
        let connection = connection(&mut self.connection, self.store).await?;
        let mut transaction = connection.begin_with(BEGIN_BATCH).await?;
        if !batch.events.is_empty() {
            let handled = parking::attempt(&mut self.subscriber, &batch.events, &mut transaction);
            let source = tokio::select! {
                biased;
                handled = handled => handled.err(),
                () = self.leases.renew_until_lost(&self.store.pool) => return Err(SubscriptionStepError::FencedOut),
            };
            match (source, &batch.events[..]) {
                (None, _) => {}
                (Some(SubscriberError::Unknown(source)), [only]) if self.limit == 1 => {
                    return Err(SubscriptionStepError::Stopped { before: Box::new(only.clone()), source });
                }
                (Some(source), _) => {
                    let (from, to) = batch.range();
                    return Err(SubscriptionStepError::Subscriber { from, to, source });
                }
            }
        }
        parking::park_behind(&mut transaction, self.subscriber.name(), &batch.parked).await?;
        self.leases.advance(&mut transaction, batch.end).await?;
        Ok(transaction.commit().await?)
    }

    fn publish_position(&mut self, end: i64) {
        for held in &mut self.leases.held {
            held.position = held.position.max(end);
        }
        self.known.publish(&self.leases.held, self.forgotten);
    }

    /// Gives the partitions back, so that another copy can take them at once.
    async fn leave(mut self) {
        self.known.publish(&[], self.forgotten);
        let give_back = async {
            let connection = connection(&mut self.connection, self.store).await?;
            self.leases.release(connection).await
        };
        let gave_back = tokio::time::timeout(RELEASE_TIMEOUT, give_back).await;
        if !matches!(gave_back, Ok(Ok(()))) {
            tracing::warn!(
                subscription = self.subscriber.name(),
                "partitions were not given back; their leases run out"
            );
        }
    }
}

/// The kept connection, or a new one.
async fn connection<'a>(
    kept: &'a mut Option<PoolConnection<Postgres>>,
    store: &EventStore,
) -> Result<&'a mut PgConnection, sqlx::Error> {
    if kept.is_none() {
        *kept = Some(store.pool.acquire().await?);
    }
    kept.as_deref_mut().ok_or(sqlx::Error::PoolClosed)
}

impl From<sqlx::Error> for SubscriptionStepError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        // What advance_subscription() raises.
        if code.as_deref() == Some("OR001") { Self::FencedOut } else { Self::Database(error) }
    }
}

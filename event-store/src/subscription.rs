//! Subscriptions: the log, batch by batch, shared among copies, with durable checkpoints.
//!
//! A copy of a subscriber holds some partitions of its streams by leases (`leases`). It reads the log once for all of them,
//! hands on what is in them, and moves their positions in the transaction in which the subscriber wrote; that commits only while
//! the copy still holds them. So what a subscriber writes there happens exactly once, whoever dies, freezes or wakes up again.
//! Events that can't be handled are parked with their streams (`parking`); everything else goes on.

mod batch;
mod error;
mod leases;
pub(crate) mod operating;
mod parking;
mod partitions;
pub(crate) mod progress;
mod rebuild;
pub(crate) mod stops;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bounds::Budget;
use sqlx::pool::PoolConnection;
use sqlx::{Connection, PgConnection, Postgres};
use tokio_util::sync::CancellationToken;

use self::batch::Batch;
pub use self::error::SubscriberError;
use self::leases::Leases;
pub use self::partitions::{PARTITIONS, partition_of};
use self::progress::Known;
pub use self::rebuild::Takeover;
use crate::EventStore;
use crate::event::{DecodeError, StoredEvent};
use crate::wake::Ear;

/// The most events in one batch: enough to pay for its commit, few enough to be seen soon. Its bytes are bounded, too.
const BATCH: usize = 500;
/// The first batch of a copy. Should the one before have died of what it read, this one gets by.
const FIRST: usize = BATCH / 2;
/// Batches of so many events mean that they come thick and fast: then the next one is given a moment to grow, because what a batch
/// costs hardly depends on its size. At lower rates nothing waits.
const BUSY: usize = 32;
const GATHER: Duration = Duration::from_millis(5);
/// How long a failing subscriber waits before it tries again, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How long giving partitions back may take; otherwise their leases run out.
const RELEASE_PATIENCE: Duration = Duration::from_secs(2);

/// How subscriptions share their work.
#[derive(Debug, Clone, Copy)]
pub struct SubscriptionSettings {
    /// For how long partitions stay with a copy that gives no sign of life. It gives one three times as often.
    pub lease: Duration,
}

impl Default for SubscriptionSettings {
    fn default() -> Self {
        Self { lease: Duration::from_secs(10) }
    }
}

/// Someone who follows the log.
#[async_trait]
pub trait Subscriber: Send {
    /// Its name, under which its checkpoints are kept. Copies have the same.
    fn name(&self) -> &str;

    /// The kind of streams it follows; `None`: all. It passes the others without being handed their events.
    fn follows(&self) -> Option<&'static str> {
        None
    }

    /// Takes the next events of its partitions, in order within each stream. Copies handle other streams at the same time. What
    /// it writes through the transaction commits together with the checkpoint; any other effect may happen again after a
    /// crash or an error. The error says what becomes of the events.
    async fn handle(&mut self, events: &[StoredEvent], transaction: &mut PgConnection) -> Result<(), SubscriberError>;
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
    /// Hands a copy of a subscriber its share of the log until told to stop, and then gives the share back. A failing
    /// subscriber is loud and tries again; it holds up no one else.
    pub async fn subscribe(&self, subscriber: impl Subscriber, stop: CancellationToken) {
        let mut copy = SubscriberCopy {
            leases: Leases::new(subscriber.name(), self.subscriptions.lease),
            known: self.progress.of(subscriber.name()),
            store: self,
            subscriber,
            connection: None,
            limit: FIRST,
        };
        copy.follow(&stop).await;
        copy.leave().await;
    }
}

/// One of the copies of a subscriber.
struct SubscriberCopy<'a, S> {
    store: &'a EventStore,
    subscriber: S,
    leases: Leases,
    /// What those who wait for this subscription are told.
    known: Arc<Known>,
    /// Kept between batches, and given up after an error.
    connection: Option<PoolConnection<Postgres>>,
    /// How many events to read at once.
    limit: usize,
}

/// What a look at the log came to.
enum Step {
    /// So many events were read; whether there are as many behind them, most likely.
    Handled {
        read: usize,
        more: bool,
    },
    NothingNew,
}

#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error("the database failed")]
    Database(#[source] sqlx::Error),
    #[error("partitions have changed hands")]
    FencedOut,
    #[error("the subscriber failed on events {from} to {to}")]
    Subscriber { from: i64, to: i64, source: SubscriberError },
    /// All before this event is done.
    #[error("the subscriber is stopped before event {}", .before.position)]
    Stopped { before: Box<StoredEvent>, source: DecodeError },
    #[error(transparent)]
    TookTooLong(#[from] TookTooLong),
}

impl<S: Subscriber> SubscriberCopy<'_, S> {
    async fn follow(&mut self, stop: &CancellationToken) {
        let mut ear = self.store.wake.ear();
        let mut backoff = BACKOFF.0;
        while !stop.is_cancelled() {
            ear.clear();
            let step = within_patience(stop, self.step(&mut ear)).await;
            let wait = match step.unwrap_or_else(|error| Err(error.into())) {
                Ok(Step::Handled { read, more }) => {
                    backoff = BACKOFF.0;
                    if read >= BUSY && !more {
                        let _ = stop.run_until_cancelled(tokio::time::sleep(GATHER)).await;
                    }
                    continue;
                }
                Ok(Step::NothingNew) => None,
                Err(error) => {
                    self.recover();
                    if self.goes_on_at_once_after(&error) {
                        continue;
                    }
                    self.tell(&error).await;
                    let pause = backoff;
                    backoff = (backoff * 2).min(BACKOFF.1);
                    Some(pause)
                }
            };
            let until_there_may_be_more = async {
                match wait {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => tokio::select! {
                        () = ear.hear() => {}
                        () = tokio::time::sleep_until(self.leases.due()) => {}
                    },
                }
            };
            let _ = stop.run_until_cancelled(until_there_may_be_more).await;
        }
    }

    /// Says why it does not go on for now.
    async fn tell(&self, error: &StepError) {
        let subscription = self.subscriber.name();
        match error {
            StepError::Stopped { before, source } => {
                stops::stopped(&self.store.pool, subscription, before, source).await;
            }
            StepError::Database(_)
            | StepError::FencedOut
            | StepError::Subscriber { .. }
            | StepError::TookTooLong(_) => {
                tracing::error!(subscription, error = error as &dyn std::error::Error, "subscription is stopped");
            }
        }
    }

    /// What a failed batch leaves behind is not known. The connection is not used again: while this copy holds partitions,
    /// whoever takes them over may end its session.
    fn recover(&mut self) {
        drop(self.connection.take().map(PoolConnection::detach));
        self.leases.doubt();
    }

    /// Some failures call for another try, not for a pause.
    fn goes_on_at_once_after(&mut self, error: &StepError) -> bool {
        match error {
            StepError::FencedOut => {
                tracing::info!(subscription = self.subscriber.name(), "another copy has taken over some of the work");
                true
            }
            // Everything before the event that is not known is done, by halving the batch until nothing is left before it.
            StepError::Subscriber { source: SubscriberError::Unknown(_), .. } if self.limit > 1 => {
                self.limit /= 2;
                true
            }
            // It may have been too much at once.
            StepError::TookTooLong(_) | StepError::Subscriber { source: SubscriberError::Unavailable(_), .. } => {
                self.limit = (self.limit / 2).max(1);
                false
            }
            StepError::Subscriber { .. } | StepError::Stopped { .. } | StepError::Database(_) => false,
        }
    }

    async fn step(&mut self, ear: &mut Ear) -> Result<Step, StepError> {
        let asked = ear.leases_changed();
        if asked || self.leases.due() <= tokio::time::Instant::now() {
            self.settle().await?;
        }
        if self.leases.held.is_empty() {
            return Ok(Step::NothingNew);
        }
        let Some(batch) = self.read().await? else { return Ok(Step::NothingNew) };
        let Batch { end, read, cut, .. } = batch;
        match self.handle(&batch).await {
            Err(StepError::Subscriber { source: SubscriberError::Poison(_), .. }) => self.handle_apart(batch).await?,
            handled => handled?,
        }
        self.moved_to(end);
        let more = cut || read >= self.limit;
        self.limit = if cut { read } else { (self.limit * 2).min(BATCH) };
        Ok(Step::Handled { read, more })
    }

    /// Looks after the leases, and after what operators asked for.
    async fn settle(&mut self) -> Result<(), StepError> {
        let connection = connection(&mut self.connection, self.store).await?;
        self.leases.settle(connection).await?;
        self.known.publish(&self.leases.held);
        self.retry_requested().await
    }

    /// The events from the lowest position of the held partitions on; `None`: there are none. Nothing was begun, so a
    /// connection that was lost in the meantime costs no more than another try.
    async fn read(&mut self) -> Result<Option<Batch>, StepError> {
        let (follows, budget) = (self.subscriber.follows(), Budget::of(self.limit));
        if let Some(kept) = &mut self.connection {
            match Batch::read(kept, &self.leases, follows, budget).await {
                Err(sqlx::Error::Io(_)) => self.recover(),
                read => return Ok(read?),
            }
        }
        // The leases have to know it.
        self.settle().await?;
        let fresh = connection(&mut self.connection, self.store).await?;
        Ok(Batch::read(fresh, &self.leases, follows, budget).await?)
    }

    /// The usual way: all events at once.
    async fn handle(&mut self, batch: &Batch) -> Result<(), StepError> {
        let connection = connection(&mut self.connection, self.store).await?;
        let mut transaction = connection.begin().await?;
        if !batch.events.is_empty() {
            let handled = parking::attempt(&mut self.subscriber, &batch.events, &mut transaction);
            let source = tokio::select! {
                biased;
                handled = handled => handled.err(),
                () = self.leases.keep(&self.store.pool) => return Err(StepError::FencedOut),
            };
            match (source, &batch.events[..]) {
                (None, _) => {}
                (Some(SubscriberError::Unknown(source)), [only]) if self.limit == 1 => {
                    return Err(StepError::Stopped { before: Box::new(only.clone()), source });
                }
                (Some(source), _) => {
                    let (from, to) = batch.range();
                    return Err(StepError::Subscriber { from, to, source });
                }
            }
        }
        parking::park_behind(&mut transaction, self.subscriber.name(), &batch.parked).await?;
        self.leases.advance(&mut transaction, batch.end).await?;
        Ok(transaction.commit().await?)
    }

    fn moved_to(&mut self, end: i64) {
        for held in &mut self.leases.held {
            held.position = held.position.max(end);
        }
        self.known.publish(&self.leases.held);
    }

    /// Gives the share back, so that another copy can take it at once.
    async fn leave(mut self) {
        self.known.publish(&[]);
        let give_back = async {
            let connection = connection(&mut self.connection, self.store).await?;
            self.leases.release(connection).await
        };
        let gave_back = tokio::time::timeout(RELEASE_PATIENCE, give_back).await;
        if !matches!(gave_back, Ok(Ok(()))) {
            tracing::warn!(
                subscription = self.subscriber.name(),
                "partitions were not given back; their leases run out"
            );
        }
    }
}

/// The connection that is kept, or another.
async fn connection<'a>(
    kept: &'a mut Option<PoolConnection<Postgres>>,
    store: &EventStore,
) -> Result<&'a mut PgConnection, sqlx::Error> {
    if kept.is_none() {
        *kept = Some(store.pool.acquire().await?);
    }
    kept.as_deref_mut().ok_or(sqlx::Error::PoolClosed)
}

impl From<sqlx::Error> for StepError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        // What advance_subscription() raises.
        if code.as_deref() == Some("OR001") { Self::FencedOut } else { Self::Database(error) }
    }
}

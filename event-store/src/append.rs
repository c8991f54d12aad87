//! Appending with group commit: commands queue their events, and one writer stores all that is queued as one transaction.
//!
//! Nothing waits for a batch to fill: the writer takes what is there, and while it writes the next batch gathers. A command is
//! answered after the commit that holds its events. A conflict fails only the command that has it.
//!
//! - `writer`: the task that writes, and the statement by which it does.
//! - `conflicts`: storing a batch in which commands conflict.
//! - `connection`: the writer's connection.

mod conflicts;
mod connection;
mod writer;

use std::sync::Arc;

use cqrs_es::DomainEvent;
use event_versions::Upcastable;
use sqlx::PgPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::writer::GroupCommitWriter;
use crate::event::{Metadata, NewEvent};
use crate::idempotency::{IdempotencyKey, IdempotencyRecord, NewIdempotencyRecord};
use crate::metrics::EventStoreMetrics;
use crate::subscription::progress::SubscriptionPositionCache;
use crate::wake::SubscriptionWakeUps;

/// The most bytes that a queue may be set to hold: a semaphore counts no further.
const MAX_QUEUE_BYTES: usize = 1 << 30;

/// Events for one stream, which must be at `expected_version` (0: it has none yet).
#[derive(Debug, Clone)]
pub struct StreamAppend {
    pub stream_type: &'static str,
    pub stream_id: String,
    /// The version that the events were decided on. If the stream is at another version, behind or ahead, that is a conflict.
    pub expected_version: i64,
    pub events: Vec<NewEvent>,
}

/// Streams to append to, all or none, and the locks on them that are held until then.
pub struct Append<'a> {
    pub(crate) streams: Vec<StreamAppend>,
    pub(crate) locks: Option<Box<dyn AppendStoredCallback + 'a>>,
}

/// What is called once when an append is stored.
pub(crate) trait AppendStoredCallback: Send {
    fn stored(self: Box<Self>, appended: AppendPosition);
}

/// Where the last event of an append was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppendPosition {
    /// The version of the last stream after it.
    pub version: i64,
    /// The event's position in the log.
    pub position: i64,
}

/// Why events were not appended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// A stream is not at the expected version. Nothing was stored: load it and decide again.
    #[error("the stream has moved on")]
    Conflict,
    /// The idempotency key has been used, and this is its record. Nothing was stored.
    #[error("the request was carried out before")]
    Replayed(IdempotencyRecord),
    /// The queue is full. Nothing was stored: try again in a moment.
    #[error("too many commands are waiting")]
    QueueFull,
    /// The store is stopping. Nothing was stored.
    #[error("the event store is stopping")]
    Closed,
    /// The database was not reached, or had no room: its disk is full, say. Nothing was stored: try again in a moment.
    #[error("the database takes nothing at the moment")]
    Unavailable(#[source] Arc<sqlx::Error>),
    /// The database failed, possibly after the commit: the events may be stored or not.
    #[error("the database failed; whether the events were stored is not known")]
    Unknown(#[source] Arc<sqlx::Error>),
}

/// How appends are queued.
#[derive(Debug, Clone, Copy)]
pub struct AppendQueueSettings {
    /// How many commands may wait; further ones are refused at once.
    pub queue: usize,
    /// How many bytes the events of all commands may have that wait or are being stored; further ones are refused at once.
    pub queue_bytes: usize,
}

impl Default for AppendQueueSettings {
    fn default() -> Self {
        // At 30,000 commands a second the last one waits for 30 ms. So many usual orders are far from so many bytes.
        Self { queue: 1_024, queue_bytes: 32 << 20 }
    }
}

impl crate::EventStore {
    /// The same store for work that can't be refused: while the queue is full, appends wait for room, unless they hold locks.
    pub fn waiting_when_full(&self) -> Self {
        let mut store = self.clone();
        store.appender.waits_when_full = true;
        store
    }

    /// Refuses while the queue is full, so that nobody decides on what could not be queued.
    pub fn ensure_capacity(&self) -> Result<(), AppendError> {
        let AppendQueue { queue, memory, waits_when_full, .. } = &self.appender;
        if *waits_when_full || queue.is_closed() || (queue.capacity() > 0 && memory.available_permits() > 0) {
            return Ok(());
        }
        Err(self.appender.full())
    }

    /// Appends events to their streams, all of them or none. The answer comes after the commit.
    pub async fn append(&self, append: impl Into<Append<'_>>) -> Result<AppendPosition, AppendError> {
        self.enqueue(append.into(), None).await
    }

    /// [`Self::append`], recorded under an idempotency key in the same transaction. The record names the last stream. A key
    /// that has been used stores nothing: [`AppendError::Replayed`].
    pub async fn append_once(
        &self,
        append: impl Into<Append<'_>>,
        key: IdempotencyKey,
    ) -> Result<AppendPosition, AppendError> {
        let append = append.into();
        let record = append.streams.last().map(|last| NewIdempotencyRecord {
            key,
            stream_type: last.stream_type,
            stream_id: last.stream_id.clone(),
            version: last.version_after(),
        });
        self.enqueue(append, record).await
    }

    pub(crate) async fn enqueue(
        &self,
        append: Append<'_>,
        record: Option<NewIdempotencyRecord>,
    ) -> Result<AppendPosition, AppendError> {
        let (answer, answered) = oneshot::channel();
        let Append { streams, locks } = append;
        let command = AppendRequest { streams, record };
        // Who holds locks never waits for room: all commands on the locked streams would wait with it.
        let waits = self.appender.waits_when_full && locks.is_none();
        let memory = self.appender.reserve_memory(&command, waits).await?;
        let queued = QueuedAppend { command, answer, memory };
        if waits {
            self.appender.queue.send(queued).await.map_err(|_| AppendError::Closed)?;
        } else {
            self.appender.queue.try_send(queued).map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => self.appender.full(),
                mpsc::error::TrySendError::Closed(_) => AppendError::Closed,
            })?;
        }
        let writer_died = |_| Err(AppendError::Unknown(Arc::new(sqlx::Error::WorkerCrashed)));
        let appended = answered.await.unwrap_or_else(writer_died)?;
        if let Some(locks) = locks {
            locks.stored(appended);
        }
        Ok(appended)
    }
}

impl StreamAppend {
    /// Events of an aggregate, encoded, for a stream at a version.
    pub fn of<A: Upcastable>(
        stream_id: &str,
        expected_version: i64,
        events: &[A::Event],
        metadata: &Metadata,
    ) -> Result<Self, serde_json::Error>
    where
        A::Event: DomainEvent,
    {
        let events = events.iter().map(|event| NewEvent::new(event, metadata)).collect::<Result<_, _>>()?;
        Ok(Self { stream_type: A::TYPE, stream_id: stream_id.to_owned(), expected_version, events })
    }

    /// The stream's version once the events are stored.
    pub(crate) fn version_after(&self) -> i64 {
        self.expected_version + i64::try_from(self.events.len()).unwrap_or(0)
    }
}

impl From<Vec<StreamAppend>> for Append<'_> {
    fn from(streams: Vec<StreamAppend>) -> Self {
        Self { streams, locks: None }
    }
}

/// What one command stores, all of it or nothing.
struct AppendRequest {
    streams: Vec<StreamAppend>,
    record: Option<NewIdempotencyRecord>,
}

/// A command in the queue, and where its answer goes.
struct QueuedAppend {
    command: AppendRequest,
    answer: oneshot::Sender<Result<AppendPosition, AppendError>>,
    /// Its share of the queue's bytes.
    memory: OwnedSemaphorePermit,
}

impl AppendRequest {
    fn event_count(&self) -> i64 {
        i64::try_from(self.streams.iter().map(|stream| stream.events.len()).sum::<usize>()).unwrap_or(0)
    }

    /// About how many bytes of memory its events take.
    fn size(&self) -> usize {
        self.streams.iter().flat_map(|stream| &stream.events).map(NewEvent::size).sum()
    }

    fn key(&self) -> Option<&IdempotencyKey> {
        self.record.as_ref().map(|record| &record.key)
    }

    /// The version of its last stream once it is stored.
    fn version_after(&self) -> i64 {
        self.streams.last().map_or(0, StreamAppend::version_after)
    }
}

/// The writer's queue; clones share it.
#[derive(Clone)]
pub(crate) struct AppendQueue {
    queue: mpsc::Sender<QueuedAppend>,
    /// The bytes that may still be queued.
    memory: Arc<Semaphore>,
    /// How many there are when nothing is queued.
    memory_bytes: usize,
    metrics: EventStoreMetrics,
    waits_when_full: bool,
}

impl AppendQueue {
    pub(crate) fn start(
        pool: PgPool,
        settings: AppendQueueSettings,
        metrics: EventStoreMetrics,
        (wake, progress): (SubscriptionWakeUps, SubscriptionPositionCache),
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let (queue, queued) = mpsc::channel(settings.queue);
        let memory_bytes = settings.queue_bytes.clamp(1, MAX_QUEUE_BYTES);
        let memory = Arc::new(Semaphore::new(memory_bytes));
        tasks.spawn(GroupCommitWriter::new(pool, metrics.clone(), wake, progress, stop).run(queued));
        Self { queue, memory, memory_bytes, metrics, waits_when_full: false }
    }

    pub(crate) fn is_running(&self) -> bool {
        !self.queue.is_closed()
    }

    /// How many commands wait for the next batch.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Memory for a command. A command that is larger than all there is gets all of it.
    async fn reserve_memory(&self, command: &AppendRequest, waits: bool) -> Result<OwnedSemaphorePermit, AppendError> {
        let bytes = u32::try_from(command.size().min(self.memory_bytes)).unwrap_or(u32::MAX);
        let memory = Arc::clone(&self.memory);
        // It is never closed.
        let memory = match waits {
            true => memory.acquire_many_owned(bytes).await.ok(),
            false => memory.try_acquire_many_owned(bytes).ok(),
        };
        memory.ok_or_else(|| self.full())
    }

    fn full(&self) -> AppendError {
        self.metrics.refused.inc();
        AppendError::QueueFull
    }
}

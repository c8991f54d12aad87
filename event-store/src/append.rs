//! Group commit: commands queue their events, one writer stores whatever is queued as one transaction.
//!
//! Nothing waits for company: the writer takes what is there, and while it writes the next batch gathers. A command is
//! answered after the commit that holds its events; a conflict fails its own command only.

mod batch;

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bounds::Budget;
use sqlx::error::DatabaseError;
use sqlx::pool::PoolConnection;
use sqlx::postgres::Postgres;
use sqlx::{Connection, PgConnection, PgPool};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::batch::Answers;
use crate::event::NewEvent;
use crate::idempotency::{OnceOnly, Outcome, Record};
use crate::metrics::Metrics;
use crate::subscription::progress::Progress;
use crate::wake::Wake;

/// The most commands in one transaction: enough to pay for its commit, few enough that none waits long for the others.
const MAX_BATCH: usize = 512;
/// The most bytes in one transaction, unless a single command has more.
const MAX_BATCH_BYTES: usize = Budget::BYTES;
/// The most that a queue may be set to hold: that many a semaphore counts at once.
const MAX_QUEUE_BYTES: usize = 1 << 30;
/// How often a batch is tried again when its connection breaks or it meets a conflict.
const ATTEMPTS: u32 = 3;
/// How long the writer looks for a connection that answers, and how long it waits between two.
const RECONNECT: Duration = Duration::from_secs(5);
const BETWEEN_CONNECTIONS: Duration = Duration::from_millis(10);
/// How long the writer waits for a connection while it stops.
const ONCE_STOPPED: Duration = Duration::from_millis(500);
/// How long a batch may take: somewhat longer than the server lets it wait for another writer.
const PATIENCE: Duration = Duration::from_secs(35);

/// Events for one stream, which must be at `expected_version` (0: it has none yet).
#[derive(Debug, Clone)]
pub struct StreamAppend {
    /// The kind of stream.
    pub stream_type: &'static str,
    /// The stream.
    pub stream_id: String,
    /// The version the events were decided on. One that the stream has not reached, as far as the database knows, is a conflict
    /// like one that it has left behind.
    pub expected_version: i64,
    /// What happened, in order.
    pub events: Vec<NewEvent>,
}

impl StreamAppend {
    /// The stream's version once the events are stored.
    pub(crate) fn version_after(&self) -> i64 {
        self.expected_version + i64::try_from(self.events.len()).unwrap_or(0)
    }
}

/// Where the last event of an append went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The version of the last stream after it.
    pub version: i64,
    /// The log's position after it.
    pub position: i64,
}

/// Why events were not appended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// A stream is not at the expected version: nothing was stored; load, decide again.
    #[error("the stream has moved on")]
    Conflict,
    /// The idempotency key has been used: nothing was stored; this is what it came to then.
    #[error("the request was carried out before")]
    Repeated(Outcome),
    /// More commands wait than the queue takes: nothing was stored; come back in a moment.
    #[error("too many commands are waiting")]
    QueueFull,
    /// The store is stopping: nothing was stored.
    #[error("the event store is stopping")]
    Closed,
    /// The database failed, possibly after the commit: whether the events are stored is not known.
    #[error("the database failed; whether the events were stored is not known")]
    Unknown(#[source] Arc<sqlx::Error>),
}

/// How appends are queued.
#[derive(Debug, Clone, Copy)]
pub struct AppendSettings {
    /// How many commands may wait; one more is refused at once.
    pub queue: usize,
    /// How many bytes the events of all commands may have that wait or are being stored; a command beyond them is refused at once.
    pub queue_bytes: usize,
}

impl Default for AppendSettings {
    fn default() -> Self {
        // At 30,000 a second the last one waits for 30 ms. So many usual orders are far from so many bytes.
        Self { queue: 1_024, queue_bytes: 32 << 20 }
    }
}

/// What one command stores, all of it or nothing.
struct Command {
    streams: Vec<StreamAppend>,
    record: Option<Record>,
}

impl Command {
    /// How many events it stores.
    fn rows(&self) -> i64 {
        i64::try_from(self.streams.iter().map(|stream| stream.events.len()).sum::<usize>()).unwrap_or(0)
    }

    /// About how many bytes of memory its events take.
    fn size(&self) -> usize {
        self.streams.iter().flat_map(|stream| &stream.events).map(NewEvent::size).sum()
    }

    /// The request that it carries out, if that is to be recorded.
    fn request(&self) -> Option<&OnceOnly> {
        self.record.as_ref().map(|record| &record.request)
    }

    /// The version of its last stream once it is stored.
    fn version_after(&self) -> i64 {
        self.streams.last().map_or(0, StreamAppend::version_after)
    }
}

/// A command and whom to tell what became of it.
struct Waiting {
    command: Command,
    answer: oneshot::Sender<Result<Appended, AppendError>>,
    /// Its share of the bytes that may wait.
    room: OwnedSemaphorePermit,
}

#[derive(Clone)]
pub(crate) struct Appender {
    queue: mpsc::Sender<Waiting>,
    /// The bytes that may still come to wait.
    room: Arc<Semaphore>,
    /// How many there are when nobody waits.
    bytes: usize,
    metrics: Metrics,
    /// Whether a full queue is waited for.
    patient: bool,
}

impl Appender {
    pub(crate) fn is_running(&self) -> bool {
        !self.queue.is_closed()
    }

    /// How many commands wait for the next batch.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    pub(crate) fn start(
        pool: PgPool,
        settings: AppendSettings,
        metrics: Metrics,
        (wake, progress): (Wake, Progress),
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let (queue, waiting) = mpsc::channel(settings.queue);
        let bytes = settings.queue_bytes.clamp(1, MAX_QUEUE_BYTES);
        let room = Arc::new(Semaphore::new(bytes));
        tasks.spawn(Writer { pool, connection: None, metrics: metrics.clone(), wake, progress, stop }.run(waiting));
        Self { queue, room, bytes, metrics, patient: false }
    }

    /// Room for a command. One that is larger than all the room there is gets all of it.
    async fn room(&self, command: &Command) -> Result<OwnedSemaphorePermit, AppendError> {
        let bytes = u32::try_from(command.size().min(self.bytes)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room);
        // It is never closed.
        let room = match self.patient {
            true => room.acquire_many_owned(bytes).await.ok(),
            false => room.try_acquire_many_owned(bytes).ok(),
        };
        room.ok_or_else(|| self.full())
    }

    fn full(&self) -> AppendError {
        self.metrics.refused.inc();
        AppendError::QueueFull
    }
}

impl crate::EventStore {
    /// The same store for work that has nobody to be refused to: while the queue is full its appends wait for room.
    pub fn patient(&self) -> Self {
        let mut store = self.clone();
        store.appender.patient = true;
        store
    }

    /// Refuses while the queue is full, before anybody takes the trouble to decide on what could not be queued.
    pub fn check_room(&self) -> Result<(), AppendError> {
        let Appender { queue, room, patient, .. } = &self.appender;
        if *patient || queue.is_closed() || (queue.capacity() > 0 && room.available_permits() > 0) {
            return Ok(());
        }
        Err(self.appender.full())
    }

    /// Appends events to their streams, all of them or none. The answer comes after the commit.
    pub async fn append(&self, streams: Vec<StreamAppend>) -> Result<Appended, AppendError> {
        self.enqueue(streams, None).await
    }

    pub(crate) async fn enqueue(
        &self,
        streams: Vec<StreamAppend>,
        record: Option<Record>,
    ) -> Result<Appended, AppendError> {
        let (answer, answered) = oneshot::channel();
        let command = Command { streams, record };
        let room = self.appender.room(&command).await?;
        let waiting = Waiting { command, answer, room };
        if self.appender.patient {
            self.appender.queue.send(waiting).await.map_err(|_| AppendError::Closed)?;
        } else {
            self.appender.queue.try_send(waiting).map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => self.appender.full(),
                mpsc::error::TrySendError::Closed(_) => AppendError::Closed,
            })?;
        }
        // The writer died over it.
        let died = |_| Err(AppendError::Unknown(Arc::new(sqlx::Error::WorkerCrashed)));
        answered.await.unwrap_or_else(died)
    }
}

/// The one task that writes: the log takes one transaction at a time, so that a second one would only make batches
/// smaller. Its connection is kept between batches and given up after an error.
struct Writer {
    pool: PgPool,
    connection: Option<PoolConnection<Postgres>>,
    metrics: Metrics,
    wake: Wake,
    progress: Progress,
    stop: CancellationToken,
}

impl Writer {
    async fn run(mut self, mut waiting: mpsc::Receiver<Waiting>) {
        let (mut gathered, mut batch) = (Vec::with_capacity(MAX_BATCH), Vec::with_capacity(MAX_BATCH));
        loop {
            tokio::select! {
                biased;
                // After closing, recv_many still hands out what was queued before, then 0.
                () = self.stop.cancelled(), if !waiting.is_closed() => waiting.close(),
                count = waiting.recv_many(&mut gathered, MAX_BATCH) => if count == 0 { return },
            }
            while !gathered.is_empty() {
                let mut budget = Budget::of(MAX_BATCH).with_bytes(MAX_BATCH_BYTES);
                let fit = gathered.iter().take_while(|waiting| budget.take(waiting.command.size())).count();
                batch.extend(gathered.drain(..fit));
                self.write(&mut batch).await;
            }
        }
    }

    async fn write(&mut self, batch: &mut Vec<Waiting>) {
        let began = Instant::now();
        let commands: Vec<&Command> = batch.iter().map(|waiting| &waiting.command).collect();
        // A database that says nothing must not hold up all writing until TCP gives up.
        let stored = tokio::time::timeout(PATIENCE, self.store(&commands)).await;
        let answers = match stored.unwrap_or_else(|_| Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into()))) {
            Ok(answers) => {
                if let Some(end) = answers.iter().flatten().map(|appended| appended.position).max() {
                    self.progress.stored(end);
                }
                self.wake.wake();
                self.metrics.batch(&answers, began.elapsed());
                answers
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    commands = commands.len(),
                    "appending failed"
                );
                self.give_up_connection();
                let error = Arc::new(error);
                commands.iter().map(|_| Err(AppendError::Unknown(Arc::clone(&error)))).collect()
            }
        };
        // Given back at once: all who come meanwhile ask for room.
        let mut given_back: Option<OwnedSemaphorePermit> = None;
        for (Waiting { answer: told, room, .. }, answer) in batch.drain(..).zip(answers) {
            // Whoever asked may have gone: a dropped request changes nothing about what is stored.
            let _ = told.send(answer);
            match &mut given_back {
                Some(all) => all.merge(room),
                none => *none = Some(room),
            }
        }
    }

    /// Stores a batch; only when it meets a conflict is it looked at command by command. A connection that breaks, as by a
    /// restart of the server, may or may not have stored it: the next attempt, through another one, finds out.
    async fn store(&mut self, commands: &[&Command]) -> Result<Answers, sqlx::Error> {
        let mut stored = batch::store(self.connection().await?, commands).await;
        for _ in 0..ATTEMPTS {
            match stored {
                Err(error) if batch::is_conflict(&error) => {}
                Err(error) if is_broken(&error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "connection lost; appending once more");
                    self.give_up_connection();
                }
                Err(error) if commands.len() > 1 && is_unfit(&error) => return self.store_apart(commands).await,
                stored => return stored,
            }
            stored = batch::store_around_conflicts(self.connection().await?, commands).await;
        }
        stored
    }

    async fn connection(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        if let Some(kept) = self.connection.take() {
            return Ok(self.connection.insert(kept));
        }
        // A database that is away holds up neither the stop nor those who wait for it.
        let late = async {
            self.stop.cancelled().await;
            tokio::time::sleep(ONCE_STOPPED).await;
        };
        let connection = tokio::select! {
            answering = tokio::time::timeout(RECONNECT, answering(&self.pool)) => {
                answering.unwrap_or(Err(sqlx::Error::PoolTimedOut))?
            }
            () = late => return Err(sqlx::Error::PoolTimedOut),
        };
        Ok(self.connection.insert(connection))
    }

    /// Stores commands of which one can't be stored each by itself, so that it fails alone.
    async fn store_apart(&mut self, commands: &[&Command]) -> Result<Answers, sqlx::Error> {
        let mut answers = Vec::with_capacity(commands.len());
        for command in commands {
            match batch::store_around_conflicts(self.connection().await?, &[command]).await {
                Ok(stored) => answers.extend(stored),
                Err(error) if is_unfit(&error) => answers.push(Err(AppendError::Unknown(Arc::new(error)))),
                Err(error) => return Err(error),
            }
        }
        Ok(answers)
    }

    /// It may be mid-transaction: never to be used again.
    fn give_up_connection(&mut self) {
        drop(self.connection.take().map(PoolConnection::detach));
    }
}

/// A connection that answers: after a restart of the server those in the pool may all be dead, and new ones fail for a while.
async fn answering(pool: &PgPool) -> Result<PoolConnection<Postgres>, sqlx::Error> {
    loop {
        let error = match pool.acquire().await {
            Ok(mut connection) => match connection.ping().await {
                Ok(()) => return Ok(connection),
                Err(error) => {
                    drop(connection.detach());
                    error
                }
            },
            Err(error) => error,
        };
        if !is_broken(&error) {
            return Err(error);
        }
        tokio::time::sleep(BETWEEN_CONNECTIONS).await;
    }
}

/// Whether the database says that the data itself can't be stored: classes 22, data exception, and 23, constraint violation.
fn is_unfit(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(DatabaseError::code);
    !batch::is_conflict(error) && code.is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
}

/// Whether an error means that the connection, and not the statement, failed.
fn is_broken(error: &sqlx::Error) -> bool {
    // Class 57: the server is shutting down, has crashed, or is not up yet.
    let ended = |code: Option<Cow<'_, str>>| code.is_some_and(|code| code.starts_with("57P"));
    matches!(error, sqlx::Error::Io(_) | sqlx::Error::Protocol(_))
        || ended(error.as_database_error().and_then(DatabaseError::code))
}

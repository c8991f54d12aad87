//! Group commit: commands queue their events, one writer stores whatever is queued as one transaction.
//!
//! Nothing waits for company: the writer takes what is there, and while it writes the next batch gathers. A command is
//! answered after the commit that holds its events; a conflict fails its own command only.

mod batch;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::pool::PoolConnection;
use sqlx::postgres::Postgres;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::batch::StoreError;
use crate::event::NewEvent;
use crate::wake::Wake;

/// The most commands in one transaction: enough to pay for its commit, few enough that none waits long for the others.
const MAX_BATCH: usize = 512;
/// How long a batch may take: somewhat longer than the server lets it wait for another writer.
const PATIENCE: Duration = Duration::from_secs(35);

/// Events for one stream, which must be at `expected_version` (0: it has none yet).
#[derive(Debug, Clone)]
pub struct StreamAppend {
    /// The kind of stream.
    pub stream_type: &'static str,
    /// The stream.
    pub stream_id: String,
    /// The version the events were decided on. It must have been read from the stream: a version that the stream has
    /// not reached would leave a gap.
    pub expected_version: i64,
    /// What happened, in order.
    pub events: Vec<NewEvent>,
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
}

impl Default for AppendSettings {
    fn default() -> Self {
        Self { queue: 4_096 }
    }
}

/// A command's events and whom to tell what became of them.
struct Waiting {
    streams: Vec<StreamAppend>,
    answer: oneshot::Sender<Result<Appended, AppendError>>,
}

#[derive(Clone)]
pub(crate) struct Appender {
    queue: mpsc::Sender<Waiting>,
}

impl Appender {
    pub(crate) fn is_running(&self) -> bool {
        !self.queue.is_closed()
    }

    pub(crate) fn start(
        pool: PgPool,
        settings: AppendSettings,
        wake: Wake,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let (queue, waiting) = mpsc::channel(settings.queue);
        tasks.spawn(Writer { pool, connection: None, wake }.run(waiting, stop));
        Self { queue }
    }
}

impl crate::EventStore {
    /// Appends events to their streams, all of them or none. The answer comes after the commit.
    pub async fn append(&self, streams: Vec<StreamAppend>) -> Result<Appended, AppendError> {
        let (answer, answered) = oneshot::channel();
        self.appender.queue.try_send(Waiting { streams, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => AppendError::QueueFull,
            mpsc::error::TrySendError::Closed(_) => AppendError::Closed,
        })?;
        // The writer died over it.
        answered.await.unwrap_or_else(|_| Err(AppendError::Unknown(Arc::new(sqlx::Error::WorkerCrashed))))
    }
}

/// The one task that writes. Its connection is kept between batches and given up after an error.
struct Writer {
    pool: PgPool,
    connection: Option<PoolConnection<Postgres>>,
    wake: Wake,
}

impl Writer {
    async fn run(mut self, mut waiting: mpsc::Receiver<Waiting>, stop: CancellationToken) {
        let mut batch = Vec::with_capacity(MAX_BATCH);
        loop {
            tokio::select! {
                biased;
                // After closing, recv_many still hands out what was queued before, then 0.
                () = stop.cancelled(), if !waiting.is_closed() => waiting.close(),
                count = waiting.recv_many(&mut batch, MAX_BATCH) => match count {
                    0 => return,
                    _ => self.write(&mut batch).await,
                },
            }
        }
    }

    async fn write(&mut self, batch: &mut Vec<Waiting>) {
        // A database that says nothing must not hold up all writing until TCP gives up.
        let stored = tokio::time::timeout(PATIENCE, self.store(batch)).await;
        let answers = match stored.unwrap_or_else(|_| Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into()))) {
            Ok(answers) => {
                self.wake.wake();
                answers
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, commands = batch.len(), "appending failed");
                // It may be mid-transaction: never to be used again.
                if let Some(connection) = self.connection.take() {
                    drop(connection.detach());
                }
                let error = Arc::new(error);
                batch.iter().map(|_| Err(AppendError::Unknown(Arc::clone(&error)))).collect()
            }
        };
        for (command, answer) in batch.drain(..).zip(answers) {
            // Whoever asked may have gone: a dropped request changes nothing about what is stored.
            let _ = command.answer.send(answer);
        }
    }

    async fn store(&mut self, batch: &[Waiting]) -> Result<Vec<Result<Appended, AppendError>>, sqlx::Error> {
        let commands: Vec<&[StreamAppend]> = batch.iter().map(|waiting| waiting.streams.as_slice()).collect();
        if let Some(kept) = &mut self.connection {
            match batch::store(kept, &commands).await {
                // Lost since the last batch, as by a restart of the server: the batch can go through another.
                Err(StoreError::NotBegun(_)) => drop(self.connection.take().map(PoolConnection::detach)),
                stored => return Ok(stored?),
            }
        }
        let fresh = self.connection.insert(self.pool.acquire().await?);
        Ok(batch::store(fresh, &commands).await?)
    }
}

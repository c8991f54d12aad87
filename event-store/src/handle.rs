//! The command handler: a command reads and decides, its events are appended, and after a conflict it decides again.
//!
//! This is the only retry loop for commands. Idempotency keys are looked up and recorded here, too.

use std::time::Duration;

use event_versions::Upcastable;
use rand::Rng;
use tokio::time::{Instant, sleep};

use crate::EventStore;
use crate::append::{Append, AppendError, AppendPosition, StreamAppend};
use crate::event::Metadata;
use crate::idempotency::{IdempotencyKey, IdempotencyRecord, NewIdempotencyRecord};
use crate::read::{ReadError, StreamVersion, Versioned, read_version};

/// A command on one or several streams.
pub trait Command: Send {
    /// Why it is refused.
    type Refusal: Send;

    /// The stream that the answer is about, as its type and its id. Its events come last in what is appended.
    fn stream(&self) -> (&'static str, &str);

    /// Reads the streams and decides. It is called again after each conflict, and has to read again then.
    fn decide(&mut self) -> impl Future<Output = Result<Decision<'_>, HandleError<Self::Refusal>>> + Send;
}

/// What a command decided.
pub enum Decision<'a> {
    /// To append these events.
    Append(Append<'a>),
    /// To append nothing, because what it asks for is so already. The answer names this version of the stream.
    Unchanged(StreamVersion),
}

/// What a command came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handled {
    /// Its events are stored.
    Appended(AppendPosition),
    /// What it asked for was so already.
    Unchanged(StreamVersion),
    /// It was handled before, under the same idempotency key; this is the record of that.
    Replayed(IdempotencyRecord),
}

/// Why a command stored nothing.
#[derive(Debug, thiserror::Error)]
pub enum HandleError<R> {
    /// The rules refuse it as the streams are now.
    #[error("the command was refused")]
    Refused(#[source] R),
    /// It can't be decided, whatever the streams are: its idempotency key is not looked up.
    #[error("the command can't be decided")]
    Undecidable(#[source] R),
    /// Others changed its streams each time that it was decided.
    #[error("the stream was changed by others each time; it is at version {current_version} now")]
    Contended {
        /// The stream's version after the last attempt.
        current_version: i64,
    },
    /// Its idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The events could not be appended.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// A stream could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An event could not be encoded.
    #[error("an event could not be encoded")]
    Encode(#[from] serde_json::Error),
}

/// For how long a command is decided again after conflicts.
#[derive(Debug, Clone, Copy)]
pub struct ConflictRetryPolicy {
    limit: ConflictRetryLimit,
    conflicts: u32,
}

#[derive(Debug, Clone, Copy)]
enum ConflictRetryLimit {
    Attempts(u32),
    Deadline(Instant),
}

impl EventStore {
    /// Handles a command: has it decide, appends its events, and has it decide again after a conflict, within the limit.
    ///
    /// With a key it is handled once. A key is not looked up before the command is decided: the append finds out that it was used, by
    /// its primary key. Only where the first request may be why the second is refused it is looked up.
    pub async fn handle<C: Command>(
        &self,
        command: &mut C,
        key: Option<&IdempotencyKey>,
        mut retry: ConflictRetryPolicy,
    ) -> Result<Handled, HandleError<C::Refusal>> {
        let unchanged = loop {
            let appended = match command.decide().await {
                Ok(Decision::Append(append)) => match key {
                    Some(key) => self.append_once(append, key.clone()).await,
                    None => self.append(append).await,
                },
                Ok(Decision::Unchanged(at)) => break at,
                Err(HandleError::Refused(refusal)) => return self.handle_refused(key, refusal).await,
                Err(error) => return Err(error),
            };
            match appended {
                Ok(appended) => return Ok(Handled::Appended(appended)),
                Err(AppendError::Replayed(record)) => return replayed(key, record),
                Err(AppendError::Conflict) if retry.wait().await => {}
                Err(AppendError::Conflict) => {
                    let (stream_type, stream_id) = command.stream();
                    let version = read_version(&self.pool, stream_type, stream_id).await;
                    return Err(HandleError::Contended { current_version: version.map_err(ReadError::from)? });
                }
                Err(error) => return Err(error.into()),
            }
        };
        self.handle_unchanged(key, command.stream(), unchanged).await
    }

    /// The key may be new even so: from now on it stands for this version of the stream.
    async fn handle_unchanged<R>(
        &self,
        key: Option<&IdempotencyKey>,
        stream: (&'static str, &str),
        at: StreamVersion,
    ) -> Result<Handled, HandleError<R>> {
        let Some(new_key) = key else { return Ok(Handled::Unchanged(at)) };
        match self.record_unchanged(new_key.clone(), stream, at.version).await {
            Ok(()) => Ok(Handled::Unchanged(at)),
            Err(AppendError::Replayed(record)) => replayed(key, record),
            Err(error) => Err(error.into()),
        }
    }

    /// Records a request that changed nothing, with the stream and the version that its answer names.
    async fn record_unchanged(
        &self,
        key: IdempotencyKey,
        (stream_type, stream_id): (&'static str, &str),
        version: i64,
    ) -> Result<(), AppendError> {
        let record = NewIdempotencyRecord { key, stream_type, stream_id: stream_id.to_owned(), version };
        self.enqueue(Append::from(vec![]), Some(record)).await.map(drop)
    }

    /// It may be refused only because it was handled before.
    async fn handle_refused<R>(&self, key: Option<&IdempotencyKey>, refusal: R) -> Result<Handled, HandleError<R>> {
        let Some(used_key) = key else { return Err(HandleError::Refused(refusal)) };
        match self.find_idempotency_record(used_key).await.map_err(ReadError::from)? {
            Some(record) => replayed(key, record),
            None => Err(HandleError::Refused(refusal)),
        }
    }

    /// The simplest command: decides on one stream and appends what comes of it.
    ///
    /// `known` is what the caller takes the stream to be: `Versioned::default()` for a stream that should be new saves reading it. If
    /// that is wrong, the append fails, and the stream is loaded and decided on again.
    pub async fn execute<A: Upcastable, R: Send>(
        &self,
        stream_id: &str,
        known: Versioned<A>,
        metadata: &Metadata,
        decide: impl Fn(&A) -> Result<Vec<A::Event>, R> + Send,
    ) -> Result<Handled, HandleError<R>> {
        let mut command = SingleStreamCommand { store: self, stream_id, known: Some(known), metadata, decide };
        self.handle(&mut command, None, ConflictRetryPolicy::default()).await
    }
}

/// What [`EventStore::execute`] decides on the state of one stream and appends to it.
struct SingleStreamCommand<'a, A, F> {
    store: &'a EventStore,
    stream_id: &'a str,
    known: Option<Versioned<A>>,
    metadata: &'a Metadata,
    decide: F,
}

impl<A: Upcastable, R: Send, F: Fn(&A) -> Result<Vec<A::Event>, R> + Send> Command for SingleStreamCommand<'_, A, F> {
    type Refusal = R;

    fn stream(&self) -> (&'static str, &str) {
        (A::TYPE, self.stream_id)
    }

    async fn decide(&mut self) -> Result<Decision<'_>, HandleError<R>> {
        let stream = match self.known.take() {
            Some(known) => known,
            None => self.store.load(self.stream_id).await?,
        };
        let events = (self.decide)(&stream.state).map_err(HandleError::Refused)?;
        if events.is_empty() {
            return Ok(Decision::Unchanged(stream.last()));
        }
        let append = StreamAppend::of::<A>(self.stream_id, stream.version, &events, self.metadata)?;
        Ok(Decision::Append(vec![append].into()))
    }
}

fn replayed<R>(key: Option<&IdempotencyKey>, record: IdempotencyRecord) -> Result<Handled, HandleError<R>> {
    match key {
        Some(key) if record.request_hash != key.request_hash => Err(HandleError::KeyReused),
        Some(_) => Ok(Handled::Replayed(record)),
        None => Err(AppendError::Replayed(record).into()),
    }
}

impl Default for ConflictRetryPolicy {
    fn default() -> Self {
        Self::attempts(5)
    }
}

impl ConflictRetryPolicy {
    /// The longest pause, in milliseconds.
    const LONGEST_PAUSE: u64 = 64;

    pub fn attempts(attempts: u32) -> Self {
        Self { limit: ConflictRetryLimit::Attempts(attempts), conflicts: 0 }
    }

    pub fn until(deadline: Instant) -> Self {
        Self { limit: ConflictRetryLimit::Deadline(deadline), conflicts: 0 }
    }

    /// Waits before the next attempt; `false`: there is none. The second attempt comes at once. Later ones pause for a random time,
    /// the longer the more conflicts there were, so that commands that collided do not collide again in step.
    async fn wait(&mut self) -> bool {
        self.conflicts += 1;
        let again = match self.limit {
            ConflictRetryLimit::Attempts(attempts) => self.conflicts < attempts,
            ConflictRetryLimit::Deadline(deadline) => Instant::now() < deadline,
        };
        if again && self.conflicts > 1 {
            let longest = 1_u64.checked_shl(self.conflicts).unwrap_or(u64::MAX).min(Self::LONGEST_PAUSE);
            let pause = rand::rng().random_range(0..=longest);
            sleep(Duration::from_millis(pause)).await;
        }
        again
    }
}

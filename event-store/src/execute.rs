//! A command from its decision to its commit.

use std::time::Duration;

use event_versions::Versioned;
use rand::Rng;

use crate::append::{AppendError, StreamAppend};
use crate::event::{Metadata, NewEvent};
use crate::idempotency::{OnceOnly, Outcome};
use crate::read::{Loaded, ReadError};
use crate::{Appended, EventStore};

/// How often a command is decided anew because its stream has moved on.
const ATTEMPTS: u32 = 5;

/// What a command did.
#[derive(Debug, Clone)]
pub enum Executed<A> {
    /// Its events are stored.
    Appended(Appended),
    /// What it asked for was already so; this is the stream.
    Unchanged(Loaded<A>),
    /// It was carried out before, under its idempotency key; this is what it came to then.
    Repeated(Outcome),
}

/// Why a command did nothing.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError<R> {
    /// The rules refused it.
    #[error("the command was refused")]
    Refused(#[source] R),
    /// Whenever it was decided, others had changed the stream meanwhile.
    #[error("the stream was changed by others each time; it is at version {current_version} now")]
    Contended {
        /// The stream's version after the last attempt.
        current_version: i64,
    },
    /// The events could not be appended.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The stream could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An event could not be encoded.
    #[error("an event could not be encoded")]
    Encode(#[from] serde_json::Error),
}

impl EventStore {
    /// Decides on a stream and appends what comes of it. When someone else was faster the stream is loaded and decided
    /// again, a bounded number of times.
    ///
    /// `known` is what the caller takes the stream to be: `Loaded::default()` for one that should be new saves reading
    /// it. Nothing rests on it: the append fails where it is out of date.
    pub async fn execute<A: Versioned, R>(
        &self,
        stream_id: &str,
        known: Loaded<A>,
        metadata: &Metadata,
        decide: impl Fn(&A) -> Result<Vec<A::Event>, R>,
    ) -> Result<Executed<A>, ExecuteError<R>> {
        self.execute_once(stream_id, known, metadata, None, decide).await
    }

    /// [`EventStore::execute`], with the request's key recorded in the transaction of the events. A second request under
    /// the key comes to [`Executed::Repeated`] if it would append; the key is looked up by the append alone. Where the first
    /// one's events make a second one unchanged or refused, as on a stream that was loaded, it is the caller who has to look
    /// it up: [`EventStore::record_unchanged`] says so. A command that is refused or changes nothing leaves no record.
    pub async fn execute_once<A: Versioned, R>(
        &self,
        stream_id: &str,
        known: Loaded<A>,
        metadata: &Metadata,
        request: Option<&OnceOnly>,
        decide: impl Fn(&A) -> Result<Vec<A::Event>, R>,
    ) -> Result<Executed<A>, ExecuteError<R>> {
        let mut stream = known;
        for attempt in 1..=ATTEMPTS {
            let events = decide(&stream.state).map_err(ExecuteError::Refused)?;
            if events.is_empty() {
                return Ok(Executed::Unchanged(stream));
            }
            let events = events.iter().map(|event| NewEvent::new(event, metadata)).collect::<Result<_, _>>()?;
            let append = StreamAppend {
                stream_type: A::TYPE,
                stream_id: stream_id.to_owned(),
                expected_version: stream.version,
                events,
            };
            let appended = match request {
                Some(request) => self.append_once(vec![append], request.clone()).await,
                None => self.append(vec![append]).await,
            };
            match appended {
                Ok(appended) => return Ok(Executed::Appended(appended)),
                Err(AppendError::Repeated(outcome)) => return Ok(Executed::Repeated(outcome)),
                Err(AppendError::Conflict) => {
                    if attempt > 1 {
                        // Those who collided do not collide again in step.
                        let millis = rand::rng().random_range(0..1 << attempt);
                        tokio::time::sleep(Duration::from_millis(millis)).await;
                    }
                    stream = self.load(stream_id).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(ExecuteError::Contended { current_version: stream.version })
    }
}

//! A command from its decision to its commit.

use std::time::Duration;

use cqrs_es::Aggregate;
use rand::Rng;

use crate::append::{AppendError, StreamAppend};
use crate::event::{Metadata, NewEvent};
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
}

/// Why a command did nothing.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError<R> {
    /// The rules refused it.
    #[error("the command was refused")]
    Refused(#[source] R),
    /// The events could not be appended; [`AppendError::Conflict`] after the last attempt.
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
    pub async fn execute<A: Aggregate, R>(
        &self,
        stream_id: &str,
        known: Loaded<A>,
        metadata: &Metadata,
        decide: impl Fn(&A) -> Result<Vec<A::Event>, R>,
    ) -> Result<Executed<A>, ExecuteError<R>> {
        let mut stream = known;
        for attempt in 1.. {
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
            match self.append(vec![append]).await {
                Ok(appended) => return Ok(Executed::Appended(appended)),
                Err(AppendError::Conflict) if attempt < ATTEMPTS => {
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
        unreachable!("the last attempt returns")
    }
}

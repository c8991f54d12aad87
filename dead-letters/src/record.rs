//! The events of a dead letter: what was decided about it, and that it was done.

use std::convert::Infallible;
use std::time::Duration;

use domain::dead_letter::{
    DeadLetterDecided, DeadLetterDecisions, DeadLetterEvent, DeadLetterSettled, DeadLetterVerb, dead_letter_stream,
};
use error_chain::error_chain;
use event_store::{
    AppendError, Command, ConflictRetryPolicy, Decision, EventStore, HandleError, Handled, IdempotencyKey, Metadata,
    ReadError, StreamAppend, Versioned,
};
use messaging::{DeadLetter, DeadLetterOrigin};
use problem::{Problem, ProblemType};

/// The actor of what follows a decision.
const ACTOR: &str = "dead_letters";
/// The most characters that are kept of what whoever wrote a message says.
const MAX_TEXT: usize = 256;
/// When it is worth trying again.
const SOON: Duration = Duration::from_secs(1);

pub(crate) fn decided(
    verb: DeadLetterVerb,
    origin: DeadLetterOrigin,
    letter: &DeadLetter,
    reason: &str,
) -> DeadLetterEvent {
    DeadLetterEvent::DeadLetterDecided(DeadLetterDecided {
        verb,
        queue: origin.as_str().to_owned(),
        dead_letter_id: kept(&letter.id),
        order_id: kept(&letter.order_id),
        message_type: letter.kind.as_deref().map(kept),
        reason: reason.to_owned(),
    })
}

pub(crate) fn stream_of(origin: DeadLetterOrigin, letter: &DeadLetter) -> String {
    dead_letter_stream(origin.as_str(), &kept(&letter.id))
}

/// Records a decision, once for a key. `true`: it was recorded before.
pub(crate) async fn record(
    store: &EventStore,
    stream_id: &str,
    event: DeadLetterEvent,
    metadata: &Metadata,
    key: Option<&IdempotencyKey>,
) -> Result<bool, Problem> {
    let mut command = RecordDecision { store, stream_id, event, metadata };
    match store.handle(&mut command, key, ConflictRetryPolicy::default()).await.map_err(not_recorded)? {
        Handled::Appended(_) | Handled::Unchanged(_) => Ok(false),
        Handled::Replayed(_) => Ok(true),
    }
}

struct RecordDecision<'a> {
    store: &'a EventStore,
    stream_id: &'a str,
    event: DeadLetterEvent,
    metadata: &'a Metadata,
}

impl Command for RecordDecision<'_> {
    type Refusal = Infallible;

    fn stream(&self) -> (&'static str, &str) {
        (<DeadLetterDecisions as cqrs_es::Aggregate>::TYPE, self.stream_id)
    }

    async fn decide(&mut self) -> Result<Decision<'_>, HandleError<Infallible>> {
        let known: Versioned<DeadLetterDecisions> = self.store.load(self.stream_id).await?;
        let events = std::slice::from_ref(&self.event);
        let append = StreamAppend::of::<DeadLetterDecisions>(self.stream_id, known.version, events, self.metadata)?;
        Ok(Decision::Append(vec![append].into()))
    }
}

/// What was carried out of the decisions in a stream, if the last one was.
pub(crate) async fn settled(store: &EventStore, stream_id: &str) -> Result<Option<DeadLetterVerb>, Problem> {
    let known: Versioned<DeadLetterDecisions> = store.load(stream_id).await.map_err(not_read)?;
    Ok(known.state.settled)
}

/// Records that a decision was carried out. If that fails, a request that comes again finds out by the queue.
pub(crate) async fn settle(store: &EventStore, stream_id: &str, verb: DeadLetterVerb) {
    let metadata = Metadata { actor: Some(ACTOR.to_owned()), ..Metadata::default() };
    let event = DeadLetterEvent::DeadLetterSettled(DeadLetterSettled { verb });
    if let Err(problem) = record(store, stream_id, event, &metadata, None).await {
        let cause = problem.cause().map(|cause| error_chain(cause));
        tracing::warn!(stream_id, cause, "it was not recorded that a decision about a dead letter was carried out");
    }
}

/// The first of a text, as Postgres takes it.
fn kept(text: &str) -> String {
    text.chars().filter(|character| *character != '\0').take(MAX_TEXT).collect()
}

fn not_recorded(error: HandleError<Infallible>) -> Problem {
    match error {
        HandleError::Refused(never) | HandleError::Undecidable(never) => match never {},
        HandleError::KeyReused => key_reused(),
        HandleError::Contended { .. } => {
            Problem::new(ProblemType::Conflict, "others decided about it at the same time; look at it again")
        }
        HandleError::Append(AppendError::QueueFull) => {
            Problem::new(ProblemType::Overloaded, "too much is being stored; nothing was done").retry_after(SOON)
        }
        HandleError::Append(AppendError::Closed) => {
            Problem::new(ProblemType::Stopping, "this server is stopping; nothing was done").retry_after(SOON)
        }
        HandleError::Append(error @ AppendError::Unavailable(_)) => {
            let detail = "the database takes nothing at the moment; nothing was done";
            Problem::new(ProblemType::DatabaseUnavailable, detail).retry_after(SOON).caused_by(error)
        }
        HandleError::Append(error @ AppendError::Unknown(_)) => {
            let detail = "the database failed, and nothing was done to the dead letter; send it again with the same Idempotency-Key";
            Problem::new(ProblemType::OutcomeUnknown, detail).retry_after(SOON).caused_by(error)
        }
        HandleError::Append(error @ (AppendError::Conflict | AppendError::Replayed(_))) => Problem::internal(error),
        HandleError::Read(error) => not_read(error),
        HandleError::Encode(error) => Problem::internal(error),
    }
}

pub(crate) fn key_reused() -> Problem {
    let detail = "this Idempotency-Key was used for another request; use a new key";
    Problem::new(ProblemType::IdempotencyKeyReused, detail)
}

fn not_read(error: ReadError) -> Problem {
    match error {
        ReadError::Decode(_) => Problem::internal(error),
        ReadError::Database(error) => unavailable(error),
    }
}

pub(crate) fn unavailable(error: sqlx::Error) -> Problem {
    let problem = Problem::new(ProblemType::DatabaseUnavailable, "the database failed; nothing was done");
    problem.retry_after(SOON).caused_by(error)
}

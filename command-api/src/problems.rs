//! Why a command was not handled, as the client gets to know it.

use std::time::Duration;

use domain::body::InvalidBody;
use event_store::{AppendError, HandleError, ReadError};
use problem::{FieldError, Problem, ProblemType};

/// When it is worth trying again.
pub(crate) const RETRY_SOON: Duration = Duration::from_secs(1);

/// A body that is malformed or breaks rules.
pub(crate) fn invalid_body(rejection: InvalidBody) -> Problem {
    match rejection {
        InvalidBody::Malformed(error) => Problem::malformed(error.to_string()),
        InvalidBody::Invalid(violations) => Problem::invalid(
            violations
                .into_iter()
                .map(|found| FieldError { pointer: found.pointer, code: found.code.into(), message: found.message })
                .collect(),
        ),
    }
}

/// A field of the body that breaks a rule.
pub(crate) fn invalid_field(pointer: &'static str, code: &'static str, message: &'static str) -> Problem {
    Problem::invalid(vec![FieldError { pointer: pointer.to_owned(), code: code.into(), message: message.to_owned() }])
}

/// A command that stored nothing, as far as is known.
pub(crate) fn not_handled(error: HandleError<Problem>) -> Problem {
    match error {
        HandleError::Refused(problem) | HandleError::Undecidable(problem) => problem,
        HandleError::Contended { current_version } => {
            let detail = "others changed it at the same time; look at it again and decide anew";
            Problem::new(ProblemType::Conflict, detail).with("currentVersion", current_version)
        }
        HandleError::KeyReused => {
            let detail = "this Idempotency-Key was used for a request with another body; use a new key";
            Problem::new(ProblemType::IdempotencyKeyReused, detail)
        }
        HandleError::Append(error) => not_appended(error),
        HandleError::Read(error) => not_read(error),
        HandleError::Encode(error) => Problem::internal(error),
    }
}

/// A stream that could not be read, so that nothing was decided on it.
pub(crate) fn not_read(error: ReadError) -> Problem {
    match error {
        // An event of a newer version, most likely: it will be there in the next attempt too.
        ReadError::Decode(_) => Problem::internal(error),
        ReadError::Database(_) => {
            Problem::new(ProblemType::DatabaseUnavailable, "the database failed; nothing was stored")
                .retry_after(RETRY_SOON)
                .caused_by(error)
        }
    }
}

/// Events that were not appended.
pub(crate) fn not_appended(error: AppendError) -> Problem {
    match error {
        AppendError::QueueFull => Problem::new(ProblemType::Overloaded, error.to_string()).retry_after(RETRY_SOON),
        AppendError::Closed => {
            Problem::new(ProblemType::Stopping, "this server is stopping; nothing was stored").retry_after(RETRY_SOON)
        }
        AppendError::Unavailable(_) => {
            let detail = "the database takes nothing at the moment; nothing was stored";
            Problem::new(ProblemType::DatabaseUnavailable, detail).retry_after(RETRY_SOON).caused_by(error)
        }
        AppendError::Unknown(_) => {
            let detail =
                "the database failed; send it again with the same orderId or Idempotency-Key: it is stored once";
            outcome_unknown(error, detail)
        }
        // The event store's handler answers both.
        AppendError::Conflict | AppendError::Replayed(_) => Problem::internal(error),
    }
}

/// Events that may be stored or not.
pub(crate) fn outcome_unknown(error: AppendError, detail: &'static str) -> Problem {
    Problem::new(ProblemType::OutcomeUnknown, detail).retry_after(RETRY_SOON).caused_by(error)
}

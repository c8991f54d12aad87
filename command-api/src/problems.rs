//! Why a command was not handled, as the client gets to know it.

use std::time::Duration;

use domain::body::InvalidBody;
use event_store::{AppendError, HandleError, ReadError};
use http::StatusCode;
use problem::{FieldError, Problem};

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

/// A command that stored nothing, as far as is known.
pub(crate) fn not_handled(error: HandleError<Problem>) -> Problem {
    match error {
        HandleError::Refused(problem) | HandleError::Undecidable(problem) => problem,
        HandleError::Contended { current_version } => {
            let detail = "others changed it at the same time; look at it again and decide anew";
            Problem::conflict("conflict", detail).with("currentVersion", current_version)
        }
        HandleError::KeyReused => {
            let detail = "this Idempotency-Key was used for a request with another body; use a new key";
            let title = "The key has been used";
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", title).detail(detail)
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
            Problem::unavailable("database-unavailable", "the database failed; nothing was stored", RETRY_SOON)
                .caused_by(error)
        }
    }
}

/// Events that were not appended.
pub(crate) fn not_appended(error: AppendError) -> Problem {
    match error {
        AppendError::QueueFull => Problem::unavailable("overloaded", error.to_string(), RETRY_SOON),
        AppendError::Closed => {
            Problem::unavailable("stopping", "this server is stopping; nothing was stored", RETRY_SOON)
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
    Problem::unavailable("outcome-unknown", detail, RETRY_SOON).caused_by(error)
}

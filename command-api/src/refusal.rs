//! Why a command was refused, as the client gets to know it.

use std::time::Duration;

use domain::body::InvalidBody;
use domain::order::OrderError;
use event_store::{AppendError, ExecuteError, ReadError};
use problem::{FieldError, Problem};

use crate::refused_order;

/// When it is worth coming back.
pub(crate) const SOON: Duration = Duration::from_secs(1);

/// A body that is not what it should be.
pub(crate) fn rejected(rejection: InvalidBody) -> Problem {
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

/// A command that came to nothing.
pub(crate) fn failed(error: ExecuteError<OrderError>) -> Problem {
    match error {
        ExecuteError::Refused(refusal) => refused_order::problem(&refusal, &[], None),
        ExecuteError::Contended { current_version } => contended(current_version),
        ExecuteError::Append(error) => not_appended(error),
        ExecuteError::Read(error) => not_read(error),
        ExecuteError::Encode(error) => Problem::internal(error),
    }
}

/// A stream that others changed each time it was tried.
pub(crate) fn contended(current_version: i64) -> Problem {
    let detail = "others changed it at the same time; look at it again and decide anew";
    Problem::conflict("conflict", detail).with("currentVersion", current_version)
}

/// A stream that could not be read, so that nothing was decided on it.
pub(crate) fn not_read(error: ReadError) -> Problem {
    match error {
        // An event of a newer version, most likely: another try finds it again.
        ReadError::Decode(_) => Problem::internal(error),
        ReadError::Database(_) => {
            Problem::unavailable("database-unavailable", "the database failed; nothing was stored", SOON)
                .caused_by(error)
        }
    }
}

/// Events that did not get into the log.
pub(crate) fn not_appended(error: AppendError) -> Problem {
    match error {
        AppendError::QueueFull => Problem::unavailable("overloaded", error.to_string(), SOON),
        AppendError::Closed => Problem::unavailable("stopping", "this server is stopping; nothing was stored", SOON),
        AppendError::Unknown(_) => {
            let detail =
                "the database failed; send it again with the same orderId or Idempotency-Key: it is stored once";
            Problem::unavailable("outcome-unknown", detail, SOON).caused_by(error)
        }
        // Both are answered where they can be told more of.
        AppendError::Conflict | AppendError::Repeated(_) => Problem::internal(error),
    }
}

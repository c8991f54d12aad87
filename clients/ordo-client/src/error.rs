//! What can go wrong, and whether trying again may help.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Any error, as the source of another.
pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a request did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server refused the request, or could not carry it out.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// Nobody answers there: the request was not sent.
    #[error("nothing answers at {address}")]
    Unreachable {
        /// Scheme, host and port.
        address: String,
        #[source]
        cause: BoxError,
    },
    /// A server answers there, and its certificate does not prove that it is the right one: the request was not sent.
    #[error("{address} answers, but its certificate can't be trusted")]
    UntrustedCertificate {
        /// Scheme, host and port.
        address: String,
        #[source]
        cause: BoxError,
    },
    /// The connection broke off after the request was sent.
    #[error("no answer from {url}")]
    NoAnswer {
        url: String,
        #[source]
        cause: BoxError,
    },
    /// The answer did not come in time.
    #[error("{url} did not answer within {} s", .patience.as_secs_f32())]
    TimedOut { url: String, patience: Duration },
    /// The answer is not one of Ordo: another server's, a redirect, of another type, or too large.
    #[error("{url} answers {status}: {reason}")]
    UnexpectedAnswer { url: String, status: StatusCode, reason: String, retry_after: Option<Duration> },
    /// An attempt to change something may have succeeded, though the last one did not: only a success would tell. Send the request
    /// again with the same `Idempotency-Key` or ids, or look.
    #[error("the request may have been carried out{}", under(idempotency_key.as_deref()))]
    OutcomeUnknown {
        /// The key of all attempts, drawn or given. Without one the ids in the body do the same, if they are given.
        idempotency_key: Option<String>,
        /// Why the last attempt failed.
        #[source]
        cause: Box<Error>,
    },
    /// There is no token to send.
    #[error("the token can't be had")]
    Token(#[source] BoxError),
    /// The request can't be made of what was given.
    #[error("{0}")]
    InvalidRequest(String),
}

/// A refusal, as RFC 9457 has it. The server's `GET /problems` says what each code means.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// A reference to the server's page about the code.
    #[serde(default)]
    pub r#type: String,
    /// The same for all problems of a code.
    #[serde(default)]
    pub title: String,
    pub status: u16,
    /// What is wrong with this request, for people.
    #[serde(default)]
    pub detail: Option<String>,
    /// Which problem it is, for programs.
    #[serde(default)]
    pub code: String,
    /// Under which the server's log has more.
    #[serde(default)]
    pub trace_id: Option<String>,
    /// The mistakes in the body or in the parameters.
    #[serde(default)]
    pub errors: Vec<FieldError>,
    /// When it is worth trying again, as the server says it.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
    /// What else a problem of its code has, such as `currentVersion`.
    #[serde(flatten)]
    pub members: Map<String, Value>,
}

/// A mistake in a request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FieldError {
    /// A JSON pointer into the body, or `?name` for a parameter.
    pub pointer: String,
    #[serde(default)]
    pub code: String,
    #[serde(default)]
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = self.detail.as_deref().unwrap_or(&self.title);
        write!(f, "{} {}: {said}", self.status, self.code)?;
        // With one mistake, `detail` is its message.
        match self.errors.as_slice() {
            [only] => write!(f, " ({})", only.pointer),
            several => several.iter().try_for_each(|error| write!(f, "; {}: {}", error.pointer, error.message)),
        }
    }
}

/// The server's codes of 503 that say that nothing was done. Whatever else is 5xx may come from a gateway, which does not know.
const NOTHING_DONE: [&str; 6] = [
    "overloaded",
    "database-unavailable",
    "stopping",
    "too-many-connections",
    "too-many-streams",
    "authentication-unavailable",
];

fn under(key: Option<&str>) -> String {
    key.map_or_else(String::new, |key| format!(" under the Idempotency-Key {key}"))
}

impl Problem {
    fn is_outcome_unknown(&self) -> bool {
        match self.status {
            503 => !NOTHING_DONE.contains(&self.code.as_str()),
            500..=599 => true,
            // Another request with the key is under way.
            _ => self.code == "idempotency-key-in-use",
        }
    }
}

impl Error {
    /// The server's last refusal, if there is one.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            Self::OutcomeUnknown { cause, .. } => cause.problem(),
            Self::Unreachable { .. }
            | Self::UntrustedCertificate { .. }
            | Self::NoAnswer { .. }
            | Self::TimedOut { .. }
            | Self::UnexpectedAnswer { .. }
            | Self::Token(_)
            | Self::InvalidRequest(_) => None,
        }
    }

    /// The code of the server's refusal, if it is one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.problem().map(|problem| problem.code.as_str())
    }

    /// The key under which the request may have been carried out. Send it again with this key to learn what became of it.
    #[must_use]
    pub fn idempotency_key(&self) -> Option<&str> {
        if let Self::OutcomeUnknown { idempotency_key, .. } = self { idempotency_key.as_deref() } else { None }
    }

    /// Whether the request may have been carried out all the same, by any of its attempts. Send it again with the same
    /// [`Idempotency-Key`](Error::idempotency_key) or ids, or look.
    #[must_use]
    pub fn is_outcome_unknown(&self) -> bool {
        match self {
            Self::NoAnswer { .. } | Self::TimedOut { .. } | Self::OutcomeUnknown { .. } => true,
            Self::UnexpectedAnswer { status, .. } => status.is_success() || status.is_server_error(),
            Self::Problem(problem) => problem.is_outcome_unknown(),
            Self::Unreachable { .. } | Self::UntrustedCertificate { .. } | Self::Token(_) | Self::InvalidRequest(_) => {
                false
            }
        }
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::NoAnswer { .. } | Self::TimedOut { .. } => true,
            // It may be renewed.
            Self::UntrustedCertificate { .. } => true,
            // A proxy in front answers the two in the middle.
            Self::UnexpectedAnswer { status, .. } => matches!(status.as_u16(), 429 | 502 | 503 | 504),
            // An earlier attempt under the same key may still be under way.
            Self::Problem(problem) => {
                matches!(problem.status, 429 | 502 | 503 | 504) || problem.code == "idempotency-key-in-use"
            }
            Self::OutcomeUnknown { cause, .. } => cause.is_temporary(),
            Self::Token(_) | Self::InvalidRequest(_) => false,
        }
    }

    /// Whether the credential was refused.
    pub(crate) fn is_unauthorized(&self) -> bool {
        match self {
            Self::Problem(problem) => problem.status == StatusCode::UNAUTHORIZED.as_u16(),
            Self::UnexpectedAnswer { status, .. } => *status == StatusCode::UNAUTHORIZED,
            Self::Unreachable { .. }
            | Self::UntrustedCertificate { .. }
            | Self::NoAnswer { .. }
            | Self::TimedOut { .. }
            | Self::OutcomeUnknown { .. }
            | Self::Token(_)
            | Self::InvalidRequest(_) => false,
        }
    }

    /// When it is worth trying again, as the server says it.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Problem(problem) => problem.retry_after,
            Self::UnexpectedAnswer { retry_after, .. } => *retry_after,
            Self::OutcomeUnknown { cause, .. } => cause.retry_after(),
            Self::Unreachable { .. }
            | Self::UntrustedCertificate { .. }
            | Self::NoAnswer { .. }
            | Self::TimedOut { .. }
            | Self::Token(_)
            | Self::InvalidRequest(_) => None,
        }
    }
}

//! The kinds of a subscriber's failures. The kind decides what becomes of the events.

use std::any::Any;
use std::error::Error;

use super::TransactionTimedOut;
use crate::event::EventDecodeError;

type Cause = Box<dyn Error + Send + Sync>;

/// Why a subscriber could not handle events.
#[derive(Debug, thiserror::Error)]
pub enum SubscriberError {
    /// Something that it needs failed, such as the database or a queue. The same events are tried again for as long as it takes.
    #[error("something the subscriber needs failed")]
    Unavailable(#[source] Cause),
    /// This build does not know an event. The subscriber stops before it, until a build runs that knows it.
    #[error("the subscriber stops at an event that this build does not know")]
    Unknown(#[from] EventDecodeError),
    /// The events themselves can't be handled. Their streams are parked, all others go on.
    #[error("the subscriber can't handle the events")]
    Poison(#[source] Cause),
}

impl SubscriberError {
    pub fn unavailable(cause: impl Into<Cause>) -> Self {
        Self::Unavailable(cause.into())
    }

    pub fn poison(cause: impl Into<Cause>) -> Self {
        Self::Poison(cause.into())
    }

    /// A panic would happen again with the same events.
    pub(super) fn panicked(panic: &(dyn Any + Send)) -> Self {
        let said = panic.downcast_ref::<&str>().copied();
        let said = said.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Self::poison(format!("the handler panicked: {}", said.unwrap_or("without a message")))
    }
}

impl From<TransactionTimedOut> for SubscriberError {
    fn from(error: TransactionTimedOut) -> Self {
        Self::unavailable(error)
    }
}

/// A statement that the database refuses because of its data is refused every time; any other failure is the database's.
impl From<sqlx::Error> for SubscriberError {
    fn from(error: sqlx::Error) -> Self {
        if is_about_the_data(&error) { Self::poison(error) } else { Self::unavailable(error) }
    }
}

fn is_about_the_data(error: &sqlx::Error) -> bool {
    // Cardinality, data exception, integrity constraint, check option, program limit.
    const CLASSES: [&str; 5] = ["21", "22", "23", "44", "54"];
    if let sqlx::Error::Database(answer) = error {
        return answer.code().is_some_and(|code| CLASSES.iter().any(|class| code.starts_with(class)));
    }
    matches!(error, sqlx::Error::Encode(_) | sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. })
}

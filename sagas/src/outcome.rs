//! What a step came to for an order: progress, or why it failed.

use std::time::Duration;

use domain::order::OrderError;
use error_chain::error_chain;
use payments::PaymentError;

/// What a step came to for an order.
pub(crate) type StepOutcome = Result<StepProgress, StepError>;

/// How far a step came that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StepProgress {
    /// The order has moved on.
    Advanced,
    /// The request is sent. The answer will be an event on the order.
    RequestSent,
    /// A call is still running and will record its answer. After this time the step is tried again.
    Running(Duration),
    /// What it needs is added to the order by somebody else. After this time it is looked at again.
    Waiting(Duration),
    /// A person has to do it. What they did will be an event on the order.
    LeftToPerson,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    /// It is tried again, until the step's deadline.
    #[error("{0}")]
    Failed(String),
    /// Nobody can reach the service that the step needs. It is tried again for as long as that lasts.
    #[error("{0}")]
    Unreachable(String),
    /// It is not tried again until an operator decides.
    #[error("{0}")]
    Stuck(String),
}

impl StepError {
    /// A failure with all its causes, for the operator who reads it.
    pub(crate) fn new(error: &dyn std::error::Error) -> Self {
        Self::Failed(error_chain(error))
    }
}

impl From<OrderError> for StepError {
    fn from(error: OrderError) -> Self {
        Self::new(&error)
    }
}

/// An error of the provider that answers nothing.
impl From<PaymentError> for StepError {
    fn from(error: PaymentError) -> Self {
        match error {
            PaymentError::Unknown { .. } | PaymentError::Unavailable { .. } => Self::Failed(error.to_string()),
            PaymentError::Declined { .. } | PaymentError::Refused { .. } => Self::Stuck(error.to_string()),
        }
    }
}

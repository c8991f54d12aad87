//! What DynamoDB says no to, and how often it is asked again.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use rand::Rng;

use super::tables::Physical;
use crate::StoreError;
use crate::dynamodb::numbers::missing;

/// How often it is asked at most. The SDK has tried each time, too.
const TRIES: u32 = 10;
/// The pause after the first try, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// Asks again after a pause that grows, for some seconds altogether.
#[derive(Debug, Default)]
pub(super) struct Patience {
    tries: u32,
}

impl Patience {
    /// Waits before the next try; false: there was the last.
    pub(super) async fn pause(&mut self) -> bool {
        let (first, longest) = PAUSES;
        let pause = first.saturating_mul(1 << self.tries.min(10)).min(longest);
        self.tries += 1;
        if self.tries >= TRIES {
            return false;
        }
        // Those who met each other do not meet again.
        let pause = pause.mul_f64(rand::rng().random_range(0.5..1.0));
        tokio::time::sleep(pause).await;
        true
    }
}

/// It took too much at once, for longer than we wait.
#[derive(Debug, thiserror::Error)]
#[error("DynamoDB has more to do than it takes on, for {TRIES} tries on end")]
pub(super) struct Overloaded;

impl From<Overloaded> for StoreError {
    fn from(overloaded: Overloaded) -> Self {
        Self::Remote(Box::new(overloaded))
    }
}

/// Whether the same may work in a moment: others were at the same items, or there was too much to do.
pub(super) fn is_passing(code: &str) -> bool {
    [
        "TransactionConflictException",
        "TransactionConflict",
        "TransactionInProgressException",
        "ProvisionedThroughputExceededException",
        "ProvisionedThroughputExceeded",
        "ThrottlingException",
        "ThrottlingError",
        "RequestLimitExceeded",
    ]
    .contains(&code)
}

/// A call that failed for good.
pub(super) fn failed<E, R>(error: SdkError<E, R>) -> StoreError
where
    E: Error + Send + Sync + 'static,
    R: fmt::Debug + Send + Sync + 'static,
{
    StoreError::Remote(Box::new(error))
}

impl Physical {
    /// A call about this table that failed for good.
    pub(super) fn failed<E, R>(&self, error: SdkError<E, R>) -> StoreError
    where
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
        R: fmt::Debug + Send + Sync + 'static,
    {
        if error.code() == Some("ResourceNotFoundException") {
            return missing(&self.read_model, self.generation);
        }
        failed(error)
    }
}

//! Which errors of DynamoDB are retried, and how often.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use aws_sdk_dynamodb::error::SdkError;
use rand::Rng;

use crate::ReadModelStoreError;

/// The most tries of a call. In each of them the SDK has retried, too.
const TRIES: u32 = 10;
/// The first pause, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// Pauses that grow from try to try, for some seconds in total.
#[derive(Debug, Default)]
pub(super) struct ThrottleBackoff {
    tries: u32,
}

impl ThrottleBackoff {
    /// Waits before the next try. False: there is none.
    pub(super) async fn pause(&mut self) -> bool {
        let (first, longest) = PAUSES;
        let pause = first.saturating_mul(1 << self.tries.min(10)).min(longest);
        self.tries += 1;
        if self.tries >= TRIES {
            return false;
        }
        // Jitter, so that writers that collided do not collide again.
        let pause = pause.mul_f64(rand::rng().random_range(0.5..1.0));
        tokio::time::sleep(pause).await;
        true
    }
}

/// DynamoDB throttled a call until its tries were used up.
#[derive(Debug, thiserror::Error)]
#[error("DynamoDB has more to do than it takes on, for {TRIES} tries on end")]
pub(super) struct DynamodbOverloaded;

impl From<DynamodbOverloaded> for ReadModelStoreError {
    fn from(overloaded: DynamodbOverloaded) -> Self {
        Self::Remote(Box::new(overloaded))
    }
}

/// Whether a retry may succeed: there was a conflict with another writer, or too much load.
pub(super) fn is_transient(code: &str) -> bool {
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

pub(super) fn failed<E, R>(error: SdkError<E, R>) -> ReadModelStoreError
where
    E: Error + Send + Sync + 'static,
    R: fmt::Debug + Send + Sync + 'static,
{
    ReadModelStoreError::Remote(Box::new(error))
}

//! When a request is sent again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::{Instant, sleep};

use crate::Error;

const SHORTEST: Duration = Duration::from_millis(100);
pub(crate) const LONGEST: Duration = Duration::from_secs(5);

/// The bounds of all attempts together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryBounds {
    /// How often a request is sent again.
    pub(crate) retries: usize,
    /// After this long it is not sent again.
    pub(crate) within: Duration,
}

impl Default for RetryBounds {
    fn default() -> Self {
        Self { retries: 6, within: Duration::from_secs(30) }
    }
}

/// Doubles each time; up to as much again is added at random, so that clients do not come back together.
fn growing() -> ExponentialBuilder {
    ExponentialBuilder::new().with_min_delay(SHORTEST).with_max_delay(LONGEST).with_jitter()
}

/// The times between attempts, without an end.
pub(crate) fn endless_delays() -> ExponentialBackoff {
    growing().without_max_times().build()
}

/// What is left of the bounds of a request.
#[derive(Debug)]
pub(crate) struct RemainingRetries {
    delays: ExponentialBackoff,
    deadline: Instant,
}

impl RemainingRetries {
    pub(crate) fn new(bounds: RetryBounds) -> Self {
        let deadline = Instant::now() + bounds.within;
        Self { delays: growing().with_max_times(bounds.retries).build(), deadline }
    }

    /// Waits for the next attempt after this error. Returns the error if there is none.
    pub(crate) async fn wait(&mut self, error: Error, may_repeat: bool) -> Result<(), Error> {
        if !error.is_temporary() || !may_repeat {
            return Err(error);
        }
        let Some(delay) = self.delays.next() else { return Err(error) };
        // Clients that were sent away together come back spread over time.
        let delay = error.retry_after().unwrap_or_default().saturating_add(delay);
        if delay >= self.deadline.saturating_duration_since(Instant::now()) {
            return Err(error);
        }
        sleep(delay).await;
        Ok(())
    }
}

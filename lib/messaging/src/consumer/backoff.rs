//! Exponential backoff with jitter.

use std::time::Duration;

/// A wait that doubles from `first` up to `most`. Its jitter keeps those that failed together from coming back
/// together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExponentialBackoff {
    /// The wait after the first failure.
    pub first: Duration,
    /// The longest wait.
    pub most: Duration,
}

impl ExponentialBackoff {
    /// The wait after so many failures in a row: between half and all of the doubled wait.
    pub fn delay(&self, failures: u32) -> Duration {
        // Thirty doublings of a millisecond are twelve days: beyond any bound.
        let doublings = failures.saturating_sub(1).min(30);
        let whole = self.first.saturating_mul(1 << doublings).min(self.most);
        whole.mul_f64(rand::random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: ExponentialBackoff =
        ExponentialBackoff { first: Duration::from_secs(1), most: Duration::from_secs(60) };

    #[test]
    fn the_wait_doubles_with_each_failure_up_to_the_most() {
        for (failures, seconds) in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (1_000_000, 60)] {
            let whole = Duration::from_secs(seconds);
            let delay = BACKOFF.delay(failures);

            assert!(whole / 2 <= delay && delay <= whole, "{failures}: {delay:?}");
        }
    }

    #[test]
    fn a_backoff_of_zero_stays_zero() {
        let none = ExponentialBackoff { first: Duration::ZERO, most: Duration::ZERO };

        assert_eq!(none.delay(9), Duration::ZERO);
    }
}

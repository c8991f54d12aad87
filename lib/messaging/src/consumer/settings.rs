//! How a queue is consumed.

use std::time::Duration;

use super::backoff::ExponentialBackoff;
use crate::settings::{InvalidSettings, SettingsValidator};

/// How a queue is consumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerSettings {
    /// The most messages of one receive, 1 to 10.
    pub batch_size: usize,
    /// How long a receive waits for messages, 0 to 20.
    pub wait_seconds: u32,
    /// How long a message stays hidden if its consumer dies, 1 s to 12 h. It is renewed at half of that while the
    /// message is handled.
    pub visibility_timeout: Duration,
    /// The most messages that are handled at once, 1 to 1,000.
    pub concurrency: usize,
    /// The number of concurrent receives, 1 to 32. A distant SQS needs more.
    pub pollers: usize,
    /// After so many failures a message goes to the dead-letter queue, 1 to 1,000.
    pub max_attempts: u32,
    /// How long a failed message waits for its next attempt, up to 12 h.
    pub retry_backoff: ExponentialBackoff,
    /// How long to wait when receiving itself fails, 10 ms to 5 min.
    pub error_backoff: ExponentialBackoff,
    /// How long handlers may go on after the consumer was cancelled, up to 10 min.
    pub shutdown_grace: Duration,
}

impl Default for ConsumerSettings {
    fn default() -> Self {
        Self {
            batch_size: 10,
            wait_seconds: 20,
            visibility_timeout: Duration::from_secs(30),
            concurrency: 16,
            pollers: 1,
            max_attempts: 5,
            retry_backoff: ExponentialBackoff { first: Duration::from_secs(2), most: Duration::from_secs(300) },
            error_backoff: ExponentialBackoff { first: Duration::from_millis(500), most: Duration::from_secs(30) },
            // The whole process has ten seconds to stop.
            shutdown_grace: Duration::from_secs(5),
        }
    }
}

/// The longest SQS hides a message.
const TWELVE_HOURS: Duration = Duration::from_secs(12 * 60 * 60);

impl ConsumerSettings {
    /// Names every setting outside its bounds.
    pub fn validate(&self) -> Result<(), InvalidSettings> {
        let second = Duration::from_secs(1);
        let mut checks = SettingsValidator::default();
        checks.within("batch_size", self.batch_size, 1..=10);
        checks.within("wait_seconds", self.wait_seconds, 0..=20);
        checks.within("visibility_timeout", self.visibility_timeout, second..=TWELVE_HOURS);
        checks.within("concurrency", self.concurrency, 1..=1000);
        checks.within("pollers", self.pollers, 1..=32);
        checks.within("max_attempts", self.max_attempts, 1..=1000);
        checks.within("retry_backoff.most", self.retry_backoff.most, Duration::ZERO..=TWELVE_HOURS);
        checks.within("retry_backoff.first", self.retry_backoff.first, Duration::ZERO..=self.retry_backoff.most);
        checks.within("error_backoff.most", self.error_backoff.most, Duration::from_millis(10)..=300 * second);
        let least_first = Duration::from_millis(10);
        checks.within("error_backoff.first", self.error_backoff.first, least_first..=self.error_backoff.most);
        checks.within("shutdown_grace", self.shutdown_grace, Duration::ZERO..=600 * second);
        checks.done()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_in_bounds() {
        assert_eq!(ConsumerSettings::default().validate(), Ok(()));
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let settings = ConsumerSettings { batch_size: 11, wait_seconds: 21, ..ConsumerSettings::default() };

        let mistakes = settings.validate().unwrap_err().to_string();

        assert_eq!(
            mistakes,
            "`batch_size` is 11, must be between 1 and 10; `wait_seconds` is 21, must be between 0 and 20"
        );
    }

    #[test]
    fn the_first_wait_is_no_longer_than_the_most() {
        let backoff = ExponentialBackoff { first: Duration::from_secs(9), most: Duration::from_secs(3) };
        let settings = ConsumerSettings { retry_backoff: backoff, ..ConsumerSettings::default() };

        let mistakes = settings.validate().unwrap_err().to_string();

        assert_eq!(mistakes, "`retry_backoff.first` is 9s, must be between 0ns and 3s");
    }
}

//! A rate limit on what an operator has done to many orders or messages.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Lets a number of pieces through each second, or all at once if there is no rate. Lost time is not made up for.
pub(crate) struct FixedRateThrottle {
    rate: Option<NonZeroU32>,
    next: Instant,
}

impl FixedRateThrottle {
    pub(crate) fn new(rate: Option<NonZeroU32>) -> Self {
        Self { rate, next: Instant::now() }
    }

    /// Waits until so many may go on; false: stopped before.
    pub(crate) async fn wait(&mut self, count: usize, stop: &CancellationToken) -> bool {
        let Some(rate) = self.rate else { return !stop.is_cancelled() };
        let turn = tokio::time::sleep_until(self.next);
        if stop.run_until_cancelled(turn).await.is_none() {
            return false;
        }
        let taken = Duration::from_secs(1) / rate.get() * u32::try_from(count).unwrap_or(u32::MAX);
        self.next = self.next.max(Instant::now()) + taken;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_more_go_in_a_second_than_may() {
        let (mut pace, stop, began) =
            (FixedRateThrottle::new(NonZeroU32::new(20)), CancellationToken::new(), Instant::now());

        for _ in 0..7 {
            assert!(pace.wait(10, &stop).await);
        }

        // The first ten go at once, and ten more every half second.
        assert_eq!(began.elapsed().as_secs(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_when_it_is_told_to_stop() {
        let (mut pace, stop) = (FixedRateThrottle::new(NonZeroU32::new(1)), CancellationToken::new());
        assert!(pace.wait(10, &stop).await);
        stop.cancel();

        assert!(!pace.wait(1, &stop).await);
        assert!(!FixedRateThrottle::new(None).wait(1, &stop).await, "without a rate, too");
    }

    #[tokio::test(start_paused = true)]
    async fn lost_time_is_not_made_up_for() {
        let (mut pace, stop) = (FixedRateThrottle::new(NonZeroU32::new(10)), CancellationToken::new());
        assert!(pace.wait(1, &stop).await);
        tokio::time::advance(Duration::from_secs(60)).await;
        let began = Instant::now();

        for _ in 0..11 {
            assert!(pace.wait(1, &stop).await);
        }

        assert_eq!(began.elapsed().as_millis() / 100, 10);
    }
}

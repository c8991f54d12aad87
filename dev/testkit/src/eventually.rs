//! Waiting for what happens in its own time.

use std::{
    panic::Location,
    time::{Duration, Instant},
};

/// Asks every few milliseconds until the answer is yes.
///
/// # Panics
/// After `timeout` without a yes, naming the line that waits.
#[track_caller]
pub fn eventually<F, Answer>(timeout: Duration, mut holds: F) -> impl Future<Output = ()>
where
    F: FnMut() -> Answer,
    Answer: Future<Output = bool>,
{
    let caller = Location::caller();
    async move {
        let began = Instant::now();
        let mut asked = 0_u32;
        loop {
            asked += 1;
            // A condition that does not answer counts as not met.
            let left = timeout.saturating_sub(began.elapsed());
            let answer = tokio::time::timeout(left.max(Duration::from_millis(1)), holds()).await;
            if answer == Ok(true) {
                return;
            }
            assert!(
                began.elapsed() < timeout,
                "what {caller} waits for did not come true within {timeout:?} (asked {asked} times)"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wait_ends_when_the_condition_holds() {
        let mut asked = 0;
        eventually(Duration::from_secs(10), || {
            asked += 1;
            std::future::ready(asked == 3)
        })
        .await;
        assert_eq!(asked, 3);
    }

    #[tokio::test]
    #[should_panic(expected = "eventually.rs")]
    async fn a_wait_that_times_out_names_its_line() {
        eventually(Duration::from_millis(20), || std::future::ready(false)).await;
    }

    #[tokio::test]
    #[should_panic(expected = "did not come true")]
    async fn a_condition_that_hangs_counts_as_not_met() {
        eventually(Duration::from_millis(20), std::future::pending).await;
    }
}

//! When a delivery is tried again.

use std::time::Duration;

use rand::Rng;

/// The pauses between the attempts of a delivery, as Standard Webhooks suggests: ten attempts over three days.
pub const RETRY_PAUSES: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    hours(2),
    hours(5),
    hours(10),
    hours(14),
    hours(20),
    hours(24),
];

/// Each pause is longer by up to a fifth, so that what failed together does not come back together.
const JITTER: f64 = 0.2;

const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 60 * 60)
}

/// The pause after so many failed attempts; `None`: there have been enough.
pub(crate) fn pause_after(attempts: u32) -> Option<Duration> {
    let nth = usize::try_from(attempts).ok()?.checked_sub(1)?;
    RETRY_PAUSES.get(nth).map(|pause| pause.mul_f64(1.0 + rand::rng().random_range(0.0..JITTER)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_tried_ten_times_over_three_days() {
        for (nth, least) in RETRY_PAUSES.iter().enumerate() {
            let pause = pause_after(u32::try_from(nth).unwrap() + 1).unwrap();
            assert!((*least..=least.mul_f64(1.0 + JITTER)).contains(&pause), "{pause:?}");
        }
        assert_eq!(pause_after(10), None);
        let all: Duration = RETRY_PAUSES.iter().sum();
        assert_eq!(all.as_secs() / 3_600, 75);
    }
}

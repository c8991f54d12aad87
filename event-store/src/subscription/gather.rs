//! How long a copy lets events gather before its next batch. What a batch costs hardly depends on its size, and an order whose events come
//! in one batch is written once.

use std::time::Duration;

use tokio::time::Instant;

/// A pause is worth its delay if so many events are likely to come in it.
const WORTH_IT: f64 = 32.0;
/// Over which time events are counted to tell how fast they come.
const WINDOW: Duration = Duration::from_millis(250);

/// How fast events come.
#[derive(Debug)]
pub(super) struct EventRate {
    /// The events so far; each counts the less the longer ago it came.
    recent: f64,
    at: Instant,
}

impl EventRate {
    pub(super) fn new() -> Self {
        Self { recent: 0.0, at: Instant::now() }
    }

    /// Notes that so many events came, and says how long to wait for more, at most `longest`. At low rates nothing waits.
    pub(super) fn pause(&mut self, came: usize, longest: Duration, now: Instant) -> Duration {
        let passed = now.saturating_duration_since(self.at).as_secs_f64() / WINDOW.as_secs_f64();
        let came = u32::try_from(came).map_or(f64::MAX, f64::from);
        self.recent = (self.recent * (-passed).exp() + came).min(f64::from(u32::MAX));
        self.at = now;
        let likely = self.recent * (longest.as_secs_f64() / WINDOW.as_secs_f64());
        if likely < WORTH_IT { Duration::ZERO } else { longest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_millis(50);

    /// The last pause, after batches of so many events at this distance.
    fn after(batches: usize, events: usize, distance: Duration) -> Duration {
        let (mut rate, mut now, mut pause) = (EventRate::new(), Instant::now(), Duration::ZERO);
        for _ in 0..batches {
            now += distance;
            pause = rate.pause(events, LONGEST, now);
        }
        pause
    }

    #[test]
    fn at_low_rates_nothing_waits() {
        assert_eq!(after(1, 1, Duration::from_secs(3_600)), Duration::ZERO);
        // The events of one order, as they follow one another.
        assert_eq!(after(7, 1, Duration::from_millis(1)), Duration::ZERO);
        // Twenty orders a second.
        assert_eq!(after(1_000, 1, Duration::from_millis(7)), Duration::ZERO);
    }

    #[test]
    fn at_high_rates_events_gather() {
        assert_eq!(after(100, 5, Duration::from_millis(2)), LONGEST);
        assert_eq!(after(10, 500, Duration::from_millis(60)), LONGEST);
    }

    #[test]
    fn a_burst_is_forgotten() {
        let (mut rate, now) = (EventRate::new(), Instant::now());
        assert_eq!(rate.pause(usize::MAX, LONGEST, now), LONGEST);
        let (mut rate, now) = (EventRate::new(), Instant::now());
        assert_eq!(rate.pause(10_000, LONGEST, now), LONGEST);
        assert_eq!(rate.pause(1, LONGEST, now + Duration::from_secs(3)), Duration::ZERO);
    }
}

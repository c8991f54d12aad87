//! How long a copy lets events gather before its next batch. What a batch costs hardly depends on its size, and a stream whose events come in
//! one batch is written once.

use std::time::Duration;

use tokio::time::Instant;

/// So many events in a batch are many; a pause in which so many more are likely to come is worth its delay.
const MANY: f64 = 32.0;
/// Over which time events are counted to tell how fast they come.
const WINDOW: Duration = Duration::from_millis(250);

/// How fast events come.
#[derive(Debug, Default)]
pub(super) struct EventRate {
    /// The events so far; each counts the less the longer ago it came.
    recent: f64,
    /// When the last ones came.
    at: Option<Instant>,
}

impl EventRate {
    /// Notes that so many events came, and says how long to wait for more, at most `longest`. At low rates nothing waits.
    pub(super) fn pause(&mut self, came: usize, longest: Duration, now: Instant) -> Duration {
        let passed = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let kept = (-passed.div_duration_f64(WINDOW)).exp();
        let came = u32::try_from(came).map_or(f64::from(u32::MAX), f64::from);
        self.recent = self.recent * kept + came;
        self.at = Some(now);
        let likely = self.recent * longest.div_duration_f64(WINDOW);
        if came.max(likely) < MANY { Duration::ZERO } else { longest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_millis(50);

    /// The last pause, after batches of so many events at this distance.
    fn after(batches: usize, events: usize, distance: Duration) -> Duration {
        let (mut rate, mut now, mut pause) = (EventRate::default(), Instant::now(), Duration::ZERO);
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
        assert_eq!(after(1, 32, Duration::from_secs(1)), LONGEST);
        assert_eq!(after(2, usize::MAX, Duration::ZERO), LONGEST);
    }

    #[test]
    fn a_burst_is_forgotten() {
        let (mut rate, now) = (EventRate::default(), Instant::now());
        assert_eq!(rate.pause(10_000, LONGEST, now), LONGEST);
        assert_eq!(rate.pause(1, LONGEST, now + Duration::from_secs(3)), Duration::ZERO);
    }
}

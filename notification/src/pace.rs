//! How fast mails go out: as fast as they come, until SES says slower. All workers share one pace. What one recipient gets has a
//! pace of its own ([`recipients`]).

mod recipients;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use messaging::Backoff;

pub(crate) use recipients::Recipients;

/// The pace of all workers of one process.
#[derive(Debug)]
pub(crate) struct Pace {
    schedule: Mutex<Schedule>,
}

impl Pace {
    pub(crate) fn new(throttle_backoff: Backoff, paused_wait: Duration) -> Self {
        Self { schedule: Mutex::new(Schedule::new(throttle_backoff, paused_wait, Instant::now())) }
    }

    /// Waits for this worker's turn to send, and says when it came.
    pub(crate) async fn turn(&self) -> Instant {
        loop {
            let now = Instant::now();
            let turn = self.schedule().reserve(now);
            if turn > now {
                tokio::time::sleep_until(turn.into()).await;
                // A pause may have been called meanwhile.
                if self.schedule().is_closed(Instant::now()) {
                    continue;
                }
            }
            return Instant::now();
        }
    }

    pub(crate) fn accepted(&self) {
        self.schedule().accepted();
    }

    /// SES throttled a mail whose turn came at `turn`.
    pub(crate) fn throttled(&self, turn: Instant) {
        if let Some(pause) = self.schedule().throttled(turn, Instant::now()) {
            let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(pause_ms, "SES throttles: slowing down");
        }
    }

    /// SES said to a mail whose turn came at `turn` that the account may not send.
    pub(crate) fn paused(&self, turn: Instant, reason: &str) {
        if let Some(pause) = self.schedule().paused(turn, Instant::now()) {
            let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
            tracing::error!(pause_ms, reason, "SES does not let this account send: mails wait");
        }
    }

    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who may send when. Slows down by doubling the space between mails, speeds up by a tenth with each mail accepted.
#[derive(Debug)]
struct Schedule {
    throttle_backoff: Backoff,
    paused_wait: Duration,
    /// The next turn that nobody has.
    next: Instant,
    /// Between two turns; none at full speed.
    spacing: Duration,
    /// Nobody sends before.
    closed_until: Instant,
    /// When the last pause was called. What was under way then says nothing new.
    called_at: Instant,
    /// Throttled so often since a mail was last accepted.
    in_a_row: u32,
}

/// The space after the first throttling: twenty mails a second.
const FIRST_SPACING: Duration = Duration::from_millis(50);

/// SES's sandbox allows one mail a second: never slower.
const MOST_SPACING: Duration = Duration::from_secs(1);

/// Spaces shorter than this are none.
const LEAST_SPACING: Duration = Duration::from_millis(1);

impl Schedule {
    fn new(throttle_backoff: Backoff, paused_wait: Duration, now: Instant) -> Self {
        Self {
            throttle_backoff,
            paused_wait,
            next: now,
            spacing: Duration::ZERO,
            closed_until: now,
            called_at: now,
            in_a_row: 0,
        }
    }

    fn reserve(&mut self, now: Instant) -> Instant {
        let turn = self.next.max(now);
        self.next = turn + self.spacing;
        turn
    }

    fn is_closed(&self, now: Instant) -> bool {
        now < self.closed_until
    }

    fn accepted(&mut self) {
        self.in_a_row = 0;
        self.spacing = self.spacing * 9 / 10;
        if self.spacing < LEAST_SPACING {
            self.spacing = Duration::ZERO;
        }
    }

    /// The pause, if this calls a new one.
    fn throttled(&mut self, turn: Instant, now: Instant) -> Option<Duration> {
        if turn < self.called_at {
            return None;
        }
        self.in_a_row += 1;
        Some(self.close(self.throttle_backoff.delay(self.in_a_row), now))
    }

    /// The pause, if this calls a new one.
    fn paused(&mut self, turn: Instant, now: Instant) -> Option<Duration> {
        (turn >= self.called_at).then(|| self.close(self.paused_wait, now))
    }

    fn close(&mut self, pause: Duration, now: Instant) -> Duration {
        self.called_at = now;
        self.closed_until = now + pause;
        self.next = self.closed_until;
        self.spacing = (self.spacing * 2).clamp(FIRST_SPACING, MOST_SPACING);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn at_first_everyone_sends_at_once() {
        let (mut schedule, now) = schedule();

        assert_eq!([schedule.reserve(now), schedule.reserve(now), schedule.reserve(now)], [now; 3]);
    }

    #[test]
    fn after_throttling_all_wait_and_then_go_one_by_one() {
        let (mut schedule, now) = schedule();
        let turn = schedule.reserve(now);

        let pause = schedule.throttled(turn, now).unwrap();

        assert!(schedule.is_closed(now));
        assert_eq!(schedule.reserve(now), now + pause);
        assert_eq!(schedule.reserve(now), now + pause + FIRST_SPACING);
    }

    #[test]
    fn mails_that_were_under_way_when_a_pause_was_called_do_not_lengthen_it() {
        let (mut schedule, now) = schedule();
        let together = [schedule.reserve(now), schedule.reserve(now)];
        schedule.throttled(together[0], now + MILLISECOND).unwrap();

        assert_eq!(schedule.throttled(together[1], now + 2 * MILLISECOND), None);
        assert_eq!(schedule.paused(together[1], now + 2 * MILLISECOND), None);
    }

    #[test]
    fn throttling_in_a_row_waits_longer_each_time_up_to_the_most() {
        let (mut schedule, mut now) = schedule();
        let mut pauses = Vec::new();
        for _ in 0..10 {
            let turn = schedule.reserve(now);
            pauses.push(schedule.throttled(turn, turn).unwrap());
            now = turn;
        }

        assert!(pauses[0] <= SECOND && pauses[9] >= 15 * SECOND && pauses[9] <= 30 * SECOND, "{pauses:?}");
        assert_eq!(schedule.spacing, MOST_SPACING);
    }

    #[test]
    fn accepted_mails_bring_full_speed_back() {
        let (mut schedule, now) = schedule();
        let turn = schedule.reserve(now);
        schedule.throttled(turn, now);

        for _ in 0..40 {
            schedule.accepted();
        }

        assert_eq!(schedule.spacing, Duration::ZERO);
    }

    #[test]
    fn a_paused_account_waits_long() {
        let (mut schedule, now) = schedule();
        let turn = schedule.reserve(now);

        assert_eq!(schedule.paused(turn, now), Some(60 * SECOND));
        assert!(schedule.is_closed(now + 59 * SECOND));
        assert!(!schedule.is_closed(now + 60 * SECOND));
    }

    fn schedule() -> (Schedule, Instant) {
        let now = Instant::now();
        (Schedule::new(Backoff { first: SECOND, most: 30 * SECOND }, 60 * SECOND, now), now)
    }
}

//! Limits how fast mails are sent. There is no limit until SES throttles. All handlers of a process share the rate.
//! Each recipient has a limit of its own ([`recipient_limits`]).

mod recipient_limits;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use messaging::ExponentialBackoff;

pub(crate) use recipient_limits::RecipientRateLimiter;

/// Limits how fast a process sends mails, by what SES answers.
#[derive(Debug)]
pub(crate) struct SendRateLimiter {
    schedule: Mutex<SendSchedule>,
}

impl SendRateLimiter {
    pub(crate) fn new(throttle_backoff: ExponentialBackoff, paused_wait: Duration) -> Self {
        Self { schedule: Mutex::new(SendSchedule::new(throttle_backoff, paused_wait, Instant::now())) }
    }

    /// Waits until the caller may send. Returns that time.
    pub(crate) async fn turn(&self) -> Instant {
        loop {
            let now = Instant::now();
            let turn = self.schedule().reserve(now);
            if turn > now {
                tokio::time::sleep_until(turn.into()).await;
                // A pause may have begun meanwhile.
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

    /// SES throttled the mail that was sent at `turn`.
    pub(crate) fn throttled(&self, turn: Instant) {
        if let Some(pause) = self.schedule().throttled(turn, Instant::now()) {
            let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(pause_ms, "SES throttles: slowing down");
        }
    }

    /// SES answered the mail that was sent at `turn` that the account may not send.
    pub(crate) fn paused(&self, turn: Instant, reason: &str) {
        if let Some(pause) = self.schedule().paused(turn, Instant::now()) {
            let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
            tracing::error!(pause_ms, reason, "SES does not let this account send: mails wait");
        }
    }

    fn schedule(&self) -> MutexGuard<'_, SendSchedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When mails may be sent. Throttling doubles the space between mails; every accepted mail reduces it by a tenth.
#[derive(Debug)]
struct SendSchedule {
    throttle_backoff: ExponentialBackoff,
    paused_wait: Duration,
    /// The next free turn.
    next: Instant,
    /// The time between two turns; zero at full speed.
    spacing: Duration,
    /// No mail is sent before this.
    closed_until: Instant,
    /// When the last pause began. Answers to mails that were sent before it do not begin another.
    paused_at: Instant,
    /// How often SES has throttled since it last accepted a mail.
    throttled_in_a_row: u32,
}

/// The space after the first throttling: 20 mails a second.
const FIRST_SPACING: Duration = Duration::from_millis(50);

/// The longest space. SES's sandbox allows one mail a second.
const MOST_SPACING: Duration = Duration::from_secs(1);

/// A shorter space counts as none.
const LEAST_SPACING: Duration = Duration::from_millis(1);

impl SendSchedule {
    fn new(throttle_backoff: ExponentialBackoff, paused_wait: Duration, now: Instant) -> Self {
        Self {
            throttle_backoff,
            paused_wait,
            next: now,
            spacing: Duration::ZERO,
            closed_until: now,
            paused_at: now,
            throttled_in_a_row: 0,
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
        self.throttled_in_a_row = 0;
        self.spacing = self.spacing * 9 / 10;
        if self.spacing < LEAST_SPACING {
            self.spacing = Duration::ZERO;
        }
    }

    /// The new pause, if this begins one.
    fn throttled(&mut self, turn: Instant, now: Instant) -> Option<Duration> {
        if turn < self.paused_at {
            return None;
        }
        self.throttled_in_a_row += 1;
        Some(self.close(self.throttle_backoff.delay(self.throttled_in_a_row), now))
    }

    /// The new pause, if this begins one.
    fn paused(&mut self, turn: Instant, now: Instant) -> Option<Duration> {
        (turn >= self.paused_at).then(|| self.close(self.paused_wait, now))
    }

    fn close(&mut self, pause: Duration, now: Instant) -> Duration {
        self.paused_at = now;
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

    fn schedule() -> (SendSchedule, Instant) {
        let now = Instant::now();
        (SendSchedule::new(ExponentialBackoff { first: SECOND, most: 30 * SECOND }, 60 * SECOND, now), now)
    }
}

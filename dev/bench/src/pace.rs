//! When each request is due.
//!
//! *Closed loop*: as soon as a connection is free. It finds how much a server can take, but a server that stalls is asked less
//! meanwhile, and the stall hardly shows in the latencies.
//!
//! *Open loop*: at a fixed rate, whether or not a connection is free. A request's latency counts from when it was due, so that a
//! stall shows in the latency of everything that was due during it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// Requests that are due within this time of each other are let go together. Waking up for each of them would cost the server
/// the processor's time.
const GRAIN: Duration = Duration::from_micros(100);

/// A turn to send a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    pub(crate) nth: u64,
    pub(crate) due: Instant,
}

/// Hands out turns to all connections. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Turns {
    taken: Arc<AtomicU64>,
    begin: Instant,
    end: Instant,
    open: Option<Open>,
}

#[derive(Debug, Clone)]
struct Open {
    per_second: f64,
    /// One permit for each request that is due and has not been taken.
    due: Arc<Semaphore>,
}

impl Turns {
    /// `per_second`: an open loop at that rate; `None`: a closed one. Needs a runtime.
    pub(crate) fn start(per_second: Option<f64>, begin: Instant, end: Instant) -> Self {
        let open = per_second.map(|per_second| Open { per_second, due: Arc::new(Semaphore::new(0)) });
        let turns = Self { taken: Arc::default(), begin, end, open };
        if turns.open.is_some() {
            tokio::spawn(turns.clone().release());
        }
        turns
    }

    /// Waits for a turn; `None`: the time is up.
    pub(crate) async fn next(&self) -> Option<Turn> {
        let Some(open) = &self.open else {
            let due = Instant::now();
            return (due < self.end).then(|| Turn { nth: self.taken.fetch_add(1, Ordering::Relaxed), due });
        };
        open.due.acquire().await.ok()?.forget();
        let nth = self.taken.fetch_add(1, Ordering::Relaxed);
        Some(Turn { nth, due: self.due(open, nth) })
    }

    /// When the requests were due for which no connection came free in time. Asked once the time is up.
    pub(crate) fn missed(&self) -> impl Iterator<Item = Instant> {
        let taken = self.taken.load(Ordering::Relaxed);
        let all = self.open.as_ref().map_or(taken, |open| whole(self.end, self.begin, open.per_second));
        (taken..all).filter_map(|nth| Some(self.due(self.open.as_ref()?, nth)))
    }

    fn due(&self, open: &Open, nth: u64) -> Instant {
        self.begin + Duration::from_secs_f64(approximate(nth) / open.per_second)
    }

    async fn release(self) {
        let Some(open) = &self.open else { return };
        let alarm = alarm::Alarm::new();
        let all = whole(self.end, self.begin, open.per_second);
        let mut released = 0;
        loop {
            let now = Instant::now();
            // The one whose time has just begun counts as well.
            let due = (whole(now, self.begin, open.per_second) + 1).min(all);
            open.due.add_permits(usize::try_from(due.saturating_sub(released)).unwrap_or(0));
            released = released.max(due);
            if now >= self.end {
                break open.due.close();
            }
            alarm.sleep_until(self.due(open, released).max(now + GRAIN).min(self.end)).await;
        }
    }
}

/// How many requests were due before `now`.
fn whole(now: Instant, begin: Instant, per_second: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of requests, rounded down")]
    let whole = (now.saturating_duration_since(begin).as_secs_f64() * per_second) as u64;
    whole
}

#[expect(clippy::cast_precision_loss, reason = "2^53 requests are more than anyone waits for")]
fn approximate(count: u64) -> f64 {
    count as f64
}

/// A timer that is exact to some ten microseconds. tokio's own rounds up to whole milliseconds, which is longer than most answers
/// take.
#[cfg(target_os = "linux")]
mod alarm {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::time::{Duration, Instant};

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
    };
    use tokio::io::unix::AsyncFd;

    pub(crate) struct Alarm(io::Result<AsyncFd<OwnedFd>>);

    impl Alarm {
        pub(crate) fn new() -> Self {
            let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC);
            #[expect(
                deprecated,
                reason = "what replaces it is unsafe, for types that do not own what they name; an OwnedFd does"
            )]
            let registered = timer.map_err(io::Error::from).and_then(AsyncFd::new);
            Self(registered)
        }

        pub(crate) async fn sleep_until(&self, until: Instant) {
            if self.exactly(until).await.is_err() {
                tokio::time::sleep_until(until.into()).await;
            }
        }

        async fn exactly(&self, until: Instant) -> Result<(), ()> {
            let timer = self.0.as_ref().map_err(drop)?;
            // A wait of nothing would stop the timer.
            let wait = until.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
            let seconds = i64::try_from(wait.as_secs()).map_err(drop)?;
            let value = Timespec { tv_sec: seconds, tv_nsec: wait.subsec_nanos().into() };
            let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
            timerfd_settime(timer, TimerfdTimerFlags::empty(), &once).map_err(drop)?;
            timer.readable().await.map_err(drop)?.clear_ready();
            Ok(())
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod alarm {
    use std::time::Instant;

    pub(crate) struct Alarm;

    impl Alarm {
        pub(crate) fn new() -> Self {
            Self
        }

        pub(crate) async fn sleep_until(&self, until: Instant) {
            tokio::time::sleep_until(until.into()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_open_loop_has_a_turn_for_every_request_and_none_comes_early() {
        let begin = Instant::now();
        let end = begin + Duration::from_millis(200);
        let turns = Turns::start(Some(1_000.0), begin, end);
        let mut taken = 0;
        while let Some(turn) = turns.next().await {
            assert_eq!(turn.nth, taken);
            assert_eq!(turn.due, begin + Duration::from_millis(turn.nth));
            assert!(turn.due <= Instant::now() + Duration::from_micros(1), "but for rounding");
            taken += 1;
        }
        assert_eq!(taken + u64::try_from(turns.missed().count()).unwrap(), 200);
        assert!(Instant::now() >= end);
    }

    #[tokio::test]
    async fn turns_that_nobody_took_are_missed_from_when_they_were_due() {
        let begin = Instant::now();
        let turns = Turns::start(Some(1_000.0), begin, begin + Duration::from_millis(50));
        let first = turns.next().await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(turns.next().await.is_none());
        assert_eq!(first.due, begin);
        let missed: Vec<_> = turns.missed().collect();
        assert_eq!(missed.len(), 49);
        assert_eq!(missed.first(), Some(&(begin + Duration::from_millis(1))));
    }

    #[tokio::test]
    async fn a_closed_loop_gives_a_turn_to_whoever_asks_until_the_end() {
        let now = Instant::now();
        let turns = Turns::start(None, now, now + Duration::from_secs(60));
        assert_eq!(turns.next().await.unwrap().nth, 0);
        assert_eq!(turns.next().await.unwrap().nth, 1);
        assert!(Turns::start(None, now, now).next().await.is_none());
        assert_eq!(turns.missed().count(), 0);
    }
}

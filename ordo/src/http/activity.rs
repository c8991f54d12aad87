//! Whether a connection serves requests or waits for its client.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The state of a connection. It waits for a request, serves some, and sends the rest of an answer. While it waits, it can lose its
/// slot.
#[derive(Debug)]
pub(super) struct ConnectionState {
    /// The start of all times.
    clock: Instant,
    state: AtomicU64,
    /// By when the answer that is sent over HTTP/1 must have been taken; 0: it has no such time.
    answer_due: AtomicU64,
}

/// The time since which a connection has been waiting. It differs for each wait of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct IdleSince(u64);

impl IdleSince {
    pub(super) fn now(clock: Instant) -> Self {
        let now = u64::try_from(clock.elapsed().as_nanos()).unwrap_or(DISPLACED - 1);
        Self(now.clamp(EARLIEST, DISPLACED - 1))
    }

    pub(super) fn later(self, by: Duration) -> Self {
        let by = u64::try_from(by.as_nanos()).unwrap_or(DISPLACED);
        Self(self.0.saturating_add(by).min(DISPLACED - 1))
    }
}

// The states, apart from those of a wait.
/// The answers are complete, but the client has not read all of them. Numbers above it count the requests that are served.
const SENDING: u64 = 0;
/// More requests than a connection has at the same time, in nanoseconds a tiny part of a second.
const EARLIEST: u64 = 1 << 16;
const DISPLACED: u64 = u64::MAX;

impl ConnectionState {
    /// A new connection, which waits.
    pub(super) fn waiting(clock: Instant) -> Arc<Self> {
        let state = AtomicU64::new(IdleSince::now(clock).0);
        Arc::new(Self { clock, state, answer_due: AtomicU64::new(0) })
    }

    /// `None`: the connection serves a request, sends the rest of an answer, or has lost its slot.
    pub(super) fn waiting_since(&self) -> Option<IdleSince> {
        let state = self.state.load(Ordering::Acquire);
        (EARLIEST..DISPLACED).contains(&state).then_some(IdleSince(state))
    }

    /// For how long the connection has been waiting.
    pub(super) fn waited(&self) -> Option<Duration> {
        let since = Duration::from_nanos(self.waiting_since()?.0);
        Some(self.clock.elapsed().saturating_sub(since))
    }

    /// Takes the slot away, if the connection has been waiting since then without interruption.
    pub(super) fn displace(&self, since: IdleSince) -> bool {
        self.state.compare_exchange(since.0, DISPLACED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// `None`: the slot was taken away, so the request must not be started.
    pub(super) fn serve(self: &Arc<Self>) -> Option<ActiveRequest> {
        let begun = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| match state {
            DISPLACED => None,
            EARLIEST.. => Some(1),
            // A client may send the next request before it has read an answer, and with HTTP/2 several at the same time.
            running => Some(running + 1),
        });
        begun.is_ok().then(|| ActiveRequest(Arc::clone(self)))
    }

    /// The answer that is sent from now on, the only one of its connection, must have been taken until then.
    pub(super) fn take_until(&self, due: Option<Instant>) {
        let since_start = |due: Instant| due.saturating_duration_since(self.clock).as_nanos();
        let due = due.map_or(0, |due| u64::try_from(since_start(due)).unwrap_or(u64::MAX));
        self.answer_due.store(due, Ordering::Relaxed);
    }

    /// How much time is left for the answer. `None`: it has no end.
    pub(super) fn time_left(&self) -> Option<Duration> {
        let due = Some(self.answer_due.load(Ordering::Relaxed)).filter(|due| *due != 0)?;
        Some(Duration::from_nanos(due).saturating_sub(self.clock.elapsed()))
    }

    /// The client has read all output. If that was the rest of an answer, the connection waits again.
    pub(super) fn sent(&self) {
        if self.state.load(Ordering::Acquire) == SENDING {
            let now = IdleSince::now(self.clock).0;
            // A request that has come meanwhile is served.
            let _ = self.state.compare_exchange(SENDING, now, Ordering::AcqRel, Ordering::Acquire);
        }
    }
}

/// A request that is being served, until its answer is complete. Once all of it is [sent](ConnectionState::sent), the connection
/// waits again.
#[derive(Debug)]
pub(super) struct ActiveRequest(Arc<ConnectionState>);

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        // While requests are served nothing else changes the state.
        self.0.state.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_waits_once_its_last_answer_is_sent() {
        let activity = ConnectionState::waiting(Instant::now());
        let since = activity.waiting_since().unwrap();
        let (one, other) = (activity.serve().unwrap(), activity.serve().unwrap());
        activity.sent();
        assert!(activity.waiting_since().is_none() && !activity.displace(since));
        drop(one);
        activity.sent();
        assert!(activity.waiting_since().is_none());
        drop(other);
        assert!(activity.waiting_since().is_none());
        activity.sent();
        let again = activity.waiting_since().unwrap();
        assert!(activity.displace(again));
        assert!(activity.serve().is_none() && activity.waiting_since().is_none());
    }

    #[test]
    fn the_answer_that_is_sent_has_a_time_or_none() {
        let activity = ConnectionState::waiting(Instant::now());
        assert_eq!(activity.time_left(), None);
        activity.take_until(Some(Instant::now() + Duration::from_secs(60)));
        assert!(activity.time_left().is_some_and(|left| left > Duration::from_secs(50)));
        activity.take_until(Some(Instant::now()));
        assert_eq!(activity.time_left(), Some(Duration::ZERO));
        activity.take_until(None);
        assert_eq!(activity.time_left(), None);
    }
}

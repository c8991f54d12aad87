//! Whether a connection serves a request or waits for its client.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use hyper::body::{Frame, SizeHint};
use pin_project_lite::pin_project;

/// The state of a connection. It waits for a request, serves it, and sends the rest of the answer. While it waits, it can lose its
/// slot.
#[derive(Debug)]
pub(super) struct Activity {
    /// The start of all times.
    clock: Instant,
    state: AtomicU64,
}

/// The time since which a connection has been waiting. It differs for each wait of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct IdleSince(u64);

impl IdleSince {
    pub(super) fn now(clock: Instant) -> Self {
        let now = u64::try_from(clock.elapsed().as_nanos()).unwrap_or(DISPLACED - 1);
        Self(now.clamp(SENDING + 1, DISPLACED - 1))
    }

    pub(super) fn later(self, by: Duration) -> Self {
        let by = u64::try_from(by.as_nanos()).unwrap_or(DISPLACED);
        Self(self.0.saturating_add(by).min(DISPLACED - 1))
    }
}

const SERVING: u64 = 0;
/// The answer is complete, but the client has not read all of it.
const SENDING: u64 = 1;
const DISPLACED: u64 = u64::MAX;

impl Activity {
    /// A new connection, which waits.
    pub(super) fn waiting(clock: Instant) -> Arc<Self> {
        let activity = Self { clock, state: AtomicU64::new(SERVING) };
        activity.wait();
        Arc::new(activity)
    }

    /// `None`: the connection serves a request, sends the rest of an answer, or has lost its slot.
    pub(super) fn waiting_since(&self) -> Option<IdleSince> {
        let state = self.state.load(Ordering::Acquire);
        (![SERVING, SENDING, DISPLACED].contains(&state)).then_some(IdleSince(state))
    }

    /// Takes the slot away, if the connection has been waiting since then without interruption.
    pub(super) fn displace(&self, since: IdleSince) -> bool {
        self.state.compare_exchange(since.0, DISPLACED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// `None`: the slot was taken away, so the request must not be started.
    pub(super) fn serve(self: &Arc<Self>) -> Option<Serving> {
        // A client may send the next request before it has read an answer.
        let before = self.waiting_since().map_or(SENDING, |since| since.0);
        let begun = self.state.compare_exchange(before, SERVING, Ordering::AcqRel, Ordering::Acquire);
        begun.is_ok().then(|| Serving(Arc::clone(self)))
    }

    /// The client has read all output. If that was the rest of an answer, the connection waits again.
    pub(super) fn sent(&self) {
        if self.state.load(Ordering::Acquire) == SENDING {
            self.wait();
        }
    }

    fn wait(&self) {
        self.state.store(IdleSince::now(self.clock).0, Ordering::Release);
    }
}

/// A request that is being served, until its answer is complete.
#[derive(Debug)]
pub(super) struct Serving(Arc<Activity>);

impl Serving {
    /// The body of the answer. After its end, and once all of it is [sent](Activity::sent), the connection waits again.
    pub(super) fn until_the_end_of(self, body: Body) -> ServedBody {
        ServedBody { body, _serving: Some(self) }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.state.store(SENDING, Ordering::Release);
    }
}

pin_project! {
    /// See [`Serving::until_the_end_of`].
    pub(super) struct ServedBody {
        #[pin]
        body: Body,
        _serving: Option<Serving>,
    }
}

/// The answer on a connection that has lost its slot.
impl From<Body> for ServedBody {
    fn from(body: Body) -> Self {
        Self { body, _serving: None }
    }
}

impl hyper::body::Body for ServedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.project().body.poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

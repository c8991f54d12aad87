//! Whether a connection is being served or waits for its client, as whoever gives places away wants to know.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use hyper::body::{Frame, SizeHint};
use pin_project_lite::pin_project;

/// A connection by turns waits for a request, serves one, and sends what is left of its answer. While it waits, its place can be
/// taken from it.
#[derive(Debug)]
pub(super) struct Turn {
    /// What all instants count from.
    clock: Instant,
    state: AtomicU64,
}

/// Since when a connection has been waiting: no two waits of one connection have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Since(u64);

impl Since {
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
/// The answer is whole, but the client has not taken all of it.
const SENDING: u64 = 1;
const DISPLACED: u64 = u64::MAX;

impl Turn {
    /// A connection that is new, and waits.
    pub(super) fn waiting(clock: Instant) -> Arc<Self> {
        let turn = Self { clock, state: AtomicU64::new(SERVING) };
        turn.wait();
        Arc::new(turn)
    }

    /// `None`: it serves a request, sends the rest of an answer, or has lost its place.
    pub(super) fn waiting_since(&self) -> Option<Since> {
        let state = self.state.load(Ordering::Acquire);
        (![SERVING, SENDING, DISPLACED].contains(&state)).then_some(Since(state))
    }

    /// Takes the place of a connection that still waits as it did.
    pub(super) fn displace(&self, since: Since) -> bool {
        self.state.compare_exchange(since.0, DISPLACED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// `None`: its place was taken the moment before, and the request must not be begun.
    pub(super) fn serve(self: &Arc<Self>) -> Option<Serving> {
        // A client need not take one answer before it asks for the next.
        let before = self.waiting_since().map_or(SENDING, |since| since.0);
        let begun = self.state.compare_exchange(before, SERVING, Ordering::AcqRel, Ordering::Acquire);
        begun.is_ok().then(|| Serving(Arc::clone(self)))
    }

    /// The client has taken all that there was for it. If that was the rest of an answer, the connection waits again.
    pub(super) fn sent(&self) {
        if self.state.load(Ordering::Acquire) == SENDING {
            self.wait();
        }
    }

    fn wait(&self) {
        self.state.store(Since::now(self.clock).0, Ordering::Release);
    }
}

/// A request that is being served: until its answer is whole.
#[derive(Debug)]
pub(super) struct Serving(Arc<Turn>);

impl Serving {
    /// An answer's body, after whose end the connection waits again once all of it is [sent](Turn::sent).
    pub(super) fn until_the_end_of(self, body: Body) -> Served {
        Served { body, _serving: Some(self) }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.state.store(SENDING, Ordering::Release);
    }
}

pin_project! {
    /// See [`Serving::until_the_end_of`].
    pub(super) struct Served {
        #[pin]
        body: Body,
        _serving: Option<Serving>,
    }
}

/// The answer of a connection that has no turn any more.
impl From<Body> for Served {
    fn from(body: Body) -> Self {
        Self { body, _serving: None }
    }
}

impl hyper::body::Body for Served {
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

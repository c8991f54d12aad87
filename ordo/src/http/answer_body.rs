//! The bodies of answers while they are sent, and what they take until then.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use bounds::QuotaShare;
use hyper::body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use problem::Peer;

use super::activity::Serving;
use super::rate_limits::UnderWay;

/// The most of an answer that is handed to hyper at once. It keeps what it was handed until the client takes it, and lets the rest of
/// the answer go, as far as is known here.
const PIECE: usize = 16 * 1024;

pin_project! {
    /// The body of an answer. Once it has ended or was dropped, its request is no longer served.
    pub(super) struct AnswerBody {
        #[pin]
        body: Body,
        // What was read of the body and not handed on.
        rest: Bytes,
        // Of HTTP/2; before `serving`, so that the connection still counts as busy while it goes.
        stream: Option<Http2Stream>,
        memory: Option<QuotaShare<Peer>>,
        under_way: Option<UnderWay>,
        serving: Option<Serving>,
    }
}

/// What an answer takes until it has been sent.
pub(super) struct AnswerShares {
    pub(super) serving: Serving,
    /// Of the memory of large answers.
    pub(super) memory: Option<QuotaShare<Peer>>,
    /// Of what its principal may have under way.
    pub(super) under_way: Option<UnderWay>,
    /// With HTTP/2.
    pub(super) stream: Option<Http2Stream>,
}

impl AnswerBody {
    pub(super) fn new(body: Body, shares: AnswerShares) -> Self {
        let AnswerShares { serving, memory, under_way, stream } = shares;
        Self { body, rest: Bytes::new(), stream, memory, under_way, serving: Some(serving) }
    }
}

/// An answer without a request that is served.
impl From<Body> for AnswerBody {
    fn from(body: Body) -> Self {
        Self { body, rest: Bytes::new(), stream: None, memory: None, under_way: None, serving: None }
    }
}

impl hyper::body::Body for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let answer = self.project();
        if answer.rest.is_empty() {
            answer.stream.iter().for_each(Http2Stream::wait_for_the_server);
            let frame = match ready!(answer.body.poll_frame(context)) {
                Some(Ok(frame)) => frame,
                ended => return Poll::Ready(ended),
            };
            match frame.into_data() {
                Ok(data) => *answer.rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        answer.stream.iter().for_each(Http2Stream::wait_for_the_client);
        let piece = answer.rest.split_to(answer.rest.len().min(PIECE));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = u64::try_from(self.rest.len()).unwrap_or_default();
        let body = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

/// The answers of an HTTP/2 connection that wait for the client to take some of them.
///
/// A connection over which nothing can be written is found by its time-out. Over this one a client can take one answer, and leave
/// another for as long as it likes.
#[derive(Debug, Default)]
pub(super) struct UntakenAnswers(Mutex<HashMap<u64, Instant>>);

impl UntakenAnswers {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the client has taken nothing of some answer for that long.
    pub(super) fn overdue(&self, patience: Duration) -> bool {
        self.lock().values().any(|since| since.elapsed() >= patience)
    }
}

/// An answer's place in its HTTP/2 connection.
pub(super) struct Http2Stream {
    id: u64,
    untaken: Arc<UntakenAnswers>,
    /// Its share of the requests that may be under way.
    _request: QuotaShare<Peer>,
}

impl Http2Stream {
    /// `id` is its own on its connection.
    pub(super) fn new(id: u64, untaken: Arc<UntakenAnswers>, request: QuotaShare<Peer>) -> Self {
        Self { id, untaken, _request: request }
    }

    fn wait_for_the_client(&self) {
        self.untaken.lock().insert(self.id, Instant::now());
    }

    fn wait_for_the_server(&self) {
        self.untaken.lock().remove(&self.id);
    }
}

impl Drop for Http2Stream {
    fn drop(&mut self) {
        self.wait_for_the_server();
    }
}

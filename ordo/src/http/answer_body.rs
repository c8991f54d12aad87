//! The bodies of answers while they are sent, and what they take until then.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use bounds::CapacityShare;
use hyper::body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use problem::ClientNetwork;
use tokio_util::sync::CancellationToken;

use super::activity::ActiveRequest;
use super::rate_limits::PrincipalRequestPermit;

/// The most of an answer that is handed to hyper at once.
const PIECE: usize = 16 * 1024;

pin_project! {
    /// The body of an answer. It and each piece of it keep what the answer takes: hyper and h2 hold pieces for as long as the client
    /// does not take them, also after the body has ended.
    pub(super) struct AnswerBody {
        #[pin]
        body: Body,
        // What was read of the body and not handed on.
        rest: Bytes,
        shares: Option<Arc<AnswerResources>>,
    }

    impl PinnedDrop for AnswerBody {
        fn drop(this: Pin<&mut Self>) {
            if let Some(stream) = this.shares.as_ref().and_then(|shares| shares.stream.as_ref()) {
                stream.hand_over();
            }
        }
    }
}

/// What an answer holds until its last piece is let go: its HTTP/2 stream, its share of memory and of its caller's
/// limit.
#[expect(dead_code, reason = "what it takes is given back when it is dropped")]
pub(super) struct AnswerResources {
    /// With HTTP/2. Before `serving`, so that the connection still counts as busy while it goes.
    pub(super) stream: Option<Http2AnswerSlot>,
    /// Of the memory of large answers.
    pub(super) memory: Option<CapacityShare<ClientNetwork>>,
    /// Of what its principal may have under way.
    pub(super) under_way: Option<PrincipalRequestPermit>,
    pub(super) serving: ActiveRequest,
}

/// A piece of an answer, with what the answer takes.
struct Piece {
    bytes: Bytes,
    _shares: Arc<AnswerResources>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AnswerBody {
    pub(super) fn new(body: Body, shares: AnswerResources) -> Self {
        // Until its head is taken, nothing is asked of the body.
        shares.stream.iter().for_each(Http2AnswerSlot::wait_for_the_client);
        Self { body, rest: Bytes::new(), shares: Some(Arc::new(shares)) }
    }
}

/// An answer without a request that is served.
impl From<Body> for AnswerBody {
    fn from(body: Body) -> Self {
        Self { body, rest: Bytes::new(), shares: None }
    }
}

impl hyper::body::Body for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let answer = self.project();
        let stream = answer.shares.as_ref().and_then(|shares| shares.stream.as_ref());
        if answer.rest.is_empty() {
            stream.into_iter().for_each(Http2AnswerSlot::wait_for_the_server);
            let frame = match ready!(answer.body.poll_frame(context)) {
                Some(Ok(frame)) => frame,
                ended => return Poll::Ready(ended),
            };
            match frame.into_data() {
                Ok(data) => *answer.rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        stream.into_iter().for_each(Http2AnswerSlot::wait_for_the_client);
        let bytes = answer.rest.split_to(answer.rest.len().min(PIECE));
        let piece = match answer.shares {
            Some(shares) => Bytes::from_owner(Piece { bytes, _shares: Arc::clone(shares) }),
            None => bytes,
        };
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

/// The answers of an HTTP/2 connection, and for how long the client has taken nothing of each.
///
/// A connection over which nothing can be written is found by its time-out. Over this one a client can take one answer, and leave
/// another for as long as it likes.
#[derive(Debug, Default)]
pub(super) struct UnreadHttp2Answers(Mutex<HashMap<u64, UnreadHttp2Answer>>);

/// An answer that the client has not read completely.
#[derive(Debug)]
struct UnreadHttp2Answer {
    /// When it began to wait for the client. `None`: it waits for the server.
    since: Option<Instant>,
    /// When all of it must have been taken.
    due: Option<Instant>,
    /// The protocol has all of it. Nothing but the end of the connection takes that back.
    handed_over: bool,
    /// Ends the request.
    end: CancellationToken,
}

impl UnreadHttp2Answer {
    /// For how long it should have been taken. `None`: it need not be taken yet, or was ended.
    fn late(&self, patience: Duration, now: Instant) -> Option<Duration> {
        if self.end.is_cancelled() {
            return None;
        }
        let by_patience = self.since.and_then(|since| now.checked_duration_since(since + patience));
        by_patience.max(self.due.and_then(|due| now.checked_duration_since(due)))
    }
}

impl UnreadHttp2Answers {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, UnreadHttp2Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the requests of whose answers the client has taken nothing for that long. Returns for how long some answer is late that can't
    /// be ended so.
    pub(super) fn end_overdue(&self, patience: Duration) -> Option<Duration> {
        let (now, mut overdue, mut longest) = (Instant::now(), Vec::new(), None);
        for answer in self.lock().values() {
            match answer.late(patience, now) {
                Some(late) if answer.handed_over => longest = longest.max(Some(late)),
                Some(_) => overdue.push(answer.end.clone()),
                None => {}
            }
        }
        overdue.iter().for_each(CancellationToken::cancel);
        longest
    }
}

/// An answer's place in its HTTP/2 connection.
pub(super) struct Http2AnswerSlot {
    id: u64,
    untaken: Arc<UnreadHttp2Answers>,
    /// Its share of the requests that may be under way.
    _request: CapacityShare<ClientNetwork>,
}

impl Http2AnswerSlot {
    /// `id` is its own on its connection, and `end` ends its request.
    pub(super) fn new(
        id: u64,
        untaken: Arc<UnreadHttp2Answers>,
        request: CapacityShare<ClientNetwork>,
        end: CancellationToken,
    ) -> Self {
        untaken.lock().insert(id, UnreadHttp2Answer { since: None, due: None, handed_over: false, end });
        Self { id, untaken, _request: request }
    }

    /// All of its answer must be taken until then.
    pub(super) fn take_until(&self, due: Instant) {
        self.note(|answer| answer.due = Some(due));
    }

    fn wait_for_the_client(&self) {
        self.note(|answer| answer.since = Some(Instant::now()));
    }

    fn wait_for_the_server(&self) {
        self.note(|answer| answer.since = None);
    }

    /// Nothing more comes of the body.
    fn hand_over(&self) {
        self.note(|answer| {
            answer.handed_over = true;
            answer.since.get_or_insert_with(Instant::now);
        });
    }

    fn note(&self, change: impl FnOnce(&mut UnreadHttp2Answer)) {
        if let Some(answer) = self.untaken.lock().get_mut(&self.id) {
            change(answer);
        }
    }
}

impl Drop for Http2AnswerSlot {
    fn drop(&mut self) {
        self.untaken.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use bounds::KeyedCapacity;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn answers() -> (Arc<UnreadHttp2Answers>, Http2AnswerSlot, CancellationToken) {
        let (answers, end) = (Arc::new(UnreadHttp2Answers::default()), CancellationToken::new());
        let stream = Http2AnswerSlot::new(1, Arc::clone(&answers), KeyedCapacity::new(1, 1).share(None), end.clone());
        (answers, stream, end)
    }

    #[test]
    fn an_answer_that_the_server_still_makes_is_never_late() {
        let (answers, stream, end) = answers();
        assert_eq!((answers.end_overdue(Duration::ZERO), end.is_cancelled()), (None, false));
        stream.wait_for_the_client();
        stream.wait_for_the_server();
        assert_eq!((answers.end_overdue(Duration::ZERO), end.is_cancelled()), (None, false));
    }

    #[test]
    fn an_answer_of_which_nothing_is_taken_ends_alone() {
        let (answers, stream, end) = answers();
        stream.wait_for_the_client();
        assert_eq!((answers.end_overdue(PATIENCE), end.is_cancelled()), (None, false));
        assert_eq!((answers.end_overdue(Duration::ZERO), end.is_cancelled()), (None, true));
        stream.hand_over();
        assert_eq!(answers.end_overdue(Duration::ZERO), None);
    }

    #[test]
    fn an_answer_that_is_taken_a_little_at_a_time_has_an_end() {
        let (answers, stream, end) = answers();
        stream.take_until(Instant::now());
        stream.wait_for_the_client();
        assert_eq!((answers.end_overdue(PATIENCE), end.is_cancelled()), (None, true));
    }

    #[test]
    fn what_was_handed_over_is_late_until_it_is_let_go() {
        let (answers, stream, end) = answers();
        stream.wait_for_the_client();
        stream.hand_over();
        assert_eq!(answers.end_overdue(PATIENCE), None);
        assert!(answers.end_overdue(Duration::ZERO).is_some() && !end.is_cancelled());
        drop(stream);
        assert_eq!(answers.end_overdue(Duration::ZERO), None);
    }
}

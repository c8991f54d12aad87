//! A client's connection, which ends when the client keeps the server waiting.
//!
//! hyper knows one time-out: from the end of an answer to the end of the next request's head. Here an idle client may take long
//! and one that has begun a head may not; and an answer that nobody takes is not waited with for ever.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use super::Limits;
use super::turn::{Since, Turn};

/// What a client is told whose request did not arrive in time.
static TIMED_OUT: LazyLock<String> = LazyLock::new(|| {
    let body = r#"{"type":"urn:ordo:problem:request-timeout","title":"Request Timeout","status":408,"detail":"the head of the request did not arrive in time","code":"request-timeout"}"#;
    let head = "HTTP/1.1 408 Request Timeout\r\ncontent-type: application/problem+json\r\nconnection: close";
    format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
});

pub(super) struct Paced {
    stream: TcpStream,
    turn: Arc<Turn>,
    headers: Duration,
    idle: Duration,
    answers: Duration,
    /// The wait for the first request: whoever connects is about to ask something.
    first: Option<Since>,
    /// The wait in which the head of a request has begun to arrive.
    begun: Option<Since>,
    /// The wait that is over when it is `due`, and whether it is for the rest of a head.
    awaited: Option<(Since, bool)>,
    due: Instant,
    /// Goes off then or earlier.
    alarm: Pin<Box<Sleep>>,
    /// Until when some of an answer has to be taken; only while one waits.
    taken_until: Option<Pin<Box<Sleep>>>,
}

impl Paced {
    pub(super) fn new(stream: TcpStream, turn: Arc<Turn>, limits: &Limits) -> Self {
        let Limits { headers, idle, answers, .. } = *limits;
        let (first, alarm) = (turn.waiting_since(), Box::pin(sleep(headers)));
        let due = alarm.deadline();
        Self { stream, turn, headers, idle, answers, first, begun: None, awaited: None, due, alarm, taken_until: None }
    }

    /// Nothing came of what is waited for since then.
    fn poll_overdue(&mut self, since: Since, context: &mut Context<'_>) -> Poll<io::Error> {
        let head = self.begun == Some(since);
        if self.awaited != Some((since, head)) {
            let patience = if head || self.first == Some(since) { self.headers } else { self.idle };
            let due = Instant::now() + patience;
            (self.awaited, self.due) = (Some((since, head)), due);
            // Setting it costs more than all else here: one that goes off too early is set anew then, not with each request.
            if due < self.alarm.deadline() {
                self.alarm.as_mut().reset(due);
            }
        }
        loop {
            ready!(self.alarm.as_mut().poll(context));
            let due = self.due;
            if self.alarm.deadline() >= due {
                break;
            }
            self.alarm.as_mut().reset(due);
        }
        if head && self.taken_until.is_none() {
            // It fits into the buffer of a connection on which nothing is under way.
            let _ = self.stream.try_write(TIMED_OUT.as_bytes());
        }
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "no request came in time"))
    }

    /// Sees to it that some of an answer is taken while it can't be written.
    fn taking<T>(&mut self, written: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.taken_until = None;
            return written;
        }
        let patience = self.answers;
        let until = self.taken_until.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(until.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not take its answer")))
    }
}

impl AsyncRead for Paced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        // While a request is served, how long its body may take is up to whoever reads it; while the rest of an answer is sent, it
        // is the client's turn, which `taking` bounds.
        let Some(since) = self.turn.waiting_since() else { return read };
        if read.is_pending() {
            return self.poll_overdue(since, context).map(Err);
        }
        if buffer.filled().len() > before {
            self.begun = Some(since);
        }
        read
    }
}

impl AsyncWrite for Paced {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, data);
        self.taking(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, data);
        self.taking(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes when it has nothing left to write.
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.turn.sent();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

//! A client's connection with time-outs.
//!
//! hyper has one time-out: from the end of an answer to the end of the next request's head. Here an idle client has much time, a
//! client that has begun a head has little, and a client must keep reading its answer.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use problem::ProblemType;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use super::ConnectionLimits;
use super::activity::{ConnectionState, IdleSince};

/// The answer to a request whose head did not arrive in time.
static TIMED_OUT: LazyLock<String> = LazyLock::new(|| {
    let (kind, detail) = (ProblemType::RequestTimeout, "the head of the request did not arrive in time");
    let (uri, title, code) = (kind.uri(), kind.title(), kind.code());
    let body = format!(r#"{{"type":"{uri}","title":"{title}","status":408,"detail":"{detail}","code":"{code}"}}"#);
    let head = "HTTP/1.1 408 Request Timeout\r\ncontent-type: application/problem+json\r\nconnection: close";
    format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
});

/// What a connection carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionProtocol {
    Http1,
    /// HTTP/1 in TLS, or what it will be is not known yet.
    Tls,
    Http2,
}

/// A client's connection with time-outs.
pub(super) struct TimedStream {
    stream: TcpStream,
    protocol: ConnectionProtocol,
    activity: Arc<ConnectionState>,
    headers: Duration,
    idle: Duration,
    answers: Duration,
    /// The wait for the first request, which has less time: a client connects in order to send one.
    first: Option<IdleSince>,
    /// The wait in which the head of a request has begun to arrive.
    begun: Option<IdleSince>,
    /// The wait that ends at `due`, and whether it is for the rest of a head.
    awaited: Option<(IdleSince, bool)>,
    due: Instant,
    /// Fires at `due` or earlier.
    alarm: Pin<Box<Sleep>>,
    /// The time at which some of an answer must have been read; only while output waits.
    taken_until: Option<Pin<Box<Sleep>>>,
}

impl TimedStream {
    pub(super) fn new(
        stream: TcpStream,
        protocol: ConnectionProtocol,
        activity: Arc<ConnectionState>,
        limits: &ConnectionLimits,
    ) -> Self {
        let ConnectionLimits { headers, idle, answers, .. } = *limits;
        let (first, alarm) = (activity.waiting_since(), Box::pin(sleep(headers)));
        let due = alarm.deadline();
        Self {
            stream,
            protocol,
            activity,
            headers,
            idle,
            answers,
            first,
            begun: None,
            awaited: None,
            due,
            alarm,
            taken_until: None,
        }
    }

    /// Notes what was agreed upon in the TLS handshake.
    pub(super) fn speak(&mut self, protocol: ConnectionProtocol) {
        self.protocol = protocol;
    }

    /// Ready once the wait since then has taken too long.
    fn poll_overdue(&mut self, since: IdleSince, context: &mut Context<'_>) -> Poll<io::Error> {
        // What comes over HTTP/2 need not be the beginning of a head: pings do not.
        let head = self.begun == Some(since) && self.protocol != ConnectionProtocol::Http2;
        if self.awaited != Some((since, head)) {
            let patience = if head || self.first == Some(since) {
                self.headers
            } else if self.protocol == ConnectionProtocol::Http2 {
                // The connection is closed in an orderly way before.
                self.idle + self.headers
            } else {
                self.idle
            };
            let due = Instant::now() + patience;
            (self.awaited, self.due) = (Some((since, head)), due);
            // Resetting the alarm is the most expensive operation here, so an alarm that fires too early is reset then, not with
            // each request.
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
        if head && self.protocol == ConnectionProtocol::Http1 && self.taken_until.is_none() {
            // It fits into the buffer of a connection on which nothing is under way.
            let _ = self.stream.try_write(TIMED_OUT.as_bytes());
        }
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "no request came in time"))
    }

    /// Fails if the client reads nothing for too long while output waits, or has not read all of an answer in its time.
    fn taking<T>(&mut self, written: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.taken_until = None;
            return written;
        }
        // A client that takes a little now and then must be done at some time, too.
        let patience = self.activity.time_left().map_or(self.answers, |left| left.min(self.answers));
        let until = self.taken_until.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(until.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not take its answer")))
    }
}

impl AsyncRead for TimedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        // While a request is served, the readers of its body limit the time. While the rest of an answer is sent, `taking` does.
        let Some(since) = self.activity.waiting_since() else { return read };
        if read.is_pending() {
            return self.poll_overdue(since, context).map(Err);
        }
        if buffer.filled().len() > before {
            self.begun = Some(since);
        }
        read
    }
}

impl AsyncWrite for TimedStream {
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
        self.activity.sent();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

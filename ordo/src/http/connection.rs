//! One connection: its protocol, and the way of a request to the routes and of its answer back.

use std::convert::Infallible;
use std::net::IpAddr;
use std::num::NonZero;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bounds::KeyedCapacity;
use http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, header};
use hyper::body::{Body as _, Incoming};
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use problem::{ClientNetwork, Problem, ProblemService, ProblemType};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::activity::{ActiveRequest, ConnectionState};
use super::answer_body::{AnswerBody, AnswerResources, Http2AnswerSlot, UnreadHttp2Answers};
use super::compression::{PrecompressedBody, compressed, takes_gzip};
use super::rate_limits::PrincipalRequestPermit;
use super::slots::AllowedRequests;
use super::timed_stream::{ConnectionProtocol, TimedStream};
use super::{ALWAYS_SERVED, HttpSettings, tls};

/// The longest head of a request. hyper buffers about as much of a connection in either direction.
const BUFFER: usize = 32 * 1024;
/// The same for HTTP/2, and what it buffers of each request's body and of each answer.
const HTTP_2_BUFFER: u32 = 64 * 1024;
/// Requests at the same time over one HTTP/2 connection. Further ones wait for their turn at the client.
const HTTP_2_STREAMS: u32 = 64;
/// Requests that a client takes back before they are served, or that break the protocol, until its connection is closed.
const HTTP_2_RESETS: usize = 32;
/// How often a client of HTTP/2 has to show that it is there. It also lets the connection notice that it idles.
const HTTP_2_PING: Duration = Duration::from_secs(20);
/// Answers up to this size are not counted as memory.
const SMALL_ANSWER: u64 = 16 * 1024;
/// The memory of large answers that are under way at the same time, and of those to one address.
const LARGE_ANSWERS: (usize, usize) = (64 * 1024 * 1024, 16 * 1024 * 1024);
/// The bytes of a large answer that a client must take in a second, on average.
const LEAST_RATE: u64 = 8 * 1024;

/// What all connections of a listener share.
pub(super) struct ListenerContext {
    settings: HttpSettings,
    http1: http1::Builder,
    /// The memory of large answers.
    answers: KeyedCapacity<ClientNetwork>,
    /// Requests over HTTP/2. With HTTP/1 there is one for each connection.
    requests: KeyedCapacity<ClientNetwork>,
    /// Answers that are compressed at the same time. More would only take longer, and hold their memory meanwhile.
    compressing: Semaphore,
    stop: CancellationToken,
    /// Cancelled when connections that are still silent after the stop are closed.
    closing: CancellationToken,
}

impl ListenerContext {
    pub(super) fn new(settings: HttpSettings, stop: CancellationToken, closing: CancellationToken) -> Arc<Self> {
        let limits = &settings.limits;
        let mut http1 = http1::Builder::new();
        // `TimedStream` enforces the time limits. hyper's own timer only makes it look for the next request right after an answer.
        http1.timer(TokioTimer::new()).header_read_timeout(limits.idle + limits.headers);
        http1.max_buf_size(BUFFER).max_header_size(BUFFER);
        let answers = KeyedCapacity::new(LARGE_ANSWERS.0, LARGE_ANSWERS.1);
        let requests = KeyedCapacity::new(limits.connections, limits.per_address);
        let compressing = Semaphore::new(std::thread::available_parallelism().map_or(1, NonZero::get));
        Arc::new(Self { settings, http1, answers, requests, compressing, stop, closing })
    }

    fn http2(&self, tasks: ConnectionTasks) -> http2::Builder<ConnectionTasks> {
        let limits = &self.settings.limits;
        let mut http2 = http2::Builder::new(tasks);
        http2.timer(TokioTimer::new()).keep_alive_interval(HTTP_2_PING).keep_alive_timeout(limits.headers);
        http2.max_concurrent_streams(HTTP_2_STREAMS).max_header_list_size(HTTP_2_BUFFER / 2);
        http2.initial_stream_window_size(HTTP_2_BUFFER).initial_connection_window_size(HTTP_2_BUFFER);
        http2.max_send_buf_size(usize::try_from(HTTP_2_BUFFER).unwrap_or(BUFFER));
        http2.max_pending_accept_reset_streams(HTTP_2_RESETS).max_local_error_reset_streams(HTTP_2_RESETS);
        http2
    }

    /// Whether connections are encrypted.
    fn is_secure(&self) -> bool {
        self.settings.tls.is_some()
    }
}

/// What each request on a connection needs of it: the routes, its client's address and its state.
#[derive(Clone)]
pub(super) struct ConnectionContext {
    pub(super) routes: ProblemService<Router>,
    pub(super) activity: Arc<ConnectionState>,
    pub(super) address: IpAddr,
    pub(super) edge: Arc<ListenerContext>,
}

/// Serves a connection until its end. Returns when the client goes away or is cut off, too.
pub(super) async fn serve(stream: TcpStream, client: ConnectionContext, slot: AllowedRequests, watcher: Watcher) {
    let edge = Arc::clone(&client.edge);
    let limits = &edge.settings.limits;
    let Some(tls) = &edge.settings.tls else {
        let stream = TimedStream::new(stream, ConnectionProtocol::Http1, Arc::clone(&client.activity), limits);
        return serve_http1(stream, client, slot, watcher).await;
    };
    let stream = TimedStream::new(stream, ConnectionProtocol::Tls, Arc::clone(&client.activity), limits);
    let handshake = tokio::time::timeout(limits.headers, tls.accept(stream));
    let mut stream = match edge.closing.run_until_cancelled(handshake).await {
        Some(Ok(Ok(stream))) => stream,
        Some(Ok(Err(error))) => return tracing::debug!(%error, "no TLS"),
        Some(Err(_)) => return tracing::debug!("the TLS handshake took too long"),
        None => return,
    };
    if !tls::speaks_http2(&stream) {
        return serve_http1(stream, client, slot, watcher).await;
    }
    stream.get_mut().0.speak(ConnectionProtocol::Http2);
    serve_http2(stream, client, watcher).await;
}

async fn serve_http1(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    client: ConnectionContext,
    slot: AllowedRequests,
    watcher: Watcher,
) {
    let mut protocol = client.edge.http1.clone();
    let answer = hyper::service::service_fn(move |request| client.clone().answer(request, None));
    let connection = protocol.keep_alive(slot == AllowedRequests::Full).serve_connection(TokioIo::new(stream), answer);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "connection ended");
    }
}

/// The time-outs of the stream do not do here: it carries several requests, and pings come although nobody asks anything.
async fn serve_http2(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    client: ConnectionContext,
    _watcher: Watcher,
) {
    let tasks = ConnectionTasks::default();
    // However the connection ends, also if it loses its slot: nobody is there for its answers any more.
    let _end = tasks.0.clone().drop_guard();
    let (edge, activity) = (Arc::clone(&client.edge), Arc::clone(&client.activity));
    let (limits, untaken) = (&edge.settings.limits, Arc::new(UnreadHttp2Answers::default()));
    let (answers, next) = (Arc::clone(&untaken), AtomicU64::new(0));
    let answer = hyper::service::service_fn(move |request| {
        let stream = (next.fetch_add(1, Ordering::Relaxed), Arc::clone(&answers));
        client.clone().answer(request, Some(stream))
    });
    let mut connection = pin!(edge.http2(tasks).serve_connection(TokioIo::new(stream), answer));
    let mut look = tokio::time::interval(limits.idle.min(limits.answers) / 4);
    let mut closing = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended");
                }
                return;
            }
            () = edge.stop.cancelled(), if !closing => {}
            _ = look.tick() => {
                // What was handed over is taken back with the connection alone. The others on it get time to end.
                let overdue = untaken.end_overdue(limits.answers);
                if overdue.is_some_and(|late| late >= limits.answers) {
                    return tracing::debug!("the client does not take its answer");
                }
                let idle = activity.waited().is_some_and(|waited| waited >= limits.idle);
                if closing || !(idle || overdue.is_some()) {
                    continue;
                }
            }
        }
        // The client is told which requests are not served any more.
        connection.as_mut().graceful_shutdown();
        closing = true;
    }
}

tokio::task_local! {
    /// Ends the request of this task, and no other one of its connection.
    static REQUEST_END: CancellationToken;
}

/// Runs the requests of an HTTP/2 connection, until it ends.
#[derive(Debug, Clone, Default)]
struct ConnectionTasks(CancellationToken);

impl<F> Executor<F> for ConnectionTasks
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        let end = self.0.child_token();
        tokio::spawn(REQUEST_END.scope(end.clone(), end.run_until_cancelled_owned(task)));
    }
}

impl ConnectionContext {
    /// `stream`: of HTTP/2.
    fn answer(
        self,
        request: Request<Incoming>,
        stream: Option<(u64, Arc<UnreadHttp2Answers>)>,
    ) -> impl Future<Output = Result<http::Response<AnswerBody>, Infallible>> {
        // At once, and not when the future is first polled: from here on the connection does not wait.
        let serving = self.activity.serve();
        self.answer_while(serving, request, stream)
    }

    async fn answer_while(
        mut self,
        serving: Option<ActiveRequest>,
        request: Request<Incoming>,
        stream: Option<(u64, Arc<UnreadHttp2Answers>)>,
    ) -> Result<http::Response<AnswerBody>, Infallible> {
        // The connection has lost its slot and is about to be closed.
        let Some(serving) = serving else { return Ok(no_room().map(AnswerBody::from)) };
        let peer = self.edge.settings.trusted_proxies.client(self.address, request.headers());
        let probe = ALWAYS_SERVED.contains(&request.uri().path());
        let (takes_gzip, safe) = (takes_gzip(request.headers()), request.method().is_safe());
        let mut refused = None;
        let stream = stream.map(|(id, untaken)| {
            let mut share = self.edge.requests.share(Some(peer));
            if !probe && share.grow_to(1).is_err() {
                refused = Some(no_room());
            }
            // Each request is a task of its own, which has one.
            let end = REQUEST_END.try_with(CancellationToken::clone).unwrap_or_default();
            Http2AnswerSlot::new(id, untaken, share, end)
        });
        let answer = match refused {
            Some(refused) => refused,
            None => {
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(peer);
                self.routes.call(request).await?
            }
        };
        let (mut answer, mut memory, mut due) = (answer, None, None);
        let under_way = answer.extensions_mut().remove::<PrincipalRequestPermit>();
        let is_static = answer.extensions().get::<PrecompressedBody>().is_some();
        // What was changed is always answered, and what is in memory anyway takes none.
        let size = |answer: &Response| answer.body().size_hint().exact();
        let large = size(&answer).filter(|bytes| safe && !is_static && *bytes > SMALL_ANSWER);
        if let Some(bytes) = large {
            // Before it is compressed: until then all of it is there.
            let share = memory.insert(self.edge.answers.share(Some(peer)));
            if share.grow_to(usize::try_from(bytes).unwrap_or(usize::MAX)).is_err() {
                answer = too_much_under_way();
            }
        }
        let mut answer = compressed(answer, takes_gzip, &self.edge.compressing).await;
        if let (Some(share), Some(bytes)) = (&mut memory, size(&answer)) {
            share.shrink_to(usize::try_from(bytes).unwrap_or(usize::MAX));
            let slowest = Duration::from_secs(bytes / LEAST_RATE);
            due = Some(Instant::now() + self.edge.settings.limits.answers + slowest);
        }
        match (&stream, due) {
            (Some(stream), Some(due)) => stream.take_until(due),
            (Some(_), None) => {}
            (None, due) => self.activity.take_until(due),
        }
        secure(answer.headers_mut(), self.edge.is_secure());
        // Over HTTP/2 the connection itself says so.
        if self.edge.stop.is_cancelled() && stream.is_none() {
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let shares = AnswerResources { stream, memory, under_way, serving };
        Ok(answer.map(|body| AnswerBody::new(body, shares)))
    }
}

/// What browsers have to know of an answer: it is what its type says, no page shows it or runs anything in it, and its address is
/// nobody else's business.
fn secure(headers: &mut HeaderMap, tls: bool) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // A page has policies of its own.
    headers.entry(REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
    let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(nothing);
    if tls {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
}

pub(super) fn no_room() -> Response {
    refusal(ProblemType::TooManyConnections, "there is no room for more clients")
}

fn too_much_under_way() -> Response {
    refusal(ProblemType::Overloaded, "answers that were not taken yet hold all the memory there is for them")
}

/// Closes the connection, too: a client may have sent many more requests ahead, each of which would be served in vain.
fn refusal(problem: ProblemType, detail: &'static str) -> Response {
    let mut answer = Problem::new(problem, detail).retry_after(Duration::from_secs(1)).into_response();
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

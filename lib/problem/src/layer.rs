//! The middleware around the whole router: trace context in, finished problems out.
//!
//! It runs on every request of the hot path, so a successful request costs two boxes (the future and the request extension), one
//! response header and no formatting. A refused request gets a line in the log. The span and the line per request exist only if the
//! log filter lets `debug` through.

use std::any::Any;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Uri};
use tower::{Layer, Service};
use tracing::{Instrument, Level};

use crate::refusal_log::{RefusalLog, RefusalLogFields};
use crate::semantics::complete_allow;
use crate::{Problem, RefusedCaller, Trace};

/// An extension of an answer that shows its [`Problem`] to people: its body is a page and stays. The problem is logged all the same.
#[derive(Debug, Clone, Copy)]
pub struct ProblemPage;

/// The layer that finishes every [`Problem`]; goes around the router once, outermost.
///
/// Handlers find the request's [`Trace`] as an argument. The answer carries it as `traceresponse`.
#[must_use]
pub fn layer() -> ProblemLayer {
    ProblemLayer(Arc::default())
}

/// Gives requests and answers their trace, and logs refusals. Clones share the limit on lines in the log.
#[derive(Debug, Clone)]
pub struct ProblemLayer(Arc<RefusalLog>);

impl<S> Layer<S> for ProblemLayer {
    type Service = ProblemService<S>;

    fn layer(&self, inner: S) -> ProblemService<S> {
        ProblemService { inner, refusals: Arc::clone(&self.0) }
    }
}

/// A service whose every refusal is a problem; made by [`layer`].
#[derive(Debug, Clone)]
pub struct ProblemService<S> {
    inner: S,
    refusals: Arc<RefusalLog>,
}

impl<S> Service<Request> for ProblemService<S>
where
    S: Service<Request, Error = Infallible>,
    S::Response: IntoResponse,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let info = RequestInfo::of(&request);
        let refusals = Arc::clone(&self.refusals);
        request.extensions_mut().insert(info.trace);
        let span = tracing::debug_span!(
            "request",
            trace_id = info.trace.trace_id(),
            method = info.method.as_str(),
            path = info.uri.path(),
            actor = tracing::field::Empty,
        );
        let answer = AssertUnwindSafe(self.inner.call(request)).catch_unwind();
        let finish = async move {
            let response = match answer.await {
                Ok(Ok(response)) => response.into_response(),
                Err(panic) => Problem::internal(format!("panic: {}", panic_message(&*panic))).into_response(),
            };
            Ok(info.finish(response, &refusals).await)
        };
        // An absent span would still cost its share of every poll.
        if span.is_disabled() { Box::pin(finish) } else { Box::pin(finish.instrument(span)) }
    }
}

/// The parts of a request that are needed once it is answered. Cheap to keep: they are reference-counted.
struct RequestInfo {
    trace: Trace,
    method: Method,
    uri: Uri,
    /// Only if the line per request will be written.
    since: Option<Instant>,
}

impl RequestInfo {
    fn of(request: &Request) -> Self {
        Self {
            trace: Trace::of(request.headers()),
            method: request.method().clone(),
            uri: request.uri().clone(),
            since: tracing::enabled!(Level::DEBUG).then(Instant::now),
        }
    }

    async fn finish(self, mut response: Response, refusals: &RefusalLog) -> Response {
        if response.status().is_client_error() || response.status().is_server_error() {
            response = self.finish_refusal(response, refusals).await;
        }
        complete_allow(response.headers_mut());
        if let Ok(value) = HeaderValue::from_bytes(self.trace.traceparent().as_bytes()) {
            response.headers_mut().insert(HeaderName::from_static("traceresponse"), value);
        }
        if let Some(since) = self.since {
            let duration_ms = since.elapsed().as_secs_f64() * 1e3;
            tracing::debug!(status = response.status().as_u16(), duration_ms, "answered");
        }
        response
    }

    async fn finish_refusal(&self, mut response: Response, refusals: &RefusalLog) -> Response {
        let problem = match response.extensions_mut().remove::<Problem>() {
            Some(problem) => problem,
            None if is_plain(&response) => plain_refusal(&mut response).await,
            // JSON or a page of the handler's own, such as the answer of a readiness check.
            None => return response,
        };
        let actor = response.extensions_mut().remove::<RefusedCaller>();
        let request = RefusalLogFields { trace: &self.trace, actor, method: &self.method, path: self.uri.path() };
        refusals.log(&problem, &request);
        if response.extensions_mut().remove::<ProblemPage>().is_some() {
            return response;
        }
        let finished = problem.render(Some(self.uri.path()), Some(self.trace.trace_id()));
        let (finished, body) = finished.into_parts();
        // Headers that a handler or the router added (Allow, ETag, WWW-Authenticate) stay.
        let headers = response.headers_mut();
        headers.remove(CONTENT_LENGTH);
        headers.extend(finished.headers);
        *response.body_mut() = body;
        response
    }
}

/// Whether an answer is the router's or an extractor's own: no body, or a line of text.
fn is_plain(response: &Response) -> bool {
    response.headers().get(CONTENT_TYPE).is_none_or(|value| value.as_bytes().starts_with(b"text/plain"))
}

/// Makes a problem of such an answer. Its text is passed on for 4xx, and kept for the log otherwise.
async fn plain_refusal(response: &mut Response) -> Problem {
    // A rejection is a line of text; anything longer is not worth repeating.
    const LONGEST: usize = 4096;
    let status = response.status();
    let body = std::mem::replace(response.body_mut(), Body::empty());
    let said =
        to_bytes(body, LONGEST).await.ok().and_then(|bytes| String::from_utf8(bytes.into()).ok()).unwrap_or_default();
    let problem = Problem::of_status(status);
    match (said.is_empty(), status.is_server_error()) {
        (true, _) => problem,
        (false, true) => problem.caused_by(said),
        (false, false) => problem.detail(said),
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

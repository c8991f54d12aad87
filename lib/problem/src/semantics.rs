//! What HTTP asks of every answer, in one place, so that no handler has to think of it:
//!
//! - `HEAD` is answered as `GET` is, without the body. `OPTIONS`, and 405, say in `Allow` which methods there are.
//! - An answer that the client's `Accept` refuses becomes 406. A request that may change something is refused before it does.
//!   Problems are sent whatever `Accept` says.
//! - Answers to `GET` have a `Cache-Control`, and JSON has an `ETag`: the one that the handler gave it, such as a version, a hash of the
//!   body, or both ([`ETagByContent`]). What the client has already (`If-None-Match`) is answered 304, whichever `ETag` that is. The ETag
//!   of an answer that was compressed on its way ([`gzip_etag`]) is as good as its own.
//! - Routes that will go away say so: `Deprecation`, `Sunset` ([`Deprecation`]).

mod accept;
mod deprecation;
pub(crate) mod etag;

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{MatchedPath, Request};
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCEPT, ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tower::{Layer, Service};

pub use accept::prefers;
pub use deprecation::Deprecation;
pub use etag::{ETagByContent, gzip_etag};

use crate::json_rewriting::work_on;
use crate::{Precondition, Problem, ProblemType};

/// Larger bodies get no `ETag`, unless they have a version: to hash them would take longer than to send them again.
const LONGEST_HASHED: u64 = 4 * 1024 * 1024;

/// The layer around all routes that does what HTTP asks of every answer. What decides who may see what belongs inside it: it hashes
/// answers as they are sent.
#[derive(Debug, Clone, Copy)]
pub struct HttpSemantics {
    deprecations: &'static [Deprecation],
}

impl HttpSemantics {
    /// `deprecations` are the routes that will go away.
    #[must_use]
    pub const fn new(deprecations: &'static [Deprecation]) -> Self {
        Self { deprecations }
    }
}

impl<S> Layer<S> for HttpSemantics {
    type Service = HttpSemanticsService<S>;

    fn layer(&self, inner: S) -> HttpSemanticsService<S> {
        HttpSemanticsService { semantics: *self, inner }
    }
}

/// A service behind [`HttpSemantics`].
#[derive(Debug, Clone)]
pub struct HttpSemanticsService<S> {
    semantics: HttpSemantics,
    inner: S,
}

impl<S> Service<Request> for HttpSemanticsService<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let mut wishes = RequestWishes::of(&request, self.semantics.deprecations);
        if wishes.may_change_something() && !accept::accepts(&wishes.accept, "application/json") {
            return Box::pin(std::future::ready(Ok(not_acceptable("application/json"))));
        }
        etag::forget_compression(request.headers_mut());
        wishes.check(request.headers());
        if wishes.method == Method::HEAD {
            // The router leaves the body out.
            *request.method_mut() = Method::GET;
        }
        let answer = self.inner.call(request);
        Box::pin(async move { Ok(wishes.meet(answer.await?).await) })
    }
}

/// What a request says about its answer.
struct RequestWishes {
    method: Method,
    accept: Vec<HeaderValue>,
    /// As it was sent.
    if_none_match: Vec<HeaderValue>,
    /// What is wrong with `If-None-Match`. It counts only if there is something to read (RFC 9110, section 13.2.1): a caller who may not
    /// read it is told that first.
    malformed: Option<Problem>,
    deprecation: Option<&'static Deprecation>,
}

impl RequestWishes {
    fn of(request: &Request, deprecations: &'static [Deprecation]) -> Self {
        let values = |name: HeaderName| request.headers().get_all(name).iter().cloned().collect();
        let path = request.extensions().get::<MatchedPath>();
        let deprecation =
            path.and_then(|path| deprecations.iter().find(|deprecation| deprecation.is_of(path.as_str())));
        let if_none_match: Vec<_> = if reads(request.method()) { values(IF_NONE_MATCH) } else { Vec::new() };
        Self { method: request.method().clone(), accept: values(ACCEPT), if_none_match, malformed: None, deprecation }
    }

    /// Looks at `If-None-Match` as the handler will see it.
    fn check(&mut self, headers: &HeaderMap) {
        if !self.if_none_match.is_empty() {
            self.malformed = Precondition::read(headers).map(drop).err();
        }
    }

    fn may_change_something(&self) -> bool {
        !self.method.is_safe()
    }

    async fn meet(mut self, answer: Response) -> Response {
        let mut answer = match answer.status() {
            // The router adds `Allow` once the answer has left its layers.
            StatusCode::METHOD_NOT_ALLOWED if self.method == Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
            StatusCode::OK if reads(&self.method) => match self.malformed.take() {
                Some(malformed) => malformed.into_response(),
                None => self.read(answer).await,
            },
            _ => answer,
        };
        if answer.status() == StatusCode::NOT_MODIFIED {
            etag::name_as_known(&self.if_none_match, answer.headers_mut());
        }
        if reads(&self.method) {
            set_caching(answer.status(), answer.headers_mut());
        }
        if let Some(deprecation) = self.deprecation {
            deprecation.mark(answer.headers_mut());
        }
        answer
    }

    /// What was read, unless the client refuses it or has it.
    async fn read(&self, mut answer: Response) -> Response {
        let content_type = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if !accept::accepts(&self.accept, &media_type) {
            return not_acceptable(&media_type);
        }
        if let Some(tag) = answer.headers().get(ETAG) {
            let is_known = tag.to_str().is_ok_and(|tag| etag::matches(&self.if_none_match, tag));
            return if is_known { not_modified(answer.into_parts().0) } else { answer };
        }
        let version = answer.extensions_mut().remove::<ETagByContent>();
        let is_short = answer.body().size_hint().exact().is_some_and(|bytes| bytes <= LONGEST_HASHED);
        if media_type != "application/json" || (version.is_none() && !is_short) {
            return answer;
        }
        let (mut head, body) = answer.into_parts();
        let body = match to_bytes(body, usize::MAX).await {
            Ok(body) => body,
            Err(error) => return Problem::internal(error).into_response(),
        };
        let hashed = body.clone();
        let tag = work_on(body.len(), move || match version {
            Some(version) => version.of(&hashed),
            None => etag::of_body(&hashed),
        });
        let tag = match tag.await {
            Ok(tag) => tag,
            Err(problem) => return problem.into_response(),
        };
        let is_known = etag::matches(&self.if_none_match, &tag);
        if let Ok(tag) = HeaderValue::try_from(tag) {
            head.headers.insert(ETAG, tag);
        }
        if is_known { not_modified(head) } else { Response::from_parts(head, Body::from(body)) }
    }
}

fn not_modified(mut head: Parts) -> Response {
    head.status = StatusCode::NOT_MODIFIED;
    head.headers.remove(CONTENT_TYPE);
    head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(head, Body::empty())
}

/// Adds `OPTIONS`, which every path has, to the methods in `Allow`.
pub(crate) fn complete_allow(headers: &mut HeaderMap) {
    let Some(allow) = headers.get(ALLOW).and_then(|allow| allow.to_str().ok()) else { return };
    let methods = allow.split(',').map(str::trim).filter(|method| !method.is_empty() && *method != "OPTIONS");
    let methods = methods.chain(["OPTIONS"]).collect::<Vec<_>>().join(", ");
    if let Ok(methods) = HeaderValue::try_from(methods) {
        headers.insert(ALLOW, methods);
    }
}

fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

fn not_acceptable(media_type: &str) -> Response {
    Problem::new(ProblemType::NotAcceptable, format!("the answer is {media_type}, which Accept refuses"))
        .into_response()
}

/// What depends on who asks is kept by nobody else, and asked about again before it is used. Refusals and streams are not kept.
fn set_caching(status: StatusCode, headers: &mut HeaderMap) {
    let is_stream = headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
    if is_stream || status.is_client_error() || status.is_server_error() {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    } else if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        headers.append(VARY, HeaderValue::from(AUTHORIZATION));
    }
}

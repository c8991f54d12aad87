//! The answers to requests that do not succeed: RFC 9457 problem details.
//!
//! A handler returns `Result<_, Problem>` and says only what went wrong. [`layer`] goes around the whole router once. It adds what only
//! it knows (`instance`, `traceId`), logs each refusal with its trace id and its hidden cause, and gives every refusal this shape:
//! those of unknown paths, wrong methods, rejected extractors and panics included. What the HTTP server refuses before there is a
//! request (headers that can't be read or are too long: 400, 414, 431) does not pass the layer, and is answered without a body.
//!
//! Here is also what else all HTTP interfaces share: [`AllowedHosts`], and a request's [`QueryParameters`], [`Peer`],
//! [`Precondition`] and [`Trace`].

mod allowed_hosts;
mod layer;
mod peer;
mod precondition;
mod query_parameters;
mod refusal_log;
mod trace;

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value};

pub use allowed_hosts::{AllowedHosts, AllowedHostsService, RefusedByHost};
pub use layer::{ProblemLayer, ProblemService, layer};
pub use peer::Peer;
pub use precondition::Precondition;
pub use query_parameters::QueryParameters;
pub use trace::Trace;

/// The media type of every answer made here.
const MEDIA_TYPE: &str = "application/problem+json";

/// A refusal or failure, as the client sees it, with the cause that the client does not see.
///
/// One word wide, so that `Result<_, Problem>` stays small.
#[derive(Debug, Clone)]
pub struct Problem(Box<Content>);

/// One violation in a request's body or parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Where: a JSON pointer into the body (`/items/0/quantity`), or `?name` for a query parameter.
    pub pointer: String,
    /// What rule was broken, for programs; stable.
    pub code: Cow<'static, str>,
    /// What is wrong and what is allowed, for people.
    pub message: String,
}

type Text = Cow<'static, str>;

impl Problem {
    /// 400: the request cannot be read at all.
    pub fn malformed(detail: impl Into<Text>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", "The request cannot be read").detail(detail)
    }

    /// 404.
    pub fn not_found(detail: impl Into<Text>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is no such thing").detail(detail)
    }

    /// 405: the path exists, the method does not.
    fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "The method is not allowed here")
    }

    /// 409: the request contradicts the present state. `code` tells the conflicts apart.
    pub fn conflict(code: impl Into<Text>, detail: impl Into<Text>) -> Self {
        Self::new(StatusCode::CONFLICT, code, "The request conflicts with the present state").detail(detail)
    }

    /// 413: the body is longer than allowed.
    pub fn payload_too_large(detail: impl Into<Text>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "payload-too-large", "The body is too large").detail(detail)
    }

    /// 415: the body's media type is not understood.
    pub fn unsupported_media_type(detail: impl Into<Text>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The media type is not understood")
            .detail(detail)
    }

    /// 422: the request can be read and breaks rules; every violation at once.
    #[must_use]
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "The request breaks a rule");
        problem.0.detail = match errors.as_slice() {
            [] => None,
            [only] => Some(only.message.clone().into()),
            several => Some(format!("{} rules are broken; see errors", several.len()).into()),
        };
        problem.0.errors = errors;
        problem
    }

    /// 503: not now; the same request may succeed after `retry_after`, which leaves in whole seconds, rounded up.
    pub fn unavailable(code: impl Into<Text>, detail: impl Into<Text>, retry_after: Duration) -> Self {
        let mut problem =
            Self::new(StatusCode::SERVICE_UNAVAILABLE, code, "Not available at the moment").detail(detail);
        problem.0.retry_after = Some(retry_after);
        problem
    }

    /// 500: our fault. The cause is logged with the trace id and never sent.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::of_status(StatusCode::INTERNAL_SERVER_ERROR).caused_by(cause)
    }

    /// Any other status; `code` is stable and for programs, `title` is the same for every problem of that code.
    pub fn new(status: StatusCode, code: impl Into<Text>, title: &'static str) -> Self {
        Self(Box::new(Content {
            title,
            status,
            detail: None,
            code: code.into(),
            errors: Vec::new(),
            members: Map::new(),
            retry_after: None,
            cause: None,
        }))
    }

    /// Says what is wrong with this particular request.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Text>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Adds an extension member, such as `currentVersion`.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.0.members.insert(name.to_owned(), value.into());
        self
    }

    /// Keeps the cause for the log; the client never sees it.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.cause = Some(Arc::from(cause.into()));
        self
    }

    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    pub(crate) fn code(&self) -> &str {
        &self.0.code
    }

    /// The hidden cause, if one was given.
    #[must_use]
    pub fn cause(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.0.cause.as_deref()
    }

    /// The general problem for a status, for answers that are no problem yet.
    fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::BAD_REQUEST => Self::malformed("").without_detail(),
            StatusCode::NOT_FOUND => Self::not_found("").without_detail(),
            StatusCode::METHOD_NOT_ALLOWED => Self::method_not_allowed(),
            StatusCode::PAYLOAD_TOO_LARGE => Self::payload_too_large("").without_detail(),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::unsupported_media_type("").without_detail(),
            StatusCode::UNPROCESSABLE_ENTITY => Self::invalid(Vec::new()),
            StatusCode::INTERNAL_SERVER_ERROR => Self::new(status, "internal", "Something failed on our side"),
            other => Self::new(other, "failed", other.canonical_reason().unwrap_or("The request failed")),
        }
    }

    fn without_detail(mut self) -> Self {
        self.0.detail = None;
        self
    }

    /// Renders the answer for the request at `instance`; both are absent outside of [`layer`].
    fn render(&self, instance: Option<&str>, trace_id: Option<&str>) -> Response {
        let Content { title, status, detail, code, errors, members, retry_after, cause: _ } = &*self.0;
        let wire = Wire {
            r#type: format!("urn:ordo:problem:{code}"),
            title,
            status: status.as_u16(),
            detail: detail.as_deref(),
            instance,
            code,
            trace_id,
            errors,
            members,
        };
        // Strings, numbers and a map with string keys always serialize; an empty body is the worst that is left.
        let body = serde_json::to_vec(&wire).unwrap_or_default();
        let mut response = (*status, [(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE))], body).into_response();
        if let Some(after) = retry_after {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.render(None, None);
        // The layer takes it out and renders it again, with the request's path and trace id.
        response.extensions_mut().insert(self);
        response
    }
}

#[derive(Debug, Clone)]
struct Content {
    title: &'static str,
    status: StatusCode,
    detail: Option<Text>,
    code: Text,
    errors: Vec<FieldError>,
    members: Map<String, Value>,
    retry_after: Option<Duration>,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

/// The members in the order people read them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    errors: &'a [FieldError],
    #[serde(flatten)]
    members: &'a Map<String, Value>,
}

//! The answers to requests that do not succeed: RFC 9457 problem details.
//!
//! A handler returns `Result<_, Problem>` and says only what went wrong. [`layer`] goes around the whole router once. It adds what only
//! it knows (`instance`, `traceId`), logs each refusal with its trace id and its hidden cause, and gives every refusal this shape:
//! those of unknown paths, wrong methods, rejected extractors and panics included. What the HTTP server refuses before there is a
//! request (headers that can't be read or are too long: 400, 414, 431) does not pass the layer, and is answered without a body.
//!
//! The types of problems are a registry, [`ProblemType`], and the server answers what each means ([`documentation()`]).
//!
//! Here is also what else all HTTP interfaces share: [`HttpSemantics`], [`SparseFieldsets`], [`AllowedHosts`], and the time for a body ([`within_body_time`]), a request's [`QueryParameters`], [`ClientNetwork`],
//! [`Precondition`] and [`Trace`].

mod actor;
mod allowed_hosts;
mod body_time;
mod documentation;
mod idempotency_key;
mod json_rewriting;
mod layer;
mod peer;
mod precondition;
mod problem_type;
mod query_parameters;
mod raw_json;
mod refusal_log;
#[cfg(test)]
mod schema;
mod semantics;
mod sparse_fieldsets;
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

pub use actor::RefusedCaller;
pub use allowed_hosts::{AllowedHosts, AllowedHostsService, RefusedByHost};
pub use body_time::within_body_time;
pub use documentation::documentation;
pub use idempotency_key::idempotency_key;
pub use json_rewriting::rewrite_json;
pub use layer::{ProblemLayer, ProblemPage, ProblemService, layer};
pub use peer::ClientNetwork;
pub use precondition::Precondition;
pub use problem_type::ProblemType;
pub use query_parameters::QueryParameters;
pub use raw_json::{ObjectWriter, RawObject};
pub use semantics::{Deprecation, ETagByContent, HttpSemantics, HttpSemanticsService, gzip_etag, prefers};
pub use sparse_fieldsets::{SelectableFields, SparseFieldsets, SparseFieldsetsService};
pub use trace::Trace;

/// The media type of every answer made here.
const MEDIA_TYPE: &str = "application/problem+json";

/// A refusal or failure, as the client sees it, with the cause that the client does not see.
///
/// One word wide, so that `Result<_, Problem>` stays small.
#[derive(Debug, Clone)]
pub struct Problem(Box<ProblemContent>);

/// One violation in a request's body or parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FieldError {
    /// Where: a JSON pointer into the body (`/items/0/quantity`), or `?name` for a query parameter.
    pub pointer: String,
    /// What rule was broken, for programs; stable.
    pub code: Cow<'static, str>,
    /// What is wrong and what is allowed, for people.
    pub message: String,
}

type ProblemText = Cow<'static, str>;

impl Problem {
    /// A problem of a type; `detail` says what is wrong with this particular request.
    pub fn new(problem_type: ProblemType, detail: impl Into<ProblemText>) -> Self {
        Self::without_detail(problem_type).detail(detail)
    }

    /// 400: the request cannot be read at all.
    pub fn malformed(detail: impl Into<ProblemText>) -> Self {
        Self::new(ProblemType::Malformed, detail)
    }

    /// 404.
    pub fn not_found(detail: impl Into<ProblemText>) -> Self {
        Self::new(ProblemType::NotFound, detail)
    }

    /// 415: the body's media type is not understood.
    pub fn unsupported_media_type(detail: impl Into<ProblemText>) -> Self {
        Self::new(ProblemType::UnsupportedMediaType, detail)
    }

    /// 422: the request can be read and breaks rules; every violation at once.
    #[must_use]
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let mut problem = Self::without_detail(ProblemType::Invalid);
        problem.0.detail = match errors.as_slice() {
            [] => None,
            [only] => Some(only.message.clone().into()),
            several => Some(format!("{} rules are broken; see errors", several.len()).into()),
        };
        problem.0.errors = errors;
        problem
    }

    /// 500: our fault. The cause is logged with the trace id and never sent.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::without_detail(ProblemType::Internal).caused_by(cause)
    }

    /// The general problem for a status, for answers that are no problem yet.
    fn of_status(status: StatusCode) -> Self {
        let mut problem = Self::without_detail(ProblemType::of_status(status));
        problem.0.status = status;
        problem
    }

    fn without_detail(problem_type: ProblemType) -> Self {
        Self(Box::new(ProblemContent {
            problem_type,
            status: problem_type.status(),
            detail: None,
            errors: Vec::new(),
            members: Map::new(),
            retry_after: None,
            cause: None,
        }))
    }

    fn detail(mut self, detail: impl Into<ProblemText>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// The same request may succeed after this time, which leaves in whole seconds, rounded up.
    #[must_use]
    pub fn retry_after(mut self, time: Duration) -> Self {
        self.0.retry_after = Some(time);
        self
    }

    /// Adds an extension member, such as `currentVersion`.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.0.members.insert(name.to_owned(), value.into());
        self
    }

    /// Leaves out the extension members whose name is hidden from the caller.
    pub fn hide_members(&mut self, is_hidden: impl Fn(&str) -> bool) {
        self.0.members.retain(|name, _| !is_hidden(name));
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

    pub(crate) fn code(&self) -> &'static str {
        self.0.problem_type.code()
    }

    /// The hidden cause, if one was given.
    #[must_use]
    pub fn cause(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.0.cause.as_deref()
    }

    /// As a part of another answer: the members that its own answer would have, but for those of its request.
    #[must_use]
    pub fn to_json(&self) -> Value {
        // Strings, numbers and a map with string keys always serialize.
        serde_json::to_value(self.members(None, None)).unwrap_or_default()
    }

    fn members<'a>(&'a self, instance: Option<&'a str>, trace_id: Option<&'a str>) -> ProblemJson<'a> {
        let ProblemContent { problem_type, status, detail, errors, members, retry_after: _, cause: _ } = &*self.0;
        ProblemJson {
            r#type: problem_type.uri(),
            title: problem_type.title(),
            status: status.as_u16(),
            detail: detail.as_deref(),
            instance,
            code: problem_type.code(),
            trace_id,
            errors,
            members,
        }
    }

    /// Renders the answer for the request at `instance`; both are absent outside of [`layer`].
    fn render(&self, instance: Option<&str>, trace_id: Option<&str>) -> Response {
        let ProblemContent { status, retry_after, .. } = &*self.0;
        let wire = self.members(instance, trace_id);
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
struct ProblemContent {
    problem_type: ProblemType,
    /// The type's own, but for [`ProblemType::Failed`].
    status: StatusCode,
    detail: Option<ProblemText>,
    errors: Vec<FieldError>,
    members: Map<String, Value>,
    retry_after: Option<Duration>,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

/// The members in the order people read them.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct ProblemJson<'a> {
    r#type: &'static str,
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

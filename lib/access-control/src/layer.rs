//! The layer at the edge of the HTTP interface: who calls, and whether the table of routes lets it.
//!
//! It goes around a router that has its routes already, so that it knows which one was matched. Handlers find the
//! [`Principal`](crate::Principal) and its [`RoutePermission`] in the request's extensions. On the way out it leaves out of JSON what the caller may
//! not see, and ends a stream with the credential of its caller.

mod response;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::{FromRequestParts, MatchedPath, Request};
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, IF_NONE_MATCH, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use problem::{Problem, ProblemType, RefusedCaller};
use tower::{Layer, Service};
use tracing::Span;

use crate::routes::Route;
use crate::{AuthenticationError, Authenticator, Denial, Principal, Redaction, RouteClass, RoutePermission, decide};

/// Finds out who calls, and lets a request on to its handler if the table of routes grants the caller that route.
#[derive(Debug, Clone)]
pub struct AccessLayer(Arc<Access>);

#[derive(Debug)]
struct Access {
    authenticator: Authenticator,
    /// Who calls where no credential comes. `None`: nobody, it is refused.
    anonymous: Option<Principal>,
}

impl AccessLayer {
    /// `anonymous`: as whom those without a credential call, unless a proxy passes their requests on; `None`: they are refused where a
    /// route is not for everyone.
    #[must_use]
    pub fn new(authenticator: Authenticator, anonymous: Option<Principal>) -> Self {
        Self(Arc::new(Access { authenticator, anonymous }))
    }

    /// Who sends a request, by its credential. `None`: it has none, and nobody calls without one.
    pub async fn caller(&self, headers: &HeaderMap) -> Result<Option<Principal>, AuthenticationError> {
        self.0.caller(headers).await
    }
}

impl Access {
    async fn caller(&self, headers: &HeaderMap) -> Result<Option<Principal>, AuthenticationError> {
        let caller = self.authenticator.authenticate(headers).await?;
        Ok(caller.or_else(|| self.anonymous.clone().filter(|_| !is_forwarded(headers))))
    }

    /// Who calls, and what it may do. `Err`: the answer that refuses it.
    async fn admit(&self, route: &Route, headers: &HeaderMap) -> Result<(Principal, RoutePermission), Response> {
        let caller = match self.caller(headers).await {
            Ok(caller) => caller,
            Err(error) => return Err(error.into_response()),
        };
        match (decide(route, caller.as_ref()), caller) {
            (Ok(grant), Some(caller)) => Ok((caller, grant)),
            (Err(Denial::Unauthenticated) | Ok(_), _) => Err(unauthenticated()),
            (Err(Denial::Forbidden), caller) => {
                let role = caller.as_ref().map_or("", |caller| caller.role().as_str());
                let mut refused = forbidden(role, route).into_response();
                if let Some(caller) = caller {
                    refused.extensions_mut().insert(actor(&caller));
                }
                Err(refused)
            }
        }
    }
}

/// Whether [`AccessLayer`] looks at the credential of a request: there is such a route, and it is not for everyone.
#[must_use]
pub fn looks_at_credential(request: &Request) -> bool {
    let path = request.extensions().get::<MatchedPath>();
    let route = path.and_then(|path| Route::find(request.method().as_str(), path.as_str()).ok());
    route.is_some_and(|route| !route.class.is_public())
}

/// What proxies add. Not all do: nginx has to be told to.
const FORWARDED: [&str; 6] =
    ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"];

/// Whether a proxy passed the request on. Whoever is behind it is not on this machine.
fn is_forwarded(headers: &HeaderMap) -> bool {
    FORWARDED.into_iter().any(|name| headers.contains_key(name))
}

fn actor(caller: &Principal) -> RefusedCaller {
    RefusedCaller::from(caller.actor())
}

fn forbidden(role: &str, route: &Route) -> Problem {
    let detail = format!("the role {role} may not {} {}", route.method, route.path);
    Problem::new(ProblemType::Forbidden, detail)
}

fn unauthenticated() -> Response {
    let detail = "send a token or an API key: Authorization: Bearer …";
    let mut refused = Problem::new(ProblemType::Unauthenticated, detail).into_response();
    refused.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    refused
}

/// What no row of the table is for.
fn not_in_the_table(method: &Method, path: &str) -> Response {
    tracing::error!(%method, path, "a route is not in the table of access control, so it is refused");
    Problem::new(ProblemType::Forbidden, "nobody may call this route").into_response()
}

fn wrong_method(methods: &[&'static str]) -> Response {
    let heads = methods.contains(&"GET").then_some("HEAD");
    let allowed = methods.iter().copied().chain(heads).collect::<Vec<_>>().join(",");
    let mut refused = StatusCode::METHOD_NOT_ALLOWED.into_response();
    // Methods are ASCII.
    if let Ok(allowed) = HeaderValue::try_from(allowed) {
        refused.headers_mut().insert(ALLOW, allowed);
    }
    refused
}

impl<S> Layer<S> for AccessLayer {
    type Service = AccessService<S>;

    fn layer(&self, inner: S) -> AccessService<S> {
        AccessService { access: Arc::clone(&self.0), inner }
    }
}

/// Refuses whom the rules of the route refuse. Others reach the inner service with their [`Principal`].
#[derive(Debug, Clone)]
pub struct AccessService<S> {
    access: Arc<Access>,
    inner: S,
}

impl<S> Service<Request> for AccessService<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        // What answers that there is no such path needs no credential.
        let Some(path) = request.extensions().get::<MatchedPath>().cloned() else {
            return Box::pin(self.inner.call(request));
        };
        let route = match Route::find(request.method().as_str(), path.as_str()) {
            Ok(route) if route.class.is_public() => return Box::pin(self.inner.call(request)),
            Ok(route) => route,
            Err(methods) if methods.is_empty() => {
                return answer(not_in_the_table(request.method(), path.as_str()));
            }
            // It asks which methods there are.
            Err(_) if request.method() == Method::OPTIONS => return Box::pin(self.inner.call(request)),
            Err(methods) => return answer(wrong_method(&methods)),
        };
        let access = Arc::clone(&self.access);
        // The service that is ready is the one to call; the clone takes its place.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            let (caller, grant) = match access.admit(route, request.headers()).await {
                Ok(admitted) => admitted,
                Err(refused) => return Ok(refused),
            };
            let span = Span::current();
            if !span.is_disabled() {
                span.record("actor", caller.actor());
            }
            let stream = (route.class == RouteClass::Firehose).then(|| request.headers().clone());
            let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
            if is_read && Redaction::of(grant).is_some() {
                // It has another answer than the one of the handler. `HttpSemantics` knows whether it has the one that is sent.
                request.headers_mut().remove(IF_NONE_MATCH);
            }
            request.extensions_mut().insert(grant);
            request.extensions_mut().insert(caller.clone());
            let mut answer = inner.call(request).await?;
            if let Some(headers) = stream {
                let ended = response::credential_ended(access, headers, caller.clone());
                answer = response::until(answer, ended);
            }
            if answer.status().is_client_error() || answer.status().is_server_error() {
                answer.extensions_mut().insert(actor(&caller));
                return Ok(response::redacted_refusal(answer, grant));
            }
            let mut answer = response::redacted(answer, route, grant, is_read).await;
            if answer.status().is_server_error() {
                answer.extensions_mut().insert(actor(&caller));
            }
            Ok(answer)
        })
    }
}

fn answer(response: Response) -> Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>> {
    Box::pin(std::future::ready(Ok(response)))
}

/// Who calls, and what the table grants it: for handlers. Behind no [`AccessLayer`] a request is refused (500), because nothing was
/// decided about it.
#[derive(Debug, Clone)]
pub struct AuthorizedCaller {
    pub principal: Principal,
    pub grant: RoutePermission,
}

impl AuthorizedCaller {
    /// The customer whose orders it sees alone. `None`: it sees those of all.
    #[must_use]
    pub fn only_customer(&self) -> Option<&str> {
        // Without an id it would see those of nobody: no customer has an empty one.
        (self.grant == RoutePermission::Own).then(|| self.principal.customer_id().unwrap_or_default())
    }

    /// The caller at a route, which need not be the one that was asked for: 403 if it may not read there.
    pub fn at(principal: &Principal, route: &Route) -> Result<Self, Problem> {
        match decide(route, Some(principal)) {
            Ok(grant) => Ok(Self { principal: principal.clone(), grant }),
            Err(_) => Err(forbidden(principal.role().as_str(), route)),
        }
    }

    /// Refuses what the caller may not read at another route, before it comes with the answer of this one: 403. What is left out of it
    /// is what is left out of this answer, so both have to leave out the same.
    pub fn check_may_read(&self, path: &str) -> Result<(), Problem> {
        let route = Route::find("GET", path).map_err(|_| Problem::internal(format!("there is no route GET {path}")))?;
        match decide(route, Some(&self.principal)) {
            Ok(grant) if Redaction::of(grant) == Redaction::of(self.grant) => Ok(()),
            Ok(_) | Err(_) => Err(forbidden(self.principal.role().as_str(), route)),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for AuthorizedCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let (principal, grant) =
            (parts.extensions.get::<Principal>().cloned(), parts.extensions.get::<RoutePermission>().copied());
        let caller = principal.zip(grant).map(|(principal, grant)| Self { principal, grant });
        caller.ok_or_else(|| Problem::internal("a request came past access control"))
    }
}

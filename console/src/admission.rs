//! Who may see the console.

use access_control::{AuthorizedCaller, Principal, Role, Route};
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, Method};
use problem::{ClientNetwork, Problem, ProblemType, RefusedCaller};

use crate::Console;
use crate::action::{FormSecret, Preview, RefusedForm, Said};
use crate::session::SessionCredential;

const SIGN_IN: &str = "/sign-in";
/// Where browsers are sent to the issuer from.
const ISSUER: &str = "/sign-in/issuer";
/// Where they come back to. It counts as a stranger's request, before the issuer is asked.
pub(crate) const CALLBACK: &str = "/sign-in/callback";
/// What is shown to everyone.
const OPEN: [&str; 10] = [
    SIGN_IN,
    ISSUER,
    CALLBACK,
    "/sign-out",
    "/console.css",
    "/console.svg",
    "/htmx.min.js",
    "/sse.min.js",
    "/idiomorph-ext.min.js",
    "/console.js",
];
/// What is the same for everyone and costs nothing.
const STATIC: [&str; 8] = [
    SIGN_IN,
    ISSUER,
    "/console.css",
    "/console.svg",
    "/htmx.min.js",
    "/sse.min.js",
    "/idiomorph-ext.min.js",
    "/console.js",
];

/// Whether a path is shown to everyone.
pub(crate) fn is_open(path: &str) -> bool {
    OPEN.contains(&path)
}

/// The layer that finds out who sends a request, and refuses who has no business here: everybody without a credential that holds, and
/// customers.
pub async fn admit(State(console): State<Console>, mut request: Request, next: Next) -> Response {
    if is_open(request.uri().path()) {
        return next.run(request).await;
    }
    let caller = match console.0.access.caller(request.headers()).await {
        Ok(Some(caller)) => caller,
        Ok(None) => return unauthenticated(),
        Err(error) => return error.into_response(),
    };
    if let Err(problem) = check_role(&caller) {
        return refused(problem, &caller);
    }
    request.extensions_mut().insert(caller.clone());
    let mut answer = next.run(request).await;
    if answer.status().is_client_error() || answer.status().is_server_error() {
        answer.extensions_mut().insert(RefusedCaller::from(caller.actor()));
        answer.extensions_mut().insert(caller);
    }
    answer
}

/// Whether the credential of a request is looked at: it has one, and its path is not open; or it has one in the form that signs in. Goes
/// behind [`use_session`](crate::use_session).
#[must_use]
pub fn looks_at_credential(request: &Request) -> bool {
    let path = request.uri().path();
    match is_open(path) {
        true => path == SIGN_IN && request.method() == Method::POST,
        false => request.headers().contains_key(AUTHORIZATION),
    }
}

/// Whether a request is for what is the same for everyone and costs nothing, among it the form that signs in.
#[must_use]
pub fn is_the_same_for_everyone(request: &Request) -> bool {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    is_read && STATIC.contains(&request.uri().path())
}

/// A refusal that tells the log whom it refuses.
pub(crate) fn refused(problem: Problem, caller: &Principal) -> Response {
    let mut answer = problem.into_response();
    answer.extensions_mut().insert(RefusedCaller::from(caller.actor()));
    answer
}

/// Refuses customers.
pub(crate) fn check_role(caller: &Principal) -> Result<(), Problem> {
    match caller.role() {
        Role::Customer => Err(Problem::new(ProblemType::Forbidden, "the role customer may not see the console")),
        Role::Shop | Role::Warehouse | Role::Support | Role::Finance | Role::Operator | Role::Auditor => Ok(()),
    }
}

fn unauthenticated() -> Response {
    let detail = "sign in with a token or an API key, or send it: Authorization: Bearer …";
    let mut refused = Problem::new(ProblemType::Unauthenticated, detail).into_response();
    refused.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    refused
}

/// Who reads a page.
#[derive(Clone)]
pub(crate) struct Reader {
    pub(crate) principal: Principal,
    pub(crate) peer: Option<ClientNetwork>,
    /// The credential of its session, if it has one.
    pub(crate) session: Option<String>,
    /// What its forms are bound to. `None`: pages have none for it.
    pub(crate) form_secret: Option<String>,
    /// The form that it sent and that was refused.
    pub(crate) refused: Option<Arc<RefusedForm>>,
    /// The form that it sent, and what that would do.
    pub(crate) preview: Option<Arc<Preview>>,
    /// What was done before.
    pub(crate) said: Option<Said>,
}

impl Reader {
    /// What the reader may do at a route of the API, from which a page has what it shows: 403 if that is nothing.
    pub(crate) fn at(&self, path: &str) -> Result<(AuthorizedCaller, &'static Route), Problem> {
        let route = route("GET", path)?;
        Ok((AuthorizedCaller::at(&self.principal, route)?, route))
    }

    /// Whether the reader may read there.
    pub(crate) fn may_read(&self, path: &str) -> bool {
        self.at(path).is_ok()
    }

    /// Whether the reader may call it.
    pub(crate) fn may(&self, method: &str, path: &str) -> bool {
        route(method, path).and_then(|route| AuthorizedCaller::at(&self.principal, route)).is_ok()
    }
}

fn route(method: &str, path: &str) -> Result<&'static Route, Problem> {
    Route::find(method, path).map_err(|_| Problem::internal(format!("there is no route {method} {path}")))
}

impl<S: Sync> FromRequestParts<S> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let principal = parts.extensions.get::<Principal>().cloned();
        Ok(Self {
            principal: principal.ok_or_else(|| Problem::internal("a request came past the console's admission"))?,
            peer: parts.extensions.get::<ClientNetwork>().copied(),
            session: parts.extensions.get::<SessionCredential>().map(|session| session.0.clone()),
            form_secret: parts.extensions.get::<FormSecret>().map(|secret| secret.0.clone()),
            refused: parts.extensions.get::<Arc<RefusedForm>>().cloned(),
            preview: parts.extensions.get::<Arc<Preview>>().cloned(),
            said: parts.extensions.get::<Said>().cloned(),
        })
    }
}

//! What a form of the console does: it becomes the request that the API takes, and the API's own router answers it here.
//!
//! So who may do what, what is refused, what is done once only and what is recorded of it are the API's. A form is sent to the path of the
//! API's route. Its fields are named by the places in the JSON that they are for ([`body`]), so what the API says of a place is said beside
//! the field.

mod body;
mod form;
mod preview;
mod said;

use std::sync::Arc;
use std::time::Duration;

use access_control::Principal;
use askama::Template;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, IF_MATCH, LOCATION, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use problem::{ClientNetwork, Problem, ProblemPage, ProblemType, Trace, prefers};
use serde_json::Value;
use tower::ServiceExt;

use self::body::RequestBody;
pub(crate) use self::form::{ActionForm, Control, Field};
pub(crate) use self::preview::Preview;
pub(crate) use self::said::Said;
use crate::Console;
use crate::admission::is_open;
use crate::display::Text;
use crate::form::Form;
use crate::frame::Frame;
use crate::problem_page::errors;
use crate::session::{ConsoleCookie, SessionCredential, form_token, is_form_token, random_text};
use crate::sign_in::{path_of_ours, stale_form};

/// How often, and after which time, a form is sent again while the same form is under way: somebody clicked twice.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(250);
/// How long an answer waits until what was done can be seen on the page.
const UNTIL_SEEN: Duration = Duration::from_secs(2);

/// Routes that no form is for: new orders go in where their number is bounded.
const INTAKE: [&str; 3] = ["/orders", "/orders/batch", "/orders/import"];

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const POSITION: HeaderName = HeaderName::from_static("event-position");

/// What the forms of a page are bound to: an extension of the request. Only who has it in a cookie can send them.
#[derive(Clone)]
pub(crate) struct FormSecret(pub(crate) String);

/// A form that was sent and refused: an extension of the request for the page that shows it again.
pub(crate) struct RefusedForm {
    purpose: String,
    /// Which of the page's forms it is.
    id: String,
    fields: Form,
    /// What is wrong with each field that is to blame.
    field_errors: Vec<(String, String)>,
    /// Whether another form with its key was done before. What was typed is then not offered again under a key of its own.
    pub(crate) was_done: bool,
    pub(crate) detail: Text,
    pub(crate) errors: Vec<Text>,
}

/// The layer around the pages: it binds their forms to the browser, carries out those that are sent, and has pages say what was done.
pub(crate) async fn carry_out(State(console): State<Console>, mut request: Request, next: Next) -> Response {
    if is_open(request.uri().path()) || console.0.api.is_none() {
        return next.run(request).await;
    }
    let secret = match Secret::of(&console, &request) {
        Ok(secret) => secret,
        Err(problem) => return problem.into_response(),
    };
    let Secret { value, is_new } = secret;
    if request.method() == Method::POST {
        return act(&console, request, value).await.unwrap_or_else(IntoResponse::into_response);
    }
    let Some(value) = value else { return next.run(request).await };
    let is_encrypted = console.0.is_encrypted;
    // A page that asks for itself shows nothing of it.
    let is_shown = !request.headers().contains_key("hx-request");
    let said = Said::read(request.headers(), &value, is_encrypted).filter(|_| is_shown);
    let has_said = said.is_some();
    request.extensions_mut().extend(said.map(Said::extension).unwrap_or_default());
    request.extensions_mut().insert(FormSecret(value.clone()));
    let mut answer = next.run(request).await;
    let is_page = answer.headers().get(CONTENT_TYPE).is_some_and(|it| it.as_bytes().starts_with(b"text/html"));
    let cookies = [
        (is_new && is_page).then(|| ConsoleCookie::Form.set(&value, is_encrypted)),
        (has_said && is_page).then(|| ConsoleCookie::Said.remove(is_encrypted)),
    ];
    answer.headers_mut().extend(cookies.into_iter().flatten().flatten().map(|cookie| (SET_COOKIE, cookie)));
    answer
}

/// The text that forms are bound to.
struct Secret {
    /// `None`: the request has a credential of its own, so it is no browser's.
    value: Option<String>,
    /// Whether the browser does not have it yet.
    is_new: bool,
}

impl Secret {
    fn of(console: &Console, request: &Request) -> Result<Self, Problem> {
        if let Some(session) = request.extensions().get::<SessionCredential>() {
            return Ok(Self { value: Some(session.0.clone()), is_new: false });
        }
        if request.headers().contains_key(AUTHORIZATION) {
            return Ok(Self { value: None, is_new: false });
        }
        match ConsoleCookie::Form.read(request.headers(), console.0.is_encrypted) {
            Some(cookie) => Ok(Self { value: Some(cookie), is_new: false }),
            None => Ok(Self { value: Some(random_text()?), is_new: true }),
        }
    }
}

/// What the token of a form is for.
pub(crate) fn purpose(method: &str, path: &str) -> String {
    format!("{method} {path}")
}

/// Carries a form out, and goes on to the page that it names: 303.
async fn act(console: &Console, request: Request, secret: Option<String>) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let fields = console.0.actions.read(body).await?;
    let method = match fields.field("method") {
        "POST" => Method::POST,
        "PUT" => Method::PUT,
        "DELETE" => Method::DELETE,
        _ => return Err(stale_form()),
    };
    let purpose = purpose(method.as_str(), head.uri.path());
    let secret = secret.filter(|secret| is_form_token(secret, &purpose, fields.field("token")));
    let secret = secret.ok_or_else(stale_form)?;
    if INTAKE.contains(&head.uri.path()) {
        return Err(not_here(&purpose));
    }
    let back = fields.field("back").to_owned();
    let body = RequestBody::of(fields.all())?;
    let answer = ask(console, &head, &method, &fields, &body).await?;
    if !answer.status().is_success() {
        let page = Some(fields.field("page")).filter(|page| !page.is_empty()).unwrap_or(&back).to_owned();
        let problem = answer.extensions().get::<Problem>().cloned().unwrap_or_else(|| not_here(&purpose));
        // What may have been done must not be done once more.
        if problem.status().is_server_error() || is(&problem, ProblemType::IdempotencyKeyInUse) {
            return Ok(send_again(&head, &fields, &back, problem));
        }
        return Ok(
            again(console, head, secret, RefusedForm::of(purpose, fields, &body, &problem), &page, problem).await
        );
    }
    if Preview::is_at(head.uri.path()) {
        return preview::show(console, &head, secret, (purpose, fields), answer).await;
    }
    until_seen(console, head.uri.path(), answer.headers()).await;
    let location = answer.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    let next = path_of_ours(if back.is_empty() { location.unwrap_or_default() } else { &back });
    let was_done = answer.headers().contains_key("idempotent-replayed");
    let said = if was_done { "was done already, and not again" } else { "done" };
    let cookie = Said::set(&format!("{}: {said}.", fields.field("title")), &secret, console.0.is_encrypted)?;
    let mut answer = StatusCode::SEE_OTHER.into_response();
    answer.headers_mut().insert(LOCATION, HeaderValue::try_from(next).map_err(Problem::internal)?);
    answer.headers_mut().append(SET_COOKIE, cookie);
    Ok(answer)
}

/// What the API answers. While the same form is under way, it is asked again: its answer is the one of that form, too.
async fn ask(
    console: &Console,
    head: &Parts,
    method: &Method,
    fields: &Form,
    body: &RequestBody,
) -> Result<Response, Problem> {
    let Some(api) = &console.0.api else { return Err(not_here(head.uri.path())) };
    let mut tries = 0;
    loop {
        let mut request = Request::new(Body::from(body.json.clone()));
        *request.method_mut() = method.clone();
        *request.uri_mut() = path_of_api(head.uri.path()).parse().map_err(Problem::internal)?;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // The one that the session has, and under which the reader was admitted.
        headers.extend(head.headers.get(AUTHORIZATION).map(|it| (AUTHORIZATION, it.clone())));
        for (name, field) in [(KEY, "key"), (IF_MATCH, "ifMatch")] {
            let value = Some(fields.field(field)).filter(|value| !value.is_empty());
            let value = value.map(HeaderValue::try_from).transpose().map_err(|_| stale_form())?;
            headers.extend(value.map(|value| (name, value)));
        }
        pass_on(head, &mut request);
        let answer = match api.clone().oneshot(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        let is_under_way =
            answer.extensions().get::<Problem>().is_some_and(|it| is(it, ProblemType::IdempotencyKeyInUse));
        if !is_under_way || tries >= TRIES {
            return Ok(answer);
        }
        tries += 1;
        tokio::time::sleep(PAUSE).await;
    }
}

/// The API's path for one of the console's, whose ids may have a sign that browsers need; see [`Text::in_path`].
fn path_of_api(path: &str) -> String {
    path.split('/').map(|part| part.strip_prefix('!').unwrap_or(part)).collect::<Vec<_>>().join("/")
}

/// What is known of a request beside what the browser said in it.
fn pass_on(head: &Parts, request: &mut Request) {
    let (from, to) = (&head.extensions, request.extensions_mut());
    to.extend(from.get::<ClientNetwork>().copied().map(extension).unwrap_or_default());
    to.extend(from.get::<Trace>().copied().map(extension).unwrap_or_default());
}

fn extension<T: Clone + Send + Sync + 'static>(value: T) -> http::Extensions {
    let mut extensions = http::Extensions::new();
    extensions.insert(value);
    extensions
}

/// Waits until a page shows what was done. If that takes long, it shows it later.
async fn until_seen(console: &Console, path: &str, headers: &HeaderMap) {
    let position = headers.get(POSITION).and_then(|position| position.to_str().ok()?.parse().ok());
    let shown_by = ["orders", "stock"].into_iter().find(|name| path.split('/').nth(1) == Some(*name));
    if let (Some(position), Some(projection)) = (position, shown_by) {
        let seen = console.0.store.until_passed(projection, position);
        // What it comes to is what the page shows.
        let _ = tokio::time::timeout(UNTIL_SEEN, seen).await;
    }
}

/// A page that needs no database: it sends the same form again, with its key.
#[derive(Template)]
#[template(path = "send_again.html")]
struct SendAgainTemplate<'a> {
    frame: Frame,
    detail: Text,
    typed: Vec<Text>,
    action: &'a str,
    fields: &'a [(String, String)],
    back: &'a str,
}

fn send_again(head: &Parts, fields: &Form, back: &str, problem: Problem) -> Response {
    if !prefers(&head.headers, "text/html", "application/problem+json") {
        return problem.into_response();
    }
    let json = problem.to_json();
    let page = SendAgainTemplate {
        frame: Frame::without_reader(fields.field("title")),
        detail: json["detail"].as_str().unwrap_or_default().into(),
        typed: typed(fields),
        action: head.uri.path(),
        fields: fields.all(),
        back: path_of_ours(back),
    };
    let Ok(mut shown) = crate::page(&page) else { return problem.into_response() };
    *shown.status_mut() = problem.status();
    // It is logged as every other refusal.
    shown.extensions_mut().insert(problem);
    shown.extensions_mut().insert(ProblemPage);
    shown
}

/// The page again, with the form as it was sent and what is wrong with it.
async fn again(
    console: &Console,
    head: Parts,
    secret: String,
    refused: RefusedForm,
    back: &str,
    problem: Problem,
) -> Response {
    // It asks to sign in.
    if problem.status() == StatusCode::UNAUTHORIZED {
        return problem.into_response();
    }
    let shown = page_again(console, &head, secret, back, extension(Arc::new(refused))).await;
    let Some(mut shown) = shown else { return problem.into_response() };
    *shown.status_mut() = problem.status();
    // It is logged as every other refusal.
    shown.extensions_mut().insert(problem);
    shown.extensions_mut().insert(ProblemPage);
    shown
}

/// A page once more, after a form of it was sent. `with` tells it of that. `None`: it can't be shown, or the sender is no browser.
async fn page_again(
    console: &Console,
    head: &Parts,
    secret: String,
    page: &str,
    with: http::Extensions,
) -> Option<Response> {
    let page = path_of_ours(page).split('#').next().unwrap_or("/");
    if !prefers(&head.headers, "text/html", "application/problem+json") {
        return None;
    }
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = page.parse().ok()?;
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static("text/html"));
    pass_on(head, &mut request);
    let extensions = request.extensions_mut();
    extensions.extend(head.extensions.get::<Principal>().cloned().map(extension).unwrap_or_default());
    extensions.extend(head.extensions.get::<SessionCredential>().cloned().map(extension).unwrap_or_default());
    extensions.insert(FormSecret(secret));
    extensions.extend(with);
    let shown = match console.pages().oneshot(request).await {
        Ok(shown) => shown,
        Err(never) => match never {},
    };
    (shown.status() == StatusCode::OK).then_some(shown)
}

fn not_here(what: &str) -> Problem {
    Problem::not_found(format!("this console can't do {what}"))
}

fn is(problem: &Problem, kind: ProblemType) -> bool {
    problem.to_json()["code"] == kind.code()
}

impl RefusedForm {
    fn of(purpose: String, fields: Form, body: &RequestBody, problem: &Problem) -> Self {
        let json = problem.to_json();
        let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let listed = json["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        let field_errors = listed.iter().filter_map(|error| {
            let field = body.field_at(error["pointer"].as_str()?)?;
            Some((field.to_owned(), text(error, "message")))
        });
        Self {
            field_errors: field_errors.collect(),
            id: fields.field("form").to_owned(),
            was_done: is(problem, ProblemType::IdempotencyKeyReused),
            detail: json["detail"].as_str().or(json["title"].as_str()).unwrap_or_default().into(),
            errors: errors(&json),
            purpose,
            fields,
        }
    }

    /// Whether it is one that does this.
    pub(crate) fn is_of(&self, purpose: &str) -> bool {
        self.purpose == purpose
    }

    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.field(name)
    }

    /// What was typed, for those whose form the page does not show any more.
    pub(crate) fn typed(&self) -> Vec<Text> {
        typed(&self.fields)
    }
}

/// What was typed, in the order of the form.
fn typed(fields: &Form) -> Vec<Text> {
    let typed = fields.all().iter().filter(|(name, value)| name.starts_with('/') && !value.is_empty());
    typed.map(|(name, value)| format!("{}: {value}", name.trim_start_matches('/')).into()).collect()
}

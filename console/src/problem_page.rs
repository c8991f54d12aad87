//! Refusals and failures as pages, for browsers. Other programs get the problem itself.

use access_control::Principal;
use askama::Template;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, SET_COOKIE};
use http::{HeaderValue, Method, StatusCode};
use problem::{ClientNetwork, Problem, ProblemPage, Trace, prefers};
use serde_json::Value;

use crate::admission::Reader;
use crate::display::Text;
use crate::frame::Frame;
use crate::session::ConsoleCookie;
use crate::{Console, protect, sign_in};

/// A page about a problem.
#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemTemplate {
    frame: Frame,
    detail: Text,
    errors: Vec<Text>,
    trace_id: Text,
}

/// The layer that shows problems to people as pages: that of a caller who is not known is the one to sign in.
pub async fn show_problems(State(console): State<Console>, request: Request, next: Next) -> Response {
    let wanted = prefers(request.headers(), "text/html", "application/problem+json");
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let trace = request.extensions().get::<Trace>().map(|trace| trace.trace_id().to_owned()).unwrap_or_default();
    let peer = request.extensions().get::<ClientNetwork>().copied();
    let session = ConsoleCookie::Session.read(request.headers(), console.0.is_encrypted);
    let form = ConsoleCookie::Form.read(request.headers(), console.0.is_encrypted);
    let has_session = session.is_some() && !request.headers().contains_key(AUTHORIZATION);
    let is_link = session.is_none() && is_link_of_another_site(&request);
    let is_refresh = request.headers().contains_key("hx-request");
    let mut answer = next.run(request).await;
    if has_session && answer.status() == StatusCode::UNAUTHORIZED {
        // Or whoever is let in without a credential would stay out as long as the browser keeps it.
        let removed = ConsoleCookie::Session.remove(console.0.is_encrypted);
        answer.headers_mut().extend(removed.ok().map(|cookie| (SET_COOKIE, cookie)));
    }
    if is_refresh && answer.status() == StatusCode::UNAUTHORIZED {
        // The whole page asks again, and leads to the form that signs in: it must not look as if it followed.
        answer.headers_mut().insert("hx-refresh", HeaderValue::from_static("true"));
    }
    let is_page = answer.extensions().get::<ProblemPage>().is_some();
    let Some(problem) = answer.extensions().get::<Problem>().filter(|_| wanted && !is_page).cloned() else {
        return answer;
    };
    let shown = if answer.status() == StatusCode::UNAUTHORIZED {
        let back = if method == Method::GET { uri.path_and_query().map_or("/", |path| path.as_str()) } else { "/" };
        let said = session.is_some().then_some("Your session has ended: the token or API key is not valid any more.");
        if is_link { sign_in::come_back(back) } else { sign_in::page(&console, form, back, said) }
    } else {
        let principal = answer.extensions().get::<Principal>().cloned();
        let reader = principal.map(|principal| Reader {
            principal,
            peer,
            session,
            form_secret: None,
            refused: None,
            preview: None,
            said: None,
        });
        problem_page(&problem, reader.as_ref(), trace)
    };
    let Ok(shown) = shown else { return answer };
    let (shown, body) = shown.into_parts();
    let (mut head, _) = answer.into_parts();
    head.headers.remove(CONTENT_LENGTH);
    for (name, value) in &shown.headers {
        match *name == SET_COOKIE {
            true => head.headers.append(name, value.clone()),
            false => head.headers.insert(name, value.clone()).is_some(),
        };
    }
    protect(&mut head.headers);
    head.extensions.insert(ProblemPage);
    Response::from_parts(head, body)
}

/// Whether a link of another site led here. Browsers send no cookie of the console with that.
fn is_link_of_another_site(request: &Request) -> bool {
    let is = |name: &str, values: &[&str]| {
        request.headers().get(name).is_some_and(|value| values.iter().any(|one| value.as_bytes() == one.as_bytes()))
    };
    request.method() == Method::GET
        && is("sec-fetch-site", &["cross-site", "same-site"])
        && is("sec-fetch-mode", &["navigate"])
}

fn problem_page(problem: &Problem, reader: Option<&Reader>, trace_id: String) -> Result<Response, Problem> {
    let json = problem.to_json();
    let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
    let title = text("title");
    let frame = match reader {
        Some(reader) => Frame::of(reader, title, ""),
        None => Frame::without_reader(title),
    };
    let page =
        ProblemTemplate { frame, detail: text("detail").into(), errors: errors(&json), trace_id: trace_id.into() };
    Ok(Html(page.render().map_err(Problem::internal)?).into_response())
}

/// What is wrong with each parameter.
pub(crate) fn errors(problem: &Value) -> Vec<Text> {
    let errors = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let error = |error: &Value| {
        let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        format!("{} {}", text("pointer").trim_start_matches('?'), text("message")).into()
    };
    errors.iter().map(error).collect()
}

//! Signing in and out.

use access_control::AuthenticationError;
use askama::Template;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use problem::{Problem, ProblemType, QueryParameters};
use serde::Deserialize;

use crate::Console;
use crate::admission::check_role;
use crate::frame::Frame;
use crate::session::{
    ConsoleCookie, LONGEST_CREDENTIAL, SessionCredential, can_be_credential, form_token, is_form_token, random_text,
};

/// The longest form: a credential, and a path to go on to.
const LONGEST_FORM: usize = 16 * 1024;
/// What the token of the form that signs in is for.
const SIGN_IN: &str = "sign-in";
const SIGN_OUT: &str = "sign-out";

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInTemplate<'a> {
    frame: Frame,
    /// The page to go on to.
    next: &'a str,
    token: String,
    /// Why it is asked again.
    said: Option<&'a str>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignInQuery {
    next: Option<String>,
}

/// The form that signs in.
pub(crate) async fn show(
    State(console): State<Console>,
    asked: Result<QueryParameters<SignInQuery>, Problem>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let next = asked?.0.next.unwrap_or_default();
    page(&console, ConsoleCookie::Form.read(&headers, console.0.is_encrypted), &next, None)
}

/// The page that asks for a credential, with the cookie that its form is bound to: the one that the browser has, so that its other tabs
/// can sign in, too.
pub(crate) fn page(
    console: &Console,
    cookie: Option<String>,
    next: &str,
    said: Option<&str>,
) -> Result<Response, Problem> {
    let secret = cookie.map_or_else(random_text, Ok)?;
    let page = SignInTemplate {
        frame: Frame::without_reader("Sign in"),
        next: path_of_ours(next),
        token: form_token(&secret, SIGN_IN),
        said,
    };
    let mut answer = crate::page(&page)?;
    answer.headers_mut().append(SET_COOKIE, ConsoleCookie::Form.set(&secret, console.0.is_encrypted)?);
    Ok(answer)
}

/// A path of this server; `/` for everything else, which could lead elsewhere.
fn path_of_ours(next: &str) -> &str {
    let is_path = next.starts_with('/') && !next.starts_with("//") && next.len() <= 2_000;
    let is_plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_page = !["/sign-in", "/sign-out"].iter().any(|form| next.starts_with(form));
    if is_path && is_plain && is_page { next } else { "/" }
}

/// Takes a credential into the browser's cookie, if it holds.
pub(crate) async fn sign_in(State(console): State<Console>, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let form = Form::read(body).await?;
    let encrypted = console.0.is_encrypted;
    let cookie = ConsoleCookie::Form.read(&head.headers, encrypted);
    let Some(cookie) = cookie.filter(|cookie| is_form_token(cookie, SIGN_IN, form.field("token"))) else {
        return Err(stale_form());
    };
    let next = path_of_ours(form.field("next"));
    let again = |said: &str| {
        let mut answer = page(&console, Some(cookie.clone()), next, Some(said))?;
        *answer.status_mut() = StatusCode::UNAUTHORIZED;
        Ok(answer)
    };
    let credential = form.field("credential").trim();
    let credential = credential.strip_prefix("Bearer ").unwrap_or(credential).trim();
    if credential.len() > LONGEST_CREDENTIAL {
        return again("The token is too long for a cookie: it may have 3,800 characters.");
    }
    if !can_be_credential(credential) {
        return again("Give a token or an API key.");
    }
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::try_from(format!("Bearer {credential}")).map_err(Problem::internal)?);
    match console.0.access.caller(&headers).await {
        Ok(Some(caller)) => check_role(&caller)?,
        Ok(None) | Err(AuthenticationError::Invalid(_)) => return again("The token or API key is not valid."),
        Err(error @ (AuthenticationError::Unavailable(_) | AuthenticationError::OutdatedKeys(_))) => {
            return Err(error.into());
        }
    }
    let session = ConsoleCookie::Session.set(credential, encrypted)?;
    go_on(next, [session, ConsoleCookie::Form.remove(encrypted)?])
}

/// Removes the browser's cookie.
pub(crate) async fn sign_out(State(console): State<Console>, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let form = Form::read(body).await?;
    let session = head.extensions.get::<SessionCredential>();
    if !session.is_some_and(|session| is_form_token(&session.0, SIGN_OUT, form.field("token"))) {
        return Err(stale_form());
    }
    go_on("/sign-in", [ConsoleCookie::Session.remove(console.0.is_encrypted)?])
}

fn stale_form() -> Problem {
    Problem::new(ProblemType::Forbidden, "this form was not made for this browser, or is too old: load its page again")
}

/// 303, with these cookies.
fn go_on<const N: usize>(next: &str, cookies: [HeaderValue; N]) -> Result<Response, Problem> {
    let mut answer = StatusCode::SEE_OTHER.into_response();
    answer.headers_mut().insert(LOCATION, HeaderValue::try_from(next).map_err(Problem::internal)?);
    for cookie in cookies {
        answer.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(answer)
}

/// The fields of a form that was sent.
struct Form(Vec<(String, String)>);

impl Form {
    async fn read(body: Body) -> Result<Self, Problem> {
        let bytes = to_bytes(body, LONGEST_FORM).await;
        let bytes = bytes.map_err(|_| Problem::malformed(format!("the form is longer than {LONGEST_FORM} bytes")))?;
        Ok(Self(url::form_urlencoded::parse(&bytes).into_owned().collect()))
    }

    /// Its text; empty if it was not sent.
    fn field(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_leads_to_pages_of_this_server_only() {
        for next in ["/", "/orders?status=confirmed&q=a%20b", "/orders/a:b"] {
            assert_eq!(path_of_ours(next), next);
        }
        for next in
            ["", "orders", "//evil.example", "/\\evil.example", "https://evil.example", "/a\r\nb", "/a b", "/sign-out"]
        {
            assert_eq!(path_of_ours(next), "/", "{next}");
        }
    }
}

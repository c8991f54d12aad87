//! Signing in and out.

pub(crate) mod issuer;

use access_control::{AuthenticationError, InvalidCredential};
use askama::Template;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use problem::{Problem, ProblemPage, ProblemType, QueryParameters};
use serde::Deserialize;

use crate::Console;
use crate::admission::{check_role, refused};
use crate::frame::Frame;
use crate::session::{
    ConsoleCookie, LONGEST_CREDENTIAL, SessionCredential, can_be_credential, form_token, is_form_token, random_text,
};

/// What the token of the form that signs in is for.
const SIGN_IN: &str = "sign-in";
const SIGN_OUT: &str = "sign-out";
const NOT_VALID: &str = "The token or API key is not valid.";

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInTemplate<'a> {
    frame: Frame,
    /// The page to go on to.
    next: &'a str,
    token: String,
    /// The address of the sign-in at the issuer, if there is one.
    issuer: Option<String>,
    /// Why it is asked again.
    said: Option<&'a str>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignInQuery {
    next: Option<String>,
}

/// The form that signs in. Who has a session goes on, so that a link of another site, with which browsers send no cookie, leads where it
/// should: see [`come_back`].
pub(crate) async fn show(
    State(console): State<Console>,
    asked: Result<QueryParameters<SignInQuery>, Problem>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let next = asked?.0.next.unwrap_or_default();
    if ConsoleCookie::Session.read(&headers, console.0.is_encrypted).is_some() {
        return go_on(path_of_ours(&next), []);
    }
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
    let with_next = |path: &str| format!("{path}?{}", next_query(next));
    let page = SignInTemplate {
        frame: Frame::without_reader("Sign in"),
        next: path_of_ours(next),
        issuer: console.0.open_id.is_some().then(|| with_next("/sign-in/issuer")),
        token: form_token(&secret, SIGN_IN),
        said,
    };
    let mut answer = crate::page(&page)?;
    answer.headers_mut().append(SET_COOKIE, ConsoleCookie::Form.set(&secret, console.0.is_encrypted)?);
    Ok(answer)
}

#[derive(Template)]
#[template(path = "come_back.html")]
struct ComeBackTemplate {
    /// The address of the form that signs in.
    sign_in: String,
}

/// The page that goes on to the form by itself. That request is the console's own, so it has the cookie if there is a session.
pub(crate) fn come_back(next: &str) -> Result<Response, Problem> {
    crate::page(&ComeBackTemplate { sign_in: format!("/sign-in?{}", next_query(next)) })
}

fn next_query(next: &str) -> String {
    url::form_urlencoded::Serializer::new(String::new()).append_pair("next", path_of_ours(next)).finish()
}

/// A path of this server; `/` for everything else, which could lead elsewhere.
pub(crate) fn path_of_ours(next: &str) -> &str {
    let is_path = next.starts_with('/') && !next.starts_with("//") && next.len() <= 2_000;
    let is_plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_page = !["/sign-in", "/sign-out"].iter().any(|form| next.starts_with(form));
    if is_path && is_plain && is_page { next } else { "/" }
}

/// Takes a credential into the browser's cookie, if it holds.
pub(crate) async fn sign_in(State(console): State<Console>, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let form = console.0.forms.read(body).await?;
    let encrypted = console.0.is_encrypted;
    let cookie = ConsoleCookie::Form.read(&head.headers, encrypted);
    let Some(cookie) = cookie.filter(|cookie| is_form_token(cookie, SIGN_IN, form.field("token"))) else {
        return Err(stale_form());
    };
    let next = path_of_ours(form.field("next"));
    let again = |said: &'static str, problem: Option<Problem>| {
        let mut answer = page(&console, Some(cookie.clone()), next, Some(said))?;
        *answer.status_mut() = StatusCode::UNAUTHORIZED;
        // It is logged as every other refusal.
        answer.extensions_mut().insert(problem.unwrap_or_else(|| Problem::new(ProblemType::InvalidCredential, said)));
        answer.extensions_mut().insert(ProblemPage);
        Ok(answer)
    };
    let credential = form.field("credential").trim();
    let credential = credential.strip_prefix("Bearer ").unwrap_or(credential).trim();
    if credential.len() > LONGEST_CREDENTIAL {
        return again("The token is too long for a cookie: it may have 3,800 characters.", None);
    }
    if !can_be_credential(credential) {
        return again("Give a token or an API key.", None);
    }
    match check_credential(&console, credential).await {
        Ok(Ok(())) => {}
        Ok(Err(refused)) => return Ok(refused),
        Err(error @ AuthenticationError::Invalid(_)) => return again(NOT_VALID, Some(error.into())),
        Err(error @ (AuthenticationError::Unavailable(_) | AuthenticationError::OutdatedKeys(_))) => {
            return Err(error.into());
        }
    }
    let session = ConsoleCookie::Session.set(credential, encrypted)?;
    go_on(next, [session, ConsoleCookie::Form.remove(encrypted)?])
}

/// Whether a credential holds here, and its role may see the console. `Ok(Err(_))`: the answer to somebody whose role may not.
async fn check_credential(console: &Console, credential: &str) -> Result<Result<(), Response>, AuthenticationError> {
    let bearer = HeaderValue::try_from(format!("Bearer {credential}"));
    let bearer = bearer.map_err(|_| InvalidCredential::Header("is no text"))?;
    let headers = HeaderMap::from_iter([(AUTHORIZATION, bearer)]);
    let caller = console.0.access.caller(&headers).await?;
    // Nobody is let in as somebody else, since there is a credential.
    let caller = caller.ok_or(InvalidCredential::Header("has no credential"))?;
    Ok(check_role(&caller).map_err(|problem| refused(problem, &caller)))
}

/// Removes the browser's cookie.
pub(crate) async fn sign_out(State(console): State<Console>, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let session = head.extensions.get::<SessionCredential>().ok_or_else(stale_form)?;
    let form = console.0.forms.read(body).await?;
    if !is_form_token(&session.0, SIGN_OUT, form.field("token")) {
        return Err(stale_form());
    }
    go_on("/sign-in", [ConsoleCookie::Session.remove(console.0.is_encrypted)?])
}

pub(crate) fn stale_form() -> Problem {
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

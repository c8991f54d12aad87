//! Signing in at the issuer of tokens, by OpenID Connect: the browser goes there, and comes back with a code.

use std::time::Duration;

use access_control::{IssuerCode, OpenIdClient, OpenIdError, PendingSignIn};
use axum::extract::State;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::SET_COOKIE;
use problem::{Problem, ProblemPage, ProblemType, QueryParameters};
use serde::{Deserialize, Serialize};

use super::{SignInQuery, check_credential, come_back, go_on, page, path_of_ours};
use crate::Console;
use crate::session::{ConsoleCookie, can_be_credential, pending_sign_ins};

/// The most sign-ins of one browser that may be at the issuer, and the most bytes of their cookies: browsers send all of them with each
/// request. One of the longest has room beside some usual ones. With the longest session they fit into 8 kB: many a proxy takes no more.
const MOST_PENDING: usize = 10;
const MOST_PENDING_BYTES: usize = 4_000;

/// What the browser keeps while it is at the issuer.
#[derive(Serialize, Deserialize)]
struct AwayAtIssuer {
    pending: PendingSignIn,
    /// The page to go on to.
    next: String,
}

impl AwayAtIssuer {
    fn encode(&self) -> Result<String, Problem> {
        Ok(URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).map_err(Problem::internal)?))
    }

    /// `None`: the browser has none with that state, or none of ours.
    fn read(state: &str, headers: &HeaderMap, is_encrypted: bool) -> Option<Self> {
        let text = ConsoleCookie::PendingSignIn(state).read(headers, is_encrypted)?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    }
}

/// What the issuer sends back: a code, or an error (RFC 6749, 4.1.2). There may be more.
#[derive(Debug, Deserialize)]
pub(crate) struct IssuerAnswer {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
    /// Who answers (RFC 9207).
    iss: Option<String>,
}

/// Sends the browser to the issuer. Its other tabs may be there, too; those that have been there for the longest make room.
pub(crate) async fn begin(
    State(console): State<Console>,
    asked: Result<QueryParameters<SignInQuery>, Problem>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (next, is_encrypted) = (asked?.0.next.unwrap_or_default(), console.0.is_encrypted);
    let (url, pending) = client(&console)?.begin().await.map_err(refused)?;
    let state = pending.state().to_owned();
    let away = AwayAtIssuer { pending, next: path_of_ours(&next).to_owned() };
    let cookie = ConsoleCookie::PendingSignIn(&state).set(&away.encode()?, is_encrypted)?;
    let (mut answer, mut bytes) = (go_on(&url, [])?, cookie.len());
    for (nth, (state, size)) in pending_sign_ins(&headers, is_encrypted).into_iter().rev().enumerate() {
        bytes += size;
        if nth + 1 >= MOST_PENDING || bytes > MOST_PENDING_BYTES {
            let remove = ConsoleCookie::PendingSignIn(state).remove(is_encrypted)?;
            answer.headers_mut().append(SET_COOKIE, remove);
        }
    }
    answer.headers_mut().append(SET_COOKIE, cookie);
    Ok(answer)
}

/// Takes the credential that the issuer gives for the code, if it holds here. The page goes on by itself: browsers do not send the
/// session's cookie with what another site led to.
pub(crate) async fn end(
    State(console): State<Console>,
    asked: Result<QueryParameters<IssuerAnswer>, Problem>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let is_encrypted = console.0.is_encrypted;
    let state = asked.as_ref().ok().and_then(|asked| asked.0.state.clone());
    let away = state.as_ref().and_then(|state| AwayAtIssuer::read(state, &headers, is_encrypted));
    // What this browser did not ask for ends nothing that it did.
    let over = state.filter(|_| away.is_some());
    let next = away.as_ref().map_or_else(String::new, |away| away.next.clone());
    let ended = match (away, asked) {
        (Some(away), Ok(asked)) => take(&console, away.pending, asked.0).await,
        (None, Ok(_)) => Err(refused(OpenIdError::NotAsked)),
        (_, Err(problem)) => Err(problem),
    };
    let mut answer = match ended {
        Ok(Taken::Credential(credential)) => {
            let mut answer = come_back(&next)?;
            answer.headers_mut().append(SET_COOKIE, ConsoleCookie::Session.set(&credential, is_encrypted)?);
            answer
        }
        Ok(Taken::Refused(refused)) => return Ok(refused),
        // The reason is shown where it can be tried again.
        Err(problem) => {
            let form = ConsoleCookie::Form.read(&headers, is_encrypted);
            let json = problem.to_json();
            let said = json["detail"].as_str().unwrap_or_default();
            let mut answer = page(&console, form, &next, Some(&format!("You are not signed in: {said}.")))?;
            *answer.status_mut() = problem.status();
            answer.extensions_mut().insert(problem);
            answer.extensions_mut().insert(ProblemPage);
            answer
        }
    };
    if let Some(state) = over {
        answer.headers_mut().append(SET_COOKIE, ConsoleCookie::PendingSignIn(&state).remove(is_encrypted)?);
    }
    Ok(answer)
}

/// What comes of a sign-in that the issuer has done its part of.
enum Taken {
    /// It holds here.
    Credential(String),
    /// It holds, and its role has no business here.
    Refused(Response),
}

async fn take(console: &Console, pending: PendingSignIn, asked: IssuerAnswer) -> Result<Taken, Problem> {
    let IssuerAnswer { state, code, error, error_description, iss } = asked;
    let state = state.ok_or_else(|| refused(OpenIdError::NotAsked))?;
    let answer = IssuerCode { state, code, error, error_description, issuer: iss };
    // Each is a call of the issuer's.
    let _place = console.0.sign_ins.try_acquire().map_err(|_| {
        Problem::new(ProblemType::Overloaded, "too many people sign in").retry_after(Duration::from_secs(1))
    })?;
    let credentials = client(console)?.finish(pending, answer).await.map_err(refused)?;
    let mut why = Problem::new(ProblemType::InvalidCredential, "the issuer gave no credential that fits into a cookie");
    for credential in credentials.into_iter().filter(|credential| can_be_credential(credential)) {
        match check_credential(console, &credential).await {
            Ok(Ok(())) => return Ok(Taken::Credential(credential)),
            Ok(Err(refused)) => return Ok(Taken::Refused(refused)),
            // Another may hold. What can't be found out is said before what is not valid.
            Err(error) if why.status().is_client_error() => why = error.into(),
            Err(_) => {}
        }
    }
    Err(why)
}

fn client(console: &Console) -> Result<&OpenIdClient, Problem> {
    console.0.open_id.as_ref().ok_or_else(|| Problem::not_found("nobody signs in at an issuer here"))
}

fn refused(error: OpenIdError) -> Problem {
    match &error {
        OpenIdError::Unavailable(_) => {
            let problem = Problem::new(ProblemType::AuthenticationUnavailable, "the issuer can't be asked");
            problem.retry_after(Duration::from_secs(10)).caused_by(error)
        }
        OpenIdError::Refused(_) => Problem::new(ProblemType::Forbidden, "the issuer refuses").caused_by(error),
        OpenIdError::NotAsked => Problem::new(ProblemType::Forbidden, error.to_string()),
    }
}

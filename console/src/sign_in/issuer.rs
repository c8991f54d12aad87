//! Signing in at the issuer of tokens, by OpenID Connect: the browser goes there, and comes back with a code.

use access_control::{AuthenticationError, OpenIdClient, OpenIdError, PendingSignIn};
use axum::extract::State;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::SET_COOKIE;
use problem::{Problem, ProblemType, QueryParameters};
use serde::{Deserialize, Serialize};

use super::{SignInQuery, check_credential, come_back, go_on, path_of_ours};
use crate::Console;
use crate::session::{ConsoleCookie, can_be_credential};

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

    /// `None`: the browser has none, or none of ours.
    fn read(headers: &HeaderMap, is_encrypted: bool) -> Option<Self> {
        let text = ConsoleCookie::PendingSignIn.read(headers, is_encrypted)?;
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
}

/// Sends the browser to the issuer.
pub(crate) async fn begin(
    State(console): State<Console>,
    asked: Result<QueryParameters<SignInQuery>, Problem>,
) -> Result<Response, Problem> {
    let next = asked?.0.next.unwrap_or_default();
    let (url, pending) = client(&console)?.begin().await.map_err(refused)?;
    let away = AwayAtIssuer { pending, next: path_of_ours(&next).to_owned() };
    go_on(&url, [ConsoleCookie::PendingSignIn.set(&away.encode()?, console.0.is_encrypted)?])
}

/// Takes the credential that the issuer gives for the code, if it holds here. The page goes on by itself: browsers do not send the
/// session's cookie with what another site led to.
pub(crate) async fn end(
    State(console): State<Console>,
    asked: Result<QueryParameters<IssuerAnswer>, Problem>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let IssuerAnswer { state, code, error, error_description } = asked?.0;
    let is_encrypted = console.0.is_encrypted;
    let away = AwayAtIssuer::read(&headers, is_encrypted).ok_or_else(|| refused(OpenIdError::NotAsked))?;
    if let Some(error) = error {
        let said = error_description.map_or_else(|| error.clone(), |more| format!("{error}: {more}"));
        return Err(refused(OpenIdError::Refused(said)));
    }
    let (Some(state), Some(code)) = (state, code) else { return Err(refused(OpenIdError::NotAsked)) };
    let credentials = client(&console)?.finish(away.pending, &state, &code).await.map_err(refused)?;
    let mut why = Problem::new(ProblemType::InvalidCredential, "the issuer gave no credential that fits into a cookie");
    for credential in credentials.iter().filter(|credential| can_be_credential(credential)) {
        match check_credential(&console, credential).await {
            Ok(Ok(())) => {
                let mut answer = come_back(&away.next)?;
                let cookies = [
                    ConsoleCookie::Session.set(credential, is_encrypted)?,
                    ConsoleCookie::PendingSignIn.remove(is_encrypted)?,
                ];
                for cookie in cookies {
                    answer.headers_mut().append(SET_COOKIE, cookie);
                }
                return Ok(answer);
            }
            Ok(Err(refused)) => return Ok(refused),
            Err(AuthenticationError::Invalid(error)) => why = AuthenticationError::Invalid(error).into(),
            Err(error) => return Err(error.into()),
        }
    }
    Err(why)
}

fn client(console: &Console) -> Result<&OpenIdClient, Problem> {
    console.0.open_id.as_ref().ok_or_else(|| Problem::not_found("nobody signs in at an issuer here"))
}

fn refused(error: OpenIdError) -> Problem {
    match error {
        OpenIdError::Unavailable(_) => {
            let problem = Problem::new(ProblemType::AuthenticationUnavailable, "the issuer can't be asked");
            problem.retry_after(std::time::Duration::from_secs(10)).caused_by(error)
        }
        OpenIdError::Refused(_) | OpenIdError::NotAsked => Problem::new(ProblemType::Forbidden, error.to_string()),
    }
}

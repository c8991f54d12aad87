//! Why a request was not authenticated, for the log, and what the client is told.

use std::error::Error;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::WWW_AUTHENTICATE;
use problem::{Problem, ProblemType};

use super::api_key::ApiKeyId;

/// Why a request was not authenticated.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticationError {
    #[error("the credential was refused")]
    Invalid(#[source] InvalidCredential),
    /// Whether the credential is valid can't be found out at the moment.
    #[error("the credential could not be checked")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The token is younger than the copy of the issuer's keys, which lack its key. They may be loaded again after this time.
    #[error("the issuer's keys are older than the token, and its key is not among them")]
    OutdatedKeys(Duration),
}

/// What is wrong with a credential. It is for the log: a client that knew more could try until it fits.
#[derive(Debug, thiserror::Error)]
pub enum InvalidCredential {
    #[error("the Authorization header {0}")]
    Header(&'static str),
    #[error("the token is longer than {0} bytes")]
    TooLong(usize),
    #[error("tokens are not accepted: no key for them is set")]
    NoTokens,
    #[error("no key has the token's kid")]
    UnknownKey,
    #[error("the token cannot be verified")]
    Token(#[from] jsonwebtoken::errors::Error),
    #[error("the credential is no API key of the form that `ordo key create` makes")]
    ApiKeyForm,
    #[error("no valid API key has the id {0}")]
    UnknownApiKey(ApiKeyId),
    #[error("the secret of the API key {0} is another one")]
    ApiKeySecret(ApiKeyId),
    #[error("the API key {0} has expired")]
    ExpiredApiKey(ApiKeyId),
    #[error("API keys are not accepted here")]
    NoApiKeys,
    #[error("the token's type is not that of an access token")]
    Type,
    #[error("the token's {claim} {problem}")]
    Claim { claim: String, problem: &'static str },
}

impl From<InvalidCredential> for AuthenticationError {
    fn from(error: InvalidCredential) -> Self {
        Self::Invalid(error)
    }
}

impl From<AuthenticationError> for Problem {
    fn from(error: AuthenticationError) -> Self {
        match error {
            AuthenticationError::Invalid(cause) => {
                let detail = "the credential is not valid";
                Self::new(ProblemType::InvalidCredential, detail).caused_by(cause)
            }
            AuthenticationError::Unavailable(cause) => {
                let detail = "credentials can't be checked at the moment";
                let problem = Self::new(ProblemType::AuthenticationUnavailable, detail);
                problem.retry_after(Duration::from_secs(1)).caused_by(cause)
            }
            AuthenticationError::OutdatedKeys(retry_after) => {
                let detail = "the key of the token may be a new one of its issuer, and is not known yet";
                Self::new(ProblemType::AuthenticationUnavailable, detail).retry_after(retry_after).caused_by(error)
            }
        }
    }
}

/// 401 with the same body for all causes, or 503.
impl IntoResponse for AuthenticationError {
    fn into_response(self) -> Response {
        let invalid = matches!(self, Self::Invalid(_));
        let mut response = Problem::from(self).into_response();
        if invalid {
            let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

//! Authentication: the credential in a request's `Authorization: Bearer …` header becomes a [`Principal`].
//!
//! The credential is a JSON Web Token. Its signature, issuer, audience and times are checked, and its claims name the principal.

mod claims;
mod failure;
mod ring_provider;
mod token;

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;

pub use self::failure::{AuthenticationError, InvalidCredential};
pub use self::token::{TokenClaims, TokenError, TokenRequest, TokenSecret};

use self::token::{LONGEST_TOKEN, VerificationKey};
use crate::Principal;

/// What verifies tokens.
#[derive(Debug, Clone)]
pub enum TokenKeys {
    /// HS256 with one secret, for development.
    Secret(TokenSecret),
}

/// Which credentials are accepted.
#[derive(Debug, Clone, Default)]
pub struct AuthenticationSettings {
    pub token_claims: TokenClaims,
    /// `None`: no token is accepted.
    pub token_keys: Option<TokenKeys>,
}

/// Finds out who sends a request. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Authenticator(Arc<State>);

#[derive(Debug)]
struct State {
    claims: TokenClaims,
    secret: Option<VerificationKey>,
}

impl Authenticator {
    pub fn start(settings: &AuthenticationSettings) -> Result<Self, AuthenticationError> {
        let claims = settings.token_claims.clone();
        let secret = match &settings.token_keys {
            Some(TokenKeys::Secret(secret)) => Some(VerificationKey::of_secret(secret, &claims)?),
            None => None,
        };
        Ok(Self(Arc::new(State { claims, secret })))
    }

    /// The principal of the request's credential; `None`: it has none.
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<Option<Principal>, AuthenticationError> {
        let Some(credential) = bearer(headers)? else { return Ok(None) };
        Ok(Some(self.token(credential)?))
    }

    fn token(&self, token: &str) -> Result<Principal, InvalidCredential> {
        if token.len() > LONGEST_TOKEN {
            return Err(InvalidCredential::TooLong(LONGEST_TOKEN));
        }
        let key = self.0.secret.as_ref().ok_or(InvalidCredential::NoTokens)?;
        key.verify(token, &self.0.claims)
    }
}

/// The credential of `Authorization: Bearer …`. Two of these headers could be understood differently by a proxy.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, InvalidCredential> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(InvalidCredential::Header("comes more than once"));
    }
    let text = value.to_str().map_err(|_| InvalidCredential::Header("is no text"))?;
    let (scheme, credential) = text.split_once(' ').unwrap_or((text, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(InvalidCredential::Header("has another scheme than Bearer"));
    }
    match credential.trim_matches(' ') {
        "" => Err(InvalidCredential::Header("has no credential")),
        credential => Ok(Some(credential)),
    }
}

//! Authentication: the credential in a request's `Authorization: Bearer …` header becomes a [`Principal`].
//!
//! The credential is a JSON Web Token or an API key. A token's signature, issuer, audience and times are checked, and its claims name
//! the principal. An API key is found in the database by its id and compared by its hash. No request loads a key itself: copies of the
//! issuer's keys and of the API keys are kept in memory.

mod api_key;
mod api_key_table;
mod api_keys;
mod claims;
mod failure;
mod issuer_http;
mod issuer_url;
mod jwks;
mod key_set;
mod open_id;
mod refreshed;
mod ring_provider;
mod token;
mod token_verifier;
mod verified_tokens;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use sqlx::PgPool;

pub use self::api_key::{ApiKeyId, InvalidApiKeyId, PlaintextApiKey};
pub use self::api_key_table::{ApiKeyError, ApiKeyRequest, ApiKeyRow};
pub use self::failure::{AuthenticationError, InvalidCredential};
pub use self::issuer_url::IssuerUrl;
pub use self::open_id::{
    IssuerCode, OpenIdClient, OpenIdClientSecret, OpenIdError, OpenIdSettings, PendingSignIn, RedirectUrl,
};
pub use self::token::{TokenClaimSettings, TokenRequest, TokenSecret, TokenSigningError};

use self::api_keys::ApiKeyVerifier;
use self::jwks::JwksSource;
use self::key_set::KeySet;
use self::refreshed::RefreshedCopy;
use self::token::VerificationKey;
use self::token_verifier::{TokenKeySetSource, TokenVerifier};
use crate::Principal;

/// What verifies tokens.
#[derive(Debug, Clone)]
pub enum TokenKeys {
    /// HS256 with one secret, for development.
    Secret(TokenSecret),
    /// The keys of an issuer, at a URL.
    JwksUrl(IssuerUrl),
    /// The keys of an issuer, in a file.
    JwksFile(PathBuf),
}

/// Which credentials are accepted.
#[derive(Debug, Clone, Default)]
pub struct AuthenticationSettings {
    pub token_claims: TokenClaimSettings,
    /// `None`: no token is accepted.
    pub token_keys: Option<TokenKeys>,
    /// Where people get tokens in a browser, for [`OpenIdClient`].
    pub open_id: Option<OpenIdSettings>,
}

/// Why authentication does not start.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticationStartError {
    #[error("the secret of tokens can't be used")]
    Secret(#[source] InvalidCredential),
    #[error("the certificates of the authorities that the issuer's keys are trusted by can't be read")]
    Roots(#[source] io::Error),
}

/// Finds out who sends a request. Cheap to clone. The tasks that it starts end with its last clone.
#[derive(Debug, Clone)]
pub struct Authenticator(Arc<State>);

#[derive(Debug)]
struct State {
    tokens: Option<TokenVerifier>,
    api_keys: Option<ApiKeyVerifier>,
}

impl Authenticator {
    /// Has to be called in a runtime. It waits for nothing: an issuer that is away is asked again. `database`: the one with the table of
    /// API keys; `None`: no API key is accepted.
    pub fn start(
        settings: &AuthenticationSettings,
        database: Option<PgPool>,
    ) -> Result<Self, AuthenticationStartError> {
        let rules = &settings.token_claims;
        let issuers = |jwks: JwksSource| TokenKeySetSource::Issuers(RefreshedCopy::start(jwks, jwks::TIMING));
        let keys = match &settings.token_keys {
            Some(TokenKeys::Secret(secret)) => {
                let key = VerificationKey::of_secret(secret, rules).map_err(AuthenticationStartError::Secret)?;
                Some(TokenKeySetSource::Fixed(KeySet::of_one(key)))
            }
            Some(TokenKeys::JwksUrl(url)) => {
                Some(issuers(JwksSource::at_url(url.clone(), rules.clone()).map_err(AuthenticationStartError::Roots)?))
            }
            Some(TokenKeys::JwksFile(path)) => Some(issuers(JwksSource::in_file(path.clone(), rules.clone()))),
            None => None,
        };
        let tokens = keys.map(|keys| TokenVerifier::new(rules.clone(), keys));
        let api_keys = database.map(|database| ApiKeyVerifier::start(database, api_keys::TIMING));
        Ok(Self(Arc::new(State { tokens, api_keys })))
    }

    /// The principal of the request's credential; `None`: it has none.
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<Option<Principal>, AuthenticationError> {
        let Some(credential) = bearer(headers)? else { return Ok(None) };
        let principal = if credential.starts_with(api_key::PREFIX) {
            self.0.api_keys.as_ref().ok_or(InvalidCredential::NoApiKeys)?.verify(credential).await
        } else {
            self.0.tokens.as_ref().ok_or(InvalidCredential::NoTokens)?.verify(credential).await
        };
        principal.map(Some)
    }

    /// Writes when API keys were used last, as far as that is not written yet. It happens once a minute by itself, so a process that
    /// stops calls this before it closes the database.
    pub async fn write_last_uses(&self) {
        if let Some(keys) = &self.0.api_keys {
            keys.write_uses().await;
        }
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

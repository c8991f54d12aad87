//! Verifies tokens with the keys of a secret or of an issuer.

use std::time::{Duration, SystemTime};

use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::{AlgorithmFamily, decode_header};
use serde::Deserialize;
use tokio::time::Instant;

use super::key_set::KeySet;
use super::refreshed::RefreshedCopy;
use super::token::{LEEWAY, LONGEST_KID, LONGEST_TOKEN, TokenClaimSettings};
use super::verified_tokens::{TokenHash, VerifiedTokenCache};
use super::{AuthenticationError, InvalidCredential};
use crate::Principal;

/// Verifies tokens, and remembers those that it verified.
#[derive(Debug)]
pub(super) struct TokenVerifier {
    rules: TokenClaimSettings,
    keys: TokenKeySetSource,
    verified: VerifiedTokenCache,
}

/// Where the keys that verify tokens come from: a secret, which never changes, or issuers, whose keys are loaded again
/// and again.
#[derive(Debug)]
pub(super) enum TokenKeySetSource {
    /// Those of a secret never change.
    Fixed(KeySet),
    /// Those of an issuer do.
    Issuers(RefreshedCopy<KeySet>),
}

impl TokenVerifier {
    pub(super) fn new(rules: TokenClaimSettings, keys: TokenKeySetSource) -> Self {
        Self { rules, keys, verified: VerifiedTokenCache::default() }
    }

    pub(super) async fn verify(&self, token: &str) -> Result<Principal, AuthenticationError> {
        if token.len() > LONGEST_TOKEN {
            return Err(InvalidCredential::TooLong(LONGEST_TOKEN).into());
        }
        let hash = TokenHash::of(token);
        let known = self.verified.find(hash, |key| match &self.keys {
            TokenKeySetSource::Fixed(keys) => keys.has(key),
            TokenKeySetSource::Issuers(keys) => keys.current().value.is_some_and(|keys| keys.has(key)),
        });
        if let Some(principal) = known {
            return Ok(principal);
        }
        let header = decode_header(token).map_err(InvalidCredential::from)?;
        let kid = header.kid.as_deref();
        if kid.is_some_and(|kid| kid.len() > LONGEST_KID) {
            return Err(InvalidCredential::UnknownKey.into());
        }
        match &self.keys {
            TokenKeySetSource::Fixed(keys) => {
                self.verify_with(keys, kid, token, hash).unwrap_or(Err(InvalidCredential::UnknownKey.into()))
            }
            // Those of an issuer are all asymmetric.
            TokenKeySetSource::Issuers(_) if AlgorithmFamily::Hmac.algorithms().contains(&header.alg) => {
                Err(InvalidCredential::UnknownKey.into())
            }
            TokenKeySetSource::Issuers(keys) => self.verify_with_issuers(keys, kid, token, hash).await,
        }
    }

    /// An issuer signs with a new key at once, and the copy of its keys may not have it yet.
    async fn verify_with_issuers(
        &self,
        keys: &RefreshedCopy<KeySet>,
        kid: Option<&str>,
        token: &str,
        hash: TokenHash,
    ) -> Result<Principal, AuthenticationError> {
        let current = keys.current().value;
        if let Some(outcome) = current.as_deref().and_then(|keys| self.verify_with(keys, kid, token, hash)) {
            return outcome;
        }
        // Another load would not tell either which of several keys it is.
        if kid.is_none() && current.is_some() {
            return Err(InvalidCredential::UnknownKey.into());
        }
        let asked_at = Instant::now();
        let mut reloaded = keys.reloaded().await;
        let find = |keys: Option<&KeySet>| keys.and_then(|keys| self.verify_with(keys, kid, token, hash));
        let mut outcome = find(reloaded.value.as_deref());
        if outcome.is_none() && reloaded.as_of < asked_at {
            // The load was under way already, and may have begun before the issuer had the key.
            reloaded = keys.reloaded().await;
            outcome = find(reloaded.value.as_deref());
        }
        match outcome {
            Some(outcome) => outcome,
            None if reloaded.failed || reloaded.value.is_none() => {
                Err(AuthenticationError::Unavailable("the issuer's keys can't be loaded".into()))
            }
            // Somebody else's unknown `kid` may have taken the load that would have brought its key.
            None if is_issued_after(token, reloaded.as_of) => Err(AuthenticationError::OutdatedKeys(keys.pause_left())),
            None => Err(InvalidCredential::UnknownKey.into()),
        }
    }

    /// `None`: there is no such key.
    fn verify_with(
        &self,
        keys: &KeySet,
        kid: Option<&str>,
        token: &str,
        hash: TokenHash,
    ) -> Option<Result<Principal, AuthenticationError>> {
        let key = keys.find(kid)?;
        let verified = key.verify(token, &self.rules);
        if let Ok(principal) = &verified {
            self.verified.keep(hash, principal, key.fingerprint);
        }
        Some(verified.map_err(AuthenticationError::from))
    }
}

/// Whether a token says that it was issued after a moment, and not in the future. Its signature was not verified.
fn is_issued_after(token: &str, moment: Instant) -> bool {
    #[derive(Deserialize)]
    struct IssuedAt {
        iat: f64,
    }

    let Ok(IssuedAt { iat }) = insecure_decode_claims(token) else { return false };
    let Ok(since_epoch) = Duration::try_from_secs_f64(iat) else { return false };
    let (now, age) = (SystemTime::now(), moment.elapsed());
    let Some(issued) = SystemTime::UNIX_EPOCH.checked_add(since_epoch) else { return false };
    now.checked_sub(age).is_some_and(|moment| issued > moment) && issued <= now + LEEWAY
}

//! JSON Web Tokens: the rules that they are held to, the keys that verify them, and the development tokens that are signed here.

use std::fmt;
use std::time::{Duration, SystemTime};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use serde_json::{Map, Value, json};

use super::claims::{self, is_customer, is_subject};
use super::{InvalidCredential, ring_provider};
use crate::{Principal, Role};

/// The longest token, in bytes. Those of identity providers with many claims have 2 to 4 KB.
pub(super) const LONGEST_TOKEN: usize = 8 * 1024;
/// The longest `kid`, in bytes.
pub(super) const LONGEST_KID: usize = 255;
/// How far the issuer's clock may be from ours.
pub(super) const LEEWAY: Duration = Duration::from_secs(30);

/// The issuer and audience that tokens must have, and the names of the claims with the role and the customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenClaimSettings {
    /// The `iss` of every token.
    pub issuer: String,
    /// What `aud` must be or have.
    pub audience: String,
    /// The claim with the role.
    pub role_claim: String,
    /// The claim with the customer's id.
    pub customer_claim: String,
}

impl Default for TokenClaimSettings {
    /// Those of development tokens.
    fn default() -> Self {
        Self {
            issuer: "ordo".to_owned(),
            audience: "ordo".to_owned(),
            role_claim: "role".to_owned(),
            customer_claim: "customerId".to_owned(),
        }
    }
}

/// The secret of HS256 tokens. It never shows itself.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenSecret(String);

impl TokenSecret {
    /// As long as the hash, as RFC 7518 asks for.
    const SHORTEST: usize = 32;
    const LONGEST: usize = 1024;

    /// `None`: too short or too long.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (Self::SHORTEST..=Self::LONGEST).contains(&text.len()).then(|| Self(text.to_owned()))
    }

    /// A random one; `None`: the system has no random numbers.
    #[must_use]
    pub fn generate() -> Option<Self> {
        let random: [u8; 32] = ring::rand::generate(&SystemRandom::new()).ok()?.expose();
        Some(Self(random.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// The secret itself, for the file that keeps it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A key that tokens are verified with. Its algorithm is its own: what a token says must agree.
#[derive(Debug)]
pub(super) struct VerificationKey {
    pub(super) kid: Option<String>,
    /// The hash of the key, which tells it from all others.
    pub(super) fingerprint: [u8; 32],
    key: DecodingKey,
    validation: Validation,
}

impl VerificationKey {
    /// `content` is what makes the key itself.
    pub(super) fn new(
        kid: Option<String>,
        key: DecodingKey,
        algorithm: Algorithm,
        content: &[u8],
        rules: &TokenClaimSettings,
    ) -> Self {
        ring_provider::install();
        let mut validation = Validation::new(algorithm);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        validation.set_issuer(&[&rules.issuer]);
        validation.set_audience(&[&rules.audience]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY.as_secs();
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(digest(&SHA256, content).as_ref());
        Self { kid, fingerprint, key, validation }
    }

    pub(super) fn of_secret(secret: &TokenSecret, rules: &TokenClaimSettings) -> Result<Self, InvalidCredential> {
        let secret = secret.0.as_bytes();
        Ok(Self::new(None, DecodingKey::from_secret(secret)?, Algorithm::HS256, secret, rules))
    }

    /// Checks signature, issuer, audience and times, and reads who calls.
    pub(super) fn verify(&self, token: &str, rules: &TokenClaimSettings) -> Result<Principal, InvalidCredential> {
        let token = jsonwebtoken::decode::<Map<String, Value>>(token, &self.key, &self.validation)?;
        let is_type = |typ: &str| ["jwt", "at+jwt", "application/at+jwt"].contains(&&*typ.to_ascii_lowercase());
        if !token.header.typ.as_deref().is_none_or(is_type) {
            return Err(InvalidCredential::Type);
        }
        claims::principal(&token.claims, rules)
    }
}

/// A token for development.
#[derive(Debug, Clone)]
pub struct TokenRequest {
    pub role: Role,
    pub subject: String,
    /// Whose orders it sees: for the role `customer`, and for it alone.
    pub customer_id: Option<String>,
    /// How long it is valid.
    pub valid_for: Duration,
}

/// Why a token is not signed.
#[derive(Debug, thiserror::Error)]
pub enum TokenSigningError {
    #[error("the subject must have 1 to 255 bytes and no control characters")]
    Subject,
    #[error("the role customer needs a customer's id: 1 to 128 of A-Z a-z 0-9 . _ : -")]
    CustomerMissing,
    #[error("a customer's id goes with the role customer alone")]
    CustomerGiven,
    #[error("it cannot be signed")]
    Signing(#[source] jsonwebtoken::errors::Error),
}

impl TokenRequest {
    /// Signs it as HS256.
    pub fn sign(&self, secret: &TokenSecret, rules: &TokenClaimSettings) -> Result<String, TokenSigningError> {
        if !is_subject(&self.subject) {
            return Err(TokenSigningError::Subject);
        }
        match (self.role, &self.customer_id) {
            (Role::Customer, Some(id)) if is_customer(id) => {}
            (Role::Customer, _) => return Err(TokenSigningError::CustomerMissing),
            (_, Some(_)) => return Err(TokenSigningError::CustomerGiven),
            (_, None) => {}
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let expiry = now.saturating_add(self.valid_for).as_secs();
        let mut claims = json!({
            "iss": rules.issuer,
            "aud": rules.audience,
            "sub": self.subject,
            "iat": now.as_secs(),
            "nbf": now.as_secs(),
            "exp": expiry,
        });
        if let Some(claims) = claims.as_object_mut() {
            claims.insert(rules.role_claim.clone(), self.role.as_str().into());
            if let Some(id) = &self.customer_id {
                claims.insert(rules.customer_claim.clone(), id.as_str().into());
            }
        }
        ring_provider::install();
        let key = EncodingKey::from_secret(secret.0.as_bytes()).map_err(TokenSigningError::Signing)?;
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).map_err(TokenSigningError::Signing)
    }
}

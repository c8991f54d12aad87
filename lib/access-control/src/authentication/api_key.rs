//! API keys: `ordo_live_`, an id of 16 hexadecimal digits, `_`, and 32 random bytes as 43 characters of base64url.
//!
//! The prefix lets tools that look for leaked secrets find them. The database has a hash of the whole key. SHA-256 is enough: nobody
//! can try 2^256 keys, so a slow hash would protect nothing more.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SystemRandom, generate};
use subtle::ConstantTimeEq;

use super::InvalidCredential;

pub(super) const PREFIX: &str = "ordo_live_";
const ID_DIGITS: usize = 16;
const SECRET_BYTES: usize = 32;

/// The id of an API key. It is no secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ApiKeyId(String);

impl fmt::Display for ApiKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no id of an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id of an API key has {ID_DIGITS} digits of 0-9 a-f")]
pub struct InvalidApiKeyId;

impl FromStr for ApiKeyId {
    type Err = InvalidApiKeyId;

    fn from_str(text: &str) -> Result<Self, InvalidApiKeyId> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let fits = text.len() == ID_DIGITS && text.bytes().all(is_digit);
        if fits { Ok(Self(text.to_owned())) } else { Err(InvalidApiKeyId) }
    }
}

/// An API key in plain text, its id and its secret. Debug output shows only the id.
#[derive(Clone)]
pub struct PlaintextApiKey {
    pub(super) id: ApiKeyId,
    text: String,
}

impl PlaintextApiKey {
    /// A new one; `None`: the system has no random numbers.
    pub(super) fn generate() -> Option<Self> {
        let random = SystemRandom::new();
        let id: [u8; ID_DIGITS / 2] = generate(&random).ok()?.expose();
        let secret: [u8; SECRET_BYTES] = generate(&random).ok()?.expose();
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = format!("{PREFIX}{id}_{}", URL_SAFE_NO_PAD.encode(secret));
        Some(Self { id: ApiKeyId(id), text })
    }

    pub(super) fn parse(text: &str) -> Result<Self, InvalidCredential> {
        let rest = text.strip_prefix(PREFIX).ok_or(InvalidCredential::ApiKeyForm)?;
        let (id, secret) = rest.split_once('_').ok_or(InvalidCredential::ApiKeyForm)?;
        let id = id.parse().map_err(|_| InvalidCredential::ApiKeyForm)?;
        let bytes = URL_SAFE_NO_PAD.decode(secret).map_err(|_| InvalidCredential::ApiKeyForm)?;
        if bytes.len() != SECRET_BYTES {
            return Err(InvalidCredential::ApiKeyForm);
        }
        Ok(Self { id, text: text.to_owned() })
    }

    #[must_use]
    pub fn id(&self) -> &ApiKeyId {
        &self.id
    }

    /// The key itself, for whoever asked for it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    pub(super) fn hash(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, self.text.as_bytes()).as_ref());
        hash
    }

    /// Whether it has that hash. It takes the same time whatever differs.
    pub(super) fn is_hashed_as(&self, hash: &[u8; 32]) -> bool {
        self.hash().ct_eq(hash).into()
    }
}

impl fmt::Debug for PlaintextApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ApiKeySecret").field(&self.id).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_back_and_hides_its_secret() {
        let key = PlaintextApiKey::generate().unwrap();
        let read = PlaintextApiKey::parse(key.expose()).unwrap();
        assert_eq!((key.expose().len(), &read.id), (70, &key.id));
        assert!(read.is_hashed_as(&key.hash()));
        let secret = key.expose().rsplit_once(&format!("{}_", key.id)).unwrap().1;
        assert!(!format!("{key:?}").contains(secret));
        assert_ne!(PlaintextApiKey::generate().unwrap().expose(), key.expose());
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let key = PlaintextApiKey::generate().unwrap();
        let text = key.expose();
        for bad in [
            "",
            PREFIX,
            &text[1..],
            &text[..69],
            &format!("{text}A"),
            &text.to_uppercase(),
            &text.replacen(&key.id.to_string(), "0123456789abcdeg", 1),
            &text.replacen(&key.id.to_string(), "0123", 1),
            &text.replacen("_live_", "_test_", 1),
            &format!("{} {}", &text[..40], &text[41..]),
        ] {
            assert!(PlaintextApiKey::parse(bad).is_err(), "{bad}");
        }
        let other = PlaintextApiKey::generate().unwrap();
        assert!(!other.is_hashed_as(&key.hash()));
    }
}

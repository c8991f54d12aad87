//! Tokens that were verified lately. A signature of an issuer's takes as long as the rest of a request.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use lru::LruCache;
use ring::digest::{SHA256, digest};

use crate::Principal;

/// Each takes 250 to 700 bytes, as subjects and customers' ids are bounded: 7 MB in all.
const MOST_TOKENS: usize = 10_000;

/// The hash of a token, under which it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TokenHash([u8; 32]);

impl TokenHash {
    pub(super) fn of(token: &str) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        Self(hash)
    }
}

/// The tokens that were used last, with their principals. Others are verified again.
#[derive(Debug)]
pub(super) struct VerifiedTokenCache(Mutex<LruCache<TokenHash, Verified>>);

#[derive(Debug)]
struct Verified {
    principal: Principal,
    key: [u8; 32],
}

impl Default for VerifiedTokenCache {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(NonZeroUsize::new(MOST_TOKENS).unwrap_or(NonZeroUsize::MIN))))
    }
}

impl VerifiedTokenCache {
    /// The token's principal, if it has not expired and its key is still one.
    pub(super) fn find(&self, token: TokenHash, is_key: impl FnOnce(&[u8; 32]) -> bool) -> Option<Principal> {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let verified = tokens.get(&token)?;
        let is_valid = verified.principal.expires_at().is_some_and(|expiry| expiry > SystemTime::now());
        if is_valid && is_key(&verified.key) {
            return Some(verified.principal.clone());
        }
        tokens.pop(&token);
        None
    }

    /// Keeps a token that was verified with `key`.
    pub(super) fn keep(&self, token: TokenHash, principal: &Principal, key: [u8; 32]) {
        let verified = Verified { principal: principal.clone(), key };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(token, verified);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Role;

    fn principal(seconds: i64) -> Principal {
        let after = Duration::from_secs(seconds.unsigned_abs());
        let now = SystemTime::now();
        let expiry = if seconds < 0 { now.checked_sub(after) } else { now.checked_add(after) };
        Principal::new(Role::Shop, "ada", expiry)
    }

    #[test]
    fn a_token_is_found_until_it_expires_or_its_key_is_gone() {
        let tokens = VerifiedTokenCache::default();
        let [one, two, three] = ["one", "two", "three"].map(TokenHash::of);
        tokens.keep(one, &principal(60), [1; 32]);
        tokens.keep(two, &principal(-1), [1; 32]);
        tokens.keep(three, &principal(60), [2; 32]);
        let is_key = |key: &[u8; 32]| *key == [1; 32];
        assert_eq!(tokens.find(one, is_key).unwrap().subject(), "ada");
        assert_eq!((tokens.find(two, is_key), tokens.find(three, is_key)), (None, None));
        assert_eq!(tokens.find(three, |_| true), None, "it is forgotten");
    }

    #[test]
    fn so_many_are_kept_and_no_more() {
        let tokens = VerifiedTokenCache::default();
        for nth in 0..=MOST_TOKENS {
            tokens.keep(TokenHash::of(&nth.to_string()), &principal(60), [1; 32]);
        }
        assert_eq!(tokens.find(TokenHash::of("0"), |_| true), None);
        assert!(tokens.find(TokenHash::of("1"), |_| true).is_some());
        assert_eq!(tokens.0.lock().unwrap().len(), MOST_TOKENS);
    }
}

//! Idempotency keys and marks in the forms that Stripe accepts.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

/// Stripe's limit for keys.
const MAX_LENGTH: usize = 255;

/// The key for the header. A key that is too long is replaced by its hash.
pub(super) fn for_header(key: &str) -> Cow<'_, str> {
    if key.len() <= MAX_LENGTH { Cow::Borrowed(key) } else { Cow::Owned(hash(key)) }
}

/// The prefix of marks.
pub(super) const MARK: &str = "ordo_m_";

/// The mark of a movement in Stripe's metadata, whose names have up to 40 characters.
pub(super) fn mark(key: &str) -> String {
    format!("{MARK}{}", &hash(key)[..32])
}

/// The key of a movement's `nth` attempt.
pub(super) fn of_attempt(key: &str, nth: u32) -> Cow<'_, str> {
    if nth == 0 { Cow::Borrowed(key) } else { Cow::Owned(format!("{key}:{nth}")) }
}

fn hash(key: &str) -> String {
    Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect()
}

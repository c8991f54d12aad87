//! Keys in the shapes that Stripe has room for.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

/// Stripe takes no longer ones.
const LONGEST: usize = 255;

/// A key as it goes into a header: one that is too long is its hash.
pub(super) fn for_header(key: &str) -> Cow<'_, str> {
    if key.len() <= LONGEST { Cow::Borrowed(key) } else { Cow::Owned(hash(key)) }
}

/// What the marks of movements begin with.
pub(super) const MARK: &str = "ordo_m_";

/// What a movement is known by in Stripe's metadata, whose names have up to 40 characters.
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

//! The header `Idempotency-Key`.

use http::HeaderMap;

use crate::Problem;

const HEADER: &str = "idempotency-key";
/// A UUID has 36 characters; some clients send hashes or paths.
const MAX_CHARS: usize = 255;

/// The idempotency key of a request, if it has one.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(HEADER).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(only), None) => only,
        (Some(_), Some(_)) => return Err(invalid("must be given once")),
    };
    match value.to_str() {
        // A tab is let through by `to_str`, and is not printable.
        Ok(key) if (1..=MAX_CHARS).contains(&key.len()) && !key.contains('\t') => Ok(Some(key.to_owned())),
        Ok(_) | Err(_) => Err(invalid(&format!("must have 1 to {MAX_CHARS} printable ASCII characters"))),
    }
}

fn invalid(rule: &str) -> Problem {
    Problem::malformed(format!("header Idempotency-Key {rule}"))
}

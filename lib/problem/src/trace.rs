//! The W3C trace context of one request.

use std::convert::Infallible;
use std::fmt;

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::request::Parts;

/// `version-traceid-parentid-flags`, all of fixed width.
const LENGTH: usize = 2 + 1 + 32 + 1 + 16 + 1 + 2;

/// The trace that a request belongs to: its caller's, or else a new one. Handlers take it as an argument and store its
/// [`traceparent`](Trace::traceparent) in the metadata of events and messages.
///
/// It is kept as the text that is sent, so that passing it on costs nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Trace([u8; LENGTH]);

impl Trace {
    /// A trace that starts here.
    #[must_use]
    pub fn start() -> Self {
        // All-zero ids are invalid; the chance of drawing one is nil, the cost of excluding it too.
        let trace_id = rand::random::<u128>().max(1);
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-01";
        write_hex(&mut text[3..35], trace_id);
        Self(text).with_new_parent()
    }

    /// The trace named by a `traceparent` header, with a parent id of our own, or `None` when it is not valid.
    #[must_use]
    pub(crate) fn continued(traceparent: &[u8]) -> Option<Self> {
        let (text, rest) = traceparent.split_first_chunk::<LENGTH>()?;
        let [v0, v1, b'-', ..] = text else {
            return None;
        };
        let version = [*v0, *v1];
        // Later versions may append fields; the first four keep their meaning.
        let fits = if version == *b"00" { rest.is_empty() } else { rest.is_empty() || rest[0] == b'-' };
        let (trace_id, parent_id, flags) = (&text[3..35], &text[36..52], &text[53..55]);
        let valid = fits
            && version != *b"ff"
            && text[35] == b'-'
            && text[52] == b'-'
            && [&version[..], trace_id, parent_id, flags].iter().all(|part| is_lower_hex(part))
            && trace_id.iter().any(|&digit| digit != b'0')
            && parent_id.iter().any(|&digit| digit != b'0');
        if !valid {
            return None;
        }
        let mut ours = *text;
        ours[..2].copy_from_slice(b"00");
        // Of the flags only "sampled", the lowest bit, is ours to pass on.
        ours[53] = b'0';
        ours[54] = if matches!(text[54], b'1' | b'3' | b'5' | b'7' | b'9' | b'b' | b'd' | b'f') { b'1' } else { b'0' };
        Some(Self(ours).with_new_parent())
    }

    /// The trace of a request by its headers. A missing, repeated or broken `traceparent` starts a new one.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all("traceparent").iter();
        match (values.next(), values.next()) {
            (Some(only), None) => Self::continued(only.as_bytes()).unwrap_or_else(Self::start),
            (None | Some(_), _) => Self::start(),
        }
    }

    /// 32 lower-case hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        &self.traceparent()[3..35]
    }

    /// The value for the `traceparent` of whatever this request causes.
    #[must_use]
    pub fn traceparent(&self) -> &str {
        // Only ASCII is ever put in.
        str::from_utf8(&self.0).unwrap_or("00-00000000000000000000000000000000-0000000000000000-00")
    }

    fn with_new_parent(mut self) -> Self {
        write_hex(&mut self.0[36..52], u128::from(rand::random::<u64>().max(1)));
        self
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trace({})", self.traceparent())
    }
}

/// Outside of [`layer`](crate::layer) every request starts a trace of its own.
impl<S: Sync> FromRequestParts<S> for Trace {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or_else(|| Self::of(&parts.headers)))
    }
}

fn is_lower_hex(text: &[u8]) -> bool {
    text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Writes the lowest digits of `number` that fit.
fn write_hex(into: &mut [u8], mut number: u128) {
    for digit in into.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 0xf) as usize];
        number >>= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLERS: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_callers_trace_goes_on_under_a_new_parent() {
        let trace = Trace::continued(CALLERS.as_bytes()).unwrap();
        assert_eq!(trace.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        assert_ne!(trace.traceparent(), CALLERS);
        assert!(trace.traceparent().starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
        assert!(trace.traceparent().ends_with("-01"));
    }

    #[test]
    fn a_later_version_is_read_by_its_first_four_fields() {
        let trace = Trace::continued(b"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-02-more").unwrap();
        assert!(trace.traceparent().starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
        assert!(trace.traceparent().ends_with("-00"));
    }

    #[test]
    fn what_is_not_a_traceparent_is_refused() {
        for wrong in [
            "",
            "00",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.more",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01",
        ] {
            assert_eq!(Trace::continued(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn a_new_trace_is_one_that_others_accept() {
        let one = Trace::start();
        assert!(Trace::continued(one.traceparent().as_bytes()).is_some());
        assert_ne!(one.trace_id(), Trace::start().trace_id());
    }
}

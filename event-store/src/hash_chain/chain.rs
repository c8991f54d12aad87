//! Digests of events, the hashes after them, and heads.

use std::fmt::{self, Display};
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// A SHA-256 hash.
pub(super) type Sha256Hash = [u8; 32];

/// The digest of an event, from its row.
pub(super) fn digest(tuple: &[u8]) -> Sha256Hash {
    Sha256::digest(tuple).into()
}

/// The hash after the events so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct RunningHash(pub(super) Sha256Hash);

impl RunningHash {
    /// Adds an event.
    pub(super) fn add(&mut self, digest: &Sha256Hash) {
        self.0 = Sha256::new().chain_update(self.0).chain_update(digest).finalize().into();
    }
}

/// A position of the log and the hash after its event, `POSITION:HASH`. It covers all events up to there: written down, it shows
/// whether any of them was changed, deleted or added since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainHead {
    pub(super) position: i64,
    pub(super) hash: Sha256Hash,
}

impl ChainHead {
    /// The position; 0: before the first event.
    pub fn position(&self) -> i64 {
        self.position
    }
}

/// A text that is no [`ChainHead`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a head is POSITION:HASH, the hash in 64 hexadecimal digits, as `ordo verify` prints it")]
pub struct MalformedChainHead;

impl Display for ChainHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.position)?;
        self.hash.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for ChainHead {
    type Err = MalformedChainHead;

    fn from_str(text: &str) -> Result<Self, MalformedChainHead> {
        let (position, digits) = text.split_once(':').ok_or(MalformedChainHead)?;
        let only_digits = |text: &str, allowed: fn(&u8) -> bool| text.bytes().all(|byte| allowed(&byte));
        if digits.len() != 64
            || !only_digits(digits, u8::is_ascii_hexdigit)
            || !only_digits(position, u8::is_ascii_digit)
        {
            return Err(MalformedChainHead);
        }
        let position = position.parse().map_err(|_| MalformedChainHead)?;
        let mut hash = Sha256Hash::default();
        for (byte, digits) in hash.iter_mut().zip(digits.as_bytes().chunks(2)) {
            let digits = str::from_utf8(digits).map_err(|_| MalformedChainHead)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| MalformedChainHead)?;
        }
        Ok(Self { position, hash })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_is_written() {
        let mut chain = RunningHash::default();
        chain.add(&digest(b"first"));
        let head = ChainHead { position: 7, hash: chain.0 };
        let written = head.to_string();
        assert_eq!(written.len(), 66);
        assert_eq!(written.parse(), Ok(head));
        assert_eq!(written.to_uppercase().parse(), Ok(head));
    }

    #[test]
    fn what_is_no_head_is_refused() {
        let zeros = "0".repeat(64);
        assert!(format!("0:{zeros}").parse::<ChainHead>().is_ok());
        for text in [
            String::new(),
            zeros.clone(),
            format!(":{zeros}"),
            format!("1:{zeros}0"),
            format!("1:{}", &zeros[1..]),
            format!("-1:{zeros}"),
            format!("+1:{zeros}"),
            format!("1 :{zeros}"),
            format!("9223372036854775808:{zeros}"),
            format!("1:{}g", &zeros[1..]),
            format!("1:+{}", &zeros[1..]),
            format!("1:{}é", &zeros[2..]),
        ] {
            assert_eq!(text.parse::<ChainHead>(), Err(MalformedChainHead), "{text}");
        }
    }
}

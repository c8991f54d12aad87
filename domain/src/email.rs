//! A customer's e-mail address.

use std::fmt;

use serde::{Deserialize, Serialize};

/// RFC 5321's bound on a forward path, without its angle brackets.
const MAX_CHARS: usize = 254;

/// An address that a mail can be sent to: printable ASCII, one `@`, a domain, at most 254 characters. What SES takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EmailAddress(String);

/// Why a text is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an e-mail address of at most {MAX_CHARS} printable ASCII characters, like name@example.com")]
pub struct InvalidEmail;

impl EmailAddress {
    /// The address, if a mail could be sent to it. No character is taken that could break out of a mail's header.
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidEmail> {
        let text = text.into();
        let allowed = |byte: u8| byte.is_ascii_graphic() && !b"<>()[],;:\\\"".contains(&byte);
        let (local, domain) = text.split_once('@').ok_or(InvalidEmail)?;
        let domain_is_sound = !domain.contains('@') && domain.split('.').all(|label| !label.is_empty());
        if local.is_empty() || !domain_is_sound || text.len() > MAX_CHARS || !text.bytes().all(allowed) {
            return Err(InvalidEmail);
        }
        Ok(Self(text))
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for EmailAddress {
    type Error = InvalidEmail;

    fn try_from(text: String) -> Result<Self, InvalidEmail> {
        Self::parse(text)
    }
}

impl From<EmailAddress> for String {
    fn from(address: EmailAddress) -> Self {
        address.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_address_is_taken() {
        assert!(EmailAddress::parse("ann.o'neil+shop@mail.example.com").is_ok());
    }

    #[test]
    fn an_address_that_could_carry_a_header_is_refused() {
        let long = format!("{}@example.com", "a".repeat(250));
        for text in ["", "ann", "@x.org", "ann@", "a@b@c", "a@b..c", "ann@x.org\r\nBcc: all@x.org", "a b@x.org", &long]
        {
            assert_eq!(EmailAddress::parse(text), Err(InvalidEmail), "{text:?}");
        }
    }
}

//! A customer's e-mail address.

use std::fmt;

use serde::{Deserialize, Serialize};

/// RFC 5321's bound on a forward path, without its angle brackets.
const MAX_CHARS: usize = 254;
/// RFC 5321's bound on the part before the `@`.
const MAX_LOCAL_CHARS: usize = 64;

/// An address that a mail can be sent to: printable ASCII, one `@`, a domain name, at most 254 characters, at most 64 of them before the
/// `@`. Notification has the same rule: `golden/addresses.json` holds both to it.
///
/// Decoding does not check again: an address in the log passed the rule of its day, and events stay readable forever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct EmailAddress(String);

/// A text that is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an e-mail address of at most {MAX_CHARS} printable ASCII characters, like name@example.com")]
pub struct InvalidEmail;

impl EmailAddress {
    /// Checks that a mail could be sent to the address. No character is accepted that could break out of a mail's header.
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidEmail> {
        let text = text.into();
        let allowed = |byte: u8| byte.is_ascii_graphic() && !b"<>()[],;:\\\"".contains(&byte);
        let (local, domain) = text.split_once('@').ok_or(InvalidEmail)?;
        let label = |it: &str| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let local_is_sound = (1..=MAX_LOCAL_CHARS).contains(&local.len());
        let domain_is_sound = domain.split('.').all(label);
        if !local_is_sound || !domain_is_sound || text.len() > MAX_CHARS || !text.bytes().all(allowed) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Golden {
        good: Vec<String>,
        bad: Vec<String>,
    }

    #[test]
    fn good_addresses_are_taken_and_bad_ones_refused_as_in_the_golden_list() {
        let golden: Golden = serde_json::from_str(include_str!("../golden/addresses.json")).unwrap();
        for text in golden.good {
            assert_eq!(EmailAddress::parse(text.as_str()).unwrap().as_str(), text);
        }
        for text in golden.bad {
            assert_eq!(EmailAddress::parse(text.as_str()), Err(InvalidEmail), "{text:?}");
        }
    }

    #[test]
    fn an_address_in_the_log_decodes_even_if_it_would_not_be_taken_today() {
        let logged = r#""ann@exa_mple.com""#;
        let address: EmailAddress = serde_json::from_str(logged).unwrap();
        assert_eq!(serde_json::to_string(&address).unwrap(), logged);
    }
}

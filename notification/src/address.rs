//! Whom mails come from, and what is wrong with a text that is no address.

use std::fmt;

use mail_address::{EmailAddress, InvalidEmailAddress};

/// The sender of a mail: an address, with or without a name. It is ASCII, as SES has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SenderAddress(String);

impl SenderAddress {
    /// Returns `None` for what SES would not take as a sender.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let address = match text.strip_suffix('>').and_then(|text| text.rsplit_once(" <")) {
            Some((name, address)) => {
                let plain = |c: char| c.is_ascii_alphanumeric() || " -_.&'".contains(c);
                if name.trim().is_empty() || !name.chars().all(plain) {
                    return None;
                }
                address
            }
            None => text,
        };
        (address.is_ascii() && EmailAddress::parse(address).is_ok()).then(|| Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A recipient that is no address, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InvalidRecipient {
    shown: String,
    source: InvalidEmailAddress,
}

/// The address of a recipient.
pub(crate) fn parse_recipient(text: &str) -> Result<EmailAddress, InvalidRecipient> {
    EmailAddress::parse(text).map_err(|source| InvalidRecipient { shown: shown(text), source })
}

impl std::error::Error for InvalidRecipient {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl fmt::Display for InvalidRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is no e-mail address", self.shown)
    }
}

/// The text, cut and escaped.
fn shown(text: &str) -> String {
    let start: String = text.chars().take(100).collect();
    format!("{start:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_may_have_a_name_and_is_ascii() {
        for text in ["orders@ordo.example", "Ordo <orders@ordo.example>", "Smith & Sons <a@b.example>"] {
            assert_eq!(SenderAddress::parse(text).unwrap().as_str(), text);
        }
        let refused = [
            "Ordo",
            "<a@b>",
            "Or\ndo <a@b>",
            "\"Ordo\" <a@b>",
            "Ordo <a>",
            "Ordo <a@b> x",
            "jörg@b",
            "a@müller.example",
        ];
        for text in refused {
            assert_eq!(SenderAddress::parse(text), None, "{text:?}");
        }
    }
}

//! E-mail addresses that are safe in a mail's header.

use std::fmt;

/// An e-mail address that SES accepts: ASCII, one `@`, nothing that could end or extend a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EmailAddress(String);

impl EmailAddress {
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let refused = |why| Err(InvalidAddress { shown: shown(text), why });
        // The bounds are RFC 5321's.
        if text.len() > 254 {
            return refused("it has more than 254 characters");
        }
        if !text.chars().all(|c| c.is_ascii_graphic() && !"<>()[]\\,;:\"".contains(c)) {
            return refused("it has a character that an address can't have");
        }
        let Some((local, domain)) = text.split_once('@') else { return refused("it has no @") };
        if local.is_empty() || local.len() > 64 {
            return refused("the part before the @ must have 1 to 64 characters");
        }
        let label = |it: &str| !it.is_empty() && it.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if !domain.split('.').all(label) {
            return refused("the part after the @ is no domain name");
        }
        Ok(Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The sender of a mail: an address, with or without a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SenderAddress(String);

impl SenderAddress {
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidAddress> {
        if let Some((name, address)) = text.strip_suffix('>').and_then(|text| text.rsplit_once(" <")) {
            EmailAddress::parse(address)?;
            let plain = |c: char| c.is_ascii_alphanumeric() || " -_.&'".contains(c);
            if name.trim().is_empty() || !name.chars().all(plain) {
                return Err(InvalidAddress { shown: shown(text), why: "its name has a character that needs quoting" });
            }
        } else {
            EmailAddress::parse(text)?;
        }
        Ok(Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is no address for mails, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InvalidAddress {
    shown: String,
    why: &'static str,
}

impl std::error::Error for InvalidAddress {}

impl fmt::Display for InvalidAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is no e-mail address: {}", self.shown, self.why)
    }
}

/// The text, cut and escaped.
fn shown(text: &str) -> String {
    let start: String = text.chars().take(100).collect();
    format!("{start:?}")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Golden {
        good: Vec<String>,
        bad: Vec<String>,
    }

    /// The domain's own list: what an order may name, a mail can be sent to.
    #[test]
    fn good_addresses_are_addresses_and_what_could_break_out_of_a_header_is_none_as_in_the_golden_list() {
        let golden: Golden = serde_json::from_str(include_str!("../../domain/golden/addresses.json")).unwrap();
        for text in golden.good {
            assert_eq!(EmailAddress::parse(&text).unwrap().as_str(), text);
        }
        for text in golden.bad {
            assert!(EmailAddress::parse(&text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_sender_may_have_a_name() {
        for text in ["orders@ordo.example", "Ordo <orders@ordo.example>", "Smith & Sons <a@b.example>"] {
            assert_eq!(SenderAddress::parse(text).unwrap().as_str(), text);
        }
        for text in ["Ordo", "<a@b>", "Or\ndo <a@b>", "\"Ordo\" <a@b>", "Ordo <a>", "Ordo <a@b> x"] {
            assert!(SenderAddress::parse(text).is_err(), "{text:?}");
        }
    }
}

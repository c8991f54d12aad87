//! E-mail addresses: which ones a mail can be sent to, and how they are written for a mail service that takes ASCII alone.

use std::borrow::Cow;
use std::fmt;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use serde::{Deserialize, Serialize};

/// RFC 5321's bound on a forward path, without its angle brackets, in bytes.
const MAX_BYTES: usize = 254;
/// RFC 5321's bound on the part before the `@`, in bytes.
const MAX_LOCAL_BYTES: usize = 64;

/// An address that a mail can be sent to: `name@example.com`, or with other characters than ASCII, as RFC 6531 has them:
/// `jörg@müller.example`. It is kept as it was given.
///
/// Decoding does not check again: an address in a log passed the rule of its day, and events stay readable forever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EmailAddress(String);

/// A text that is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEmailAddress {
    #[error("must have an @, like name@example.com")]
    NoAt,
    #[error("must have at most {MAX_BYTES} bytes, with its domain as DNS has it")]
    TooLong,
    #[error("must have 1 to {MAX_LOCAL_BYTES} bytes before the @")]
    LocalLength,
    /// A space, a control or invisible character, or one that would have to be quoted.
    #[error("must have no spaces, invisible characters, or any of <>()[],;:\\\" before the @")]
    LocalCharacter,
    #[error("must have a domain name after the @")]
    Domain,
    #[error("must be in Unicode normalization form C (NFC)")]
    NotNormalized,
}

impl EmailAddress {
    /// Checks that a mail could be sent to the address. No character is accepted that could break out of a mail's header.
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidEmailAddress> {
        let text = text.into();
        if text.len() > MAX_BYTES {
            return Err(InvalidEmailAddress::TooLong);
        }
        let (local, domain) = text.split_once('@').ok_or(InvalidEmailAddress::NoAt)?;
        if !(1..=MAX_LOCAL_BYTES).contains(&local.len()) {
            return Err(InvalidEmailAddress::LocalLength);
        }
        if local.contains(|c| c == ' ' || "<>()[],;:\\\"".contains(c))
            || printable_text::first_invisible(local).is_some()
        {
            return Err(InvalidEmailAddress::LocalCharacter);
        }
        let ascii_domain = ascii_domain(domain).ok_or(InvalidEmailAddress::Domain)?;
        if local.len() + 1 + ascii_domain.len() > MAX_BYTES {
            return Err(InvalidEmailAddress::TooLong);
        }
        if !printable_text::is_normalized(&text) {
            return Err(InvalidEmailAddress::NotNormalized);
        }
        Ok(Self(text))
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address with the A-labels of its domain (RFC 5890): `name@xn--mller-kva.example`. Two addresses that differ only in how
    /// their domain is written are the same then.
    pub fn with_ascii_domain(&self) -> String {
        let rewritten = self.0.split_once('@').and_then(|(local, domain)| Some((local, ascii_domain(domain)?)));
        rewritten.map_or_else(|| self.0.clone(), |(local, domain)| format!("{local}@{domain}"))
    }

    /// Whether all before the `@` is ASCII. Only a mail service with SMTPUTF8 (RFC 6531) takes anything else.
    pub fn has_ascii_local_part(&self) -> bool {
        self.0.split_once('@').is_some_and(|(local, _)| local.is_ascii())
    }
}

/// The domain as DNS has it. `None`: it is no domain name.
fn ascii_domain(domain: &str) -> Option<Cow<'_, str>> {
    if domain.is_ascii() {
        let label = |it: &str| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        return domain.split('.').all(label).then_some(Cow::Borrowed(domain));
    }
    // An invisible character would be left out, and the text would not look like what it stands for.
    if printable_text::first_invisible(domain).is_some() {
        return None;
    }
    Uts46::new().to_ascii(domain.as_bytes(), AsciiDenyList::STD3, Hyphens::Check, DnsLength::Verify).ok()
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
            assert_eq!(EmailAddress::parse(text.as_str()).map(|it| it.0), Ok(text));
        }
        for text in golden.bad {
            assert!(EmailAddress::parse(text.as_str()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_domain_is_written_in_ascii_for_dns() {
        let written = |text: &str| EmailAddress::parse(text).unwrap().with_ascii_domain();
        assert_eq!(written("jörg@müller.example"), "jörg@xn--mller-kva.example");
        assert_eq!(written("ann@MÜLLER。example"), "ann@xn--mller-kva.example");
        assert_eq!(written("ann@straße.example"), "ann@xn--strae-oqa.example");
        assert_eq!(written("Ann@Example.com"), "Ann@Example.com");
        let local = |text: &str| EmailAddress::parse(text).unwrap().has_ascii_local_part();
        assert!(local("ann@müller.example") && !local("jörg@example.com"));
    }

    #[test]
    fn each_mistake_is_told_from_the_others() {
        let long = format!("a@{}.example", "ü".repeat(60));
        for (text, mistake) in [
            ("ann", InvalidEmailAddress::NoAt),
            ("@example.com", InvalidEmailAddress::LocalLength),
            ("ü\u{200b}@example.com", InvalidEmailAddress::LocalCharacter),
            ("ann@exa℀mple.com", InvalidEmailAddress::Domain),
            ("ann@mü\u{200b}ller.example", InvalidEmailAddress::Domain),
            ("u\u{308}@example.com", InvalidEmailAddress::NotNormalized),
            (&long, InvalidEmailAddress::Domain),
            (&"ü".repeat(128), InvalidEmailAddress::TooLong),
        ] {
            assert_eq!(EmailAddress::parse(text), Err(mistake), "{text:?}");
        }
    }

    #[test]
    fn an_address_in_the_log_decodes_even_if_it_would_not_be_taken_today() {
        let logged = r#""ann@exa_mple.com""#;
        let address: EmailAddress = serde_json::from_str(logged).unwrap();
        assert_eq!(serde_json::to_string(&address).unwrap(), logged);
        assert_eq!(address.with_ascii_domain(), "ann@exa_mple.com");
    }

    /// The rule before there were other characters than ASCII.
    fn was_taken(text: &str) -> bool {
        let Some((local, domain)) = text.split_once('@') else { return false };
        let allowed = |byte: u8| byte.is_ascii_graphic() && !b"<>()[],;:\\\"".contains(&byte);
        let label = |it: &str| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (1..=64).contains(&local.len())
            && domain.split('.').all(label)
            && text.len() <= 254
            && text.bytes().all(allowed)
    }

    proptest! {
        #[test]
        fn of_ascii_the_same_is_taken_as_ever(text in "[ -~\\n]{0,70}@?[a-z.@-]{0,200}") {
            prop_assert_eq!(EmailAddress::parse(text.as_str()).is_ok(), was_taken(&text));
        }

        #[test]
        fn no_address_breaks_out_of_a_header(text in any::<String>(), domain in "[a-zäπ字.]{1,9}") {
            if let Ok(address) = EmailAddress::parse(format!("{text}@{domain}")) {
                let ascii = address.with_ascii_domain();
                prop_assert!(!ascii.contains(|c: char| c.is_control() || c.is_whitespace() || "<>()[],;:\\\"".contains(c)));
                prop_assert!(ascii.len() <= MAX_BYTES);
                prop_assert_eq!(ascii.matches('@').count(), 1);
                prop_assert!(ascii.split_once('@').unwrap().1.is_ascii());
            }
        }
    }
}

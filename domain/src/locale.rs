//! The language that a customer reads.

use serde::{Deserialize, Serialize};

/// A language tag of the form `language[-Script][-REGION]` (BCP 47), such as `en`, `de-DE` or `zh-Hant-TW`, as it was given.
///
/// The shape alone is checked: which tags mean something changes with every year.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Locale(String);

/// A text that is no such tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a language tag, like en or de-DE")]
pub struct InvalidLocale;

impl Locale {
    /// Parses a tag. Capitals and small letters make no difference to what is taken.
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidLocale> {
        let text = text.into();
        let letters = |part: &&str| part.bytes().all(|byte| byte.is_ascii_alphabetic());
        let mut parts = text.split('-').peekable();
        let language = parts.next().filter(letters).is_some_and(|part| matches!(part.len(), 2 | 3));
        let _script = parts.next_if(|part| part.len() == 4 && letters(part));
        let _region = parts.next_if(|part| {
            (part.len() == 2 && letters(part)) || (part.len() == 3 && part.bytes().all(|byte| byte.is_ascii_digit()))
        });
        if !language || parts.next().is_some() {
            return Err(InvalidLocale);
        }
        Ok(Self(text))
    }

    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_language_script_and_region_are_taken() {
        for text in ["en", "de-DE", "en-gb", "zh-Hant", "zh-Hant-TW", "es-419", "yue"] {
            assert_eq!(Locale::parse(text).unwrap().as_str(), text);
        }
        for text in ["", "e", "engl", "de_DE", "de-", "-DE", "de-DE-x", "de-D", "d1", "de-DE-DE", "日本", "de DE"] {
            assert_eq!(Locale::parse(text), Err(InvalidLocale), "{text:?}");
        }
    }
}

//! SKUs: any text that can be printed and told apart.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

const MAX_CHARS: usize = 128;

/// What a JSON Schema says of a SKU: its length, no space at either end, no ASCII control character. The rest of the rule goes beyond the
/// regular expressions that all readers of schemas know.
const PATTERN: &str = r"^[^\x00-\x20\x7F]([^\x00-\x1F\x7F]{0,126}[^\x00-\x20\x7F])?$";

/// A stock keeping unit: what can be ordered. It is text of 1 to 128 characters that can be seen, with spaces between them, in Unicode
/// normalization form C.
// Decoding does not check again: a SKU in the log passed the rule of its day, and later versions of Unicode may see a character in
// another way.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(extend("pattern" = PATTERN)))]
#[serde(transparent)]
pub struct Sku(String);

/// Why a text is not a SKU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSku {
    /// Nothing was given.
    #[error("must not be empty")]
    Empty,
    /// More than 128 characters.
    #[error("must have at most {MAX_CHARS} characters")]
    TooLong,
    /// A space before or after the rest.
    #[error("must not begin or end with a space")]
    SpaceAtAnEnd,
    /// A control character, an invisible one, a private or unknown one, or white space other than U+0020.
    #[error("must not contain U+{:04X}, which can't be seen or told from another character", u32::from(*.0))]
    NotVisible(char),
    /// The text has another form in which it looks the same.
    #[error("must be in Unicode normalization form C (NFC)")]
    NotNormalized,
}

impl Sku {
    /// The SKU, if the text is one: `TSHIRT/RED L`, `BÜCHER 7`.
    ///
    /// SKUs are the same if their bytes are. The normalization form sees to it that no two look alike and differ only in how an umlaut
    /// is encoded. Text in another form is refused and not changed: everybody who keeps SKUs compares them as they are.
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidSku> {
        let text = text.into();
        if text.is_empty() {
            return Err(InvalidSku::Empty);
        }
        // Bytes first: a huge text is not counted through.
        if text.len() > MAX_CHARS * 4 || text.chars().count() > MAX_CHARS {
            return Err(InvalidSku::TooLong);
        }
        if let Some(invisible) = printable_text::first_invisible(&text) {
            return Err(InvalidSku::NotVisible(invisible));
        }
        if text.starts_with(' ') || text.ends_with(' ') {
            return Err(InvalidSku::SpaceAtAnEnd);
        }
        if !printable_text::is_normalized(&text) {
            return Err(InvalidSku::NotNormalized);
        }
        Ok(Self(text))
    }

    /// The SKU as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sku {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialSchema for Sku {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).pattern(Some(PATTERN)).build().into()
    }
}

impl ToSchema for Sku {}

impl From<Sku> for String {
    fn from(sku: Sku) -> Self {
        sku.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_that_can_be_printed_is_taken_as_it_is() {
        for text in
            ["aZ09._:-", "TSHIRT/RED L", "BÜCHER 7", "a#b%2F?&\"'<>\\", "ケース", "Ωmega", "नमक", "..", "a  b", "🧦"]
        {
            assert_eq!(Sku::parse(text).unwrap().as_str(), text);
        }
        assert!(Sku::parse("x".repeat(128)).is_ok());
        assert!(Sku::parse("🧦".repeat(128)).is_ok());
    }

    #[test]
    fn what_cannot_be_seen_or_told_apart_is_refused() {
        assert_eq!(Sku::parse(""), Err(InvalidSku::Empty));
        for text in ["x".repeat(129), "🧦".repeat(129), "x".repeat(1_000_000)] {
            assert_eq!(Sku::parse(text), Err(InvalidSku::TooLong));
        }
        for text in [" a", "a ", " "] {
            assert_eq!(Sku::parse(text), Err(InvalidSku::SpaceAtAnEnd), "{text:?}");
        }
        assert_eq!(Sku::parse("BU\u{308}CHER"), Err(InvalidSku::NotNormalized));
        for character in ['\0', '\n', '\u{a0}', '\u{200b}', '\u{202e}', '\u{feff}'] {
            let refused = Sku::parse(format!("a{character}b")).unwrap_err();
            assert_eq!(refused, InvalidSku::NotVisible(character));
        }
        let message = Sku::parse("a\u{200b}b").unwrap_err().to_string();
        assert!(message.contains("U+200B"), "{message}");
    }

    #[test]
    fn a_sku_in_the_log_decodes_even_if_it_would_not_be_taken_today() {
        let logged = "\"\u{378} \"";
        let sku: Sku = serde_json::from_str(logged).unwrap();
        assert_eq!(serde_json::to_string(&sku).unwrap(), logged);
    }

    proptest! {
        #[test]
        fn a_text_is_refused_or_kept_to_the_letter(text in any::<String>()) {
            if let Ok(sku) = Sku::parse(text.as_str()) {
                prop_assert_eq!(sku.as_str(), &text);
                prop_assert_eq!(text.trim(), &text);
                let json = serde_json::to_string(&sku).unwrap();
                prop_assert_eq!(serde_json::from_str::<Sku>(&json).unwrap(), sku);
            }
        }

        #[test]
        fn what_was_a_sku_under_the_first_rule_is_one(text in "[A-Za-z0-9._:-]{1,128}") {
            prop_assert!(Sku::parse(text).is_ok());
        }
    }
}

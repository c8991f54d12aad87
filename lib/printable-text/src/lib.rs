//! Which characters can be seen, and which texts look like no other text.

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory, GeneralCategoryGroup};
use icu_properties::{CodePointMapData, CodePointSetData};

/// The first character of a text that can't be seen or told from another one. A space (U+0020) is not among these.
pub fn first_invisible(text: &str) -> Option<char> {
    text.chars().find(|character| !is_visible(*character))
}

/// Whether a text is in Unicode normalization form C. Of two texts that differ only in how an umlaut is encoded, one is.
pub fn is_normalized(text: &str) -> bool {
    text.is_ascii() || ComposingNormalizerBorrowed::new_nfc().is_normalized(text)
}

fn is_visible(character: char) -> bool {
    if character.is_ascii() {
        return !character.is_ascii_control();
    }
    let category = CodePointMapData::<GeneralCategory>::new().get(character);
    // Control and format characters, what is private, what Unicode has not assigned, and other kinds of white space.
    let is_blank = GeneralCategoryGroup::Other.union(GeneralCategoryGroup::Separator).contains(category);
    // Letters that are not drawn, such as Hangul fillers, and variation selectors.
    !is_blank && !CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_is_visible_in_every_script() {
        for text in ["aZ09 ~!", "BÜCHER", "ケース", "Ωmega", "नमक", "שלום", "🧦", "±€№"] {
            assert_eq!(first_invisible(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_not_drawn_or_looks_like_a_space_is_invisible() {
        let invisible = [
            '\0',
            '\n',
            '\t',
            '\u{7f}',
            '\u{85}',
            '\u{a0}',
            '\u{ad}',
            '\u{200b}',
            '\u{200d}',
            '\u{202e}',
            '\u{2028}',
            '\u{2029}',
            '\u{2066}',
            '\u{3000}',
            '\u{3164}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{e000}',
            '\u{e0041}',
            '\u{ffff}',
            '\u{378}',
        ];
        for character in invisible {
            assert_eq!(first_invisible(&format!("a{character}b")), Some(character));
        }
    }

    #[test]
    fn one_form_of_each_text_is_normalized() {
        // Composed and decomposed; the sign for Ångström, which is another way to write Å; Hangul in parts.
        for (normalized, other) in [("BÜCHER", "BU\u{308}CHER"), ("Å", "\u{212b}"), ("가", "\u{1100}\u{1161}")] {
            assert!(is_normalized(normalized) && !is_normalized(other), "{normalized}");
        }
    }
}

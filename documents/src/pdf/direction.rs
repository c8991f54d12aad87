//! Text in the order in which it is painted, from left to right, by the Unicode bidirectional algorithm (UAX #9).

use std::ops::Range;

use icu_properties::CodePointMapData;
use icu_properties::props::{BidiMirroringGlyph, GeneralCategory, GeneralCategoryGroup};
use unicode_bidi::BidiInfo;

/// One paragraph, without what would turn the text beside it: each character that ends a line is a space, and marks of direction are left
/// out.
pub(super) fn paragraph(text: &str) -> String {
    let ends_line = |char: char| char.is_control() || matches!(char, '\u{2028}' | '\u{2029}');
    text.chars().filter(|char| !is_mark(*char)).map(|char| if ends_line(char) { ' ' } else { char }).collect()
}

/// Whether it changes the direction of the text and is not seen.
fn is_mark(char: char) -> bool {
    matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The lines of a paragraph, each without the space at its end. The paragraph's direction is that of its first letter.
pub(super) fn as_painted(paragraph: &str, lines: &[Range<usize>]) -> Vec<String> {
    let bidi = BidiInfo::new(paragraph, None);
    let ends = lines.iter().map(|line| line.start..line.start + paragraph[line.clone()].trim_end().len());
    ends.map(|line| painted(&bidi, line)).collect()
}

fn painted(bidi: &BidiInfo<'_>, line: Range<usize>) -> String {
    let Some(paragraph) = bidi.paragraphs.first().filter(|_| bidi.has_rtl() && !line.is_empty()) else {
        return bidi.text[line].to_owned();
    };
    let (levels, runs) = bidi.visual_runs(paragraph, line.clone());
    let mut painted = String::with_capacity(line.len());
    for run in runs {
        match levels[run.start].is_rtl() {
            true => push_reversed(&mut painted, &bidi.text[run]),
            false => painted.push_str(&bidi.text[run]),
        }
    }
    painted
}

/// Brackets are turned, and marks stay behind their letters.
fn push_reversed(painted: &mut String, text: &str) {
    let mut marks = Vec::new();
    for char in text.chars().rev() {
        let category = CodePointMapData::<GeneralCategory>::new().get(char);
        if GeneralCategoryGroup::Mark.contains(category) {
            marks.push(char);
            continue;
        }
        painted.push(CodePointMapData::<BidiMirroringGlyph>::new().get(char).mirroring_glyph.unwrap_or(char));
        painted.extend(marks.drain(..).rev());
    }
    painted.extend(marks.into_iter().rev());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All of it as one line.
    fn one_line(text: &str) -> String {
        let text = paragraph(text);
        as_painted(&text, std::slice::from_ref(&(0..text.len()))).remove(0)
    }

    #[test]
    fn letters_from_right_to_left_are_reversed_and_numbers_and_other_scripts_are_not() {
        for (text, expected) in [
            ("Ann, 12 Łódź", "Ann, 12 Łódź"),
            ("\u{5d0}\u{5d1}\u{5d2}", "\u{5d2}\u{5d1}\u{5d0}"),
            // What begins with Latin goes from left to right.
            ("Reason: \u{5d0}\u{5d1} 12 \u{5d2}", "Reason: \u{5d2} 12 \u{5d1}\u{5d0}"),
            // What begins with Hebrew goes from right to left, and what is in brackets stays in them.
            ("\u{5d0}\u{5d1} (SKU-1)", "(SKU-1) \u{5d1}\u{5d0}"),
            ("\u{5d0} (\u{5d1}) 3.5", "3.5 (\u{5d1}) \u{5d0}"),
            // A mark stays behind its letter.
            ("\u{5d0}\u{5b8}\u{5d1}", "\u{5d1}\u{5d0}\u{5b8}"),
            ("", ""),
        ] {
            assert_eq!(one_line(text), expected, "{text}");
        }
    }

    #[test]
    fn no_text_turns_what_stands_beside_it() {
        assert_eq!(one_line("a\u{202e}bc\u{2066}d\u{200f}"), "abcd");
        assert_eq!(one_line("a\nb\u{2029}c"), "a b c");
    }

    #[test]
    fn the_lines_of_a_paragraph_have_its_direction() {
        let text = "\u{5d0}\u{5d1} AB. \u{5d2}";
        assert_eq!(as_painted(text, &[0..5, 5..9, 9..text.len()]), ["\u{5d1}\u{5d0}", ".AB", "\u{5d2}"]);
        assert_eq!(as_painted(text, &[]), Vec::<String>::new());
    }
}

//! Arabic letters in the form that fits their neighbours, by the forms that Unicode has as characters of their own.
//!
//! That is what a font without a shaping engine can do: the letters join as they have to, lam and alef are one, and marks stand where the
//! font puts them.

use icu_properties::CodePointMapData;
use icu_properties::props::JoiningType;

/// A letter, the first of its forms, and how many there are: alone, at the end of what is joined, at its beginning, within it. They follow
/// each other.
type LetterForms = (char, char, u32);

const FORMS: [LetterForms; 49] = [
    ('\u{621}', '\u{fe80}', 1),
    ('\u{622}', '\u{fe81}', 2),
    ('\u{623}', '\u{fe83}', 2),
    ('\u{624}', '\u{fe85}', 2),
    ('\u{625}', '\u{fe87}', 2),
    ('\u{626}', '\u{fe89}', 4),
    ('\u{627}', '\u{fe8d}', 2),
    ('\u{628}', '\u{fe8f}', 4),
    ('\u{629}', '\u{fe93}', 2),
    ('\u{62a}', '\u{fe95}', 4),
    ('\u{62b}', '\u{fe99}', 4),
    ('\u{62c}', '\u{fe9d}', 4),
    ('\u{62d}', '\u{fea1}', 4),
    ('\u{62e}', '\u{fea5}', 4),
    ('\u{62f}', '\u{fea9}', 2),
    ('\u{630}', '\u{feab}', 2),
    ('\u{631}', '\u{fead}', 2),
    ('\u{632}', '\u{feaf}', 2),
    ('\u{633}', '\u{feb1}', 4),
    ('\u{634}', '\u{feb5}', 4),
    ('\u{635}', '\u{feb9}', 4),
    ('\u{636}', '\u{febd}', 4),
    ('\u{637}', '\u{fec1}', 4),
    ('\u{638}', '\u{fec5}', 4),
    ('\u{639}', '\u{fec9}', 4),
    ('\u{63a}', '\u{fecd}', 4),
    ('\u{641}', '\u{fed1}', 4),
    ('\u{642}', '\u{fed5}', 4),
    ('\u{643}', '\u{fed9}', 4),
    (LAM, '\u{fedd}', 4),
    ('\u{645}', '\u{fee1}', 4),
    ('\u{646}', '\u{fee5}', 4),
    ('\u{647}', '\u{fee9}', 4),
    ('\u{648}', '\u{feed}', 2),
    ('\u{649}', '\u{feef}', 2),
    ('\u{64a}', '\u{fef1}', 4),
    // Persian and Urdu.
    ('\u{679}', '\u{fb66}', 4),
    ('\u{67e}', '\u{fb56}', 4),
    ('\u{686}', '\u{fb7a}', 4),
    ('\u{688}', '\u{fb88}', 2),
    ('\u{691}', '\u{fb8c}', 2),
    ('\u{698}', '\u{fb8a}', 2),
    ('\u{6a9}', '\u{fb8e}', 4),
    ('\u{6af}', '\u{fb92}', 4),
    ('\u{6ba}', '\u{fb9e}', 2),
    ('\u{6be}', '\u{fbaa}', 4),
    ('\u{6c1}', '\u{fba6}', 4),
    ('\u{6cc}', '\u{fbfc}', 4),
    ('\u{6d2}', '\u{fbae}', 2),
];

const LAM: char = '\u{644}';
/// Each alef, and what it is with a lam before it: alone, and joined to what is before.
const LAM_WITH_ALEF: [LetterForms; 4] =
    [('\u{622}', '\u{fef5}', 2), ('\u{623}', '\u{fef7}', 2), ('\u{625}', '\u{fef9}', 2), ('\u{627}', '\u{fefb}', 2)];

/// The text with the form of each letter, where the font has it.
pub(super) fn joined(text: &str, has_glyph: impl Fn(char) -> bool) -> String {
    let mut joined = String::with_capacity(text.len());
    let mut before = None;
    let mut rest = text.chars();
    while let Some(letter) = rest.next() {
        let follows = before.is_some_and(joins_the_next) && joins_the_one_before(letter);
        let mut next = rest.clone();
        let ligature =
            next.next().filter(|_| letter == LAM).and_then(|alef| form(&LAM_WITH_ALEF, alef, follows, false));
        if let Some(ligature) = ligature.filter(|ligature| has_glyph(*ligature)) {
            joined.push(ligature);
            // An alef is joined to no letter after it.
            (before, rest) = (None, next);
            continue;
        }
        let after = rest.clone().find(|letter| !is_transparent(*letter));
        let leads = joins_the_next(letter) && after.is_some_and(joins_the_one_before);
        let form = form(&FORMS, letter, follows, leads).filter(|form| has_glyph(*form));
        joined.push(form.unwrap_or(letter));
        if !is_transparent(letter) {
            before = Some(letter);
        }
    }
    joined
}

/// The letters that a form stands for, so that text can be copied and searched.
pub(super) fn letters_of(form: char) -> impl Iterator<Item = char> {
    let is_of = |(_, first, count): &&LetterForms| (*first..=nth(*first, count - 1)).contains(&form);
    let with_alef = LAM_WITH_ALEF.iter().find(is_of).map(|(alef, ..)| *alef);
    let letter = FORMS.iter().find(is_of).map(|(letter, ..)| *letter);
    let first = if with_alef.is_some() { LAM } else { letter.unwrap_or(form) };
    std::iter::once(first).chain(with_alef)
}

fn form(forms: &[LetterForms], letter: char, follows: bool, leads: bool) -> Option<char> {
    let (_, first, count) = forms.iter().find(|(known, ..)| *known == letter)?;
    let wanted = u32::from(follows) + 2 * u32::from(leads);
    // A letter that is not joined to the next one has no other forms.
    Some(nth(*first, if wanted < *count { wanted } else { u32::from(follows).min(count - 1) }))
}

fn nth(first: char, nth: u32) -> char {
    char::from_u32(u32::from(first) + nth).unwrap_or(first)
}

fn joins_the_next(letter: char) -> bool {
    [JoiningType::DualJoining, JoiningType::LeftJoining, JoiningType::JoinCausing].contains(&joining(letter))
}

fn joins_the_one_before(letter: char) -> bool {
    [JoiningType::DualJoining, JoiningType::RightJoining, JoiningType::JoinCausing].contains(&joining(letter))
}

/// A mark on a letter.
fn is_transparent(letter: char) -> bool {
    joining(letter) == JoiningType::Transparent
}

fn joining(letter: char) -> JoiningType {
    CodePointMapData::<JoiningType>::new().get(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> String {
        joined(text, |_| true)
    }

    #[test]
    fn a_letter_has_the_form_that_fits_its_neighbours() {
        for (text, expected) in [
            // Beh alone, twice, and three times.
            ("\u{628}", "\u{fe8f}"),
            ("\u{628}\u{628}", "\u{fe91}\u{fe90}"),
            ("\u{628}\u{628}\u{628}", "\u{fe91}\u{fe92}\u{fe90}"),
            // Dal is not joined to what follows it; a space separates.
            ("\u{62f}\u{628}", "\u{fea9}\u{fe8f}"),
            ("\u{628} \u{628}", "\u{fe8f} \u{fe8f}"),
            // Muhammad, with a mark between two letters.
            ("\u{645}\u{62d}\u{645}\u{651}\u{62f}", "\u{fee3}\u{fea4}\u{fee4}\u{651}\u{feaa}"),
            // Lam and alef, alone and after beh; what comes after them begins anew.
            ("\u{644}\u{627}", "\u{fefb}"),
            ("\u{628}\u{644}\u{627}\u{628}", "\u{fe91}\u{fefc}\u{fe8f}"),
            // Alef and lam are two.
            ("\u{627}\u{644}", "\u{fe8d}\u{fedd}"),
            // Persian: gaf, farsi yeh.
            ("\u{6af}\u{6cc}", "\u{fb94}\u{fbfd}"),
            // Alef maksura before a letter has no form for it.
            ("\u{628}\u{649}\u{628}", "\u{fe91}\u{fef0}\u{fe90}"),
            ("Ann שלום 12", "Ann שלום 12"),
            ("", ""),
        ] {
            assert_eq!(all(text), expected, "{text}");
        }
    }

    #[test]
    fn a_form_that_the_font_lacks_is_the_letter() {
        assert_eq!(joined("\u{644}\u{627}\u{628}", |char| char < '\u{fef5}'), "\u{fedf}\u{fe8e}\u{fe8f}");
        assert_eq!(joined("\u{644}\u{627}", |_| false), "\u{644}\u{627}");
    }

    #[test]
    fn each_form_stands_for_its_letters() {
        for (letter, first, count) in FORMS {
            for n in 0..count {
                assert_eq!(letters_of(nth(first, n)).collect::<String>(), letter.to_string());
            }
        }
        assert_eq!(letters_of('\u{fefc}').collect::<String>(), "\u{644}\u{627}");
        assert_eq!(letters_of('A').collect::<String>(), "A");
    }
}

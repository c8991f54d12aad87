//! The words by which an order is found. They are made alike for every language: by letters and digits, without capitals and accents.

use domain::email::EmailAddress;
use domain::order::event::{OrderCreated, OrderLine};
use icu_normalizer::DecomposingNormalizerBorrowed;
use read_models::Words;

/// The most words of a question.
const MOST_ASKED: usize = 10;
/// The most characters of a question.
const LONGEST_QUESTION: usize = 200;

/// The words of an order. If there are too many, those of titles are left out first.
pub(super) fn of_order(order_id: &str, content: &OrderCreated) -> Words {
    let name = content.customer.as_deref().and_then(|customer| customer.name.as_deref());
    let email = content.customer_email.as_ref().map(EmailAddress::as_str);
    let texts = [Some(order_id), email, name].into_iter().flatten();
    texts.chain(of_goods(&content.lines)).flat_map(split).collect()
}

/// The words of lines that an order gets later; `None`: there are no lines.
pub(super) fn of_lines(lines: &[OrderLine]) -> Option<Words> {
    (!lines.is_empty()).then(|| of_goods(lines).flat_map(split).collect())
}

fn of_goods(lines: &[OrderLine]) -> impl Iterator<Item = &str> {
    lines.iter().map(|line| line.sku.as_str()).chain(lines.iter().map(|line| line.title.as_str()))
}

/// The words of an order's number.
pub(super) fn of_number(order_number: &str) -> Words {
    split(order_number).into_iter().collect()
}

/// The words of a question; of an order one word has to begin with each.
#[expect(clippy::needless_pass_by_value, reason = "the signature of all parameter parsers")]
pub(super) fn of_question(text: String) -> Result<Words, &'static str> {
    if text.chars().count() > LONGEST_QUESTION {
        return Err("must have at most 200 characters");
    }
    let words: Words = split(&text).into_iter().collect();
    match words.len() {
        0 => Err("must have a letter or a digit"),
        n if n > MOST_ASKED => Err("must have at most 10 words"),
        _ => Ok(words),
    }
}

fn split(text: &str) -> Vec<String> {
    let decomposed = DecomposingNormalizerBorrowed::new_nfkd().normalize(text).to_lowercase();
    let (mut words, mut word) = (Vec::new(), String::new());
    for character in decomposed.chars().filter(|character| !is_accent(*character)) {
        if is_word_of_its_own(character) {
            words.extend([std::mem::take(&mut word), character.to_string()]);
        } else if let Some(letters) = in_plain_letters(character) {
            word.push_str(letters);
        } else if character.is_alphanumeric() {
            word.push(character);
        } else {
            words.push(std::mem::take(&mut word));
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// What is over or under a letter.
fn is_accent(character: char) -> bool {
    matches!(character, '\u{300}'..='\u{36f}' | '\u{3099}' | '\u{309a}')
}

/// Chinese and Japanese are written without spaces between the words.
fn is_word_of_its_own(character: char) -> bool {
    matches!(character, '\u{3041}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}')
}

/// Letters that have no accent that could be taken off, but that people write with others.
fn in_plain_letters(character: char) -> Option<&'static str> {
    Some(match character {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'ł' => "l",
        'đ' | 'ð' => "d",
        'þ' => "th",
        'ı' => "i",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_letters_and_digits_without_capitals_and_accents() {
        for (text, words) in [
            ("Wireless Headphones, 2nd gen.", &["wireless", "headphones", "2nd", "gen"][..]),
            ("TSHIRT/RED_L", &["tshirt", "red", "l"]),
            ("Jörg.Müller@straße.example", &["jorg", "muller", "strasse", "example"]),
            ("İSTANBUL ﬁne Ångström Łódź", &["istanbul", "fine", "angstrom", "lodz"]),
            ("Ελλάδα Россия", &["ελλαδα", "россия"]),
            ("無線ヘッドホン x2", &["無", "線", "ヘ", "ッ", "ト", "ホ", "ン", "x2"]),
            ("' & | ! :* <-> ( \\", &[]),
        ] {
            assert_eq!(split(text), words, "{text}");
        }
    }

    #[test]
    fn a_question_has_some_words_and_not_too_many() {
        assert_eq!(of_question("Head phones head".to_owned()).map(|words| words.len()), Ok(2));
        for text in [String::new(), " ,;".to_owned(), "x".repeat(201), "a b c d e f g h i j k".to_owned()] {
            assert!(of_question(text).is_err());
        }
    }
}

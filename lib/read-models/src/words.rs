//! Finding items by words.

use std::collections::BTreeSet;

use crate::{Index, Key, ReadModelStoreError, SortOrder};

/// Words of letters and digits, each once.
///
/// Anything else would mean something to Postgres, so it is left out of a word.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words(BTreeSet<String>);

impl Words {
    /// The most bytes of a word; longer ones are cut.
    pub const LONGEST: usize = 200;
    /// The most bytes of all words together; words beyond are left out.
    pub const MOST_BYTES: usize = 16 << 10;

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// These words and others.
    #[must_use]
    pub fn with(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// As the text of a `tsvector`.
    pub(crate) fn to_vector(&self) -> String {
        self.iter().collect::<Vec<_>>().join(" ")
    }

    /// As the text of a `tsquery` that asks for items which have, for each word, one that begins with it.
    pub(crate) fn to_query(&self) -> String {
        self.iter().map(|word| format!("{word}:*")).collect::<Vec<_>>().join(" & ")
    }

    /// As a binary COPY sends a `tsvector`.
    pub(crate) fn to_binary(&self) -> Vec<u8> {
        let count = u32::try_from(self.0.len()).unwrap_or_default();
        let mut binary = count.to_be_bytes().to_vec();
        for word in &self.0 {
            binary.extend_from_slice(word.as_bytes());
            // It ends with a zero byte, and has no positions.
            binary.extend_from_slice(&[0, 0, 0]);
        }
        binary
    }
}

impl<T: AsRef<str>> FromIterator<T> for Words {
    fn from_iter<I: IntoIterator<Item = T>>(words: I) -> Self {
        let (mut taken, mut bytes) = (BTreeSet::new(), 0);
        for word in words {
            let mut word: String = word.as_ref().chars().filter(|character| character.is_alphanumeric()).collect();
            while word.len() > Self::LONGEST {
                word.pop();
            }
            if word.is_empty() || taken.contains(&word) {
                continue;
            }
            bytes += word.len() + 1;
            if bytes > Self::MOST_BYTES {
                break;
            }
            taken.insert(word);
        }
        Self(taken)
    }
}

/// A question for the items that have, for each word, one that begins with it. They come in the order of their sort keys in an index.
#[derive(Debug, Clone)]
pub struct WordQuery<'a> {
    pub words: &'a Words,
    /// Whose sort keys count. Items that it does not have are not found.
    pub index: Index,
    /// The lower bound of the sort keys, included.
    pub from: Option<&'a str>,
    /// The upper bound of the sort keys, excluded.
    pub until: Option<&'a str>,
    /// Only items beyond this sort key.
    pub after: Option<&'a str>,
    pub order: SortOrder,
    pub limit: u16,
    /// How many items may have the words at the most, wherever they are. Finding more would take too long.
    pub most: u32,
}

/// What has the words of a question.
#[derive(Debug, PartialEq, Eq)]
pub enum WordMatches {
    /// The first ones beyond the place, each with its sort key. There are more only if these are as many as the limit.
    Found(Vec<(Key, String)>),
    /// More items than may have them, or the first page took too long.
    TooMany,
}

/// Why there is no answer by words.
#[derive(Debug, thiserror::Error)]
pub enum WordSearchError {
    #[error("this store of read models does not find items by words")]
    Unsupported,
    /// An earlier build wrote the items.
    #[error("the items have no words until the read model is rebuilt")]
    NotBuilt,
    #[error(transparent)]
    Store(#[from] ReadModelStoreError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_letters_and_digits_gets_to_postgres() {
        let words: Words = ["a'b", ":*", "c & !d", "é7", "漢字", "a'b"].into_iter().collect();
        assert_eq!(words.to_query(), "ab:* & cd:* & é7:* & 漢字:*");
        assert_eq!(words.to_vector(), "ab cd é7 漢字");
    }

    #[test]
    fn words_are_bounded_by_bytes() {
        let words: Words = (0..10_000).map(|n| format!("word{n}")).collect();
        let bytes: usize = words.iter().map(|word| word.len() + 1).sum();
        assert!((Words::MOST_BYTES - 20..=Words::MOST_BYTES).contains(&bytes), "{bytes}");
        let long: Words = ["é".repeat(1_000)].into_iter().collect();
        assert_eq!(long.iter().next().map(str::len), Some(Words::LONGEST));
    }
}

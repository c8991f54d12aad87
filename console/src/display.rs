//! How texts, times and names of states are shown.

use std::fmt::{self, Display};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A text that anybody may have written. What can't be seen in it, or turns round the text after it, is shown by its number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Text(String);

impl Text {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn is(&self, text: &str) -> bool {
        self.0 == text
    }

    /// The words of a name; see [`words`].
    pub(crate) fn words(&self) -> Self {
        Self(words(&self.0))
    }

    /// The class of a status or state; see [`tone`].
    pub(crate) fn tone(&self) -> &'static str {
        tone(&self.0)
    }

    /// Its first characters, if it is longer.
    pub(crate) fn cut(mut self, longest: usize) -> Self {
        if let Some((end, _)) = self.0.char_indices().nth(longest) {
            self.0.truncate(end);
            self.0.push('…');
        }
        self
    }

    /// The text as a part of a path; see [`from_path`].
    pub(crate) fn in_path(&self) -> String {
        let encoded = url::form_urlencoded::byte_serialize(self.0.as_bytes()).collect::<String>().replace('+', "%20");
        if is_dots(self.0.trim_start_matches('!')) { format!("!{encoded}") } else { encoded }
    }
}

/// Whether browsers take it for a folder, however it is encoded. As a part of a path it has a `!` before it.
fn is_dots(text: &str) -> bool {
    matches!(text, "." | "..")
}

/// The text that [`Text::in_path`] has made a part of a path, which was decoded.
pub(crate) fn from_path(part: &str) -> &str {
    part.strip_prefix('!').filter(|text| is_dots(text.trim_start_matches('!'))).unwrap_or(part)
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What can be seen is written in runs: a text may be long.
        let (mut rest, mut buffer) = (self.0.as_str(), [0; 4]);
        let is_shown = |character: char, buffer: &mut [u8; 4]| match character {
            ' '..='~' | '\n' => true,
            _ => KEPT.contains(&character) || printable_text::first_invisible(character.encode_utf8(buffer)).is_none(),
        };
        while let Some((at, hidden)) = rest.char_indices().find(|(_, character)| !is_shown(*character, &mut buffer)) {
            let (run, from) = rest.split_at(at);
            f.write_str(run)?;
            write!(f, "⟨U+{:04X}⟩", u32::from(hidden))?;
            rest = &from[hidden.len_utf8()..];
        }
        f.write_str(rest)
    }
}

/// What names and addresses are written with: joiners, variation selectors, and the spaces of some languages.
const KEPT: [char; 6] = ['\u{200c}', '\u{200d}', '\u{fe0e}', '\u{fe0f}', '\u{a0}', '\u{3000}'];

impl<'de> Deserialize<'de> for Text {
    /// Any value: numbers and truths are shown as they are in JSON.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Value::deserialize(deserializer)? {
            Value::String(text) => text,
            other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                other.to_string()
            }
        }))
    }
}

/// An instant, shown to the second in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
pub(crate) struct Instant(pub(crate) DateTime<Utc>);

impl Instant {
    pub(crate) fn now() -> Self {
        Self(Utc::now())
    }

    /// For programs.
    pub(crate) fn iso(self) -> String {
        self.0.to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    /// How long before now it was, or how long after now it will be.
    pub(crate) fn ago(self) -> String {
        let past = Utc::now() - self.0;
        match past < TimeDelta::zero() {
            true => format!("in {}", how_long(past.abs().num_seconds())),
            false => format!("{} ago", how_long(past.num_seconds())),
        }
    }
}

impl Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m-%d %H:%M:%S UTC"))
    }
}

/// In the two largest units: `3 min 20 s`.
pub(crate) fn how_long(seconds: i64) -> String {
    const UNITS: [(i64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let Some(largest) = UNITS.iter().position(|(length, _)| seconds >= *length) else { return "0 s".to_owned() };
    let (length, unit) = UNITS[largest];
    let whole = format!("{} {unit}", seconds / length);
    match UNITS.get(largest + 1) {
        Some((next, name)) if seconds % length >= *next => format!("{whole} {} {name}", seconds % length / next),
        Some(_) | None => whole,
    }
}

/// The words of a name in camel case, as steps, states and statuses have them: `partiallyShipped` is `partially shipped`.
pub(crate) fn words(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 4);
    for character in name.chars() {
        if character.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(character.to_lowercase());
    }
    words.replace(['_', '-'], " ")
}

/// The class of a status or state, which chooses its colour.
fn tone(name: &str) -> &'static str {
    match name {
        "confirmed" | "completed" | "done" | "captured" | "delivered" | "sent" | "shipped" | "refunded" => "good",
        "stuck" | "failed" | "rejected" | "declined" | "unknown" => "bad",
        "pending" | "running" | "retrying" | "waiting" | "due" | "requested" | "authorized" => "waits",
        _ => "plain",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_seen_or_turns_text_round_is_shown_by_its_number() {
        assert_eq!(Text::from("a\u{202e}b\u{0}c\u{200b}\t").to_string(), "a⟨U+202E⟩b⟨U+0000⟩c⟨U+200B⟩⟨U+0009⟩");
        for kept in ["Müller\nStraße", "👩\u{200d}👧", "ケース\u{3000}株式会社", "نمی\u{200c}خواهم", "1\u{a0}000"]
        {
            assert_eq!(Text::from(kept).to_string(), kept);
        }
    }

    #[test]
    fn durations_have_two_units_at_the_most() {
        for (seconds, shown) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (200, "3 min 20 s"),
            (3_600, "1 h"),
            (7_265, "2 h 1 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(how_long(seconds), shown);
        }
        assert_eq!(
            (words("partiallyShipped"), words("capturePayment")),
            ("partially shipped".into(), "capture payment".into())
        );
    }

    #[test]
    fn a_long_text_is_cut_between_its_characters() {
        assert_eq!(Text::from("äöü").cut(2), Text::from("äö…"));
        assert_eq!(Text::from("äöü").cut(3), Text::from("äöü"));
    }

    #[test]
    fn a_text_is_a_part_of_a_path_with_nothing_that_ends_it() {
        assert_eq!(Text::from("a/b?c#d é").in_path(), "a%2Fb%3Fc%23d%20%C3%A9");
        for (text, part, decoded) in
            [("..", "!..", "!.."), ("!.", "!%21.", "!!."), ("!a", "%21a", "!a"), ("...", "...", "...")]
        {
            assert_eq!((Text::from(text).in_path().as_str(), from_path(decoded)), (part, text));
        }
    }
}

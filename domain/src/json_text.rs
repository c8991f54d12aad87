//! Free-form JSON that a client attaches to an order. It is checked once and kept to the letter.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The most bytes such a text may have.
const MAX_BYTES: usize = 16 * 1024;
/// How deep its objects and arrays may be nested.
const MAX_LEVELS: usize = 10;

/// A JSON object exactly as the client wrote it (numbers keep every digit), at most 16 KiB, 10 levels, without NUL.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JsonObjectText(Box<RawValue>);

/// Why a text is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJsonText {
    /// It is not a JSON object.
    #[error("must be a JSON object")]
    NotAnObject,
    /// More than 16 KiB.
    #[error("must have at most {MAX_BYTES} bytes")]
    TooLong,
    /// Too many levels, a NUL, or a number or text that no reader could take.
    #[error("{0}")]
    Content(String),
}

impl JsonObjectText {
    /// Checks that the text is a JSON object within the bounds.
    pub fn parse(text: &RawValue) -> Result<Self, InvalidJsonText> {
        if !text.get().starts_with('{') {
            return Err(InvalidJsonText::NotAnObject);
        }
        if text.get().len() > MAX_BYTES {
            return Err(InvalidJsonText::TooLong);
        }
        let mut parser = serde_json::Deserializer::from_str(text.get());
        JsonTextCheck { levels_left: MAX_LEVELS }
            .deserialize(&mut parser)
            .map_err(|error| InvalidJsonText::Content(without_position(&error)))?;
        Ok(Self(text.to_owned()))
    }

    /// The JSON text.
    pub fn get(&self) -> &str {
        self.0.get()
    }
}

/// Two texts are equal if they mean the same: white space, escapes and the order of members make no difference. Numbers are compared by
/// their text, to the last digit: `1` and `1.0` differ.
impl PartialEq for JsonObjectText {
    fn eq(&self, other: &Self) -> bool {
        same(&self.0, &other.0)
    }
}

/// Each level is parsed again for the level above it. The bounds on bytes and levels keep that cheap.
fn same(one: &RawValue, other: &RawValue) -> bool {
    fn both<'a, T: Deserialize<'a>>(one: &'a RawValue, other: &'a RawValue) -> Option<(T, T)> {
        Some((serde_json::from_str(one.get()).ok()?, serde_json::from_str(other.get()).ok()?))
    }
    if one.get() == other.get() {
        return true;
    }
    match one.get().as_bytes().first() {
        Some(b'{') => both::<BTreeMap<String, &RawValue>>(one, other).is_some_and(|(one, other)| {
            let same_member = |((name, one), (other_name, other)): ((&String, &&RawValue), (&String, &&RawValue))| {
                name == other_name && same(one, other)
            };
            one.len() == other.len() && one.iter().zip(&other).all(same_member)
        }),
        Some(b'[') => both::<Vec<&RawValue>>(one, other).is_some_and(|(one, other)| {
            one.len() == other.len() && one.iter().zip(&other).all(|(one, other)| same(one, other))
        }),
        Some(b'"') => both::<String>(one, other).is_some_and(|(one, other)| one == other),
        // A number, `true`, `false` or `null`: the same only if written the same.
        Some(_) | None => false,
    }
}

/// serde_json ends its messages with "at line 1 column 7", which means nothing inside a larger body.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

/// Walks a value without building it.
#[derive(Clone, Copy)]
struct JsonTextCheck {
    levels_left: usize,
}

impl JsonTextCheck {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.levels_left.checked_sub(1) {
            Some(levels_left) => Ok(Self { levels_left }),
            None => Err(E::custom(format_args!("must have at most {MAX_LEVELS} levels"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for JsonTextCheck {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for JsonTextCheck {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        if text.contains('\0') { Err(E::custom("must not contain NUL")) } else { Ok(()) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while seq.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while let Some(key) = map.next_key::<String>()? {
            if key.contains('\0') {
                return Err(A::Error::custom("must not contain NUL"));
            }
            map.next_value_seed(inner)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<JsonObjectText, InvalidJsonText> {
        JsonObjectText::parse(&RawValue::from_string(text.to_owned()).unwrap())
    }

    fn nested(levels: usize) -> String {
        format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels))
    }

    #[test]
    fn a_number_keeps_every_digit() {
        assert_eq!(parse(r#"{"n": 0.1000000000000000055}"#).unwrap().get(), r#"{"n": 0.1000000000000000055}"#);
    }

    #[test]
    fn ten_levels_are_taken_and_eleven_are_not() {
        assert!(parse(&nested(10)).is_ok());
        assert_eq!(parse(&nested(11)), Err(InvalidJsonText::Content("must have at most 10 levels".into())));
        assert!(parse(&nested(2_000)).is_err());
    }

    #[test]
    fn what_no_reader_could_take_is_refused() {
        assert_eq!(parse("[]"), Err(InvalidJsonText::NotAnObject));
        assert_eq!(parse(&format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_BYTES))), Err(InvalidJsonText::TooLong));
        for text in [r#"{"a":"\u0000"}"#, r#"{"\u0000":1}"#, r#"{"a":1e400}"#, r#"{"a":"\ud800"}"#] {
            assert!(matches!(parse(text), Err(InvalidJsonText::Content(_))), "{text}");
        }
    }

    #[test]
    fn the_order_of_members_does_not_count() {
        assert_eq!(parse(r#"{"a":1,"b":2}"#), parse(r#"{ "b": 2, "a": 1 }"#));
        assert_eq!(parse(r#"{"a":[{"b":1,"c":null}]}"#), parse(r#"{"a": [ {"c":null, "b":1} ]}"#));
        assert_ne!(parse(r#"{"a":1}"#), parse(r#"{"a":2}"#));
        assert_ne!(parse(r#"{"a":1}"#), parse(r#"{"a":1,"b":1}"#));
        assert_ne!(parse(r#"{"a":1}"#), parse(r#"{"b":1}"#));
    }

    #[test]
    fn the_order_of_elements_and_the_kind_of_a_value_count() {
        assert_ne!(parse(r#"{"a":[1,2]}"#), parse(r#"{"a":[2,1]}"#));
        assert_ne!(parse(r#"{"a":[1]}"#), parse(r#"{"a":[1,1]}"#));
        for other in [r#"{"a":"1"}"#, r#"{"a":[1]}"#, r#"{"a":{}}"#, r#"{"a":null}"#, r#"{"a":true}"#] {
            assert_ne!(parse(r#"{"a":1}"#), parse(other));
            assert_ne!(parse(other), parse(r#"{"a":1}"#));
        }
    }

    #[test]
    fn numbers_that_differ_in_any_digit_differ() {
        assert_ne!(parse(r#"{"n":18446744073709551617}"#), parse(r#"{"n":18446744073709551618}"#));
        assert_ne!(parse(r#"{"a":[{"n":0.1000000000000000055}]}"#), parse(r#"{"a":[{"n":0.1}]}"#));
        assert_eq!(parse(r#"{"n":18446744073709551617}"#), parse(r#"{ "n" : 18446744073709551617 }"#));
    }

    #[test]
    fn a_text_is_the_same_however_it_is_escaped() {
        assert_eq!(parse(r#"{"\u0061":"\u00e4"}"#), parse(r#"{"a":"ä"}"#));
        assert_ne!(parse(r#"{"a":"ä"}"#), parse(r#"{"a":"a"}"#));
    }

    #[test]
    fn the_largest_texts_are_compared() {
        let deep =
            |n: &str| format!(r#"{}{{"n":[{}{n}],"m":0}}{}"#, "{\"a\":".repeat(8), "1,".repeat(8_000), "}".repeat(8));
        assert_eq!(parse(&deep("1")), parse(&deep(" 1")));
        assert_ne!(parse(&deep("1")), parse(&deep("2")));
    }
}

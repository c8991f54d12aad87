//! The query parameters of a URL, with every mistake in one answer.

use std::borrow::Cow;
use std::fmt::{self, Display};

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::de::value::MapDeserializer;
use serde::de::{self, DeserializeOwned, IntoDeserializer, Visitor};

use crate::{FieldError, Problem};

/// More mistakes than an honest client makes.
const MOST_MISTAKES: usize = 20;

/// The query parameters of a URL: texts and whole numbers, each of which may be left out. An unknown parameter is a mistake if `T`
/// denies unknown fields.
#[derive(Debug)]
pub struct QueryParameters<T>(pub T);

impl<T: DeserializeOwned> QueryParameters<T> {
    /// Reads the part of a URL behind its `?`. The problem names every mistake.
    pub fn parse(query: &str) -> Result<Self, Problem> {
        read(query).map(Self)
    }
}

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for QueryParameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Self::parse(parts.uri.query().unwrap_or_default())
    }
}

fn read<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    let mut given: Vec<(Cow<'_, str>, Cow<'_, str>)> = form_urlencoded::parse(query.as_bytes()).collect();
    let mut mistakes = Vec::new();
    loop {
        let pairs = given.iter().map(|(name, value)| (&**name, ParameterValue { name, text: value }));
        let mistake = match T::deserialize(MapDeserializer::<_, ParameterMistake>::new(pairs)) {
            Ok(read) if mistakes.is_empty() => return Ok(read),
            Ok(_) => break,
            Err(mistake) => mistake,
        };
        // Without this parameter the next mistake shows.
        let before = given.len();
        given.retain(|(name, _)| *name != mistake.parameter);
        mistakes.push(FieldError::from(mistake));
        if given.len() == before || mistakes.len() == MOST_MISTAKES {
            break;
        }
    }
    Err(Problem::invalid(mistakes))
}

/// A parameter's value: a text or a whole number, whichever `T` wants.
struct ParameterValue<'a> {
    name: &'a str,
    text: &'a str,
}

impl<'de> IntoDeserializer<'de, ParameterMistake> for ParameterValue<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> de::Deserializer<'de> for ParameterValue<'de> {
    type Error = ParameterMistake;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParameterMistake> {
        visitor.visit_str(self.text)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParameterMistake> {
        visitor.visit_some(self)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParameterMistake> {
        match self.text.parse() {
            Ok(number) => visitor.visit_i64(number),
            Err(_) => Err(ParameterMistake::new(self.name, "invalid", "must be a whole number")),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct newtype_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

/// What is wrong with one parameter.
#[derive(Debug)]
struct ParameterMistake {
    parameter: String,
    code: &'static str,
    message: String,
}

impl ParameterMistake {
    fn new(parameter: &str, code: &'static str, message: impl Into<String>) -> Self {
        Self { parameter: parameter.to_owned(), code, message: message.into() }
    }
}

impl From<ParameterMistake> for FieldError {
    fn from(ParameterMistake { parameter, code, message }: ParameterMistake) -> Self {
        Self { pointer: format!("?{parameter}"), code: code.into(), message }
    }
}

impl Display for ParameterMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ParameterMistake {}

impl de::Error for ParameterMistake {
    fn custom<M: Display>(message: M) -> Self {
        Self::new("", "invalid", message.to_string())
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let message = format!("there is no such parameter; there are {}", expected.join(", "));
        Self::new(field, "unknown_parameter", message)
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(field, "repeated", "must be given once")
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(field, "required", "is required")
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Eq, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Asked {
        customer_id: Option<String>,
        limit: Option<i64>,
    }

    fn mistakes(query: &str) -> Vec<(String, String, String)> {
        let problem = read::<Asked>(query).unwrap_err();
        assert_eq!(problem.status().as_u16(), 422);
        let errors = problem.0.errors.into_iter();
        errors.map(|error| (error.pointer, error.code.into_owned(), error.message)).collect()
    }

    fn mistake(parameter: &str, code: &str, message: &str) -> (String, String, String) {
        (format!("?{parameter}"), code.to_owned(), message.to_owned())
    }

    #[test]
    fn texts_and_numbers_are_read() {
        let read = |query| read::<Asked>(query).unwrap();
        assert_eq!(read(""), Asked { customer_id: None, limit: None });
        assert_eq!(read("customerId=a%20b+c&limit=-7"), Asked { customer_id: Some("a b c".into()), limit: Some(-7) });
        assert_eq!(read("customerId="), Asked { customer_id: Some(String::new()), limit: None });
    }

    #[test]
    fn an_unknown_one_is_named_with_those_that_there_are() {
        let message = "there is no such parameter; there are customerId, limit";
        assert_eq!(mistakes("foo=1"), [mistake("foo", "unknown_parameter", message)]);
        assert_eq!(mistakes("%3Cb%3E"), [mistake("<b>", "unknown_parameter", message)]);
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let unknown = "there is no such parameter; there are customerId, limit";
        assert_eq!(
            mistakes("a=1&limit=many&customerId=x&customerId=y&b=2&a=3"),
            [
                mistake("a", "unknown_parameter", unknown),
                mistake("limit", "invalid", "must be a whole number"),
                mistake("customerId", "repeated", "must be given once"),
                mistake("b", "unknown_parameter", unknown),
            ]
        );
    }

    #[test]
    fn a_thousand_mistakes_are_not_all_looked_at() {
        let query: String = (0..1_000).map(|nth| format!("p{nth}=1&")).collect();
        assert_eq!(mistakes(&query).len(), MOST_MISTAKES);
    }
}

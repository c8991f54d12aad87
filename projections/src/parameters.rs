//! Parses query parameters, and collects all their errors for one answer.

use std::fmt::Display;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, Utc};
use problem::{FieldError, Problem};
use serde::de::DeserializeOwned;
use serde::de::value::StrDeserializer;

const DEFAULT_LIMIT: u16 = 50;
const MAX_LIMIT: u16 = 200;

/// The errors in the query parameters of a request.
#[derive(Debug, Default)]
pub(crate) struct ParameterErrors(Vec<FieldError>);

impl ParameterErrors {
    /// The value of a parameter. `None`: it is missing, or invalid, which is noted.
    pub(crate) fn parse<V, E: Display>(
        &mut self,
        parameter: &str,
        given: Option<String>,
        parse: impl FnOnce(String) -> Result<V, E>,
    ) -> Option<V> {
        match given.map(parse)? {
            Ok(value) => Some(value),
            Err(error) => {
                self.add(parameter, error);
                None
            }
        }
    }

    pub(crate) fn page_limit(&mut self, given: Option<i64>) -> u16 {
        let Some(given) = given else { return DEFAULT_LIMIT };
        let limit = u16::try_from(given).ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
        limit.unwrap_or_else(|| {
            self.add("limit", format!("must be a whole number from 1 to {MAX_LIMIT}"));
            DEFAULT_LIMIT
        })
    }

    pub(crate) fn add(&mut self, parameter: &str, message: impl Display) {
        self.0.push(field_error(parameter, &message));
    }

    /// A problem with all errors, if there are any.
    pub(crate) fn into_result(self) -> Result<(), Problem> {
        if self.0.is_empty() { Ok(()) } else { Err(Problem::invalid(self.0)) }
    }
}

/// The problem of one invalid parameter.
pub(crate) fn invalid(parameter: &str, message: impl Display) -> Problem {
    Problem::invalid(vec![field_error(parameter, &message)])
}

fn field_error(parameter: &str, message: &dyn Display) -> FieldError {
    FieldError { pointer: format!("?{parameter}"), code: "invalid".into(), message: message.to_string() }
}

/// One of the names that a type has in JSON. The error lists them.
#[expect(clippy::needless_pass_by_value, reason = "the signature of all parameter parsers")]
pub(crate) fn one_of<T: DeserializeOwned>(name: String) -> Result<T, UnknownName> {
    T::deserialize(StrDeserializer::new(&name))
}

/// A name that is none of those that there are.
#[derive(Debug, thiserror::Error)]
#[error("must be one of {0}")]
pub(crate) struct UnknownName(String);

impl serde::de::Error for UnknownName {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self(expected.join(", "))
    }
}

/// A label of an order, such as a tag.
pub(crate) fn label(text: String) -> Result<String, &'static str> {
    const MOST: usize = 100;
    let is_one = !text.trim().is_empty() && text.chars().count() <= MOST && !text.chars().any(char::is_control);
    if is_one { Ok(text) } else { Err("must be text of 1 to 100 characters on one line") }
}

/// An instant, or a day, which stands for its first instant in UTC. Recorded times have microseconds, so it is rounded
/// up to the next one.
#[expect(clippy::needless_pass_by_value, reason = "the signature of all parameter parsers")]
pub(crate) fn instant(text: String) -> Result<DateTime<Utc>, &'static str> {
    const WANTED: &str =
        "must be an instant like 2026-11-20T10:00:00Z, or a day like 2026-11-20; in a URL a + is written %2B";
    let instant = match day(text.clone()) {
        Ok(day) => day.and_time(NaiveTime::MIN).and_utc(),
        Err(_) => DateTime::parse_from_rfc3339(&text).map_err(|_| WANTED)?.to_utc(),
    };
    let beyond = i64::from(instant.timestamp_subsec_nanos() % 1_000);
    let up = TimeDelta::nanoseconds(if beyond == 0 { 0 } else { 1_000 - beyond });
    // Only for years with four digits do the strings sort like the times.
    instant.checked_add_signed(up).filter(|instant| (0..=9999).contains(&instant.year())).ok_or(WANTED)
}

#[expect(clippy::needless_pass_by_value, reason = "the signature of all parameter parsers")]
pub(crate) fn day(text: String) -> Result<NaiveDate, &'static str> {
    let day = NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok();
    day.filter(|day| day.to_string() == text && (0..=9999).contains(&day.year())).ok_or("must be a day like 2026-11-20")
}

#[cfg(test)]
mod tests {
    use domain::order::{FulfilmentStatus, OrderStatus};

    use super::*;
    use crate::keys::sortable;

    #[test]
    fn instants_and_days_are_read_in_any_zone() {
        for (text, expected) in [
            ("2026-11-20", "2026-11-20T00:00:00.000000Z"),
            ("2026-11-20T10:00:00Z", "2026-11-20T10:00:00.000000Z"),
            ("2026-11-20T10:00:00.5+02:00", "2026-11-20T08:00:00.500000Z"),
            ("2026-11-20T10:00:00.123456Z", "2026-11-20T10:00:00.123456Z"),
            ("2026-11-20T10:00:00.123456001Z", "2026-11-20T10:00:00.123457Z"),
            ("2026-12-31T23:59:59.999999999Z", "2027-01-01T00:00:00.000000Z"),
        ] {
            assert_eq!(instant(text.to_owned()).map(sortable).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_instant() {
        for text in [
            "",
            "yesterday",
            "2026-13-01",
            "2026-11-31",
            "2026-1-2",
            "2026-11-20T10:00",
            "2026-11-20T10:00:00",
            "+12345-01-01",
            "-0001-01-01",
            "9999-12-31T23:59:59-01:00",
            "9999-12-31T23:59:59.9999999Z",
            "0000-01-01T00:00:00+01:00",
            "1763000000",
            "\u{0}",
        ] {
            assert!(instant(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_is_one_that_the_type_has_in_json() {
        assert_eq!(one_of("partiallyShipped".to_owned()).ok(), Some(FulfilmentStatus::PartiallyShipped));
        let error = one_of::<FulfilmentStatus>("shippped".to_owned()).unwrap_err();
        assert_eq!(error.to_string(), "must be one of none, reserved, partiallyShipped, shipped, delivered");
    }

    #[test]
    fn the_error_of_an_unknown_status_lists_the_known_ones() {
        let error = one_of::<OrderStatus>("shipped".to_owned()).unwrap_err();
        assert_eq!(error.to_string(), "must be one of pending, confirmed, completed, rejected, cancelled");
        assert!(one_of::<OrderStatus>(String::new()).is_err());
    }
}

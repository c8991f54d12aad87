//! Filters on the log.

use std::fmt::Write;

use chrono::{DateTime, SecondsFormat, Utc};

/// A filter on the log; by default all events match. An event has to meet every condition that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only events after this position.
    pub after: i64,
    /// Only events up to and including this position.
    pub up_to: Option<i64>,
    /// Only streams after this one, by type and id.
    pub after_stream: Option<(String, String)>,
    /// Only streams of one of these types; empty: all.
    pub stream_types: Vec<String>,
    /// Only streams with this id.
    pub stream_id: Option<String>,
    /// Only these event types; empty: all.
    pub event_types: Vec<String>,
    /// Only events that the request with this trace id caused. The log has no index for it: all events that meet the other conditions
    /// are read.
    pub trace_id: Option<String>,
    /// Only events that people caused: those who work for the shop or run the platform. There is an index for these.
    pub by_people: bool,
    /// Only events that this actor caused, if it was written down by this platform.
    pub actor: Option<String>,
    /// Only events recorded at this instant or later.
    pub recorded_from: Option<DateTime<Utc>>,
    /// Only events recorded at this instant or earlier.
    pub recorded_until: Option<DateTime<Utc>>,
}

impl EventFilter {
    /// All events after a position.
    pub fn after(position: i64) -> Self {
        Self { after: position, ..Self::default() }
    }

    /// Whether an event of this stream and type meets the conditions on streams and types.
    pub fn matches(&self, stream_type: &str, stream_id: &str, event_type: &str) -> bool {
        (self.stream_types.is_empty() || self.stream_types.iter().any(|wanted| wanted == stream_type))
            && self.stream_id.as_ref().is_none_or(|wanted| wanted == stream_id)
            && (self.event_types.is_empty() || self.event_types.iter().any(|wanted| wanted == event_type))
    }

    /// The filter as a condition on the table `events`. COPY takes no parameters, so the values are part of the text.
    pub(crate) fn condition(&self) -> String {
        let mut condition = format!("global_position > {}", self.after);
        let mut and = |text: String| {
            // Writing to a string does not fail.
            let _ = write!(condition, " and {text}");
        };
        if let Some(position) = self.up_to {
            and(format!("global_position <= {position}"));
        }
        if let Some((kind, id)) = &self.after_stream {
            and(format!("(aggregate_type, aggregate_id) > ({}, {})", literal(kind), literal(id)));
        }
        match self.stream_types.as_slice() {
            [] => {}
            // A single type is a range of the index on streams.
            [kind] => and(format!("aggregate_type = {}", literal(kind))),
            kinds => and(format!("aggregate_type in ({})", literals(kinds))),
        }
        if let Some(id) = &self.stream_id {
            and(format!("aggregate_id = {}", literal(id)));
        }
        if !self.event_types.is_empty() {
            and(format!("event_type in ({})", literals(&self.event_types)));
        }
        if let Some(trace_id) = &self.trace_id {
            // Not read as JSON: other writers may have stored text that Postgres accepts as JSON and can't read.
            and(format!("strpos(metadata::text, {}) > 0", literal(&format!("\"{trace_id}\""))));
        }
        if self.by_people {
            and(BY_PEOPLE.to_owned());
        }
        if let Some(actor) = &self.actor {
            // The actor is the first member of what is written here.
            let by_role = format!(
                "starts_with(metadata::text, {})",
                literal(&format!("{{\"actor\":{}", serde_json::json!(actor)))
            );
            and(match actor.strip_prefix("operator:") {
                Some(name) => format!("({by_role} or {})", decided_without_role(name)),
                None => by_role,
            });
        }
        if let Some(instant) = self.recorded_from {
            and(format!("recorded_at >= {}", timestamp(instant)));
        }
        if let Some(instant) = self.recorded_until {
            and(format!("recorded_at <= {}", timestamp(instant)));
        }
        condition
    }
}

/// The condition of the index `events_of_people`, to the letter: what stands between the first two colons of the metadata is the role of
/// the actor. It is read as text, because other writers may have stored text that Postgres accepts as JSON and can't read. Builds before
/// roles stored none; what operators decided is known by its type.
const BY_PEOPLE: &str = concat!(
    r#"(split_part(metadata::text, ':', 2) in ('"operator', '"support', '"finance', '"warehouse')"#,
    " or event_type = 'OperatorIntervened')"
);

/// What an operator of this name decided under a build before roles. The event itself says who it was; in a text of it the quotes would be
/// escaped.
fn decided_without_role(name: &str) -> String {
    let named = literal(&format!("\"actor\":{}", serde_json::json!(name)));
    format!(
        "event_type = 'OperatorIntervened' and not starts_with(metadata::text, '{{\"actor\":\"operator:')
         and strpos(payload::text, {named}) > 0"
    )
}

/// A string literal, whatever the text is and however the server is set up. No text in Postgres has a NUL, so such a text matches
/// nothing.
fn literal(text: &str) -> String {
    if text.contains('\0') {
        return "null".to_owned();
    }
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

fn literals(texts: &[String]) -> String {
    texts.iter().map(|text| literal(text)).collect::<Vec<_>>().join(", ")
}

fn timestamp(instant: DateTime<Utc>) -> String {
    // Postgres does not read years beyond 9999 and before 1 as chrono writes them, and has a smaller range than chrono.
    let (first, last) = (
        DateTime::from_timestamp_micros(-62_135_596_800_000_000),
        DateTime::from_timestamp_micros(253_402_300_799_999_999),
    );
    let instant = instant.clamp(first.unwrap_or(instant), last.unwrap_or(instant));
    format!("timestamptz '{}'", instant.to_rfc3339_opts(SecondsFormat::Micros, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_in_a_query_is_quoted() {
        assert_eq!(literal("order"), "E'order'");
        assert_eq!(literal(r"a' or 'b\"), r"E'a'' or ''b\\'");
        assert_eq!(literal("a\0"), "null");
    }

    #[test]
    fn the_actor_is_the_first_member_of_metadata() {
        let all = crate::Metadata {
            actor: Some("operator:ann".into()),
            correlation_id: Some("c".into()),
            causation_id: Some("d".into()),
            traceparent: Some("t".into()),
        };
        let metadata = serde_json::to_string(&all).unwrap();
        assert!(metadata.starts_with(r#"{"actor":"operator:ann""#), "{metadata}");
        assert_eq!(metadata.split(':').nth(1), Some("\"operator"));
        let filter = EventFilter { actor: Some("operator:a\"b'c\\".into()), ..EventFilter::default() };
        let expected = r#"starts_with(metadata::text, E'{"actor":"operator:a\\"b''c\\\\"')"#;
        assert!(filter.condition().contains(expected), "{}", filter.condition());
    }

    #[test]
    fn every_condition_has_to_be_met() {
        let filter = EventFilter {
            stream_types: vec!["order".into()],
            event_types: vec!["OrderCreated".into(), "OrderShipped".into()],
            ..EventFilter::after(7)
        };
        assert!(filter.matches("order", "a", "OrderShipped"));
        assert!(!filter.matches("stock", "a", "OrderShipped"));
        assert!(!filter.matches("order", "a", "OrderConfirmed"));
        assert_eq!(
            filter.condition(),
            "global_position > 7 and aggregate_type = E'order' and event_type in (E'OrderCreated', E'OrderShipped')"
        );
    }
}

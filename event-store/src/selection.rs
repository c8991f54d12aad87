//! Which events are asked for.

use std::fmt::Write;

use chrono::{DateTime, SecondsFormat, Utc};

/// Some events of the log; by default all of them. An event has to meet everything that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Those behind this position.
    pub after: i64,
    /// Those up to this position, with it.
    pub up_to: Option<i64>,
    /// Those of streams behind this one, by its kind and its id.
    pub after_stream: Option<(String, String)>,
    /// Those of streams of one of these kinds; none: whatever their kind.
    pub stream_types: Vec<String>,
    /// Those of streams with this id.
    pub stream_id: Option<String>,
    /// Those with one of these names; none: whatever their name.
    pub event_types: Vec<String>,
    /// Those that came of the request with this trace id. The log has no index for it: all else that is asked for is looked through.
    pub trace_id: Option<String>,
    /// Those recorded at this instant or later.
    pub recorded_from: Option<DateTime<Utc>>,
    /// Those recorded at this instant or earlier.
    pub recorded_until: Option<DateTime<Utc>>,
}

impl Selection {
    /// Everything behind a position.
    pub fn after(position: i64) -> Self {
        Self { after: position, ..Self::default() }
    }

    /// Whether an event with this name, of such a stream, is among them, as far as that alone says.
    pub fn takes(&self, stream_type: &str, stream_id: &str, event_type: &str) -> bool {
        (self.stream_types.is_empty() || self.stream_types.iter().any(|wanted| wanted == stream_type))
            && self.stream_id.as_ref().is_none_or(|wanted| wanted == stream_id)
            && (self.event_types.is_empty() || self.event_types.iter().any(|wanted| wanted == event_type))
    }

    /// As a condition on the table `events`. COPY takes no parameters, so that the values are part of it.
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
            // One is a range of the index over streams.
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
            // Not read as JSON: others may have written what Postgres takes in and does not read.
            and(format!("strpos(metadata::text, {}) > 0", literal(&format!("\"{trace_id}\""))));
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

/// A text that Postgres reads as nothing but text, whatever is in it and however it is set up. No text there has a NUL: such a
/// one is found nowhere.
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
    // Chrono writes years beyond 9999 and before 1 as Postgres does not read them, and Postgres's own end before chrono's.
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
    fn nothing_that_is_asked_for_gets_out_of_its_quotes() {
        assert_eq!(literal("order"), "E'order'");
        assert_eq!(literal(r"a' or 'b\"), r"E'a'' or ''b\\'");
        assert_eq!(literal("a\0"), "null");
    }

    #[test]
    fn all_that_is_given_has_to_be_met() {
        let selection = Selection {
            stream_types: vec!["order".into()],
            event_types: vec!["OrderCreated".into(), "OrderShipped".into()],
            ..Selection::after(7)
        };
        assert!(selection.takes("order", "a", "OrderShipped"));
        assert!(!selection.takes("stock", "a", "OrderShipped"));
        assert!(!selection.takes("order", "a", "OrderConfirmed"));
        assert_eq!(
            selection.condition(),
            "global_position > 7 and aggregate_type = E'order' and event_type in (E'OrderCreated', E'OrderShipped')"
        );
    }
}

//! An event as a line: one JSON object with its payload and metadata unchanged.

use std::io::Write;

use chrono::{DateTime, SecondsFormat, Timelike, Utc};
use event_store::BorrowedEvent;
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

/// A line of an export: one event.
#[derive(Debug)]
pub(super) struct EventLine {
    position: i64,
    stream_type: String,
    stream_id: String,
    version: i64,
    event_type: String,
    event_version: String,
    payload: Box<str>,
    metadata: Box<str>,
    event_id: Uuid,
    recorded_at: DateTime<Utc>,
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub(super) enum EventLineError {
    /// The line is no JSON, lacks a field or has an unknown one.
    #[error("{}", in_one_line(.0))]
    Json(#[from] serde_json::Error),
    /// A field has both its forms or neither.
    #[error("either {0} or {0}Text has to be there")]
    OneOf(&'static str),
    /// The text of a field is no JSON.
    #[error("{0}Text is no JSON")]
    NoJson(&'static str),
    /// Postgres cannot store the text.
    #[error("{0} has a NUL character")]
    Nul(&'static str),
    /// Postgres cannot store the time.
    #[error("recordedAt is more precise than a microsecond")]
    TooPrecise,
}

/// The fields of a line. JSON that spans several lines, or has space around it, is stored as text in a field of its own.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EventLineFields {
    position: i64,
    stream_type: String,
    stream_id: String,
    version: i64,
    #[serde(rename = "type")]
    event_type: String,
    event_version: String,
    event_id: Uuid,
    recorded_at: DateTime<Utc>,
    metadata: Option<Box<RawValue>>,
    metadata_text: Option<Box<str>>,
    payload: Option<Box<RawValue>>,
    payload_text: Option<Box<str>>,
}

/// Appends an event's line to a text. The same event always has the same line.
pub(super) fn write(event: &BorrowedEvent<'_>, text: &mut Vec<u8>) -> serde_json::Result<()> {
    let field = |text: &mut Vec<u8>, name: &str, value: &str| {
        text.extend(format!(",\"{name}\":").bytes());
        serde_json::to_writer(&mut *text, value)
    };
    // Writing to a vector does not fail.
    let _ = write!(text, "{{\"position\":{}", event.position);
    field(text, "streamType", event.stream_type)?;
    field(text, "streamId", event.stream_id)?;
    let _ = write!(text, ",\"version\":{}", event.version);
    field(text, "type", event.event_type)?;
    field(text, "eventVersion", event.event_version)?;
    let recorded_at = event.recorded_at.to_rfc3339_opts(SecondsFormat::Micros, true);
    let _ = write!(text, ",\"eventId\":\"{}\",\"recordedAt\":\"{recorded_at}\"", event.event_id);
    for (name, as_text, json) in
        [("metadata", "metadataText", event.metadata), ("payload", "payloadText", event.payload)]
    {
        if fits_into_a_line(json) {
            let _ = write!(text, ",\"{name}\":{json}");
        } else {
            field(text, as_text, json)?;
        }
    }
    text.extend(b"}\n");
    Ok(())
}

impl EventLine {
    pub(super) fn read(text: &[u8]) -> Result<Self, EventLineError> {
        let fields: EventLineFields = serde_json::from_slice(text)?;
        for (name, value) in [
            ("streamType", &fields.stream_type),
            ("streamId", &fields.stream_id),
            ("type", &fields.event_type),
            ("eventVersion", &fields.event_version),
        ] {
            if value.contains('\0') {
                return Err(EventLineError::Nul(name));
            }
        }
        if !fields.recorded_at.nanosecond().is_multiple_of(1_000) {
            return Err(EventLineError::TooPrecise);
        }
        Ok(Self {
            payload: json("payload", fields.payload, fields.payload_text)?,
            metadata: json("metadata", fields.metadata, fields.metadata_text)?,
            position: fields.position,
            stream_type: fields.stream_type,
            stream_id: fields.stream_id,
            version: fields.version,
            event_type: fields.event_type,
            event_version: fields.event_version,
            event_id: fields.event_id,
            recorded_at: fields.recorded_at,
        })
    }

    pub(super) fn event(&self) -> BorrowedEvent<'_> {
        BorrowedEvent {
            position: self.position,
            stream_type: &self.stream_type,
            stream_id: &self.stream_id,
            version: self.version,
            event_type: &self.event_type,
            event_version: &self.event_version,
            payload: &self.payload,
            metadata: &self.metadata,
            event_id: self.event_id,
            recorded_at: self.recorded_at,
        }
    }
}

fn json(name: &'static str, json: Option<Box<RawValue>>, text: Option<Box<str>>) -> Result<Box<str>, EventLineError> {
    match (json, text) {
        (Some(json), None) => Ok(json.into()),
        (None, Some(text)) => match serde_json::from_str::<&RawValue>(&text) {
            Ok(_) => Ok(text),
            Err(_) => Err(EventLineError::NoJson(name)),
        },
        (Some(_), Some(_)) | (None, None) => Err(EventLineError::OneOf(name)),
    }
}

/// Whether JSON as part of a line is read back unchanged.
fn fits_into_a_line(json: &str) -> bool {
    !json.contains(['\n', '\r']) && !json.starts_with([' ', '\t']) && !json.ends_with([' ', '\t']) && json != "null"
}

/// The message without the line number, which is always 1.
fn in_one_line(error: &serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column ", ", at column ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event<'a>(payload: &'a str, metadata: &'a str) -> BorrowedEvent<'a> {
        BorrowedEvent {
            position: 7,
            stream_type: "order",
            stream_id: "a \"quoted\" \u{1}",
            version: 2,
            event_type: "OrderConfirmed",
            event_version: "1.0",
            payload,
            metadata,
            event_id: Uuid::from_u128(9),
            recorded_at: DateTime::from_timestamp_micros(1_763_000_000_100_000).unwrap(),
        }
    }

    fn line(event: &BorrowedEvent<'_>) -> String {
        let mut text = Vec::new();
        write(event, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_line_has_all_there_is_to_an_event() {
        assert_eq!(
            line(&event(r#"{"OrderConfirmed":{}}"#, "{}")),
            concat!(
                r#"{"position":7,"streamType":"order","streamId":"a \"quoted\" \u0001","version":2,"type":"OrderConfirmed","#,
                r#""eventVersion":"1.0","eventId":"00000000-0000-0000-0000-000000000009","#,
                r#""recordedAt":"2025-11-13T02:13:20.100000Z","metadata":{},"payload":{"OrderConfirmed":{}}}"#,
                "\n",
            )
        );
    }

    #[test]
    fn json_comes_back_to_the_letter_however_it_was_written() {
        for json in [
            r#"{ "a":1.0,"a" : 1e3,"b":"\u0000\ud800 ä" }"#,
            "{\"a\":\n1}",
            "{\r\n}",
            " {}",
            "{}\t",
            "null",
            "[\u{2028}]".replace('\u{2028}', "\"\u{2028}\"").as_str(),
            "123456789012345678901234567890.10",
        ] {
            let event = event(json, json);
            let text = line(&event);
            assert_eq!(text.lines().count(), 1, "{text}");
            assert_eq!(EventLine::read(text.as_bytes()).unwrap().event(), event, "{text}");
        }
    }

    #[test]
    fn what_is_no_line_says_why() {
        let good = line(&event("{}", "{}"));
        for (from, to, says) in [
            (r#""position":7,"#, "", "missing field `position`"),
            (r#""version":2"#, r#""version":2,"colour":"red""#, "unknown field `colour`"),
            (r#""version":2"#, r#""version":2,"version":3"#, "duplicate field `version`"),
            (r#""version":2"#, r#""version":"two""#, "invalid type"),
            (r#""payload":{}"#, r#""payload":{"#, "EOF while parsing"),
            (r#""payload":{}"#, r#""payloadText":"{""#, "payloadText is no JSON"),
            (r#","payload":{}"#, "", "either payload or payloadText"),
            (r#""metadata":{}"#, r#""metadata":{},"metadataText":"{}""#, "either metadata or metadataText"),
            ("-000000000009", "-00000000000", "UUID"),
            ("OrderConfirmed", "a\\u0000", "type has a NUL"),
            (".100000Z", ".100000001Z", "more precise"),
            ("2025-11-13T", "2025-11-13 at ", "input contains invalid characters"),
            ("{\"position", "\u{feff}{\"position", "expected value"),
        ] {
            assert!(good.contains(from), "{from}");
            let error = EventLine::read(good.replacen(from, to, 1).as_bytes()).unwrap_err().to_string();
            assert!(error.contains(says) && !error.contains("line 1"), "{to}: {error}");
        }
    }
}

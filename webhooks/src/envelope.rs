//! What other programs get of an event: a CloudEvents 1.0 event in structured JSON, whose data is what the live stream has of it.

use std::collections::BTreeMap;

use access_control::{Redaction, Role};
use chrono::{DateTime, Utc};
use cqrs_es::DomainEvent;
use domain::order::Order;
use event_store::{EventDecodeError, StoredEvent};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

/// The media type of an envelope.
pub const ENVELOPE_CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";
const SOURCE: &str = "/ordo/orders";

/// Why an event has no envelope.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    #[error(transparent)]
    Unknown(#[from] EventDecodeError),
    #[error("the event can't be written as JSON")]
    Json(#[from] serde_json::Error),
}

#[derive(Serialize)]
struct EventEnvelope<'a> {
    specversion: &'static str,
    id: Uuid,
    r#type: &'a str,
    source: &'static str,
    subject: &'a str,
    time: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    datacontenttype: Option<&'static str>,
    dataschema: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataref: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<String>,
}

impl<'a> EventEnvelope<'a> {
    fn without_data(event: &'a StoredEvent) -> Self {
        Self {
            specversion: "1.0",
            id: event.event_id,
            r#type: &event.event_type,
            source: SOURCE,
            subject: &event.stream_id,
            time: event.recorded_at,
            datacontenttype: None,
            dataschema: format!("urn:ordo:schema:{}", event.event_type),
            traceparent: event.metadata().traceparent,
            data: None,
            dataref: None,
            sequence: None,
        }
    }
}

/// An event as the live stream has it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PublishedEvent<'a> {
    stream_type: &'a str,
    stream_id: &'a str,
    version: i64,
    position: i64,
    r#type: &'a str,
    event_id: Uuid,
    recorded_at: DateTime<Utc>,
    metadata: &'a RawValue,
    data: Box<RawValue>,
}

/// The envelope of an order's event, with what a role sees of it. It is the same each time, unless a later build shows more.
pub fn event_envelope(event: &StoredEvent, role: Role) -> Result<String, EnvelopeError> {
    let now = event.decode::<Order>()?;
    // An event of an earlier version is shown in today's.
    let upcast = (now.event_version() != event.event_version).then(|| to_raw_value(&now)).transpose()?;
    let published = PublishedEvent {
        stream_type: &event.stream_type,
        stream_id: &event.stream_id,
        version: event.version,
        position: event.position,
        r#type: &event.event_type,
        event_id: event.event_id,
        recorded_at: event.recorded_at,
        metadata: &event.metadata,
        data: content(&event.event_type, upcast.as_deref().unwrap_or(&event.payload))?,
    };
    let seen = Redaction::of_published_events(role).apply_to_event(&serde_json::to_string(&published)?)?;
    let data = Some(RawValue::from_string(seen)?);
    let envelope =
        EventEnvelope { datacontenttype: Some("application/json"), data, ..EventEnvelope::without_data(event) };
    Ok(serde_json::to_string(&envelope)?)
}

/// The envelope of an event that is too large to be sent: in place of its data it says where that can be read, and which of the order's
/// events it is (`dataref` and `sequence`, extensions of CloudEvents).
pub fn envelope_by_reference(event: &StoredEvent) -> Result<String, EnvelopeError> {
    let dataref = Some(format!("/orders/{}/events", event.stream_id));
    let sequence = Some(event.version.to_string());
    Ok(serde_json::to_string(&EventEnvelope { dataref, sequence, ..EventEnvelope::without_data(event) })?)
}

/// What is in a stored payload: these look like `{"OrderConfirmed": {…}}`.
fn content(event_type: &str, payload: &RawValue) -> Result<Box<RawValue>, serde_json::Error> {
    let mut named: BTreeMap<String, Box<RawValue>> = serde_json::from_str(payload.get())?;
    Ok(named.remove(event_type).unwrap_or_else(|| RawValue::NULL.to_owned()))
}

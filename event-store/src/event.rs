//! Events, as they are appended and as they are stored.

mod event_ref;

use chrono::{DateTime, Utc};
use cqrs_es::{Aggregate, DomainEvent};
use event_versions::Upcastable;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use uuid::Uuid;

pub use event_ref::BorrowedEvent;

/// Who caused an event and why. Stored with every event as a flat object of strings, which is what cqrs-es expects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Who decided: `shop`, `saga:order_fulfilment`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The same for all events that one request causes, directly or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// The event that caused this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<String>,
    /// W3C trace context of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

impl Metadata {
    /// Metadata for an event that another one causes: same correlation and trace.
    pub fn caused_by(event: &StoredEvent, actor: &str) -> Self {
        let cause = event.metadata();
        Self {
            actor: Some(actor.to_owned()),
            correlation_id: cause.correlation_id.or_else(|| Some(event.event_id.to_string())),
            causation_id: Some(event.event_id.to_string()),
            traceparent: cause.traceparent,
        }
    }
}

/// An event to be appended, encoded.
#[derive(Debug, Clone)]
pub struct NewEvent {
    pub(crate) event_id: Uuid,
    pub(crate) event_type: String,
    pub(crate) event_version: String,
    pub(crate) payload: String,
    pub(crate) metadata: String,
}

impl NewEvent {
    /// Encodes an event, under a new UUIDv7.
    pub fn new(event: &impl DomainEvent, metadata: &Metadata) -> Result<Self, serde_json::Error> {
        Ok(Self {
            event_id: Uuid::now_v7(),
            event_type: event.event_type(),
            event_version: event.event_version(),
            payload: serde_json::to_string(event)?,
            metadata: serde_json::to_string(metadata)?,
        })
    }
}

impl NewEvent {
    /// The id under which it will be stored.
    pub fn event_id(&self) -> Uuid {
        self.event_id
    }

    /// About how many bytes of memory it takes.
    pub(crate) fn size(&self) -> usize {
        /// Its other fields, roughly.
        const FIELDS: usize = 128;
        self.payload.len() + self.metadata.len() + FIELDS
    }
}

/// A stored event.
#[derive(Debug, Clone)]
pub struct StoredEvent {
    /// Its position in the log.
    pub position: i64,
    pub stream_type: String,
    pub stream_id: String,
    /// The stream's version after it, from 1.
    pub version: i64,
    pub event_type: String,
    /// The version of its payload's shape.
    pub event_version: String,
    /// As stored.
    pub payload: Box<RawValue>,
    /// As stored.
    pub metadata: Box<RawValue>,
    pub event_id: Uuid,
    /// By the database's clock.
    pub recorded_at: DateTime<Utc>,
}

/// An event that this build can't decode.
#[derive(Debug, thiserror::Error)]
#[error("event {event_type} {event_version} at position {position} of stream {stream_id} can't be read")]
pub struct EventDecodeError {
    position: i64,
    stream_id: String,
    event_type: String,
    event_version: String,
    source: event_versions::DecodeError,
}

impl EventDecodeError {
    pub fn position(&self) -> i64 {
        self.position
    }

    pub fn stream_id(&self) -> &str {
        &self.stream_id
    }

    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    pub fn event_version(&self) -> &str {
        &self.event_version
    }
}

/// The columns of [`StoredEvent`], in the order [`StoredEvent::from_row`] takes them.
pub(crate) const COLUMNS: &str = "global_position, aggregate_type, aggregate_id, sequence, event_type, event_version, \
                                  payload, metadata, event_id, recorded_at";

impl StoredEvent {
    /// Whether it belongs to a stream of this aggregate.
    pub fn is_of<A: Aggregate>(&self) -> bool {
        self.stream_type == A::TYPE
    }

    /// Decodes the event; an earlier version is upcast to today's. An unknown event or version is an error, never skipped.
    pub fn decode<A: Upcastable>(&self) -> Result<A::Event, EventDecodeError> {
        self.borrowed().decode::<A>()
    }

    /// The metadata. Other writers may store it in another shape; then it is empty.
    pub fn metadata(&self) -> Metadata {
        serde_json::from_str(self.metadata.get()).unwrap_or_default()
    }

    /// About how many bytes of memory it takes.
    pub fn size(&self) -> usize {
        /// Its other fields, roughly.
        const FIELDS: usize = 256;
        self.payload.get().len() + self.metadata.get().len() + FIELDS
    }

    pub(crate) fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            position: row.try_get(0)?,
            stream_type: row.try_get(1)?,
            stream_id: row.try_get(2)?,
            version: row.try_get(3)?,
            event_type: row.try_get(4)?,
            event_version: row.try_get(5)?,
            payload: row.try_get::<Json<Box<RawValue>>, _>(6)?.0,
            metadata: row.try_get::<Json<Box<RawValue>>, _>(7)?.0,
            event_id: row.try_get(8)?,
            recorded_at: row.try_get(9)?,
        })
    }
}

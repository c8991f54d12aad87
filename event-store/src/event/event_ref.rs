//! A stored event in borrowed memory.

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use event_versions::Upcastable;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{EventDecodeError, StoredEvent};

/// A stored event like [`StoredEvent`], in borrowed memory: nothing is copied or parsed to make one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BorrowedEvent<'a> {
    /// Its position in the log.
    pub position: i64,
    pub stream_type: &'a str,
    pub stream_id: &'a str,
    /// The stream's version after it, from 1.
    pub version: i64,
    pub event_type: &'a str,
    /// The version of its payload's shape.
    pub event_version: &'a str,
    /// JSON, as stored.
    pub payload: &'a str,
    /// JSON, as stored.
    pub metadata: &'a str,
    pub event_id: Uuid,
    /// By the database's clock.
    pub recorded_at: DateTime<Utc>,
}

impl BorrowedEvent<'_> {
    /// Whether it belongs to a stream of this aggregate.
    pub fn is_of<A: Aggregate>(&self) -> bool {
        self.stream_type == A::TYPE
    }

    /// Decodes the event; an earlier version is upcast to today's. An unknown event or version is an error, never skipped.
    pub fn decode<A: Upcastable>(&self) -> Result<A::Event, EventDecodeError> {
        event_versions::decode::<A>(self.event_type, self.event_version, self.payload).map_err(|source| {
            EventDecodeError {
                position: self.position,
                stream_id: self.stream_id.to_owned(),
                event_type: self.event_type.to_owned(),
                event_version: self.event_version.to_owned(),
                source,
            }
        })
    }

    /// Copies the event into memory of its own. Its JSON is validated; an error says that it is malformed.
    pub fn to_stored(&self) -> Result<StoredEvent, serde_json::Error> {
        Ok(StoredEvent {
            position: self.position,
            stream_type: self.stream_type.to_owned(),
            stream_id: self.stream_id.to_owned(),
            version: self.version,
            event_type: self.event_type.to_owned(),
            event_version: self.event_version.to_owned(),
            payload: RawValue::from_string(self.payload.to_owned())?,
            metadata: RawValue::from_string(self.metadata.to_owned())?,
            event_id: self.event_id,
            recorded_at: self.recorded_at,
        })
    }
}

impl StoredEvent {
    pub fn borrowed(&self) -> BorrowedEvent<'_> {
        BorrowedEvent {
            position: self.position,
            stream_type: &self.stream_type,
            stream_id: &self.stream_id,
            version: self.version,
            event_type: &self.event_type,
            event_version: &self.event_version,
            payload: self.payload.get(),
            metadata: self.metadata.get(),
            event_id: self.event_id,
            recorded_at: self.recorded_at,
        }
    }
}

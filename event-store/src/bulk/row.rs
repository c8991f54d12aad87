//! A row in COPY's binary format: the number of fields, then each field with its length, all big-endian.

use std::str;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::event::BorrowedEvent;

/// The header of a binary COPY: signature, no flags, no extension.
pub(super) const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// The end of a binary COPY, in the place of a number of fields.
pub(super) const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
/// How many columns an event has: as many as [`crate::event::COLUMNS`] names.
const FIELDS: i16 = 10;
/// Postgres counts its microseconds from the year 2000.
const EPOCH: i64 = 946_684_800_000_000;

/// Postgres sent a row that is no event.
#[derive(Debug, thiserror::Error)]
#[error("the database sent an event whose {0} can't be read")]
pub struct CopyDecodeError(&'static str);

/// Reads a row.
pub(super) fn read(row: &[u8]) -> Result<BorrowedEvent<'_>, CopyDecodeError> {
    let Some((&count, rest)) = row.split_first_chunk() else { return Err(CopyDecodeError("number of columns")) };
    if i16::from_be_bytes(count) != FIELDS {
        return Err(CopyDecodeError("number of columns"));
    }
    let mut fields = CopyRowFields(rest);
    Ok(BorrowedEvent {
        position: fields.number("position")?,
        stream_type: fields.text("stream's type")?,
        stream_id: fields.text("stream")?,
        version: fields.number("version")?,
        event_type: fields.text("type")?,
        event_version: fields.text("event version")?,
        payload: fields.text("payload")?,
        metadata: fields.text("metadata")?,
        event_id: fields.id("id")?,
        recorded_at: fields.instant("time")?,
    })
}

/// Writes a row.
pub(super) fn write(event: &BorrowedEvent<'_>, row: &mut Vec<u8>) {
    row.extend(FIELDS.to_be_bytes());
    put(row, &event.position.to_be_bytes());
    put(row, event.stream_type.as_bytes());
    put(row, event.stream_id.as_bytes());
    put(row, &event.version.to_be_bytes());
    put(row, event.event_type.as_bytes());
    put(row, event.event_version.as_bytes());
    put(row, event.payload.as_bytes());
    put(row, event.metadata.as_bytes());
    put(row, event.event_id.as_bytes());
    put(row, &(event.recorded_at.timestamp_micros() - EPOCH).to_be_bytes());
}

fn put(row: &mut Vec<u8>, field: &[u8]) {
    // No field has 2 GiB: Postgres refuses half of that.
    row.extend(i32::try_from(field.len()).unwrap_or(i32::MAX).to_be_bytes());
    row.extend(field);
}

/// The fields of a row that are not read yet.
struct CopyRowFields<'a>(&'a [u8]);

impl<'a> CopyRowFields<'a> {
    /// The next field, which is not null: no column of events is.
    fn next(&mut self) -> Option<&'a [u8]> {
        let (&length, rest) = self.0.split_first_chunk()?;
        let (field, rest) = rest.split_at_checked(usize::try_from(i32::from_be_bytes(length)).ok()?)?;
        self.0 = rest;
        Some(field)
    }

    fn number(&mut self, name: &'static str) -> Result<i64, CopyDecodeError> {
        let field = self.next().and_then(|field| field.try_into().ok());
        field.map(i64::from_be_bytes).ok_or(CopyDecodeError(name))
    }

    fn text(&mut self, name: &'static str) -> Result<&'a str, CopyDecodeError> {
        self.next().and_then(|field| str::from_utf8(field).ok()).ok_or(CopyDecodeError(name))
    }

    fn id(&mut self, name: &'static str) -> Result<Uuid, CopyDecodeError> {
        self.next().and_then(|field| Uuid::from_slice(field).ok()).ok_or(CopyDecodeError(name))
    }

    fn instant(&mut self, name: &'static str) -> Result<DateTime<Utc>, CopyDecodeError> {
        let instant = self.number(name)?.checked_add(EPOCH).and_then(DateTime::from_timestamp_micros);
        instant.ok_or(CopyDecodeError(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> BorrowedEvent<'static> {
        BorrowedEvent {
            position: 7,
            stream_type: "order",
            stream_id: "a",
            version: 2,
            event_type: "OrderConfirmed",
            event_version: "1.0",
            payload: r#"{"OrderConfirmed":{}}"#,
            metadata: "{}",
            event_id: Uuid::from_u128(9),
            recorded_at: DateTime::from_timestamp_micros(1_763_000_000_123_456).unwrap(),
        }
    }

    #[test]
    fn a_row_is_read_as_it_was_written() {
        let mut row = Vec::new();
        write(&event(), &mut row);
        assert_eq!(read(&row).unwrap(), event());
    }

    #[test]
    fn what_is_no_row_is_an_error_wherever_it_breaks_off() {
        let mut row = Vec::new();
        write(&event(), &mut row);
        for end in 0..row.len() {
            assert!(read(&row[..end]).is_err(), "{end}");
        }
        row[1] = 9;
        assert_eq!(
            read(&row).unwrap_err().to_string(),
            "the database sent an event whose number of columns can't be read"
        );
    }
}

//! Blocks of an event stream, as the HTML standard defines them.

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use event_store::StoredEvent;
use serde::Serialize;

use crate::timeline::TimelineEntry;

/// An event, encoded once for all streams.
pub(super) struct SseFrame {
    pub(super) position: i64,
    pub(super) stream_type: String,
    pub(super) stream_id: String,
    pub(super) event_type: String,
    pub(super) text: Bytes,
}

/// An event as in a timeline, with its stream.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StreamedEvent<'a> {
    stream_type: &'a str,
    stream_id: &'a str,
    #[serde(flatten)]
    entry: &'a TimelineEntry,
}

impl SseFrame {
    pub(super) fn of(event: StoredEvent) -> Result<Self, serde_json::Error> {
        let (stream_type, stream_id) = (event.stream_type.clone(), event.stream_id.clone());
        let entry = TimelineEntry::try_from(event)?;
        let data =
            serde_json::to_string(&StreamedEvent { stream_type: &stream_type, stream_id: &stream_id, entry: &entry })?;
        let text = block(entry.position, &entry.event_type, &data);
        Ok(Self { position: entry.position, stream_type, stream_id, event_type: entry.event_type, text })
    }
}

/// The first block: after how long to reconnect, and from where. Clients keep an id even if no event comes with it.
pub(super) fn beginning(position: i64, retry: Duration) -> Bytes {
    format!("retry: {}\nid: {position}\n\n", retry.as_millis()).into()
}

/// A comment, with the position up to which the log was read.
pub(super) fn heartbeat(position: i64) -> Bytes {
    format!(":\nid: {position}\n\n").into()
}

fn block(position: i64, name: &str, data: &str) -> Bytes {
    let mut text = String::with_capacity(data.len() + name.len() + 64);
    // Writing to a string does not fail. Event names of other writers may have line ends.
    let _ = writeln!(text, "id: {position}\nevent: {}", name.replace(['\n', '\r'], " "));
    // The payload may have several lines. Line ends between JSON tokens mean nothing, so any of them may separate
    // `data` lines.
    for line in data.split(['\n', '\r']) {
        let _ = writeln!(text, "data: {line}");
    }
    text.push('\n');
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_block_whatever_line_ends_are_in_it() {
        assert_eq!(block(7, "OrderCreated", "{}"), "id: 7\nevent: OrderCreated\ndata: {}\n\n");
        let block = block(7, "A\ndata: x", "{\r\n\n}");
        assert_eq!(block, "id: 7\nevent: A data: x\ndata: {\ndata: \ndata: \ndata: }\n\n");
    }

    #[test]
    fn a_beginning_and_a_heartbeat_have_an_id_and_no_data() {
        assert_eq!(beginning(7, Duration::from_secs(1)), "retry: 1000\nid: 7\n\n");
        assert_eq!(heartbeat(7), ":\nid: 7\n\n");
    }
}

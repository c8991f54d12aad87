//! What is sent of an event.

use access_control::Role;
use domain::ids::{InvalidId, OrderId};
use event_store::StoredEvent;
use messaging::OutgoingMessage;
use webhooks::{ENVELOPE_CONTENT_TYPE, EnvelopeError, envelope_by_reference, event_envelope};

/// An event as a message.
pub(crate) struct EventMessage {
    pub(crate) message: OutgoingMessage,
    /// Whether it was too large, so that it says where the data is instead.
    pub(crate) by_reference: bool,
}

/// Why an event has no message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MessageError {
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// Another program wrote it: the message group would be refused, and all of a batch with it.
    #[error("the id of its stream is none of an order")]
    StreamId(#[from] InvalidId),
}

impl EventMessage {
    /// The message of an event with what a role sees of it, in so many bytes.
    pub(crate) fn of(event: &StoredEvent, role: Role, most_bytes: usize) -> Result<Self, MessageError> {
        OrderId::parse(event.stream_id.as_str())?;
        let whole = message(event, event_envelope(event, role)?);
        if whole.bytes() <= most_bytes {
            return Ok(Self { message: whole, by_reference: false });
        }
        Ok(Self { message: message(event, envelope_by_reference(event)?), by_reference: true })
    }
}

fn message(event: &StoredEvent, envelope: String) -> OutgoingMessage {
    let id = event.event_id.to_string();
    let attribute = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    OutgoingMessage {
        group_id: event.stream_id.clone(),
        dedup_id: id.clone(),
        body: within_xml(envelope),
        attributes: vec![
            attribute("content-type", ENVELOPE_CONTENT_TYPE),
            attribute("ce-type", &event.event_type),
            attribute("ce-id", &id),
        ],
    }
}

/// The same JSON with escapes for what SQS takes in no message: it takes the characters of XML, and JSON has two more in its texts.
fn within_xml(json: String) -> String {
    if json.contains(['\u{fffe}', '\u{ffff}']) {
        return json.replace('\u{fffe}', r"\ufffe").replace('\u{ffff}', r"\uffff");
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_character_of_xml_is_escaped() {
        assert_eq!(within_xml("{\"text\":\"a\u{fffe}b\u{ffff}\"}".to_owned()), r#"{"text":"a\ufffeb\uffff"}"#);
        assert_eq!(within_xml("{\"text\":\"\u{fffd}ü😀\"}".to_owned()), "{\"text\":\"\u{fffd}ü😀\"}");
    }
}

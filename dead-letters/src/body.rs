//! What is wrong with the body of a message, and where.

use std::fmt;

use domain::email::EmailAddress;
use error_chain::error_chain;
use messaging::{
    BodyEditError, DeadLetterOrigin, EnvelopeError, MessageContract, NotificationFailed, NotificationRequested,
    NotificationSent,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

/// Why the consumer of a queue could not read a body, or could do nothing with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyMistake {
    /// The place in the body, as a JSON pointer; empty: all of it.
    pub pointer: String,
    /// The line and the column, from 1, of what is no JSON.
    pub at: Option<(usize, usize)>,
    pub message: String,
}

impl fmt::Display for BodyMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.pointer.is_empty() {
            write!(f, "{}: ", self.pointer)?;
        }
        f.write_str(&self.message)
    }
}

/// Checks that a body is one that the consumer of its queue can do something with. The first mistake is told.
pub fn check_body(origin: DeadLetterOrigin, body: &str) -> Result<(), BodyMistake> {
    origin.check(body).map_err(|error| mistake(&error, body))?;
    // Another recipient than an address would fail again.
    let event: Value = serde_json::from_str(body).unwrap_or_default();
    let recipient = event.pointer("/data/recipient").and_then(Value::as_str);
    let Some(Err(error)) = recipient.map(|recipient| EmailAddress::parse(recipient.to_owned())) else { return Ok(()) };
    let message = format!("{:?} {error}", recipient.unwrap_or_default());
    Err(BodyMistake { pointer: "/data/recipient".to_owned(), at: None, message })
}

fn mistake(error: &BodyEditError, body: &str) -> BodyMistake {
    let (pointer, at) = match error {
        BodyEditError::Unreadable { source, .. } => place(source, body),
        BodyEditError::OtherOrder { .. } => ("/subject".to_owned(), None),
        BodyEditError::NoSuchPlace { pointer } => (pointer.clone(), None),
        BodyEditError::NotJson { source } => (String::new(), Some((source.line(), source.column()))),
        BodyEditError::Forged { .. } => (String::new(), None),
    };
    let message = match error {
        // That it can't be sent is said by whoever asks.
        BodyEditError::Unreadable { source, .. } => error_chain(source),
        BodyEditError::OtherOrder { .. }
        | BodyEditError::NoSuchPlace { .. }
        | BodyEditError::NotJson { .. }
        | BodyEditError::Forged { .. } => error_chain(error),
    };
    BodyMistake { pointer, at, message }
}

fn place(error: &EnvelopeError, body: &str) -> (String, Option<(usize, usize)>) {
    match error {
        EnvelopeError::NotAnObject { source } => (String::new(), Some((source.line(), source.column()))),
        EnvelopeError::Missing { attribute } | EnvelopeError::Invalid { attribute, .. } => {
            (format!("/{attribute}"), None)
        }
        EnvelopeError::UnexpectedType { .. } => ("/type".to_owned(), None),
        EnvelopeError::Data { kind, .. } => (format!("/data{}", place_in_data(kind, body)), None),
        EnvelopeError::Encode { .. } => (String::new(), None),
    }
}

/// Where in the data the contract of its type is broken.
fn place_in_data(kind: &str, body: &str) -> String {
    let event: Value = serde_json::from_str(body).unwrap_or_default();
    let data = &event["data"];
    match kind {
        NotificationRequested::TYPE => broken_place::<NotificationRequested>(data),
        NotificationSent::TYPE => broken_place::<NotificationSent>(data),
        NotificationFailed::TYPE => broken_place::<NotificationFailed>(data),
        _ => String::new(),
    }
}

fn broken_place<T: DeserializeOwned>(data: &Value) -> String {
    let read: Result<T, _> = serde_path_to_error::deserialize(data);
    read.err().map(|error| pointer(error.path())).unwrap_or_default()
}

fn pointer(path: &Path) -> String {
    let token = |segment: &Segment| match segment {
        Segment::Map { key } => Some(key.replace('~', "~0").replace('/', "~1")),
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Enum { .. } | Segment::Unknown => None,
    };
    path.iter().filter_map(token).map(|token| format!("/{token}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUESTED: &str = include_str!("../../lib/messaging/golden/ordo.notification.requested.v1.json");
    const SENT: &str = include_str!("../../lib/messaging/golden/ordo.notification.sent.v1.json");

    /// A request with something else at a place.
    fn with(pointer: &str, value: Value) -> String {
        let mut event: Value = serde_json::from_str(REQUESTED).unwrap();
        *event.pointer_mut(pointer).unwrap() = value;
        event.to_string()
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        for (body, pointer) in [
            (with("/data/attempt", "often".into()), "/data/attempt"),
            (with("/data/lines/0/sku", 7.into()), "/data/lines/0/sku"),
            (with("/data/lines", Value::Null), "/data/lines"),
            (with("/id", "x".into()), "/id"),
            (with("/type", "another".into()), "/type"),
            (with("/subject", "another".into()), "/subject"),
            (with("/data/recipient", "ada".into()), "/data/recipient"),
            (SENT.to_owned(), "/type"),
        ] {
            let mistake = check_body(DeadLetterOrigin::Notifications, &body).unwrap_err();
            assert_eq!(mistake.pointer, pointer, "{mistake:?}");
        }
        let broken = check_body(DeadLetterOrigin::Notifications, "{\n  \"id\": oh").unwrap_err();
        assert_eq!((broken.pointer.as_str(), broken.at), ("", Some((2, 9))), "{broken:?}");
        assert_eq!(check_body(DeadLetterOrigin::Notifications, REQUESTED), Ok(()));
        assert_eq!(check_body(DeadLetterOrigin::Replies, SENT), Ok(()));
    }

    #[test]
    fn a_recipient_has_to_be_an_address() {
        for recipient in ["not an address", "", "ada@", "ada@example.com, bob@example.com"] {
            let mistake = check_body(DeadLetterOrigin::Notifications, &with("/data/recipient", recipient.into()));
            assert_eq!(mistake.unwrap_err().pointer, "/data/recipient", "{recipient}");
        }
        check_body(DeadLetterOrigin::Notifications, &with("/data/recipient", Value::Null)).unwrap();
    }
}

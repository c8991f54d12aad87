//! Edits of a dead letter's body, and the check of the result.

use std::str::FromStr;

use serde_json::Value;

use super::{DeadLetter, DeadLetterOrigin};
use crate::contract::{NotificationAnswer, NotificationRequested};
use crate::envelope::{CloudEvent, EnvelopeError};
use crate::signature::{MessageSigningKeys, SignatureError};

/// A new value in a body: `/data/recipient=ada@example.com`. The place is a JSON pointer (RFC 6901).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyFieldEdit {
    pointer: String,
    value: String,
}

impl FromStr for BodyFieldEdit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((pointer, value)) if pointer.starts_with('/') => {
                Ok(Self { pointer: pointer.to_owned(), value: value.to_owned() })
            }
            Some(_) | None => {
                Err("must be a JSON pointer and a value, such as /data/recipient=ada@example.com".to_owned())
            }
        }
    }
}

/// Why a body can't be edited.
#[derive(Debug, thiserror::Error)]
pub enum BodyEditError {
    /// What is left of it would be signed with the change.
    #[error("a message that is not genuine can't be changed in part, it can only be replaced as a whole")]
    Forged { source: SignatureError },
    #[error("the body is not JSON: nothing can be set in it, it can only be replaced as a whole")]
    NotJson { source: serde_json::Error },
    /// The parent of the place does not exist.
    #[error("the body has no place {pointer}")]
    NoSuchPlace { pointer: String },
    #[error("the new body can't be sent to {origin}")]
    Unreadable { origin: DeadLetterOrigin, source: EnvelopeError },
    #[error("the new body's subject is `{subject}`, but its data is about order `{order_id}`")]
    OtherOrder { subject: String, order_id: String },
}

impl DeadLetter {
    /// The body with all values set. It still has to be checked ([`DeadLetterOrigin::check`]). The dead letter has to be genuine.
    pub fn with(&self, assignments: &[BodyFieldEdit], keys: &MessageSigningKeys) -> Result<String, BodyEditError> {
        self.verify(keys).map_err(|source| BodyEditError::Forged { source })?;
        assign(&self.body, assignments)
    }
}

impl DeadLetterOrigin {
    /// Checks that the queue's consumer can read this body: a CloudEvent of a contract of the queue.
    pub fn check(self, body: &str) -> Result<(), BodyEditError> {
        let unreadable = |source| BodyEditError::Unreadable { origin: self, source };
        match self {
            Self::Notifications => {
                let event = CloudEvent::<NotificationRequested>::parse(body).map_err(unreadable)?;
                if event.data.order_id != event.subject {
                    return Err(BodyEditError::OtherOrder { subject: event.subject, order_id: event.data.order_id });
                }
            }
            Self::Replies => {
                NotificationAnswer::parse(body).map_err(unreadable)?;
            }
        }
        Ok(())
    }
}

/// The body with all values set. A value is parsed as JSON. It is a string if it is no JSON, or if it is a number or a
/// boolean and the place has a string now: amounts are strings.
fn assign(body: &str, assignments: &[BodyFieldEdit]) -> Result<String, BodyEditError> {
    let mut event: Value = serde_json::from_str(body).map_err(|source| BodyEditError::NotJson { source })?;
    for BodyFieldEdit { pointer, value } in assignments {
        let place =
            place(&mut event, pointer).ok_or_else(|| BodyEditError::NoSuchPlace { pointer: pointer.clone() })?;
        let text = Value::from(value.as_str());
        *place = match serde_json::from_str::<Value>(value) {
            Ok(Value::Number(_) | Value::Bool(_)) if place.is_string() => text,
            Ok(json) => json,
            Err(_) => text,
        };
    }
    Ok(event.to_string())
}

/// The place of a pointer: an existing one, or a new member of an object.
fn place<'a>(event: &'a mut Value, pointer: &str) -> Option<&'a mut Value> {
    if event.pointer(pointer).is_some() {
        return event.pointer_mut(pointer);
    }
    let (parent, name) = pointer.rsplit_once('/')?;
    let name = name.replace("~1", "/").replace("~0", "~");
    let parent = event.pointer_mut(parent)?.as_object_mut()?;
    Some(parent.entry(name).or_insert(Value::Null))
}

#[cfg(test)]
mod tests {
    use error_chain::error_chain;

    use super::*;

    const REQUESTED: &str = include_str!("../../golden/ordo.notification.requested.v1.json");
    const SENT: &str = include_str!("../../golden/ordo.notification.sent.v1.json");

    #[test]
    fn values_are_set_where_they_are_and_where_they_can_be() {
        let changed =
            set(REQUESTED, &["/data/recipient=bob@example.com", "/data/new~1name={\"a\":[1]}", "/data/attempt=7"]);

        let event: Value = serde_json::from_str(&changed.unwrap()).unwrap();
        assert_eq!(event["data"]["recipient"], "bob@example.com");
        assert_eq!(event["data"]["new/name"]["a"][0], 1);
        assert_eq!(event["data"]["attempt"], 7);
    }

    #[test]
    fn a_number_in_the_place_of_text_is_text_and_null_is_null() {
        let changed = set(REQUESTED, &["/data/totalAmount=12.50", "/data/lines/0/title=true", "/data/recipient=null"]);

        let event: Value = serde_json::from_str(&changed.unwrap()).unwrap();
        assert_eq!(
            (&event["data"]["totalAmount"], &event["data"]["lines"][0]["title"]),
            (&"12.50".into(), &"true".into())
        );
        assert_eq!(event["data"]["recipient"], Value::Null);
    }

    #[test]
    fn what_has_no_place_is_refused() {
        let refused = |body, assignment| set(body, &[assignment]).unwrap_err().to_string();

        assert_eq!(refused(REQUESTED, "/data/lines/9/sku=x"), "the body has no place /data/lines/9/sku");
        assert_eq!(refused(REQUESTED, "/data/lines/9=x"), "the body has no place /data/lines/9");
        assert!(refused("poison", "/data=1").starts_with("the body is not JSON"));
        assert!("data=1".parse::<BodyFieldEdit>().is_err() && "/data".parse::<BodyFieldEdit>().is_err());
    }

    #[test]
    fn a_body_must_be_one_that_its_queue_can_hold() {
        assert!(
            DeadLetterOrigin::Notifications.check(REQUESTED).is_ok() && DeadLetterOrigin::Replies.check(SENT).is_ok()
        );
        let refused = |origin: DeadLetterOrigin, body: &str| error_chain(&origin.check(body).unwrap_err());

        assert!(refused(DeadLetterOrigin::Replies, REQUESTED).contains("the type is `ordo.notification.requested.v1`"));
        assert!(refused(DeadLetterOrigin::Notifications, "poison").contains("the body is not a JSON object"));
        let amiss = set(REQUESTED, &["/data/attempt=often"]).unwrap();
        assert!(refused(DeadLetterOrigin::Notifications, &amiss).contains("expected u32"));
        let other = set(REQUESTED, &["/subject=o-2"]).unwrap();
        let expected = "the new body's subject is `o-2`, but its data is about order `demo-1759035874968`";
        assert_eq!(refused(DeadLetterOrigin::Notifications, &other), expected);
    }

    fn set(body: &str, assignments: &[&str]) -> Result<String, BodyEditError> {
        let assignments: Vec<BodyFieldEdit> = assignments.iter().map(|it| it.parse().unwrap()).collect();
        assign(body, &assignments)
    }
}

//! A dead letter, as far as it can be read: anything may be in its body.

use std::collections::BTreeMap;

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName as System};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::again::{REDRIVEN_ATTRIBUTE, RUN_ATTRIBUTE};
use crate::consumer::ERROR_ATTRIBUTE;

/// A message that could not be done, and what is known about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// SQS's id of it, as long as it is a dead letter.
    pub id: String,
    /// The id that it had in the queue it was meant for: the one that log lines name.
    pub original_id: Option<String>,
    /// The group whose order it keeps.
    pub group_id: String,
    /// The order it is about: the CloudEvent's subject, else the group.
    pub order_id: String,
    /// The CloudEvent's type, as the body or else the attribute beside it has it.
    pub kind: Option<String>,
    /// Which request for the same thing it was, where its data says so.
    pub attempt: Option<u64>,
    /// How often it has been sent again already.
    pub redriven: u32,
    /// Why it could not be done. `None`: SQS itself gave it up, since no consumer ever came to an end with it.
    pub error: Option<String>,
    /// Since when it is a dead letter.
    pub since: DateTime<Utc>,
    /// The body, as it was sent.
    pub body: String,
    /// The string attributes beside the body.
    pub attributes: BTreeMap<String, String>,
    pub(super) receipt_handle: String,
}

impl DeadLetter {
    /// Whether `id` is one of its ids.
    pub fn is_called(&self, id: &str) -> bool {
        self.id == id || self.original_id.as_deref() == Some(id)
    }

    /// Whether this run sent it again, and it died once more.
    pub fn is_back_from(&self, run: &str) -> bool {
        self.attributes.get(RUN_ATTRIBUTE).is_some_and(|sender| sender == run)
    }

    pub(super) fn from_sqs(message: Message) -> Self {
        let system = message.attributes.unwrap_or_default();
        let system = |name: System| system.get(&name).filter(|value| !value.is_empty()).cloned();
        let attributes: BTreeMap<String, String> = message
            .message_attributes
            .unwrap_or_default()
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.string_value?)))
            .collect();
        let body = message.body.unwrap_or_default();
        let event: Value = serde_json::from_str(&body).unwrap_or_default();
        let text = |name: &str| event[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let group_id = system(System::MessageGroupId).unwrap_or_default();
        let sent = system(System::SentTimestamp).and_then(|millis| millis.parse().ok());
        Self {
            id: message.message_id.unwrap_or_default(),
            original_id: system(System::MessageDeduplicationId),
            order_id: text("subject").unwrap_or_else(|| group_id.clone()),
            group_id,
            kind: text("type").or_else(|| attributes.get("ce-type").cloned()),
            attempt: event["data"]["attempt"].as_u64(),
            redriven: attributes.get(REDRIVEN_ATTRIBUTE).and_then(|times| times.parse().ok()).unwrap_or(0),
            error: attributes.get(ERROR_ATTRIBUTE).cloned(),
            since: sent.and_then(DateTime::from_timestamp_millis).unwrap_or_default(),
            body,
            attributes,
            receipt_handle: message.receipt_handle.unwrap_or_default(),
        }
    }
}

//! A dead letter, as far as it can be parsed: its body may be anything.

use std::collections::BTreeMap;

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName as System};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::redrive::{REDRIVEN_ATTRIBUTE, RUN_ATTRIBUTE};
use crate::consumer::ERROR_ATTRIBUTE;
use crate::signature::{MessageSigningKeys, SIGNATURE_ATTRIBUTE, SignatureError};

/// A message in a dead-letter queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// SQS's id of the dead letter.
    pub id: String,
    /// The id that the message had in its original queue, and has in log lines.
    pub original_id: Option<String>,
    /// The message group.
    pub group_id: String,
    /// The order: the CloudEvent's subject, or else the group.
    pub order_id: String,
    /// The CloudEvent's type, from the body or else from the attribute.
    pub kind: Option<String>,
    /// The attempt in the data, if there is one.
    pub attempt: Option<u64>,
    /// How often it was redriven.
    pub redriven: u32,
    /// Why it failed. `None`: SQS itself moved it, because no consumer ever finished it.
    pub error: Option<String>,
    /// Since when it is a dead letter.
    pub since: DateTime<Utc>,
    /// The body, as it was sent.
    pub body: String,
    /// The string attributes.
    pub attributes: BTreeMap<String, String>,
    pub(super) receipt_handle: String,
    /// The name of its original queue, for which it is signed.
    pub(super) queue: String,
}

impl DeadLetter {
    /// Whether `id` is its id, now or in its original queue.
    pub fn has_id(&self, id: &str) -> bool {
        self.id == id || self.original_id.as_deref() == Some(id)
    }

    /// Why it is a dead letter.
    pub fn why(&self) -> &str {
        self.error.as_deref().unwrap_or("no consumer ever came to an end with it, so SQS gave it up")
    }

    /// How many bytes of text it has.
    pub fn bytes(&self) -> usize {
        self.body.len() + self.attributes.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
    }

    /// Whether this redrive sent it, and it failed once more.
    pub fn was_redriven_by(&self, run: &str) -> bool {
        self.attributes.get(RUN_ATTRIBUTE).is_some_and(|sender| sender == run)
    }

    /// Whether its sender had one of the keys. The rest of it can't be believed otherwise.
    pub fn verify(&self, keys: &MessageSigningKeys) -> Result<(), SignatureError> {
        let signature = self.attributes.get(SIGNATURE_ATTRIBUTE).map(String::as_str);
        keys.verify(&self.queue, &self.body, signature)
    }

    pub(super) fn from_sqs(message: Message, queue: &str) -> Self {
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
            queue: queue.to_owned(),
        }
    }
}

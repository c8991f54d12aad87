//! A received message.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_sqs::types::{Message, MessageAttributeValue, MessageSystemAttributeName as SystemAttribute};

use crate::signature::{MessageSigningKeys, SIGNATURE_ATTRIBUTE, SignatureError};

/// The system attributes to receive with a message.
pub(super) const SYSTEM_ATTRIBUTES: [SystemAttribute; 2] =
    [SystemAttribute::ApproximateReceiveCount, SystemAttribute::MessageGroupId];

/// A message as its handler gets it.
#[derive(Debug, Clone)]
pub struct ReceivedMessage {
    /// SQS's id of the message.
    pub message_id: String,
    /// The message group: the order id.
    pub group_id: String,
    /// The body, as it was sent.
    pub body: String,
    /// The string attributes.
    pub attributes: BTreeMap<String, String>,
    /// How often SQS has handed it out, this time included, even if it was returned without being handled.
    pub receive_count: u32,
    /// Which attempt this is, from 1. The handler failed with all earlier ones.
    pub attempt: u32,
    /// Whether a failure of this attempt moves the message to the dead-letter queue.
    pub is_last_attempt: bool,
    /// Whether a known key signed it for its queue. If not, it must not be handled.
    pub(super) genuine: Result<(), SignatureError>,
    pub(super) receipt_handle: String,
    /// All attributes as received, for the dead-letter queue.
    pub(super) raw_attributes: HashMap<String, MessageAttributeValue>,
}

impl ReceivedMessage {
    /// `queue`: the name of the queue that it came from.
    pub(super) fn from_sqs(message: Message, queue: &str, keys: &MessageSigningKeys) -> Self {
        let system = message.attributes.unwrap_or_default();
        let receive_count = system.get(&SystemAttribute::ApproximateReceiveCount);
        let receive_count = receive_count.and_then(|count| count.parse().ok()).unwrap_or(1);
        let raw_attributes = message.message_attributes.unwrap_or_default();
        let text =
            |(name, value): (&String, &MessageAttributeValue)| Some((name.clone(), value.string_value()?.to_owned()));
        let (body, attributes) =
            (message.body.unwrap_or_default(), raw_attributes.iter().filter_map(text).collect::<BTreeMap<_, _>>());
        let signature = attributes.get(SIGNATURE_ATTRIBUTE).map(String::as_str);
        Self {
            genuine: keys.verify(queue, &body, signature),
            message_id: message.message_id.unwrap_or_default(),
            group_id: system.get(&SystemAttribute::MessageGroupId).cloned().unwrap_or_default(),
            body,
            attributes,
            receive_count,
            attempt: 1,
            is_last_attempt: false,
            receipt_handle: message.receipt_handle.unwrap_or_default(),
            raw_attributes,
        }
    }

    /// Why it must not be handled, if it is not genuine.
    pub(super) fn reason_if_forged(&self) -> Option<String> {
        self.genuine.as_ref().err().map(ToString::to_string)
    }

    /// The size that SQS limits, without binary attributes.
    pub(super) fn bytes(&self) -> usize {
        self.body.len() + self.attributes.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
    }

    pub(super) fn set_attempt(&mut self, failures: u32, max_attempts: u32) {
        self.attempt = failures.saturating_add(1);
        self.is_last_attempt = self.attempt >= max_attempts;
    }
}

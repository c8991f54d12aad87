//! Sends to a FIFO topic of SNS, which passes the messages on to all that have subscribed to it.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sns::Client;
use aws_sdk_sns::error::BuildError;
use aws_sdk_sns::types::{MessageAttributeValue, PublishBatchRequestEntry};

use super::{BatchAnswer, NumberedMessage, OutgoingMessage, ProducerSettings, SendError, send_in_batches};
use crate::error::{CallError, MessagingService, answered_by};

/// How long SNS may take to answer.
const ANSWER_BOUND: Duration = Duration::from_secs(5);
/// What a topic takes that does not say what it takes.
const USUAL_MESSAGE_BYTES: usize = 256 * 1024;
/// What a topic may be told to take.
const MESSAGE_BYTES: RangeInclusive<usize> = 1024..=1024 * 1024;

/// Sends messages to one topic, as they are. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TopicProducer {
    client: Client,
    arn: String,
    settings: ProducerSettings,
}

/// Why a topic can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    #[error("topic `{arn}` could not be found")]
    Find { arn: String, source: CallError },
    /// It would neither keep the order nor drop repeats.
    #[error("topic `{arn}` is no FIFO topic")]
    Standard { arn: String },
}

impl TopicProducer {
    /// Finds the topic. It says how many bytes it takes, in place of `settings.batch_bytes`.
    pub async fn find(client: Client, arn: String, settings: ProducerSettings) -> Result<Self, TopicError> {
        let asked = client.get_topic_attributes().topic_arn(&arn);
        let topic = match answered_by(MessagingService::Sns, ANSWER_BOUND, asked.send()).await {
            Err(source) => return Err(TopicError::Find { arn, source }),
            Ok(topic) => topic,
        };
        let attribute = |name: &str| topic.attributes().and_then(|attributes| attributes.get(name));
        if attribute("FifoTopic").is_none_or(|is_fifo| is_fifo != "true") {
            return Err(TopicError::Standard { arn });
        }
        let most_bytes = attribute("MaximumMessageSize").and_then(|bytes| bytes.parse().ok());
        let batch_bytes = most_bytes.unwrap_or(USUAL_MESSAGE_BYTES).clamp(*MESSAGE_BYTES.start(), *MESSAGE_BYTES.end());
        Ok(Self { client, arn, settings: ProducerSettings { batch_bytes, ..settings } })
    }

    /// The most bytes that the topic takes as one message, and as one batch.
    pub fn message_bytes(&self) -> usize {
        self.settings.batch_bytes
    }

    /// Sends messages. The result has one entry per message, in the order given. `Ok` means that SNS has it.
    pub async fn send(&self, messages: Vec<OutgoingMessage>) -> Vec<Result<(), SendError>> {
        send_in_batches(messages, &self.settings, |batch| self.send_batch(batch)).await
    }

    async fn send_batch(&self, batch: Vec<NumberedMessage>) -> Result<BatchAnswer, SendError> {
        let entries: Result<Vec<_>, _> = batch.into_iter().map(entry).collect();
        let entries = entries.map_err(|source| SendError::Build { source: Arc::new(source) })?;
        let request = self.client.publish_batch().topic_arn(&self.arn).set_publish_batch_request_entries(Some(entries));
        let answer = answered_by(MessagingService::Sns, self.settings.timeout, request.send()).await?;
        let refused = answer.failed().iter().map(|it| {
            let refusal = SendError::refused(MessagingService::Sns, it.code(), it.message(), it.sender_fault());
            (it.id().to_owned(), refusal)
        });
        let accepted = answer.successful().iter().filter_map(|it| it.id().map(str::to_owned));
        Ok(BatchAnswer { accepted: accepted.collect(), refused: refused.collect() })
    }
}

fn entry(NumberedMessage { nth, message, .. }: NumberedMessage) -> Result<PublishBatchRequestEntry, BuildError> {
    let OutgoingMessage { group_id, dedup_id, body, attributes } = message;
    let mut entry = PublishBatchRequestEntry::builder()
        .id(nth.to_string())
        .message_group_id(group_id)
        .message_deduplication_id(dedup_id)
        .message(body);
    for (name, value) in attributes {
        let value = MessageAttributeValue::builder().data_type("String").string_value(value).build()?;
        entry = entry.message_attributes(name, value);
    }
    entry.build()
}

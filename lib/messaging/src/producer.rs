//! Sends messages in batches, and returns a result for each.
//!
//! A batch has up to ten messages and a bounded number of bytes, and several are sent at once. Messages of one group
//! are never in two batches at the same time, so they keep the caller's order.

mod batching;
mod refusals;
mod topic;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{MessageAttributeValue, SendMessageBatchRequestEntry};
use futures_util::StreamExt;
use futures_util::stream;

use crate::envelope::{BODY_CONTENT_TYPE, CloudEvent, EnvelopeError, MessageContract};
use crate::error::{CallError, MessagingService, answered};
use crate::queue_depth::QueueDepthReader;
use crate::queues::Queue;
use crate::settings::{InvalidSettings, SettingsValidator};
use crate::signature::{MessageSigningKeys, SIGNATURE_ATTRIBUTE};

pub use batching::BatchingProducer;
pub use topic::{TopicError, TopicProducer};

/// The limit of SQS and of SNS for one call.
const BATCH_MESSAGES: usize = 10;

/// Sends messages to one queue. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Producer {
    client: Client,
    queue_url: String,
    /// `None`: nothing is signed.
    signer: Option<MessageSigner>,
    settings: ProducerSettings,
}

/// Signs what is sent to a queue.
#[derive(Debug, Clone)]
struct MessageSigner {
    queue_name: String,
    keys: MessageSigningKeys,
}

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingMessage {
    /// Messages of one group arrive in the order in which they were sent. The group is the order id.
    pub group_id: String,
    /// SQS drops a message that is sent again under the same id within five minutes. Of a signed message SQS gets an HMAC of it.
    pub dedup_id: String,
    /// The body, a CloudEvent.
    pub body: String,
    /// String attributes, at most nine: the signature is one more.
    pub attributes: Vec<(String, String)>,
}

impl OutgoingMessage {
    /// The message of an event. A new `attempt` gets a deliberate repetition through the queue's deduplication.
    pub fn event<T: MessageContract>(event: &CloudEvent<T>, attempt: u32) -> Result<Self, EnvelopeError> {
        let mut attributes = vec![
            ("content-type".to_owned(), BODY_CONTENT_TYPE.to_owned()),
            ("ce-type".to_owned(), T::TYPE.to_owned()),
            ("ce-id".to_owned(), event.id.to_string()),
        ];
        if let Some(traceparent) = &event.traceparent {
            attributes.push(("traceparent".to_owned(), traceparent.clone()));
        }
        Ok(Self {
            group_id: event.subject.clone(),
            dedup_id: format!("{}-{attempt}", event.id),
            body: event.to_json()?,
            attributes,
        })
    }

    /// The size that SQS limits: the body, and the name, type and value of every attribute.
    pub fn bytes(&self) -> usize {
        let attribute = |(name, value): &(String, String)| name.len() + "String".len() + value.len();
        self.body.len() + self.attributes.iter().map(attribute).sum::<usize>()
    }
}

/// How messages are sent.
#[derive(Debug, Clone)]
pub struct ProducerSettings {
    /// The most bytes in one batch, and so in one message.
    pub batch_bytes: usize,
    /// The most concurrent batches.
    pub concurrency: usize,
    /// How long an answer to a batch may take, with the SDK's own retries, 1 s to 60 s.
    pub timeout: Duration,
}

impl Default for ProducerSettings {
    fn default() -> Self {
        // Every SQS server accepts this much; AWS accepts four times as much.
        Self { batch_bytes: 256 * 1024, concurrency: 4, timeout: Duration::from_secs(10) }
    }
}

impl ProducerSettings {
    /// Names every setting outside its bounds.
    pub fn validate(&self) -> Result<(), InvalidSettings> {
        let mut checks = SettingsValidator::default();
        checks.within("batch_bytes", self.batch_bytes, 1024..=1024 * 1024);
        checks.within("concurrency", self.concurrency, 1..=64);
        checks.within("timeout", self.timeout, Duration::from_secs(1)..=Duration::from_secs(60));
        checks.done()
    }
}

/// Why a message was not sent. Other messages of the same call are not affected.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SendError {
    #[error("the message has {bytes} bytes, more than the {limit} that a message may have")]
    TooLong {
        bytes: usize,
        /// `batch_bytes` of the settings.
        limit: usize,
    },
    /// The batch was accepted and this message refused, or it was the only one and the call was refused because of it.
    #[error("{service} refused the message: {code}: {message}")]
    Refused {
        service: MessagingService,
        code: String,
        message: String,
        /// Whether the message is at fault, so that sending it again would not help.
        sender_fault: bool,
    },
    /// The whole batch failed, after the SDK's own retries. It may have arrived all the same.
    #[error("the batch could not be sent")]
    Batch { source: CallError },
    /// There was no answer in time. The batch may have arrived all the same.
    #[error("{service} did not answer for the batch within {timeout:?}")]
    TimedOut { service: MessagingService, timeout: Duration },
    #[error("the message can't be put in a batch")]
    Build { source: Arc<aws_sdk_sqs::error::BuildError> },
    /// The answer does not mention this message.
    #[error("the answer does not say what became of the message")]
    Unanswered,
}

impl Producer {
    /// The first of the keys signs what is sent.
    pub fn new(client: Client, queue: Queue, keys: MessageSigningKeys, settings: ProducerSettings) -> Self {
        let signer = MessageSigner { queue_name: queue.name, keys };
        Self { client, queue_url: queue.url, signer: Some(signer), settings }
    }

    /// For a queue of other programs, which have none of the keys: messages and their deduplication ids go out as they are.
    pub fn unsigned(client: Client, queue_url: String, settings: ProducerSettings) -> Self {
        Self { client, queue_url, signer: None, settings }
    }

    pub fn depth(&self) -> QueueDepthReader {
        QueueDepthReader::of(self.client.clone(), self.queue_url.clone())
    }

    /// Sends messages. The result has one entry per message, in the order given. `Ok` means that SQS has it.
    pub async fn send(&self, messages: Vec<OutgoingMessage>) -> Vec<Result<(), SendError>> {
        let messages = messages.into_iter().map(|message| self.signed(message)).collect();
        send_in_batches(messages, &self.settings, |batch| self.send_batch(batch)).await
    }

    fn signed(&self, mut message: OutgoingMessage) -> OutgoingMessage {
        if let Some(MessageSigner { queue_name, keys }) = &self.signer {
            let signature = keys.sign(queue_name, &message.body);
            message.attributes.push((SIGNATURE_ATTRIBUTE.to_owned(), signature));
            message.dedup_id = keys.deduplication_id(queue_name, &message.dedup_id);
        }
        message
    }

    async fn send_batch(&self, batch: Vec<NumberedMessage>) -> Result<BatchAnswer, SendError> {
        let entries: Result<Vec<_>, _> = batch.into_iter().map(NumberedMessage::into_entry).collect();
        let entries = entries.map_err(|source| SendError::Build { source: Arc::new(source) })?;
        let request = self.client.send_message_batch().queue_url(&self.queue_url).set_entries(Some(entries));
        let answer = answered(self.settings.timeout, request.send()).await?;
        let refused = answer.failed().iter().map(|it| {
            let refusal = SendError::refused(MessagingService::Sqs, it.code(), it.message(), it.sender_fault());
            (it.id().to_owned(), refusal)
        });
        let accepted = answer.successful().iter().map(|it| it.id().to_owned());
        Ok(BatchAnswer { accepted: accepted.collect(), refused: refused.collect() })
    }
}

/// What became of the messages of a batch that was accepted, by their ids there.
struct BatchAnswer {
    accepted: Vec<String>,
    refused: Vec<(String, SendError)>,
}

/// Sends messages by calls that each take a batch, several at once. The result has one entry per message, in the order given.
async fn send_in_batches<A>(
    messages: Vec<OutgoingMessage>,
    settings: &ProducerSettings,
    send: impl Fn(Vec<NumberedMessage>) -> A,
) -> Vec<Result<(), SendError>>
where
    A: Future<Output = Result<BatchAnswer, SendError>>,
{
    let mut results: Vec<_> = messages.iter().map(|_| Err(SendError::Unanswered)).collect();
    let limit = settings.batch_bytes;
    let mut sendable = Vec::with_capacity(messages.len());
    for (nth, message) in messages.into_iter().enumerate() {
        let bytes = message.bytes();
        if bytes > limit {
            results[nth] = Err(SendError::TooLong { bytes, limit });
        } else {
            sendable.push(NumberedMessage { nth, bytes, message });
        }
    }
    let send_lane = async |lane| {
        let mut answers = Vec::new();
        for batch in batches(lane, limit) {
            let numbers: Vec<usize> = batch.iter().map(|it| it.nth).collect();
            match send(batch).await {
                Ok(answer) => answers.extend(results_of(&numbers, answer)),
                Err(error) => {
                    let error = if numbers.len() == 1 { error.of_only_message() } else { error };
                    answers.extend(numbers.into_iter().map(|nth| (nth, Err(error.clone()))));
                }
            }
        }
        answers
    };
    let lanes = lanes(sendable, settings.concurrency);
    let mut answers = stream::iter(lanes).map(send_lane).buffer_unordered(settings.concurrency.max(1));
    while let Some(answered) = answers.next().await {
        for (nth, result) in answered {
            results[nth] = result;
        }
    }
    results
}

impl From<CallError> for SendError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::TimedOut { service, bound } => Self::TimedOut { service, timeout: bound },
            source @ (CallError::Answered { .. } | CallError::NotReached { .. }) => Self::Batch { source },
        }
    }
}

/// A message with its place in the caller's list.
struct NumberedMessage {
    nth: usize,
    bytes: usize,
    message: OutgoingMessage,
}

impl NumberedMessage {
    fn into_entry(self) -> Result<SendMessageBatchRequestEntry, aws_sdk_sqs::error::BuildError> {
        let OutgoingMessage { group_id, dedup_id, body, attributes } = self.message;
        let mut entry = SendMessageBatchRequestEntry::builder()
            .id(self.nth.to_string())
            .message_group_id(group_id)
            .message_deduplication_id(dedup_id)
            .message_body(body);
        for (name, value) in attributes {
            entry = entry.message_attributes(name, text_attribute(value)?);
        }
        entry.build()
    }
}

/// A message attribute of type String.
pub(crate) fn text_attribute(value: String) -> Result<MessageAttributeValue, aws_sdk_sqs::error::BuildError> {
    MessageAttributeValue::builder().data_type("String").string_value(value).build()
}

/// Spreads messages over at most `most` lanes. A group is in one lane only. There are no more lanes than full batches.
fn lanes(messages: Vec<NumberedMessage>, most: usize) -> Vec<Vec<NumberedMessage>> {
    let count = messages.len().div_ceil(BATCH_MESSAGES).clamp(1, most.max(1));
    let mut lanes: Vec<Vec<NumberedMessage>> = (0..count).map(|_| Vec::new()).collect();
    let mut lane_of_group: HashMap<String, usize> = HashMap::new();
    for message in messages {
        let lane = *lane_of_group.entry(message.message.group_id.clone()).or_insert_with(|| shortest(&lanes));
        lanes[lane].push(message);
    }
    lanes
}

fn shortest(lanes: &[Vec<NumberedMessage>]) -> usize {
    (0..lanes.len()).min_by_key(|&lane| lanes[lane].len()).unwrap_or(0)
}

/// Splits a lane into batches within both limits.
fn batches(lane: Vec<NumberedMessage>, most_bytes: usize) -> Vec<Vec<NumberedMessage>> {
    let mut batches: Vec<Vec<NumberedMessage>> = Vec::new();
    let mut bytes = 0;
    for message in lane {
        match batches.last_mut() {
            Some(batch) if batch.len() < BATCH_MESSAGES && bytes + message.bytes <= most_bytes => {
                bytes += message.bytes;
                batch.push(message);
            }
            _ => {
                bytes = message.bytes;
                batches.push(vec![message]);
            }
        }
    }
    batches
}

/// The results of a batch that was accepted. Single messages may have failed.
fn results_of(numbers: &[usize], answer: BatchAnswer) -> Vec<(usize, Result<(), SendError>)> {
    let accepted = answer.accepted.into_iter().map(|id| (id, Ok(())));
    let refused = answer.refused.into_iter().map(|(id, error)| (id, Err(error)));
    let mut by_id: HashMap<String, Result<(), SendError>> = accepted.chain(refused).collect();
    let result = |nth: &usize| (*nth, by_id.remove(&nth.to_string()).unwrap_or(Err(SendError::Unanswered)));
    numbers.iter().map(result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_out_of_bounds_is_named() {
        assert_eq!(ProducerSettings::default().validate(), Ok(()));
        for seconds in [0, 61] {
            let settings = ProducerSettings { timeout: Duration::from_secs(seconds), ..ProducerSettings::default() };
            let mistakes = settings.validate().unwrap_err().0;
            assert_eq!(mistakes.iter().map(|it| it.setting).collect::<Vec<_>>(), ["timeout"]);
        }
    }
}

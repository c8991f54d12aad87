//! Sends again what the journal has, when the endpoint starts.

use std::collections::{BTreeMap, HashMap};
use std::time::{SystemTime, UNIX_EPOCH};

use rustack_sqs_core::provider::RustackSqs;
use rustack_sqs_model::error::SqsError;
use rustack_sqs_model::input::{CreateQueueInput, SendMessageInput, SetQueueAttributesInput};
use rustack_sqs_model::output::SendMessageOutput;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::journal::JournalError;
use super::live::{LiveMessages, SentAgain};
use super::record::{JournalRecord, QueueDefinition, SentMessage};
use super::{emulated_id, url_of};

/// The attribute that may have been made smaller after a message had come.
const SIZE: &str = "MaximumMessageSize";

/// What is in the queues at the end of a journal.
#[derive(Debug, Default)]
pub(super) struct JournalContent {
    queues: BTreeMap<String, QueueDefinition>,
    /// In the order in which they came, with the length of their records.
    messages: BTreeMap<u64, (SentMessage, usize)>,
    positions: HashMap<Uuid, u64>,
    next: u64,
}

impl JournalContent {
    /// Applies the next record.
    pub(super) fn apply(&mut self, record: JournalRecord, length: usize) {
        match record {
            JournalRecord::Queue(definition) => {
                self.queues.insert(definition.name.clone(), definition);
            }
            JournalRecord::QueueDeleted { name } => {
                self.queues.remove(&name);
                self.purge(&name);
            }
            JournalRecord::Purged { queue } => self.purge(&queue),
            JournalRecord::Sent(sent) => {
                self.positions.insert(sent.id, self.next);
                self.messages.insert(self.next, (sent, length));
                self.next += 1;
            }
            JournalRecord::Moved { id, queue } => {
                let position = self.positions.get(&id);
                if let Some((sent, _)) = position.and_then(|position| self.messages.get_mut(position)) {
                    sent.queue = queue;
                }
            }
            JournalRecord::Deleted { id } => {
                self.positions.remove(&id).map(|position| self.messages.remove(&position));
            }
        }
    }

    fn purge(&mut self, queue: &str) {
        let positions = &mut self.positions;
        self.messages.retain(|_, (sent, _)| {
            let stays = sent.queue != queue;
            if !stays {
                positions.remove(&sent.id);
            }
            stays
        });
    }

    /// Makes the queues and sends the messages, and notes them in `live`.
    pub(super) async fn restore(self, emulator: &RustackSqs, live: &mut LiveMessages) -> Result<(), JournalError> {
        let refused = |queue: &str| {
            let queue = queue.to_owned();
            move |error: SqsError| JournalError::Queue { queue, reason: error.message }
        };
        for queue in self.queues.values() {
            let QueueDefinition { name, mut attributes, tags } = queue.clone();
            attributes.remove(SIZE);
            let made = emulator.create_queue(CreateQueueInput { queue_name: name.clone(), attributes, tags }).await;
            made.map_err(refused(&name))?;
            live.define(queue);
        }
        let count = self.messages.len();
        for (sent, length) in self.messages.into_values() {
            let (id, queue) = (sent.id, sent.queue.clone());
            let again = send_again(emulator, live, sent, length as u64).await;
            again.map_err(|error| JournalError::Message { id, queue, reason: error.message })?;
        }
        for QueueDefinition { name, attributes, .. } in self.queues.values() {
            let Some(size) = attributes.get(SIZE) else { continue };
            let attributes = HashMap::from([(SIZE.to_owned(), size.clone())]);
            let set = SetQueueAttributesInput { queue_url: url_of(name), attributes };
            emulator.set_queue_attributes(set).await.map_err(refused(name))?;
        }
        if !self.queues.is_empty() {
            tracing::info!(queues = self.queues.len(), messages = count, "the queues are as they were");
        }
        Ok(())
    }
}

async fn send_again(
    emulator: &RustackSqs,
    live: &mut LiveMessages,
    sent: SentMessage,
    bytes: u64,
) -> Result<(), SqsError> {
    let SentMessage { id, queue, sent_at, message } = sent;
    let mut message = SendMessageInput { queue_url: url_of(&queue), ..message };
    let mut deduplication_id = None;
    if queue.ends_with(".fifo") {
        message.delay_seconds = None;
        // Whether the queue makes one itself may have changed since.
        let given = message.message_deduplication_id.take().unwrap_or_else(|| hash_of(&message.message_body));
        message.message_deduplication_id = Some(given.clone());
        let answer = emulator.send_message(message.clone()).await?;
        if is_new(live, &queue, &answer) {
            add(live, &answer, id, &queue, bytes, SentAgain { sent_at, deduplication_id })?;
            return Ok(());
        }
        // It came more than five minutes after one that is the same and was still there.
        message.message_deduplication_id = Some(id.to_string());
        deduplication_id = Some(given);
    } else {
        let waited = i32::try_from(now().saturating_sub(sent_at) / 1000).unwrap_or(i32::MAX);
        message.delay_seconds = Some(message.delay_seconds.unwrap_or(0).saturating_sub(waited).max(0));
    }
    let answer = emulator.send_message(message).await?;
    is_new(live, &queue, &answer);
    add(live, &answer, id, &queue, bytes, SentAgain { sent_at, deduplication_id })
}

fn is_new(live: &mut LiveMessages, queue: &str, answer: &SendMessageOutput) -> bool {
    live.is_new(queue, answer.sequence_number.as_deref())
}

fn add(
    live: &mut LiveMessages,
    answer: &SendMessageOutput,
    id: Uuid,
    queue: &str,
    bytes: u64,
    again: SentAgain,
) -> Result<(), SqsError> {
    live.add(emulated_id(answer.message_id.as_deref())?, id, queue, bytes, Some(again));
    Ok(())
}

/// What a queue takes for a deduplication id where the sender gives none.
fn hash_of(body: &str) -> String {
    Sha256::digest(body.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Milliseconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use rustack_sqs_core::config::SqsConfig;
    use rustack_sqs_model::input::ReceiveMessageInput;

    use super::*;

    /// Two messages with the same deduplication id can be in a queue, if more than five minutes were between them.
    #[tokio::test]
    async fn a_message_that_only_looks_like_one_before_it_is_not_lost() {
        let emulator = RustackSqs::new(SqsConfig::default());
        let (mut content, mut live) = (JournalContent::default(), LiveMessages::default());
        let queue = "mails.fifo".to_owned();
        let definition = QueueDefinition { name: queue.clone(), attributes: HashMap::new(), tags: HashMap::new() };
        content.apply(JournalRecord::Queue(definition), 10);
        let ids = [Uuid::new_v4(), Uuid::new_v4()];
        for (id, body) in ids.into_iter().zip(["first", "second"]) {
            let message = SendMessageInput {
                message_body: body.to_owned(),
                message_group_id: Some("a".to_owned()),
                message_deduplication_id: Some("same".to_owned()),
                ..SendMessageInput::default()
            };
            content.apply(JournalRecord::Sent(SentMessage { id, queue: queue.clone(), sent_at: 1, message }), 10);
        }

        content.restore(&emulator, &mut live).await.unwrap();

        let mut came = Vec::new();
        for _ in ids {
            let all = vec!["All".to_owned()];
            let input = ReceiveMessageInput {
                queue_url: url_of(&queue),
                message_system_attribute_names: all,
                ..ReceiveMessageInput::default()
            };
            let mut received = emulator.receive_message(input).await.unwrap().messages;
            let mut message = received.remove(0);
            live.received(&queue, &mut message);
            let handle = message.receipt_handle.clone().unwrap();
            let deletion =
                rustack_sqs_model::input::DeleteMessageInput { queue_url: url_of(&queue), receipt_handle: handle };
            emulator.delete_message(deletion).await.unwrap();
            assert_eq!(message.attributes["MessageDeduplicationId"], "same");
            came.push((message.message_id.unwrap(), message.body.unwrap()));
        }
        assert_eq!(came, [(ids[0].to_string(), "first".to_owned()), (ids[1].to_string(), "second".to_owned())]);
    }
}

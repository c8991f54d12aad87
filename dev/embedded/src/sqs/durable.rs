//! Queues that outlive their process: what changes them is in a journal before it is answered.
//!
//! A start makes the queues again and sends again what was not deleted, in the order in which it came. As with SQS, a message may come
//! more than once, and messages of one group come in their order. Message ids and the time of sending stay. These begin anew: counts of
//! receives, sequence numbers, receipt handles, and the five minutes of deduplication for what is still there; what was deleted is
//! deduplicated no more. A message that was being handled can be received again at once.
//!
//! A message that the queue itself has moved to its dead letters is in that queue after a start if somebody received it there before,
//! else in the one that it came from.

mod journal;
mod live;
mod record;
mod restore;

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::Response;
use rustack_sqs_core::handler::RustackSqsHandler;
use rustack_sqs_core::provider::RustackSqs;
use rustack_sqs_http::body::SqsResponseBody;
use rustack_sqs_http::dispatch::SqsHandler;
use rustack_sqs_http::response::json_response;
use rustack_sqs_model::error::{SqsError, SqsErrorCode};
use rustack_sqs_model::input::{
    CreateQueueInput, DeleteMessageBatchInput, DeleteMessageInput, DeleteQueueInput, PurgeQueueInput,
    ReceiveMessageInput, SendMessageBatchInput, SendMessageInput, SetQueueAttributesInput, TagQueueInput,
    UntagQueueInput,
};
use rustack_sqs_model::operations::SqsOperation;
use rustack_sqs_model::types::RedrivePolicy;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Mutex, watch};
use uuid::Uuid;

pub use self::journal::JournalError;
use self::journal::{Journal, JournalFolder};
use self::live::LiveMessages;
use self::record::{JournalRecord, QueueDefinition, SentMessage};
use self::restore::{JournalContent, now};

/// The messages of all queues are in memory as well as in the journal. Beyond so many bytes nothing more is taken.
const MOST_BYTES: u64 = 1024 * 1024 * 1024;

type Answer = Result<Response<SqsResponseBody>, SqsError>;

/// Answers operations as the emulator does, and keeps what must not be lost.
#[derive(Debug)]
pub(super) struct DurableQueues {
    emulator: Arc<RustackSqs>,
    others: RustackSqsHandler,
    /// Held while the emulator makes a change, so that the journal has changes in the order in which they were made.
    live: Mutex<LiveMessages>,
    journal: Journal,
}

impl DurableQueues {
    /// Fills the emulator, which is empty, with what the folder has.
    pub(super) async fn restore(emulator: Arc<RustackSqs>, folder: &Path) -> Result<Self, JournalError> {
        let folder = folder.to_owned();
        let reading = tokio::task::spawn_blocking(move || {
            let mut content = JournalContent::default();
            let (journal, size) = JournalFolder::take(&folder)?.open(|record, length| content.apply(record, length))?;
            Ok::<_, JournalError>((content, journal, size))
        });
        let (content, journal, size) = match reading.await {
            Ok(read) => read?,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        };
        let mut live = LiveMessages::of_file(size);
        content.restore(&emulator, &mut live).await?;
        let others = RustackSqsHandler::new(Arc::clone(&emulator));
        Ok(Self { emulator, others, live: Mutex::new(live), journal })
    }

    /// Why changes are not kept any more. `None`: they are.
    pub(super) fn failure(&self) -> watch::Receiver<Option<String>> {
        self.journal.failure()
    }

    /// Ends when everything is on disk.
    pub(super) async fn close(&self) {
        self.journal.close().await;
    }

    /// Makes a change and ends when it is on disk.
    async fn change(&self, operation: SqsOperation, body: &[u8]) -> Answer {
        let mut live = self.live.lock().await;
        let mut lines = JournalLines::default();
        let answer = self.apply(operation, body, &mut live, &mut lines).await?;
        let appended = lines.0.len();
        // Also where nothing has changed: what is answered may be what is being written just now.
        let written = self.journal.append(lines.0);
        if let Some(kept) = live.appended(appended) {
            self.journal.compact(kept);
        }
        drop(live);
        written.await.map_err(SqsError::internal_error)?;
        Ok(answer)
    }

    async fn apply(
        &self,
        operation: SqsOperation,
        body: &[u8],
        live: &mut LiveMessages,
        lines: &mut JournalLines,
    ) -> Answer {
        let emulator = &self.emulator;
        match operation {
            SqsOperation::SendMessage => {
                let input: SendMessageInput = read(body)?;
                refuse_if_full(live)?;
                let mut output = emulator.send_message(input.clone()).await?;
                sent(live, lines, input, &mut output.message_id, output.sequence_number.as_deref())?;
                written(&output)
            }
            SqsOperation::SendMessageBatch => {
                let input: SendMessageBatchInput = read(body)?;
                refuse_if_full(live)?;
                let mut output = emulator.send_message_batch(input.clone()).await?;
                for entry in input.entries {
                    let Some(success) = output.successful.iter_mut().find(|it| it.id == entry.id) else { continue };
                    let message = SendMessageInput {
                        queue_url: input.queue_url.clone(),
                        message_body: entry.message_body,
                        delay_seconds: entry.delay_seconds,
                        message_deduplication_id: entry.message_deduplication_id,
                        message_group_id: entry.message_group_id,
                        message_attributes: entry.message_attributes,
                        message_system_attributes: entry.message_system_attributes,
                    };
                    let mut id = Some(std::mem::take(&mut success.message_id));
                    sent(live, lines, message, &mut id, success.sequence_number.as_deref())?;
                    success.message_id = id.unwrap_or_default();
                }
                written(&output)
            }
            SqsOperation::DeleteMessage => {
                let input: DeleteMessageInput = read(body)?;
                let (queue, handle) = (name_in(&input.queue_url), input.receipt_handle.clone());
                let output = emulator.delete_message(input).await?;
                lines.extend(live.delete(&queue, &handle))?;
                written(&output)
            }
            SqsOperation::DeleteMessageBatch => {
                let input: DeleteMessageBatchInput = read(body)?;
                let queue = name_in(&input.queue_url);
                let handles: Vec<_> =
                    input.entries.iter().map(|entry| (entry.id.clone(), entry.receipt_handle.clone())).collect();
                let output = emulator.delete_message_batch(input).await?;
                let is_done = |id: &String| output.successful.iter().any(|done| done.id == *id);
                let deleted = handles.iter().filter(|(entry, _)| is_done(entry));
                lines.extend(deleted.filter_map(|(_, handle)| live.delete(&queue, handle)))?;
                written(&output)
            }
            SqsOperation::PurgeQueue => {
                let input: PurgeQueueInput = read(body)?;
                let queue = name_in(&input.queue_url);
                let output = emulator.purge_queue(input).await?;
                lines.extend(live.purge(&queue))?;
                written(&output)
            }
            SqsOperation::DeleteQueue => {
                let input: DeleteQueueInput = read(body)?;
                let queue = name_in(&input.queue_url);
                let output = emulator.delete_queue(input).await?;
                lines.extend(live.delete_queue(&queue))?;
                written(&output)
            }
            SqsOperation::CreateQueue => {
                let input: CreateQueueInput = read(body)?;
                let queue = input.queue_name.clone();
                let output = emulator.create_queue(input).await?;
                lines.extend(self.defined(&queue, live).await?)?;
                written(&output)
            }
            SqsOperation::SetQueueAttributes => {
                let input: SetQueueAttributesInput = read(body)?;
                refuse_what_cannot_be_made(&input)?;
                let queue = name_in(&input.queue_url);
                let output = emulator.set_queue_attributes(input).await?;
                lines.extend(self.defined(&queue, live).await?)?;
                written(&output)
            }
            SqsOperation::TagQueue => {
                let input: TagQueueInput = read(body)?;
                let queue = name_in(&input.queue_url);
                let output = emulator.tag_queue(input).await?;
                lines.extend(self.defined(&queue, live).await?)?;
                written(&output)
            }
            SqsOperation::UntagQueue => {
                let input: UntagQueueInput = read(body)?;
                let queue = name_in(&input.queue_url);
                let output = emulator.untag_queue(input).await?;
                lines.extend(self.defined(&queue, live).await?)?;
                written(&output)
            }
            SqsOperation::ReceiveMessage
            | SqsOperation::GetQueueUrl
            | SqsOperation::ListQueues
            | SqsOperation::GetQueueAttributes
            | SqsOperation::ChangeMessageVisibility
            | SqsOperation::ChangeMessageVisibilityBatch
            | SqsOperation::ListQueueTags
            | SqsOperation::AddPermission
            | SqsOperation::RemovePermission
            | SqsOperation::ListDeadLetterSourceQueues
            | SqsOperation::StartMessageMoveTask
            | SqsOperation::CancelMessageMoveTask
            | SqsOperation::ListMessageMoveTasks => {
                Err(SqsError::internal_error(format!("{operation} changes nothing")))
            }
        }
    }

    /// What a queue is after it was made or changed.
    async fn defined(&self, queue: &str, live: &mut LiveMessages) -> Result<Option<JournalRecord>, SqsError> {
        let queues = self.emulator.export_snapshot().await?.queues;
        let Some(queue) = queues.into_iter().find(|it| it.name == queue) else { return Ok(None) };
        let definition = QueueDefinition { name: queue.name, attributes: queue.attributes, tags: queue.tags };
        Ok(live.define(&definition).then_some(JournalRecord::Queue(definition)))
    }

    /// It waits for messages without holding anybody up, and ends with the connection of whoever asks.
    async fn receive(&self, body: &[u8]) -> Answer {
        let input: ReceiveMessageInput = read(body)?;
        let queue = name_in(&input.queue_url);
        let mut output = self.emulator.receive_message(input).await?;
        if !output.messages.is_empty() {
            let mut live = self.live.lock().await;
            let mut lines = JournalLines::default();
            lines.extend(output.messages.iter_mut().filter_map(|message| live.received(&queue, message)))?;
            if !lines.0.is_empty() {
                let kept = live.appended(lines.0.len());
                // Nobody is told that it is in that queue, so nobody waits until it is on disk.
                drop(self.journal.append(lines.0));
                kept.into_iter().for_each(|kept| self.journal.compact(kept));
            }
        }
        written(&output)
    }
}

/// The [`DurableQueues`] of an endpoint.
#[derive(Debug, Clone)]
pub(super) struct DurableHandler(pub(super) Arc<DurableQueues>);

impl SqsHandler for DurableHandler {
    fn handle_operation(&self, operation: SqsOperation, body: Bytes) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        let queues = Arc::clone(&self.0);
        match operation {
            SqsOperation::ReceiveMessage => Box::pin(async move { queues.receive(&body).await }),
            SqsOperation::SendMessage
            | SqsOperation::SendMessageBatch
            | SqsOperation::DeleteMessage
            | SqsOperation::DeleteMessageBatch
            | SqsOperation::PurgeQueue
            | SqsOperation::DeleteQueue
            | SqsOperation::CreateQueue
            | SqsOperation::SetQueueAttributes
            | SqsOperation::TagQueue
            | SqsOperation::UntagQueue => Box::pin(async move {
                // A client that goes must not leave a change half made.
                let change = tokio::spawn(async move { queues.change(operation, &body).await });
                change.await.unwrap_or_else(|error| Err(SqsError::internal_error(error.to_string())))
            }),
            SqsOperation::GetQueueUrl
            | SqsOperation::ListQueues
            | SqsOperation::GetQueueAttributes
            | SqsOperation::ChangeMessageVisibility
            | SqsOperation::ChangeMessageVisibilityBatch
            | SqsOperation::ListQueueTags
            | SqsOperation::AddPermission
            | SqsOperation::RemovePermission
            | SqsOperation::ListDeadLetterSourceQueues
            | SqsOperation::StartMessageMoveTask
            | SqsOperation::CancelMessageMoveTask
            | SqsOperation::ListMessageMoveTasks => queues.others.handle_operation(operation, body),
        }
    }
}

/// Records that are to be appended, as lines.
#[derive(Debug, Default)]
struct JournalLines(Vec<u8>);

impl JournalLines {
    fn extend(&mut self, records: impl IntoIterator<Item = JournalRecord>) -> Result<(), SqsError> {
        for record in records {
            let line = record.line().map_err(|error| SqsError::internal_error(error.to_string()))?;
            self.0.extend_from_slice(&line);
        }
        Ok(())
    }
}

/// Notes a message that was sent, and puts right its id if it is one that came before.
fn sent(
    live: &mut LiveMessages,
    lines: &mut JournalLines,
    input: SendMessageInput,
    answered: &mut Option<String>,
    sequence: Option<&str>,
) -> Result<(), SqsError> {
    let id = emulated_id(answered.as_deref())?;
    let queue = name_in(&input.queue_url);
    if !live.is_new(&queue, sequence) {
        if let Some(known) = live.id_of(id) {
            *answered = Some(known.to_string());
        }
        return Ok(());
    }
    let message = SendMessageInput { queue_url: String::new(), ..input };
    let before = lines.0.len();
    lines.extend([JournalRecord::Sent(SentMessage { id, queue: queue.clone(), sent_at: now(), message })])?;
    live.add(id, id, &queue, (lines.0.len() - before) as u64, None);
    Ok(())
}

fn refuse_if_full(live: &LiveMessages) -> Result<(), SqsError> {
    if live.bytes() < MOST_BYTES {
        return Ok(());
    }
    let full = format!("the queues have {MOST_BYTES} bytes of messages, and take more when some were deleted");
    Err(SqsError::new(SqsErrorCode::OverLimit, full))
}

/// The emulator takes a change that it refuses in a new queue, and a start makes all queues anew.
fn refuse_what_cannot_be_made(change: &SetQueueAttributesInput) -> Result<(), SqsError> {
    let Some(policy) = change.attributes.get("RedrivePolicy").filter(|policy| !policy.is_empty()) else {
        return Ok(());
    };
    let policy: RedrivePolicy = serde_json::from_str(policy)
        .map_err(|error| SqsError::invalid_parameter_value(format!("RedrivePolicy can't be read: {error}")))?;
    if policy.max_receive_count < 1 {
        return Err(SqsError::invalid_parameter_value("maxReceiveCount of RedrivePolicy must be 1 or more"));
    }
    Ok(())
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, SqsError> {
    serde_json::from_slice(body)
        .map_err(|error| SqsError::invalid_parameter_value(format!("the request can't be read: {error}")))
}

fn written(output: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(output).map_err(|error| SqsError::internal_error(error.to_string()))?;
    Ok(json_response(body, &Uuid::new_v4().to_string()))
}

/// A queue's URL ends with its name.
fn name_in(url: &str) -> String {
    url.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned()
}

/// A URL under which the emulator knows a queue.
fn url_of(queue: &str) -> String {
    format!("http://localhost/000000000000/{queue}")
}

fn emulated_id(id: Option<&str>) -> Result<Uuid, SqsError> {
    id.and_then(|id| Uuid::parse_str(id).ok()).ok_or_else(|| SqsError::internal_error("a message without an id"))
}

/// The emulator's id of the message, with which its receipt handles begin.
fn id_in(receipt_handle: &str) -> Option<Uuid> {
    let handle = BASE64_STANDARD.decode(receipt_handle).ok()?;
    let (id, _) = std::str::from_utf8(&handle).ok()?.split_once(':')?;
    Uuid::parse_str(id).ok()
}

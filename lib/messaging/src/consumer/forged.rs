//! Moves messages that are not genuine to the dead-letter queue, those of a receive together: there may be many, and the genuine
//! ones behind them must not wait for long.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::dead_letter::{self, LONG_BYTES};
use super::received::ReceivedMessage;
use super::{ANSWER_BOUND, ConsumerContext};
use crate::error::answered;

/// How many KiB of forged messages are moved at once.
const KIB_AT_ONCE: u32 = 1024;

/// What a receive counts at the least: no more than four are moved at once.
const LEAST_KIB: u32 = KIB_AT_ONCE / 4;

/// How long a receive waits for those before it to be moved.
const PATIENCE: Duration = Duration::from_secs(2);

/// Limits how much of forged messages is held in memory, and how many calls move them.
pub(super) struct ForgedLimit(Arc<Semaphore>);

impl Default for ForgedLimit {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(KIB_AT_ONCE as usize)))
    }
}

impl ForgedLimit {
    /// Waits until the messages of a receive can be moved. `None`: the dead-letter queue is too slow. Genuine messages are not to
    /// wait for it, so these ones come again after their visibility timeout.
    pub(super) async fn share(&self, forged: &[ReceivedMessage]) -> Option<OwnedSemaphorePermit> {
        let bytes: usize = forged.iter().map(ReceivedMessage::bytes).sum();
        let kib = u32::try_from(bytes / 1024).unwrap_or(KIB_AT_ONCE).clamp(LEAST_KIB, KIB_AT_ONCE);
        tokio::time::timeout(PATIENCE, Arc::clone(&self.0).acquire_many_owned(kib)).await.ok()?.ok()
    }
}

impl<H> ConsumerContext<H> {
    /// Moves the messages in one call. Returns those that it did not move: they have to be moved one by one.
    pub(super) async fn move_forged(&self, forged: Vec<ReceivedMessage>) -> Vec<ReceivedMessage> {
        let size: usize = forged.iter().map(ReceivedMessage::bytes).sum();
        // A batch has the same limit as a message.
        if forged.len() < 2 || size >= LONG_BYTES {
            return forged;
        }
        let entries: Result<Vec<_>, _> = forged.iter().enumerate().map(|(nth, it)| entry(nth, it)).collect();
        let Ok(entries) = entries else { return forged };
        let request = self.client.send_message_batch().queue_url(&self.queue.dead_letter_url);
        let sent = answered(ANSWER_BOUND, request.set_entries(Some(entries)).send()).await;
        // Those that did arrive are there once, even if they are sent again.
        let Ok(sent) = sent else { return forged };
        let (moved, left): (Vec<_>, Vec<_>) = forged.into_iter().enumerate().partition(|(nth, _)| {
            let nth = nth.to_string();
            sent.successful().iter().any(|entry| entry.id() == nth)
        });
        if let Some((_, first)) = moved.first() {
            // One line for all of them: whoever can write messages must not fill the disk with lines.
            tracing::error!(
                queue = self.queue.name,
                messages = moved.len(),
                message_id = first.message_id,
                group_id = first.group_id,
                reason = first.reason_if_forged(),
                "messages moved to the dead-letter queue: they are not genuine"
            );
        }
        for (_, message) in moved {
            self.acknowledger.acknowledge(message.receipt_handle).await;
        }
        left.into_iter().map(|(_, message)| message).collect()
    }
}

fn entry(
    nth: usize,
    message: &ReceivedMessage,
) -> Result<SendMessageBatchRequestEntry, aws_sdk_sqs::error::BuildError> {
    let reason = message.reason_if_forged().unwrap_or_default();
    SendMessageBatchRequestEntry::builder()
        .id(nth.to_string())
        .message_group_id(&message.group_id)
        .message_deduplication_id(&message.message_id)
        .message_body(&message.body)
        .set_message_attributes(Some(dead_letter::attributes(message, &reason)?))
        .build()
}

//! Deletes handled messages, in batches.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::DeleteMessageBatchRequestEntry;
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::ANSWER_BOUND;
use crate::error::answered;
use crate::queues::Queue;

/// SQS's limit for one call.
const BATCH: usize = 10;

/// How long a handled message waits for others to be deleted with. That is short compared to any handler, and long
/// enough to fill a batch under load. Its group gets no further message meanwhile.
const LINGER: Duration = Duration::from_millis(10);

/// The most concurrent deletions.
const CONCURRENCY: usize = 4;

/// The most tries of a deletion. After that the message is received again, and its handler finds the effect recorded.
const TRIES: u32 = 3;

/// Takes the receipt handles of handled messages.
pub(super) struct Acknowledger {
    receipts: mpsc::Sender<String>,
}

impl Acknowledger {
    /// The task ends when the acknowledger is dropped and every message is deleted.
    pub(super) fn start(client: Client, queue: Queue) -> (Self, JoinHandle<()>) {
        let (receipts, finished) = mpsc::channel(4 * BATCH);
        let deleting = tokio::spawn(async move {
            let batches = stream::unfold(finished, |mut finished| async {
                let batch = next_batch(&mut finished).await?;
                Some((batch, finished))
            });
            batches.for_each_concurrent(CONCURRENCY, |batch| delete(&client, &queue, batch)).await;
        });
        (Self { receipts }, deleting)
    }

    pub(super) async fn acknowledge(&self, receipt_handle: String) {
        if self.receipts.send(receipt_handle).await.is_err() {
            tracing::error!("the deleting task is gone: a finished message will come again");
        }
    }
}

/// Waits for one receipt handle, and a moment for more.
async fn next_batch(finished: &mut mpsc::Receiver<String>) -> Option<Vec<String>> {
    let mut batch = vec![finished.recv().await?];
    let filled = async {
        while batch.len() < BATCH {
            match finished.recv().await {
                Some(receipt) => batch.push(receipt),
                None => return,
            }
        }
    };
    let _ = tokio::time::timeout(LINGER, filled).await;
    Some(batch)
}

async fn delete(client: &Client, queue: &Queue, mut receipts: Vec<String>) {
    for nth in 1..=TRIES {
        receipts = delete_once(client, queue, receipts).await;
        if receipts.is_empty() {
            return;
        }
        tokio::time::sleep(nth * Duration::from_millis(100)).await;
    }
    tracing::warn!(queue = queue.name, messages = receipts.len(), "finished messages not deleted: they come again");
}

/// Returns the receipt handles whose deletion can be retried.
async fn delete_once(client: &Client, queue: &Queue, receipts: Vec<String>) -> Vec<String> {
    let entry = |(nth, receipt): (usize, &String)| {
        DeleteMessageBatchRequestEntry::builder().id(nth.to_string()).receipt_handle(receipt).build()
    };
    let entries: Result<Vec<_>, _> = receipts.iter().enumerate().map(entry).collect();
    let Ok(entries) = entries else { return Vec::new() };
    let request = client.delete_message_batch().queue_url(&queue.url).set_entries(Some(entries));
    match answered(ANSWER_BOUND, request.send()).await {
        Ok(answer) => {
            let mut again = Vec::new();
            for failure in answer.failed() {
                tracing::debug!(queue = queue.name, code = failure.code(), "SQS refused to delete a message");
                // A receipt handle that is at fault, such as an expired one, can't be retried.
                if !failure.sender_fault() {
                    let nth: Option<usize> = failure.id().parse().ok();
                    again.extend(nth.and_then(|nth| receipts.get(nth)).cloned());
                }
            }
            again
        }
        Err(error) => {
            tracing::debug!(queue = queue.name, %error, "deleting a batch failed");
            receipts
        }
    }
}

//! Batches single messages of many callers.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::sync::{mpsc, oneshot};

use super::{BATCH_MESSAGES, OutgoingMessage, Producer, SendError};

/// The most concurrent batches.
const CONCURRENCY: usize = 4;

/// How long a message waits for others to fill its batch. That is short compared to a call, and long enough to fill a
/// batch under load.
const LINGER: Duration = Duration::from_millis(4);

/// Sends single messages of many callers in shared batches. Clones share the batches. Two messages of one group keep
/// their order if the second is sent after the result of the first.
#[derive(Debug, Clone)]
pub struct BatchingProducer {
    messages: mpsc::Sender<QueuedMessage>,
}

struct QueuedMessage {
    message: OutgoingMessage,
    answer: oneshot::Sender<Result<(), SendError>>,
}

impl BatchingProducer {
    /// The task ends with the last clone.
    pub fn start(producer: Producer) -> Self {
        let (messages, waiting) = mpsc::channel(8 * BATCH_MESSAGES);
        tokio::spawn(async move {
            let producer = Arc::new(producer);
            let batches = stream::unfold(waiting, |mut waiting| async {
                let batch = next_batch(&mut waiting).await?;
                Some((batch, waiting))
            });
            batches.for_each_concurrent(CONCURRENCY, |batch| send(Arc::clone(&producer), batch)).await;
        });
        Self { messages }
    }

    /// `Ok` means that SQS has the message.
    pub async fn send(&self, message: OutgoingMessage) -> Result<(), SendError> {
        let (answer, answered) = oneshot::channel();
        // These fail only if the runtime is shutting down.
        self.messages.send(QueuedMessage { message, answer }).await.map_err(|_| SendError::Unanswered)?;
        answered.await.unwrap_or(Err(SendError::Unanswered))
    }
}

/// Waits for one message, and a moment for more.
async fn next_batch(waiting: &mut mpsc::Receiver<QueuedMessage>) -> Option<Vec<QueuedMessage>> {
    let mut batch = vec![waiting.recv().await?];
    let filled = async {
        while batch.len() < BATCH_MESSAGES {
            let most = BATCH_MESSAGES - batch.len();
            if waiting.recv_many(&mut batch, most).await == 0 {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(LINGER, filled).await;
    Some(batch)
}

async fn send(producer: Arc<Producer>, batch: Vec<QueuedMessage>) {
    let (messages, answers): (Vec<_>, Vec<_>) = batch.into_iter().map(|it| (it.message, it.answer)).unzip();
    for (result, answer) in producer.send(messages).await.into_iter().zip(answers) {
        // A caller that was dropped needs no result.
        let _ = answer.send(result);
    }
}

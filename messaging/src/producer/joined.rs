//! Lets many who each send one message share batches.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use tokio::sync::{mpsc, oneshot};

use super::{BATCH_MESSAGES, Outgoing, Producer, SendError};

/// How many batches travel at once. While they do, messages gather for the next one, so batches grow with the load and
/// nobody waits for one to fill.
const CONCURRENCY: usize = 2;

/// Sends single messages of many callers in common batches. Clones share the batches. Two messages of one group keep their
/// order if the second is sent after the first was answered.
#[derive(Debug, Clone)]
pub struct JoinedProducer {
    messages: mpsc::Sender<Waiting>,
}

struct Waiting {
    message: Outgoing,
    answer: oneshot::Sender<Result<(), SendError>>,
}

impl JoinedProducer {
    /// Its task ends with the last clone.
    pub fn start(producer: Producer) -> Self {
        let (messages, waiting) = mpsc::channel(8 * BATCH_MESSAGES);
        tokio::spawn(async move {
            let producer = Arc::new(producer);
            let batches = stream::unfold(waiting, |mut waiting| async {
                let mut batch = Vec::with_capacity(BATCH_MESSAGES);
                let some = waiting.recv_many(&mut batch, BATCH_MESSAGES).await > 0;
                some.then_some((batch, waiting))
            });
            batches.for_each_concurrent(CONCURRENCY, |batch| send(Arc::clone(&producer), batch)).await;
        });
        Self { messages }
    }

    /// `Ok` means that SQS has the message.
    pub async fn send(&self, message: Outgoing) -> Result<(), SendError> {
        let (answer, answered) = oneshot::channel();
        // Neither fails unless the runtime is going down.
        self.messages.send(Waiting { message, answer }).await.map_err(|_| SendError::Unanswered)?;
        answered.await.unwrap_or(Err(SendError::Unanswered))
    }
}

async fn send(producer: Arc<Producer>, batch: Vec<Waiting>) {
    let (messages, answers): (Vec<_>, Vec<_>) = batch.into_iter().map(|it| (it.message, it.answer)).unzip();
    for (result, answer) in producer.send(messages).await.into_iter().zip(answers) {
        // Whoever stopped waiting does not need to know.
        let _ = answer.send(result);
    }
}

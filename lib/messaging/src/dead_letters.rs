//! What operators do with dead letters: list, edit, redrive and discard them.
//!
//! - A [`DeadLetterScan`] reads a dead-letter queue once. The dead letters that it has read stay hidden from others until it is
//!   released; then they are visible again in their old order. If its process dies, they are visible again after half a
//!   minute.
//! - SQS hands out no further message of a group while one is hidden; some servers hand out only one message of a group
//!   at a time. So a dead letter can be stuck behind an earlier one of its order. [`DeadLetterScan::unseen`] counts these.
//! - Only a genuine dead letter is redriven, or changed in part: what is sent is signed. Nobody's message is signed
//!   because an operator did not look.
//! - A dead letter that is redriven is deleted only after its original queue has it. A crash in between leaves it in
//!   both queues; handlers survive that.

mod dead_letter;
mod edit;
mod redrive;
mod sweep;

use std::fmt;
use std::str::FromStr;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName as Attribute;

use crate::error::{CallError, answered};
use crate::producer::SendError;
use crate::queues::{Queue, Queues};

pub use dead_letter::DeadLetter;
pub use edit::{BodyEditError, BodyFieldEdit};
pub use sweep::DeadLetterScan;

/// The dead-letter queue of one queue, as operators list, edit, redrive and discard what is in it.
#[derive(Debug, Clone)]
pub struct DeadLetterQueue {
    client: Client,
    origin: DeadLetterOrigin,
    queue: Queue,
}

impl DeadLetterQueue {
    pub fn of(client: Client, origin: DeadLetterOrigin, queues: &Queues) -> Self {
        Self { client, origin, queue: queues.of(origin).clone() }
    }

    /// The queue that they came from, and are redriven to.
    pub fn origin(&self) -> DeadLetterOrigin {
        self.origin
    }

    pub fn queue_name(&self) -> &str {
        &self.queue.name
    }

    /// Begins to read them. Nothing is received before the first call of [`DeadLetterScan::next`].
    pub fn sweep(&self) -> DeadLetterScan {
        DeadLetterScan::new(self.clone())
    }

    /// How many there are, hidden or not. SQS's count is approximate.
    pub async fn count(&self) -> Result<u64, DeadLetterError> {
        self.sum_of(&[Attribute::ApproximateNumberOfMessages, Attribute::ApproximateNumberOfMessagesNotVisible]).await
    }

    /// How many are not hidden, likewise.
    async fn count_visible(&self) -> Result<u64, DeadLetterError> {
        self.sum_of(&[Attribute::ApproximateNumberOfMessages]).await
    }

    async fn sum_of(&self, counts: &[Attribute]) -> Result<u64, DeadLetterError> {
        let failed = |source| DeadLetterError::Count { queue: self.queue.name.clone(), source };
        let request = self.client.get_queue_attributes().queue_url(&self.queue.dead_letter_url);
        let request = request.set_attribute_names(Some(counts.to_vec()));
        let answer = answered(sweep::ANSWER_BOUND, request.send()).await.map_err(failed)?;
        Ok(answer.attributes.unwrap_or_default().values().filter_map(|count| count.parse::<u64>().ok()).sum())
    }
}

/// The queue that a dead letter came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeadLetterOrigin {
    Notifications,
    Replies,
}

impl DeadLetterOrigin {
    pub const ALL: [Self; 2] = [Self::Notifications, Self::Replies];

    /// Its part of the queue's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Notifications => "notifications",
            Self::Replies => "replies",
        }
    }
}

impl fmt::Display for DeadLetterOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for DeadLetterOrigin {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|origin| origin.as_str() == name);
        known.ok_or_else(|| "must be notifications or replies".to_owned())
    }
}

/// Why dead letters could not be read, counted, sent or deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterError {
    #[error("the dead letters of `{queue}` can't be read")]
    Receive { queue: String, source: CallError },
    #[error("the dead letters of `{queue}` can't be counted")]
    Count { queue: String, source: CallError },
    /// It is still a dead letter. After [`SendError::Batch`] and [`SendError::TimedOut`] it may have been sent all the
    /// same.
    #[error("dead letter {id} was not sent")]
    Send { id: String, source: SendError },
    /// It is still a dead letter.
    #[error("dead letter {id} was not deleted")]
    Delete { id: String, source: CallError },
    /// It is in both queues.
    #[error("dead letter {id} was sent, but not deleted: the next redrive sends it a second time")]
    SentOnly { id: String, source: CallError },
}

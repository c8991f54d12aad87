//! Dead letters in the hands of operators: looked at, changed, sent again, discarded.
//!
//! - A [`Sweep`] goes through a dead-letter queue once. What it hands out stays hidden from others until the sweep is released,
//!   and is back in its old place then. A sweep that dies lets go by itself after half a minute.
//! - SQS hands out nothing of a group of which a message is in somebody's hands, and some servers one message of a group at a
//!   time: so a dead letter can wait behind an earlier one of its order, where nobody can look at it. [`Sweep::unseen`] counts
//!   these.
//! - What is sent again is deleted only after its queue has taken it. A crash in between leaves it in both; handlers survive that.

mod again;
mod edit;
mod letter;
mod sweep;

use std::fmt;
use std::str::FromStr;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName as Attribute;

use crate::failure::{SqsError, answered};
use crate::producer::SendError;
use crate::queues::{Queue, Queues};

pub use again::{REDRIVEN_ATTRIBUTE, RUN_ATTRIBUTE};
pub use edit::{Assignment, EditError};
pub use letter::DeadLetter;
pub use sweep::Sweep;

/// The dead letters of one queue.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    client: Client,
    origin: Origin,
    queue: Queue,
}

impl DeadLetters {
    /// The dead letters of this one of the queues.
    pub fn of(client: Client, origin: Origin, queues: &Queues) -> Self {
        Self { client, origin, queue: queues.of(origin).clone() }
    }

    /// Which queue they were meant for, and are sent to again.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The name of that queue.
    pub fn queue_name(&self) -> &str {
        &self.queue.name
    }

    /// A look at all of them, once. Nothing happens before its first call.
    pub fn sweep(&self) -> Sweep {
        Sweep::new(self.clone())
    }

    /// How many there are, in somebody's hands or not. SQS says so approximately.
    pub async fn count(&self) -> Result<u64, DeadLetterError> {
        let failed = |source| DeadLetterError::Count { queue: self.queue.name.clone(), source };
        let request = self
            .client
            .get_queue_attributes()
            .queue_url(&self.queue.dead_letter_url)
            .attribute_names(Attribute::ApproximateNumberOfMessages)
            .attribute_names(Attribute::ApproximateNumberOfMessagesNotVisible);
        let answer = answered(sweep::ANSWER_BOUND, request.send()).await.map_err(failed)?;
        Ok(answer.attributes.unwrap_or_default().values().filter_map(|count| count.parse::<u64>().ok()).sum())
    }
}

/// Which queue a dead letter was meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Requests to notification.
    Notifications,
    /// Answers to the fulfilment saga.
    Replies,
}

impl Origin {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Notifications, Self::Replies];

    /// As it is called in the queue's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Notifications => "notifications",
            Self::Replies => "replies",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|origin| origin.as_str() == name);
        known.ok_or_else(|| "must be notifications or replies".to_owned())
    }
}

/// What could not be done with dead letters.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterError {
    /// They can't be read.
    #[error("the dead letters of `{queue}` can't be read")]
    Receive {
        /// Whose they are.
        queue: String,
        /// What SQS said.
        source: SqsError,
    },
    /// They can't be counted.
    #[error("the dead letters of `{queue}` can't be counted")]
    Count {
        /// Whose they are.
        queue: String,
        /// What SQS said.
        source: SqsError,
    },
    /// It stays where it is. (After [`SendError::Batch`] and [`SendError::TimedOut`] it may have been sent all the same.)
    #[error("dead letter {id} was not sent")]
    Send {
        /// Which one.
        id: String,
        /// What was in the way.
        source: SendError,
    },
    /// It stays where it is.
    #[error("dead letter {id} was not deleted")]
    Delete {
        /// Which one.
        id: String,
        /// What SQS said.
        source: SqsError,
    },
    /// It is where it should be, and still here as well.
    #[error("dead letter {id} was sent, but not deleted: the next redrive sends it a second time")]
    SentOnly {
        /// Which one.
        id: String,
        /// What SQS said.
        source: SqsError,
    },
}

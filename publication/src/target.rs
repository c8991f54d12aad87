//! Where events are published.

use std::fmt;

use messaging::queues::{QueueSetupError, find_or_create_events_queue};
use messaging::{OutgoingMessage, Producer, ProducerSettings, SendError, TopicError, TopicProducer};

/// Batches that are sent at the same time.
const CONCURRENCY: usize = 8;

/// Where events are published.
#[derive(Debug, Clone)]
pub enum PublicationTarget {
    /// A FIFO queue of SQS, which is made if it is missing.
    Queue {
        sqs: aws_sdk_sqs::Client,
        /// With its ending `.fifo`.
        name: String,
    },
    /// A FIFO topic of SNS.
    Topic {
        /// In the topic's region.
        sns: aws_sdk_sns::Client,
        arn: String,
    },
}

/// A target that was found.
#[derive(Debug, Clone)]
pub(crate) struct OpenTarget {
    producer: TargetProducer,
    /// The most bytes that it takes as one message.
    pub(crate) message_bytes: usize,
}

#[derive(Debug, Clone)]
enum TargetProducer {
    Queue(Producer),
    Topic(TopicProducer),
}

/// Why a target can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    #[error(transparent)]
    Queue(#[from] QueueSetupError),
    #[error(transparent)]
    Topic(#[from] TopicError),
}

impl PublicationTarget {
    /// The name of the subscription that publishes there.
    pub(crate) fn subscription(&self) -> &'static str {
        match self {
            Self::Queue { .. } => "events-queue",
            Self::Topic { .. } => "events-topic",
        }
    }

    /// What kind of target it is, in one word.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Queue { .. } => "queue",
            Self::Topic { .. } => "topic",
        }
    }

    pub(crate) async fn open(&self) -> Result<OpenTarget, TargetError> {
        let settings = ProducerSettings { concurrency: CONCURRENCY, ..ProducerSettings::default() };
        match self {
            Self::Queue { sqs, name } => {
                let queue = find_or_create_events_queue(sqs, name).await?;
                let message_bytes = queue.message_bytes;
                let settings = ProducerSettings { batch_bytes: message_bytes, ..settings };
                let producer = TargetProducer::Queue(Producer::unsigned(sqs.clone(), queue.url, settings));
                Ok(OpenTarget { producer, message_bytes })
            }
            Self::Topic { sns, arn } => {
                let producer = TopicProducer::find(sns.clone(), arn.clone(), settings).await?;
                let message_bytes = producer.message_bytes();
                Ok(OpenTarget { producer: TargetProducer::Topic(producer), message_bytes })
            }
        }
    }
}

/// As operators read it: `queue ordo-events.fifo`.
impl fmt::Display for PublicationTarget {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Queue { name, .. } | Self::Topic { arn: name, .. }) = self;
        write!(to, "{} {name}", self.kind())
    }
}

impl OpenTarget {
    /// Sends messages. The result has one entry per message, in the order given.
    pub(crate) async fn send(&self, messages: Vec<OutgoingMessage>) -> Vec<Result<(), SendError>> {
        match &self.producer {
            TargetProducer::Queue(queue) => queue.send(messages).await,
            TargetProducer::Topic(topic) => topic.send(messages).await,
        }
    }
}

//! The queue of events for other programs.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName as Attribute;

use super::{QueueSetupError, attributes, ensure_one, find_one};
use crate::error::answered;
use crate::queues::QueueProvisioningSettings;

/// What every SQS server takes.
const USUAL_MESSAGE_BYTES: usize = 256 * 1024;
/// What AWS takes at the most, of a message and of a batch.
const MOST_MESSAGE_BYTES: usize = 1024 * 1024;

/// A FIFO queue that other programs read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventsQueue {
    pub url: String,
    /// The most bytes that it takes as one message.
    pub message_bytes: usize,
}

/// Finds the queue, or creates it if it is missing. The attributes of one that is there are its owner's, and stay.
pub async fn find_or_create_events_queue(client: &Client, name: &str) -> Result<EventsQueue, QueueSetupError> {
    let url = match find_one(client, name).await {
        Err(QueueSetupError::Find { name, source }) if source.is_missing_queue() => {
            tracing::warn!(queue = name, "the queue is not there: making it");
            let settings = QueueProvisioningSettings::default();
            // Who reads it may be away for long.
            ensure_one(client, &name, &attributes(&settings, settings.dead_letter_retention)).await?
        }
        found => found?,
    };
    let asked = client.get_queue_attributes().queue_url(&url).attribute_names(Attribute::MaximumMessageSize);
    let described = answered(super::ANSWER_BOUND, asked.send()).await;
    let described = described.map_err(|source| QueueSetupError::Describe { name: name.into(), source })?;
    let most = described.attributes.and_then(|attributes| attributes.get(&Attribute::MaximumMessageSize)?.parse().ok());
    Ok(EventsQueue { url, message_bytes: most.unwrap_or(USUAL_MESSAGE_BYTES).clamp(1024, MOST_MESSAGE_BYTES) })
}

//! How many messages a queue has.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;

use crate::error::{CallError, answered};

/// Counts visible, hidden and delayed messages.
const COUNTED: [QueueAttributeName; 3] = [
    QueueAttributeName::ApproximateNumberOfMessages,
    QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
    QueueAttributeName::ApproximateNumberOfMessagesDelayed,
];
/// How long SQS may take to answer.
const ANSWER_BOUND: Duration = Duration::from_secs(5);

/// Asks how many messages a queue has. Cheap to clone.
#[derive(Debug, Clone)]
pub struct QueueDepthReader {
    client: Client,
    queue_url: String,
}

impl QueueDepthReader {
    pub(crate) fn of(client: Client, queue_url: String) -> Self {
        Self { client, queue_url }
    }

    /// About how many messages the queue has. SQS's count is approximate and may be a moment old.
    pub async fn messages(&self) -> Result<u64, CallError> {
        let request = self.client.get_queue_attributes().queue_url(&self.queue_url);
        let request = request.set_attribute_names(Some(COUNTED.to_vec()));
        let answer = answered(ANSWER_BOUND, request.send()).await?;
        let counts = answer.attributes().into_iter().flat_map(|attributes| attributes.values());
        Ok(counts.filter_map(|count| count.parse::<u64>().ok()).sum())
    }
}

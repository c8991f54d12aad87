//! Messages that nobody can handle.

use anyhow::{Context, ensure};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use tokio::task::JoinSet;

const QUEUE: &str = "ordo-notifications-dlq.fifo";
/// How many batches are sent at the same time.
const SENDERS: u64 = 8;
/// The most messages of a batch.
const BATCH: u64 = 10;

/// Sends so many into the queue where they end up. What they say is no message of the platform's.
pub(super) async fn send(endpoint: &str, letters: u64) -> anyhow::Result<()> {
    let settings = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(embedded::sqs::REGION))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new("bench", "bench", None, None, "bench"))
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    let client = Client::from_conf(settings.build());
    let queue = client.get_queue_url().queue_name(QUEUE).send().await.context("there is no dead-letter queue")?;
    let url = queue.queue_url().context("the queue has no address")?.to_owned();
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        senders.spawn(send_every(client.clone(), url.clone(), sender, letters));
    }
    while let Some(sent) = senders.join_next().await {
        sent??;
    }
    Ok(())
}

/// Every eighth batch, from the one with this number on.
async fn send_every(client: Client, url: String, first: u64, letters: u64) -> anyhow::Result<()> {
    let mut begin = first * BATCH;
    while begin < letters {
        let mut batch = client.send_message_batch().queue_url(&url);
        for nth in begin..letters.min(begin + BATCH) {
            let entry = SendMessageBatchRequestEntry::builder()
                .id(nth.to_string())
                .message_group_id(format!("order-{nth}"))
                .message_deduplication_id(nth.to_string())
                .message_body(format!(r#"{{"specversion":"1.0","id":"{nth}","type":"nothing.known"}}"#));
            batch = batch.entries(entry.build()?);
        }
        let answer = batch.send().await.context("dead letters cannot be sent")?;
        ensure!(answer.failed().is_empty(), "dead letters were refused: {:?}", answer.failed());
        begin += SENDERS * BATCH;
    }
    Ok(())
}

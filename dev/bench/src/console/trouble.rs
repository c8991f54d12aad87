//! What an operator finds: sagas that are stuck, messages that nobody can handle.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use aws_sdk_sqs::{Client, Config};
use sqlx::PgPool;

/// Without any progress for so long, something is wrong.
const PATIENCE: Duration = Duration::from_secs(120);
const DEAD_LETTERS: &str = "ordo-notifications-dlq.fifo";

/// As the sagas leave it when a step fails for longer than its deadline.
const STICK: &str = r"
    insert into saga_work (saga, order_id, step, sent, failures, due_at, stuck, last_error, seen, since)
    select 'order_fulfilment', 'read-' || lpad(nth::text, 12, '0'), 'notify_customer', 3, 40,
           now() + interval '1 day', true, 'the mail service refuses: reason ' || nth % 7, 4, now() - nth * interval '1 second'
      from generate_series(0, $1 - 1) as nth";

/// Waits until every subscription has handled what is in the log.
pub(super) async fn until_all_followed(pool: &PgPool) -> anyhow::Result<()> {
    let (mut least, mut since) = (i64::MAX, Instant::now());
    loop {
        let behind = event_store::operations::lag(pool).await?.iter().map(|it| it.lag_events).max().unwrap_or(0);
        if behind == 0 {
            return Ok(());
        }
        if behind < least {
            (least, since) = (behind, Instant::now());
        }
        ensure!(since.elapsed() < PATIENCE, "a subscription stands still, {behind} events behind");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

pub(super) async fn stick_sagas(pool: &PgPool, sagas: u64) -> anyhow::Result<()> {
    let sagas = i64::try_from(sagas).context("that is too many sagas")?;
    sqlx::query(STICK).bind(sagas).execute(pool).await.context("the sagas cannot be entered")?;
    sqlx::query("analyze saga_work").execute(pool).await?;
    Ok(())
}

/// Into the queue where they end up. What they say is no message of the platform's.
pub(super) async fn send_dead_letters(endpoint: &str, letters: u64) -> anyhow::Result<()> {
    let settings = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new("bench", "bench", None, None, "bench"));
    let client = Client::from_conf(settings.build());
    let queue =
        client.get_queue_url().queue_name(DEAD_LETTERS).send().await.context("there is no dead-letter queue")?;
    let url = queue.queue_url().context("the queue has no address")?;
    let mut sent = 0;
    while sent < letters {
        let mut batch = client.send_message_batch().queue_url(url);
        for nth in sent..letters.min(sent + 10) {
            let entry = SendMessageBatchRequestEntry::builder()
                .id(nth.to_string())
                .message_group_id(format!("order-{nth}"))
                .message_deduplication_id(nth.to_string())
                .message_body(format!(r#"{{"specversion":"1.0","id":"{nth}","type":"nothing.known"}}"#));
            batch = batch.entries(entry.build()?);
        }
        let answer = batch.send().await.context("dead letters cannot be sent")?;
        ensure!(answer.failed().is_empty(), "dead letters were refused: {:?}", answer.failed());
        sent = letters.min(sent + 10);
    }
    Ok(())
}

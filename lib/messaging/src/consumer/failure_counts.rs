//! Counts in the database how often handlers have failed with a message.
//!
//! SQS counts how often it handed a message out. That includes messages that were returned without being handled,
//! because a process stopped or a message of the same group failed before. Only a handler's failure is an attempt.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::Semaphore;

/// How long the database may take. After that a failure is not counted, or an earlier count is not known: the message
/// gets one more attempt.
const BOUND: Duration = Duration::from_secs(2);

/// The table `message_failures`. It uses at most one connection. Clones share that.
#[derive(Debug, Clone)]
pub struct MessageFailureCounts {
    pool: PgPool,
    /// In an outage every message fails. Counting that must not use up all connections.
    permit: Arc<Semaphore>,
}

impl MessageFailureCounts {
    pub fn new(pool: PgPool) -> Self {
        Self { pool, permit: Arc::new(Semaphore::new(1)) }
    }

    /// How often handlers have failed with each of these messages. Messages without failures are not in the result.
    pub(super) async fn load(&self, queue: &str, message_ids: &[&str]) -> HashMap<String, u32> {
        let query = sqlx::query_as(
            "select message_id, failures from message_failures where queue = $1 and message_id = any($2)",
        );
        let query = query.bind(queue).bind(message_ids).fetch_all(&self.pool);
        let known: Vec<(String, i32)> = self.bounded(queue, query).await.unwrap_or_default();
        known.into_iter().map(|(id, failures)| (id, failures.unsigned_abs())).collect()
    }

    /// Counts a failure. Also deletes counts that are older than any message can be.
    pub(super) async fn increment(&self, queue: &str, message_id: &str) {
        let query = sqlx::query(
            "with outlived as (
                 select ctid from message_failures where failed_at < now() - interval '15 days' limit 100 for update skip locked
             ), forgotten as (
                 delete from message_failures where ctid = any(array(select ctid from outlived))
             )
             insert into message_failures (queue, message_id, failures) values ($1, $2, 1)
             on conflict (queue, message_id) do update set failures = message_failures.failures + 1, failed_at = now()",
        );
        self.bounded(queue, query.bind(queue).bind(message_id).execute(&self.pool)).await;
    }

    /// Deletes the count of a message that is done or dead.
    pub(super) async fn delete(&self, queue: &str, message_id: &str) {
        let query = sqlx::query("delete from message_failures where queue = $1 and message_id = $2");
        self.bounded(queue, query.bind(queue).bind(message_id).execute(&self.pool)).await;
    }

    /// The result of a query, if it comes in time.
    async fn bounded<T>(&self, queue: &str, query: impl Future<Output = Result<T, sqlx::Error>>) -> Option<T> {
        let permitted = async {
            let _permit = self.permit.acquire().await;
            query.await
        };
        match tokio::time::timeout(BOUND, permitted).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => tracing::warn!(queue, %error, "the failures with a message are not known or noted"),
            Err(_) => tracing::warn!(queue, "the failures with a message are not known or noted in time"),
        }
        None
    }
}

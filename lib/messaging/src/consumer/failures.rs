//! How often handlers have failed with a message, where it outlives the process.
//!
//! SQS counts how often it handed a message out. That includes what was handed back untried, when a process stopped or because a
//! message of the same group failed before it. Only a handler's failure is an attempt.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::Semaphore;

/// How long the database may take. Beyond that a failure is not counted, and one that was counted before is not known of: the message
/// is tried once more than it would have been.
const BOUND: Duration = Duration::from_secs(2);

/// The failures with messages, kept in the database. Takes one of its connections at the most. Clones share it.
#[derive(Debug, Clone)]
pub struct Failures {
    pool: PgPool,
    /// An outage has every message fail: that must not take all connections from those whose work it is to mend it.
    turn: Arc<Semaphore>,
}

impl Failures {
    /// Those that are noted in this database, which has the table `message_failures`.
    pub fn kept_in(pool: PgPool) -> Self {
        Self { pool, turn: Arc::new(Semaphore::new(1)) }
    }

    /// How often handlers have failed with each of these messages; those with which they never did are left out.
    pub(super) async fn of(&self, queue: &str, message_ids: &[&str]) -> HashMap<String, u32> {
        let asking = sqlx::query_as(
            "select message_id, failures from message_failures where queue = $1 and message_id = any($2)",
        );
        let asking = asking.bind(queue).bind(message_ids).fetch_all(&self.pool);
        let known: Vec<(String, i32)> = self.bounded(queue, asking).await.unwrap_or_default();
        known.into_iter().map(|(id, failures)| (id, failures.unsigned_abs())).collect()
    }

    /// Its handler failed with this message once more. What is older than any message can be is forgotten on the way.
    pub(super) async fn note(&self, queue: &str, message_id: &str) {
        let noting = sqlx::query(
            "with outlived as (
                 select ctid from message_failures where failed_at < now() - interval '15 days' limit 100 for update skip locked
             ), forgotten as (
                 delete from message_failures where ctid = any(array(select ctid from outlived))
             )
             insert into message_failures (queue, message_id, failures) values ($1, $2, 1)
             on conflict (queue, message_id) do update set failures = message_failures.failures + 1, failed_at = now()",
        );
        self.bounded(queue, noting.bind(queue).bind(message_id).execute(&self.pool)).await;
    }

    /// The message is done with, one way or the other.
    pub(super) async fn forget(&self, queue: &str, message_id: &str) {
        let forgetting = sqlx::query("delete from message_failures where queue = $1 and message_id = $2");
        self.bounded(queue, forgetting.bind(queue).bind(message_id).execute(&self.pool)).await;
    }

    /// What the database says, if it says it in time.
    async fn bounded<T>(&self, queue: &str, asking: impl Future<Output = Result<T, sqlx::Error>>) -> Option<T> {
        let in_turn = async {
            let _turn = self.turn.acquire().await;
            asking.await
        };
        match tokio::time::timeout(BOUND, in_turn).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => tracing::warn!(queue, %error, "the failures with a message are not known or noted"),
            Err(_) => tracing::warn!(queue, "the failures with a message are not known or noted in time"),
        }
        None
    }
}

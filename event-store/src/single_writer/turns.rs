//! Who may decide on which streams now: in this process by locks, everywhere by advisory locks, one for each partition. All take
//! them in ascending order, first those here and then those everywhere, so that nobody waits in a circle.

use std::collections::BTreeSet;
use std::sync::Arc;

use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use tokio::sync::{Mutex, MutexGuard, OwnedSemaphorePermit, Semaphore};

use crate::subscription::PARTITIONS;

/// How many turns hold a connection at once. Those after them wait, so that turns leave the pool to others.
const CONNECTIONS: usize = 2;
/// Sets these locks apart from all others; any fixed number. The log's own has one key of 64 bits, which is another space.
const NAMESPACE: i32 = 1_953_853_042;
/// A copy that freezes in the middle of its turn loses it after 2 s: its session is ended. Others wait for somewhat longer than
/// that, for each partition, and then go on without.
const BEGIN: &str = "begin; set local idle_in_transaction_session_timeout = '2s'; set local lock_timeout = '2500ms'";

/// A turn on one partition among those who share the [`Turns`].
pub(super) type Here<'a> = MutexGuard<'a, ()>;

/// Who has which turn in this process.
#[derive(Clone)]
pub(super) struct Turns {
    partitions: Arc<[Mutex<()>; PARTITIONS]>,
    connections: Arc<Semaphore>,
}

/// A turn on some partitions among all who use the database, until it is dropped.
pub(super) struct Everywhere {
    transaction: Transaction<'static, Postgres>,
    _connection: OwnedSemaphorePermit,
}

impl Default for Turns {
    fn default() -> Self {
        Self { partitions: Arc::default(), connections: Arc::new(Semaphore::new(CONNECTIONS)) }
    }
}

impl Turns {
    /// Waits in line: whoever came first goes first.
    pub(super) async fn here(&self, partitions: &BTreeSet<usize>) -> Vec<Here<'_>> {
        let mut here = Vec::with_capacity(partitions.len());
        for partition in partitions {
            here.push(self.partitions[*partition].lock().await);
        }
        here
    }

    /// Waits for those in other processes. `None`: there is nothing to wait for, or it can't be had.
    pub(super) async fn everywhere(&self, pool: &PgPool, partitions: &BTreeSet<usize>) -> Option<Everywhere> {
        if partitions.is_empty() {
            return None;
        }
        // It is never closed.
        let connection = Arc::clone(&self.connections).acquire_owned().await.ok()?;
        match lock(pool, partitions).await {
            Ok(transaction) => Some(Everywhere { transaction, _connection: connection }),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "another copy does not end its turn on a stream; going on without one"
                );
                None
            }
        }
    }
}

impl Everywhere {
    /// The connection that holds the turn.
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }
}

async fn lock(pool: &PgPool, partitions: &BTreeSet<usize>) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let keys: Vec<i32> = partitions.iter().filter_map(|partition| i32::try_from(*partition).ok()).collect();
    let mut transaction = pool.begin_with(BEGIN).await?;
    sqlx::query("select pg_advisory_xact_lock($1, partition) from unnest($2::int[]) as partition")
        .bind(NAMESPACE)
        .bind(keys)
        .execute(&mut *transaction)
        .await?;
    Ok(transaction)
}

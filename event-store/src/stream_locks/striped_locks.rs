//! The locks themselves, one for each partition: mutexes in this process, advisory locks in the database. Everybody takes them in
//! ascending order, the mutexes first, so that there is no deadlock.

use std::collections::BTreeSet;
use std::sync::Arc;

use error_chain::error_chain;
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use tokio::sync::{Mutex, MutexGuard, OwnedSemaphorePermit, Semaphore};

use crate::subscription::PARTITIONS;

/// How many locks hold a connection at once. Further ones wait, so that the rest of the pool is left to others.
const CONNECTIONS: usize = 2;
/// A process that freezes while it holds a lock loses it after 2 s: its session is ended. Others wait somewhat longer than that, for
/// each partition, and then go on without the lock.
const BEGIN: &str = "begin; set local idle_in_transaction_session_timeout = '2s'; set local lock_timeout = '2500ms'";

/// A lock on one partition within this process.
pub(super) type ProcessLock<'a> = MutexGuard<'a, ()>;

/// The locks of one [`StreamLocks`](super::StreamLocks) and its clones.
#[derive(Clone)]
pub(super) struct StripedLocks {
    /// Sets the locks of a type of streams apart from those of all others: nobody who sells waits for numbers of invoices.
    namespace: i32,
    partitions: Arc<[Mutex<()>; PARTITIONS]>,
    connections: Arc<Semaphore>,
}

/// A lock on some partitions among all processes that use the database, until it is dropped.
pub(super) struct AdvisoryLocksGuard {
    transaction: Transaction<'static, Postgres>,
    _connection: OwnedSemaphorePermit,
}

impl StripedLocks {
    /// The locks of the streams of a type.
    pub(super) fn of(stream_type: &str) -> Self {
        let (partitions, connections) = (Arc::default(), Arc::new(Semaphore::new(CONNECTIONS)));
        Self { namespace: namespace_of(stream_type), partitions, connections }
    }

    /// Waits for the mutexes, first come, first served.
    pub(super) async fn lock_in_process(&self, partitions: &BTreeSet<usize>) -> Vec<ProcessLock<'_>> {
        let mut locks = Vec::with_capacity(partitions.len());
        for partition in partitions {
            locks.push(self.partitions[*partition].lock().await);
        }
        locks
    }

    /// Waits for other processes. `None`: there is nothing to lock, or the lock can't be had.
    pub(super) async fn lock_in_database(
        &self,
        pool: &PgPool,
        partitions: &BTreeSet<usize>,
    ) -> Option<AdvisoryLocksGuard> {
        if partitions.is_empty() {
            return None;
        }
        // It is never closed.
        let connection = Arc::clone(&self.connections).acquire_owned().await.ok()?;
        match lock(pool, self.namespace, partitions).await {
            Ok(transaction) => Some(AdvisoryLocksGuard { transaction, _connection: connection }),
            Err(error) => {
                tracing::warn!(
                    error = %error_chain(&error),
                    "another copy does not end its turn on a stream; going on without one"
                );
                None
            }
        }
    }
}

impl AdvisoryLocksGuard {
    /// The connection that holds the lock.
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }
}

/// The first of the two keys of an advisory lock, from the first bytes of a hash: the small ones are others'. The log's own lock has one key
/// of 64 bits, which is another space.
fn namespace_of(stream_type: &str) -> i32 {
    let digest = Sha256::digest(format!("stream locks of {stream_type}"));
    i32::from_be_bytes([digest[0] & 0x7f | 0x40, digest[1], digest[2], digest[3]])
}

async fn lock(
    pool: &PgPool,
    namespace: i32,
    partitions: &BTreeSet<usize>,
) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let keys: Vec<i32> = partitions.iter().filter_map(|partition| i32::try_from(*partition).ok()).collect();
    let mut transaction = pool.begin_with(BEGIN).await?;
    sqlx::query("select pg_advisory_xact_lock($1, partition) from unnest($2::int[]) as partition")
        .bind(namespace)
        .bind(keys)
        .execute(&mut *transaction)
        .await?;
    Ok(transaction)
}

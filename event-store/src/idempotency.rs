//! Idempotency keys: a client that did not get the answer can send its request again, and the command is handled once.
//!
//! A record is written in the transaction that stores the command's events. It does not hold the answer but what the answer is made
//! from: a stream, a version of it, and with that the position of an event.

use std::collections::HashMap;
use std::time::Duration;

use error_chain::error_chain;
use sqlx::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;

use crate::{EventStore, lacks_rights};

/// How long records are kept at least: longer than any client retries.
const KEPT: &str = "24 hours";
/// How often older records are looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);
/// The most records that one statement deletes: few enough to hold no lock for long.
const PRUNE_CHUNK: i64 = 10_000;

/// The key of a request that is handled once, however often it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Caller and command: the same key in another scope is another key.
    pub scope: String,
    /// The key that the client chose.
    pub key: String,
    /// A hash of the request, so that the key can't be used for another one.
    pub request_hash: [u8; 32],
}

/// The record of a request that was handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// The hash of the request.
    pub request_hash: Vec<u8>,
    /// The stream in the answer.
    pub stream_id: String,
    /// The stream's version in the answer.
    pub version: i64,
    /// The position of that version's event; 0: the stream had no events.
    pub position: i64,
}

/// A record that is to be written.
#[derive(Debug, Clone)]
pub(crate) struct NewIdempotencyRecord {
    pub(crate) key: IdempotencyKey,
    pub(crate) stream_type: &'static str,
    pub(crate) stream_id: String,
    pub(crate) version: i64,
}

impl EventStore {
    /// The record of a key, if its request was handled and is not forgotten.
    pub async fn find_idempotency_record(
        &self,
        key: &IdempotencyKey,
    ) -> Result<Option<IdempotencyRecord>, sqlx::Error> {
        let found = find_records(&mut *self.pool().acquire().await?, &[key]).await?;
        Ok(found.into_values().next())
    }
}

/// The records of those keys that were used and are not forgotten, by scope and key.
pub(crate) async fn find_records<'a>(
    connection: &mut PgConnection,
    keys: &[&'a IdempotencyKey],
) -> Result<HashMap<(&'a str, &'a str), IdempotencyRecord>, sqlx::Error> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let found: Vec<(i64, Vec<u8>, String, i64, i64)> = sqlx::query_as(
        "select k.ordinal, r.request_hash, r.stream_id, r.version, coalesce(e.global_position, 0)
           from unnest($1::text[], $2::text[]) with ordinality as k(scope, key, ordinal)
           join idempotency_records r using (scope, key)
           left join events e on (e.aggregate_type, e.aggregate_id, e.sequence) = (r.stream_type, r.stream_id, r.version)",
    )
    .bind(keys.iter().map(|key| key.scope.as_str()).collect::<Vec<_>>())
    .bind(keys.iter().map(|key| key.key.as_str()).collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    let record = |(ordinal, request_hash, stream_id, version, position): (i64, Vec<u8>, String, i64, i64)| {
        let key = keys.get(usize::try_from(ordinal - 1).ok()?)?;
        Some(((key.scope.as_str(), key.key.as_str()), IdempotencyRecord { request_hash, stream_id, version, position }))
    };
    Ok(found.into_iter().filter_map(record).collect())
}

/// Deletes records that are older than a day, until told to stop. A process whose database user may not do that leaves it to those that
/// take commands.
pub(crate) async fn prune_regularly(pool: PgPool, stop: CancellationToken) {
    let forever = async {
        loop {
            match prune_idempotency_records(&pool).await {
                Ok(0) => {}
                Err(refused) if lacks_rights(&refused) => return,
                Ok(records) => tracing::info!(records, "forgot idempotency keys older than {KEPT}"),
                Err(error) => {
                    tracing::warn!(error = %error_chain(&error), "old idempotency keys were not pruned");
                }
            }
            tokio::time::sleep(PRUNE_EVERY).await;
        }
    };
    let _ = stop.run_until_cancelled(forever).await;
}

/// Deletes records that are older than a day, and says how many.
pub async fn prune_idempotency_records(pool: &PgPool) -> Result<u64, sqlx::Error> {
    let delete_chunk = format!(
        "delete from idempotency_records where ctid = any (array(
            select ctid from idempotency_records where recorded_at < now() - interval '{KEPT}'
             limit {PRUNE_CHUNK} for update skip locked))"
    );
    let mut pruned = 0;
    loop {
        match sqlx::query(&delete_chunk).execute(pool).await?.rows_affected() {
            0 => return Ok(pruned),
            records => pruned += records,
        }
    }
}

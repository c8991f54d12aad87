//! Which requests were already carried out, so that a client that did not hear the answer can ask again.
//!
//! A record is written in the transaction that stores the events of its command. It does not hold the answer but what the
//! answer tells of: a stream, its version, and with that its event's position.

use std::collections::HashMap;
use std::time::Duration;

use cqrs_es::Aggregate;
use sqlx::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;

use crate::append::{AppendError, Appended};
use crate::{EventStore, StreamAppend};

/// How long records are kept at least: longer than any client goes on trying.
const KEPT: &str = "24 hours";
/// How often records that are older are looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);
/// The most records that go in one statement: few enough to lock nothing for long.
const PRUNED_AT_ONCE: i64 = 10_000;

/// A request that is to be carried out once, however often it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnceOnly {
    /// Who asks for what. Keys are told apart within it.
    pub scope: &'static str,
    /// The client's name for the request.
    pub key: String,
    /// A hash of what is asked for: the key of one request does not fit another.
    pub request_hash: [u8; 32],
}

/// What a request came to when it was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The hash of what was asked for.
    pub request_hash: Vec<u8>,
    /// The stream that the answer told of.
    pub stream_id: String,
    /// The stream's version in the answer.
    pub version: i64,
    /// The position of that version's event; 0: the stream had none.
    pub position: i64,
}

/// A request and the event that its answer tells of, as they are recorded.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) request: OnceOnly,
    pub(crate) stream_type: &'static str,
    pub(crate) stream_id: String,
    pub(crate) version: i64,
}

impl EventStore {
    /// [`EventStore::append`], recorded under the request's key in the same transaction. The answer tells of the last
    /// stream. A key that has been used stores nothing: [`AppendError::Repeated`].
    pub async fn append_once(&self, streams: Vec<StreamAppend>, request: OnceOnly) -> Result<Appended, AppendError> {
        let record = streams.last().map(|last| Record {
            request,
            stream_type: last.stream_type,
            stream_id: last.stream_id.clone(),
            version: last.version_after(),
        });
        self.enqueue(streams, record).await
    }

    /// What a request came to, if it was carried out and is not forgotten. For one that would be refused now because it was
    /// carried out before.
    pub async fn outcome_of(&self, request: &OnceOnly) -> Result<Option<Outcome>, sqlx::Error> {
        let found = recorded(&mut *self.pool().acquire().await?, &[request]).await?;
        Ok(found.into_values().next())
    }

    /// Records a request that changed nothing, with the version of the stream that its answer tells of.
    pub async fn record_unchanged<A: Aggregate>(
        &self,
        request: &OnceOnly,
        stream_id: &str,
        version: i64,
    ) -> Result<(), AppendError> {
        let (request, stream_id) = (request.clone(), stream_id.to_owned());
        let record = Record { request, stream_type: A::TYPE, stream_id, version };
        self.enqueue(Vec::new(), Some(record)).await.map(drop)
    }
}

/// The outcomes of those of the requests that were carried out and are not forgotten, by scope and key.
pub(crate) async fn recorded<'a>(
    connection: &mut PgConnection,
    requests: &[&'a OnceOnly],
) -> Result<HashMap<(&'a str, &'a str), Outcome>, sqlx::Error> {
    if requests.is_empty() {
        return Ok(HashMap::new());
    }
    let found: Vec<(i64, Vec<u8>, String, i64, i64)> = sqlx::query_as(
        "select k.ordinal, r.request_hash, r.stream_id, r.version, coalesce(e.global_position, 0)
           from unnest($1::text[], $2::text[]) with ordinality as k(scope, key, ordinal)
           join idempotency_records r using (scope, key)
           left join events e on (e.aggregate_type, e.aggregate_id, e.sequence) = (r.stream_type, r.stream_id, r.version)",
    )
    .bind(requests.iter().map(|request| request.scope).collect::<Vec<_>>())
    .bind(requests.iter().map(|request| request.key.as_str()).collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    let outcome = |(ordinal, request_hash, stream_id, version, position): (i64, Vec<u8>, String, i64, i64)| {
        let request = requests.get(usize::try_from(ordinal - 1).ok()?)?;
        Some(((request.scope, request.key.as_str()), Outcome { request_hash, stream_id, version, position }))
    };
    Ok(found.into_iter().filter_map(outcome).collect())
}

/// Forgets requests that are older than a day, until told to stop.
pub(crate) async fn prune_regularly(pool: PgPool, stop: CancellationToken) {
    let forever = async {
        loop {
            match prune(&pool).await {
                Ok(0) => {}
                Ok(records) => tracing::info!(records, "forgot idempotency keys older than {KEPT}"),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "old idempotency keys were not pruned");
                }
            }
            tokio::time::sleep(PRUNE_EVERY).await;
        }
    };
    let _ = stop.run_until_cancelled(forever).await;
}

/// Forgets requests that are older than a day, and says how many.
pub async fn prune(pool: &PgPool) -> Result<u64, sqlx::Error> {
    let some = format!(
        "delete from idempotency_records where ctid = any (array(
            select ctid from idempotency_records where recorded_at < now() - interval '{KEPT}'
             limit {PRUNED_AT_ONCE} for update skip locked))"
    );
    let mut pruned = 0;
    loop {
        match sqlx::query(&some).execute(pool).await?.rows_affected() {
            0 => return Ok(pruned),
            records => pruned += records,
        }
    }
}

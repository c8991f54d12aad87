//! The one task that appends, and the statement by which it does.
//!
//! A batch is one statement with the columns as arrays: one round trip, which is its own transaction and returns the
//! positions. Measured in this product on two cores with fsync on (client, server and Postgres together, `POST /orders` by wrk,
//! orders a second, two runs each in turn; the machine did other work meanwhile, so that only large differences count):
//!
//! | how | 16 connections | 64 | 256 |
//! |---|---|---|---|
//! | one `insert … select from unnest(…)` through sqlx | 17,300 / 16,400 | 25,800 / 26,900 | 33,900 / 31,200 |
//! | binary COPY through sqlx, then `currval` | 10,400 / 12,800 | 22,300 / 27,100 | 26,900 / 34,800 |
//! | binary COPY through tokio-postgres, `currval` pipelined | 13,500 / 12,900 | 28,000 / 25,700 | 36,300 / 32,400 |
//!
//! COPY is cheaper for Postgres where batches are large. But it takes three round trips (two when pipelined), has no place for the
//! idempotency records, and does not return positions, so a second driver did not earn its place. With nothing else running, the
//! present statement (`unnest` in the select list, JSON as JSON, and another allocator) took 20,900 / 20,600, 31,100 / 29,900 and
//! 38,200 / 37,200, and COPY as it was before 12,000 / 12,600, 25,700 / 27,900 and 39,400 / 39,300.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bounds::Budget;
use error_chain::error_chain;
use postgres_json::RawJson;
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgDatabaseError, PgSeverity};
use sqlx::{PgConnection, PgPool};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::connection::{WriterConnection, is_connection_lost};
use super::{AppendError, AppendPosition, AppendRequest, QueuedAppend, conflicts};
use crate::idempotency::NewIdempotencyRecord;
use crate::metrics::{AppendOutcomeCounts, EventStoreMetrics};
use crate::subscription::progress::SubscriptionPositionCache;
use crate::wake::SubscriptionWakeUps;

/// The most commands in one transaction: enough to pay for its commit, few enough that none waits long for the others.
const MAX_BATCH: usize = 512;
/// The most bytes in one transaction, unless a single command has more.
const MAX_BATCH_BYTES: usize = Budget::BYTES;
/// How often a batch is tried again when its connection breaks or it meets a conflict.
const RETRIES: u32 = 3;
/// How long a batch may take: somewhat longer than the server lets it wait for another writer.
const BATCH_TIMEOUT: Duration = Duration::from_secs(35);

/// What became of each command, in order.
pub(super) type AppendResults = Vec<Result<AppendPosition, AppendError>>;

/// Stores the queued appends, batch by batch, each batch in one transaction. There is one: the log takes one
/// transaction at a time, so a second would only make batches smaller.
pub(super) struct GroupCommitWriter {
    connection: WriterConnection,
    metrics: EventStoreMetrics,
    wake: SubscriptionWakeUps,
    progress: SubscriptionPositionCache,
    stop: CancellationToken,
}

impl GroupCommitWriter {
    pub(super) fn new(
        pool: PgPool,
        metrics: EventStoreMetrics,
        wake: SubscriptionWakeUps,
        progress: SubscriptionPositionCache,
        stop: CancellationToken,
    ) -> Self {
        Self { connection: WriterConnection::new(pool, stop.clone()), metrics, wake, progress, stop }
    }

    /// Writes what is queued, batch by batch, until the queue is closed and empty.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<QueuedAppend>) {
        let (mut gathered, mut batch) = (Vec::with_capacity(MAX_BATCH), Vec::with_capacity(MAX_BATCH));
        loop {
            tokio::select! {
                biased;
                // After closing, recv_many still hands out what was queued before, then 0.
                () = self.stop.cancelled(), if !queue.is_closed() => queue.close(),
                count = queue.recv_many(&mut gathered, MAX_BATCH) => if count == 0 { return },
            }
            while !gathered.is_empty() {
                let mut budget = Budget::of(MAX_BATCH).with_bytes(MAX_BATCH_BYTES);
                let fit = gathered.iter().take_while(|queued| budget.take(queued.command.size())).count();
                batch.extend(gathered.drain(..fit));
                self.write(&mut batch).await;
            }
        }
    }

    async fn write(&mut self, batch: &mut Vec<QueuedAppend>) {
        let began = Instant::now();
        let commands: Vec<&AppendRequest> = batch.iter().map(|queued| &queued.command).collect();
        // A database that does not answer must not hold up all writing until TCP gives up.
        let stored = tokio::time::timeout(BATCH_TIMEOUT, self.store(&commands)).await;
        let timed_out = || AppendError::Unknown(Arc::new(sqlx::Error::Io(io::ErrorKind::TimedOut.into())));
        let answers = match stored.unwrap_or_else(|_| Err(timed_out())) {
            Ok(answers) => {
                if let Some(end) = answers.iter().flatten().map(|appended| appended.position).max() {
                    self.progress.stored(end);
                }
                self.wake.wake();
                self.metrics.batch(&counts(&answers), began.elapsed());
                answers
            }
            Err(error) => {
                tracing::error!(
                    error = %error_chain(&error),
                    commands = commands.len(),
                    "appending failed"
                );
                self.connection.discard();
                commands.iter().map(|_| Err(error.clone())).collect()
            }
        };
        // Memory is given back all at once: each release takes the lock that every new command takes.
        let mut released: Option<OwnedSemaphorePermit> = None;
        for (QueuedAppend { answer: receiver, memory, .. }, answer) in batch.drain(..).zip(answers) {
            // The client may have gone: that changes nothing about what is stored.
            let _ = receiver.send(answer);
            match &mut released {
                Some(all) => all.merge(memory),
                none => *none = Some(memory),
            }
        }
    }

    /// Stores a batch. Only when it meets a conflict its commands are looked at one by one. A connection that breaks may or may not
    /// have stored the batch: the next attempt, through another connection, finds out.
    async fn store(&mut self, commands: &[&AppendRequest]) -> Result<AppendResults, AppendError> {
        let unknown = |error: sqlx::Error| AppendError::Unknown(Arc::new(error));
        // Until a connection breaks, it is known what was stored.
        let not_sent = |error: sqlx::Error| AppendError::Unavailable(Arc::new(error));
        let mut broken = false;
        let mut stored = store(self.connection.get().await.map_err(not_sent)?, commands).await;
        for _ in 0..RETRIES {
            match stored {
                Err(error) if conflicts::is_conflict(&error) => {}
                Err(error) if is_connection_lost(&error) => {
                    tracing::warn!(error = %error_chain(&error), "connection lost; appending once more");
                    self.connection.discard();
                    broken = true;
                }
                Err(error) if commands.len() > 1 && is_invalid_data(&error) => {
                    // Some may be stored before another fails.
                    return self.store_one_by_one(commands).await.map_err(unknown);
                }
                _ => break,
            }
            let connection =
                self.connection.get().await.map_err(|error| if broken { unknown(error) } else { not_sent(error) })?;
            stored = conflicts::store_around_conflicts(connection, commands).await;
        }
        stored.map_err(|error| match !broken && is_out_of_resources(&error) {
            true => not_sent(error),
            false => unknown(error),
        })
    }

    /// Stores each command by itself, so that only the one fails whose data can't be stored.
    async fn store_one_by_one(&mut self, commands: &[&AppendRequest]) -> Result<AppendResults, sqlx::Error> {
        let mut answers = Vec::with_capacity(commands.len());
        for command in commands {
            match conflicts::store_around_conflicts(self.connection.get().await?, &[command]).await {
                Ok(stored) => answers.extend(stored),
                Err(error) if is_invalid_data(&error) => answers.push(Err(AppendError::Unknown(Arc::new(error)))),
                Err(error) => return Err(error),
            }
        }
        Ok(answers)
    }
}

fn counts(answers: &[Result<AppendPosition, AppendError>]) -> AppendOutcomeCounts {
    let mut counts = AppendOutcomeCounts::default();
    for answer in answers {
        match answer {
            Ok(_) => counts.stored += 1,
            Err(AppendError::Conflict) => counts.conflicts += 1,
            Err(AppendError::Replayed(_)) => counts.replayed += 1,
            Err(
                AppendError::QueueFull | AppendError::Closed | AppendError::Unavailable(_) | AppendError::Unknown(_),
            ) => counts.failed += 1,
        }
    }
    counts
}

/// Whether the database says that it lacks what the statement needs: class 53, such as a full disk or no memory. It says so as an
/// ERROR, which means that the transaction is rolled back: once a commit is written, Postgres has no errors any more, only a crash.
fn is_out_of_resources(error: &sqlx::Error) -> bool {
    let error = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
    error.is_some_and(|error| error.severity() == PgSeverity::Error && error.code().starts_with("53"))
}

/// Whether the database says that the data itself can't be stored: classes 22, data exception, and 23, constraint violation.
fn is_invalid_data(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(DatabaseError::code);
    !conflicts::is_conflict(error) && code.is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
}

/// Stores a batch in which nothing conflicts. An error says that nothing of it is stored, or that this is not known.
pub(super) async fn store(
    connection: &mut PgConnection,
    commands: &[&AppendRequest],
) -> Result<AppendResults, sqlx::Error> {
    let last = insert(connection, commands).await?;
    let count: i64 = commands.iter().map(|command| command.event_count()).sum();
    // Positions are drawn under the log's lock, so those of a batch have no gaps.
    let mut position = last.unwrap_or(0) - count;
    let answers = commands.iter().map(|command| {
        position += command.event_count();
        Ok(AppendPosition { version: command.version_after(), position })
    });
    Ok(answers.collect())
}

/// Inserts the events and records of all commands, in order, and returns the last position, if there were events. Any conflict fails
/// all of it.
async fn insert(connection: &mut PgConnection, commands: &[&AppendRequest]) -> Result<Option<i64>, sqlx::Error> {
    let rows = commands.iter().flat_map(|command| &command.streams).flat_map(|stream| {
        (stream.expected_version + 1..).zip(&stream.events).map(move |(version, event)| (stream, version, event))
    });
    let mut events = EventColumns::default();
    for (stream, version, event) in rows {
        events.stream_types.push(stream.stream_type);
        events.stream_ids.push(&stream.stream_id);
        events.versions.push(version);
        events.event_types.push(&event.event_type);
        events.event_versions.push(&event.event_version);
        events.payloads.push(RawJson(&event.payload));
        events.metadata.push(RawJson(&event.metadata));
        events.event_ids.push(event.event_id);
    }
    let records: Vec<&NewIdempotencyRecord> = commands.iter().filter_map(|command| command.record.as_ref()).collect();
    if events.versions.is_empty() && records.is_empty() {
        return Ok(None);
    }
    let statement = if records.is_empty() { INSERT_EVENTS } else { INSERT_EVENTS_AND_RECORDS };
    let mut query = sqlx::query_scalar(statement)
        .bind(events.stream_types)
        .bind(events.stream_ids)
        .bind(events.versions)
        .bind(events.event_types)
        .bind(events.event_versions)
        .bind(events.payloads)
        .bind(events.metadata)
        .bind(events.event_ids);
    if !records.is_empty() {
        query = query
            .bind(records.iter().map(|record| record.key.scope.as_str()).collect::<Vec<_>>())
            .bind(records.iter().map(|record| record.key.key.as_str()).collect::<Vec<_>>())
            .bind(records.iter().map(|record| record.key.request_hash.as_slice()).collect::<Vec<_>>())
            .bind(records.iter().map(|record| record.stream_type).collect::<Vec<_>>())
            .bind(records.iter().map(|record| record.stream_id.as_str()).collect::<Vec<_>>())
            .bind(records.iter().map(|record| record.version).collect::<Vec<_>>());
    }
    query.fetch_one(connection).await
}

/// The columns of the statement.
#[derive(Default)]
struct EventColumns<'a> {
    stream_types: Vec<&'a str>,
    stream_ids: Vec<&'a str>,
    versions: Vec<i64>,
    event_types: Vec<&'a str>,
    event_versions: Vec<&'a str>,
    payloads: Vec<RawJson<'a>>,
    metadata: Vec<RawJson<'a>>,
    event_ids: Vec<Uuid>,
}

/// In the select list the `unnest`s advance together, row by row; in `from` each would first copy its whole array. Text parameters
/// would be copied twice more to become JSON. Together that is a fifth of the statement's cost.
macro_rules! insert_events {
    () => {
        "with appended as (
            insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, event_id)
            select unnest($1::text[]), unnest($2::text[]), unnest($3::bigint[]), unnest($4::text[]), unnest($5::text[]),
                   unnest($6::json[]), unnest($7::json[]), unnest($8::uuid[])
            returning global_position
        )"
    };
}
const INSERT_EVENTS: &str = concat!(insert_events!(), " select max(global_position) from appended");
const INSERT_EVENTS_AND_RECORDS: &str = concat!(
    insert_events!(),
    ", recorded as (
        insert into idempotency_records (scope, key, request_hash, stream_type, stream_id, version)
        select unnest($9::text[]), unnest($10::text[]), unnest($11::bytea[]), unnest($12::text[]), unnest($13::text[]),
               unnest($14::bigint[])
    ) select max(global_position) from appended"
);

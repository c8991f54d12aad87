//! One batch of commands as one transaction.
//!
//! All of it is one statement with the columns as arrays: one round trip, which is its own transaction and returns the
//! positions. Measured in this product on two cores with fsync on (client, server and Postgres together, `POST /orders` by wrk,
//! orders a second, two runs each in turn; the machine did other work meanwhile, so that only large differences count):
//!
//! | how | 16 connections | 64 | 256 |
//! |---|---|---|---|
//! | one `insert … select from unnest(…)` through sqlx | 17,300 / 16,400 | 25,800 / 26,900 | 33,900 / 31,200 |
//! | binary COPY through sqlx, then `currval` | 10,400 / 12,800 | 22,300 / 27,100 | 26,900 / 34,800 |
//! | binary COPY through tokio-postgres, `currval` pipelined | 13,500 / 12,900 | 28,000 / 25,700 | 36,300 / 32,400 |
//!
//! COPY is the cheaper for Postgres where batches are large, but takes three round trips (two when pipelined), has no place for
//! the idempotency records, and cannot return positions. A second driver did not earn its place. With nothing else running, what is
//! here (`unnest` in the select list, JSON as JSON, and another allocator) took 20,900 / 20,600, 31,100 / 29,900 and
//! 38,200 / 37,200, and COPY as it was before 12,000 / 12,600, 25,700 / 27,900 and 39,400 / 39,300.

use std::collections::{HashMap, HashSet};

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo};
use sqlx::{Connection, Encode, Executor, PgConnection, Postgres};
use uuid::Uuid;

use super::{AppendError, Appended, Command, StreamAppend};
use crate::idempotency::{self, OnceOnly, Record};

/// What became of each command, in order.
pub(super) type Answers = Vec<Result<Appended, AppendError>>;

/// Stores a batch in which nothing conflicts. An error says that nothing of it is stored, or that this is not known.
pub(super) async fn store(connection: &mut PgConnection, commands: &[&Command]) -> Result<Answers, sqlx::Error> {
    let last = insert(connection, commands).await?;
    let rows: i64 = commands.iter().map(|command| command.rows()).sum();
    // Nobody else drew positions meanwhile: that takes the lock. So they have no gaps.
    let mut position = last.unwrap_or(0) - rows;
    let answers = commands.iter().map(|command| {
        position += command.rows();
        Ok(Appended { version: command.version_after(), position })
    });
    Ok(answers.collect())
}

/// Whether an error says that something in the batch is taken, or comes too early.
pub(super) fn is_conflict(error: &sqlx::Error) -> bool {
    let constraint = error.as_database_error().and_then(|database| database.constraint());
    matches!(constraint, Some("events_pkey" | "events_follow_one_another" | "idempotency_records_pkey"))
}

/// Stores those commands of a batch that conflict with nothing, and says which did. A command whose events are stored
/// already, by an attempt whose answer was lost, is answered as that attempt would have been.
///
/// Under the lock no other append can commit, so what is found free stays free until the commit. The session is ended if it
/// stalls under it for 2 s: `events_lock()` sees to that.
pub(super) async fn store_around_conflicts(
    connection: &mut PgConnection,
    commands: &[&Command],
) -> Result<Answers, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    // The table comes before the lock, as in every append and in an import: so nobody waits in a circle. What is answered here may
    // rest on what others stored. A transaction that writes nothing waits for no standby: so it writes.
    let begin = "lock table events in row exclusive mode; select events_lock(); select pg_logical_emit_message(true, 'ordo', ''::text)";
    transaction.execute(begin).await?;
    let stored = stored(&mut transaction, commands).await?;
    let requests: Vec<_> = commands.iter().filter_map(|command| command.request()).collect();
    let repeated = idempotency::recorded(&mut transaction, &requests).await?;
    let mut claimed = Claimed::default();
    let mut answers = Vec::with_capacity(commands.len());
    let mut free = Vec::with_capacity(commands.len());
    for command in commands {
        let answer = if let Some(position) = stored_before(command, &stored) {
            Some(Ok(Appended { version: command.version_after(), position }))
        } else if let Some(outcome) = command.request().and_then(|request| repeated.get(&key_of(request))) {
            Some(Err(AppendError::Repeated(outcome.clone())))
        } else if !command.streams.iter().all(|stream| fits(stream, &stored)) || !claimed.claim(command) {
            Some(Err(AppendError::Conflict))
        } else {
            free.push(*command);
            None
        };
        answers.push(answer);
    }
    let mut now_stored = store(&mut transaction, &free).await?.into_iter();
    transaction.commit().await?;
    // Those without an answer yet are the free ones, in order.
    Ok(answers.into_iter().filter_map(|answer| answer.or_else(|| now_stored.next())).collect())
}

type Key<'a> = (&'a str, &'a str, i64);

/// Two appends to a stream collide at the first event already: versions have no gaps.
fn first_key(stream: &StreamAppend) -> Key<'_> {
    (stream.stream_type, &stream.stream_id, stream.expected_version + 1)
}

/// The event that an append to a stream follows.
fn last_key(stream: &StreamAppend) -> Key<'_> {
    (stream.stream_type, &stream.stream_id, stream.expected_version)
}

/// Whether a stream is at the version that an append expects.
fn fits(stream: &StreamAppend, stored: &HashMap<Key<'_>, (Uuid, i64)>) -> bool {
    let begun = stream.expected_version == 0 || stored.contains_key(&last_key(stream));
    begun && !stored.contains_key(&first_key(stream))
}

/// What is stored where the commands' streams go on: which event is there, and where it is in the log.
async fn stored<'a>(
    connection: &mut PgConnection,
    commands: &[&'a Command],
) -> Result<HashMap<Key<'a>, (Uuid, i64)>, sqlx::Error> {
    let keys: Vec<Key<'a>> =
        commands.iter().flat_map(|command| &command.streams).flat_map(|it| [last_key(it), first_key(it)]).collect();
    let found: Vec<(i64, Uuid, i64)> = sqlx::query_as(
        "select k.ordinal, e.event_id, e.global_position
           from unnest($1::text[], $2::text[], $3::bigint[]) with ordinality
                as k(aggregate_type, aggregate_id, sequence, ordinal)
           join events e using (aggregate_type, aggregate_id, sequence)",
    )
    .bind(keys.iter().map(|key| key.0).collect::<Vec<_>>())
    .bind(keys.iter().map(|key| key.1).collect::<Vec<_>>())
    .bind(keys.iter().map(|key| key.2).collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    let entry = |(ordinal, event_id, position): (i64, Uuid, i64)| {
        let at = usize::try_from(ordinal - 1).ok()?;
        Some((*keys.get(at)?, (event_id, position)))
    };
    Ok(found.into_iter().filter_map(entry).collect())
}

/// Where the last event of a command is, if what is in its place are its own events.
fn stored_before(command: &Command, stored: &HashMap<Key<'_>, (Uuid, i64)>) -> Option<i64> {
    let first = command.streams.first()?;
    let (event_id, position) = stored.get(&first_key(first))?;
    // Ids are drawn once, and a command is stored as a whole, in one piece of the log.
    (*event_id == first.events.first()?.event_id).then(|| position + command.rows() - 1)
}

fn key_of(request: &OnceOnly) -> (&str, &str) {
    (request.scope, &request.key)
}

/// What earlier commands of the batch take.
#[derive(Default)]
struct Claimed<'a> {
    streams: HashSet<(&'a str, &'a str)>,
    keys: HashSet<(&'a str, &'a str)>,
}

impl<'a> Claimed<'a> {
    /// Takes what a command needs, unless some of it is taken.
    fn claim(&mut self, command: &'a Command) -> bool {
        let stream = |stream: &'a StreamAppend| (stream.stream_type, stream.stream_id.as_str());
        let key = command.request().map(key_of);
        let mut free = !command.streams.iter().map(stream).any(|stream| self.streams.contains(&stream))
            && !key.is_some_and(|key| self.keys.contains(&key));
        if free {
            // A command that names a stream twice is in its own way.
            free = command.streams.iter().all(|it| self.streams.insert(stream(it)));
            self.keys.extend(key);
        }
        free
    }
}

/// Writes the events and records of all commands, in order, and returns the last position, if there were events. Any
/// conflict fails all of it.
async fn insert(connection: &mut PgConnection, commands: &[&Command]) -> Result<Option<i64>, sqlx::Error> {
    let rows = commands.iter().flat_map(|command| &command.streams).flat_map(|stream| {
        (stream.expected_version + 1..).zip(&stream.events).map(move |(version, event)| (stream, version, event))
    });
    let mut events = Events::default();
    for (stream, version, event) in rows {
        events.stream_types.push(stream.stream_type);
        events.stream_ids.push(&stream.stream_id);
        events.versions.push(version);
        events.event_types.push(&event.event_type);
        events.event_versions.push(&event.event_version);
        events.payloads.push(JsonText(&event.payload));
        events.metadata.push(JsonText(&event.metadata));
        events.event_ids.push(event.event_id);
    }
    let records: Vec<&Record> = commands.iter().filter_map(|command| command.record.as_ref()).collect();
    if events.versions.is_empty() && records.is_empty() {
        return Ok(None);
    }
    let statement = if records.is_empty() { INSERT_EVENTS } else { INSERT_BOTH };
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
            .bind(records.iter().map(|record| record.request.scope).collect::<Vec<_>>())
            .bind(records.iter().map(|record| record.request.key.as_str()).collect::<Vec<_>>())
            .bind(records.iter().map(|record| record.request.request_hash.as_slice()).collect::<Vec<_>>())
            .bind(records.iter().map(|record| record.stream_type).collect::<Vec<_>>())
            .bind(records.iter().map(|record| record.stream_id.as_str()).collect::<Vec<_>>())
            .bind(records.iter().map(|record| record.version).collect::<Vec<_>>());
    }
    query.fetch_one(connection).await
}

/// The columns of a batch.
#[derive(Default)]
struct Events<'a> {
    stream_types: Vec<&'a str>,
    stream_ids: Vec<&'a str>,
    versions: Vec<i64>,
    event_types: Vec<&'a str>,
    event_versions: Vec<&'a str>,
    payloads: Vec<JsonText<'a>>,
    metadata: Vec<JsonText<'a>>,
    event_ids: Vec<Uuid>,
}

/// JSON text, as it is.
struct JsonText<'a>(&'a str);

impl sqlx::Type<Postgres> for JsonText<'_> {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(114))
    }
}

impl PgHasArrayType for JsonText<'_> {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(199))
    }
}

impl Encode<'_, Postgres> for JsonText<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }
}

/// In the select list, `unnest`s go on together row by row; in `from` each would first copy all it has. Likewise a text would be
/// copied twice more to become JSON: together a fifth of what the statement costs.
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
const INSERT_BOTH: &str = concat!(
    insert_events!(),
    ", recorded as (
        insert into idempotency_records (scope, key, request_hash, stream_type, stream_id, version)
        select unnest($9::text[]), unnest($10::text[]), unnest($11::bytea[]), unnest($12::text[]), unnest($13::text[]),
               unnest($14::bigint[])
    ) select max(global_position) from appended"
);

#[cfg(test)]
mod tests;

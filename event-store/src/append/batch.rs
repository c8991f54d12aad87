//! One batch of appends as one transaction.

use std::collections::HashSet;

use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::{AppendError, Appended, StreamAppend};

/// What became of each command, in order.
type Answers = Vec<Result<Appended, AppendError>>;

/// Stores a batch. The usual case is one statement, which is its own transaction; only when it meets a conflict is the
/// batch looked at command by command.
pub(super) async fn store(connection: &mut PgConnection, commands: &[&[StreamAppend]]) -> Result<Answers, sqlx::Error> {
    match insert(connection, commands).await {
        Ok(positions) => Ok(answers(commands, &positions, &[])),
        Err(error) if is_conflict(&error) => store_around_conflicts(connection, commands).await,
        Err(error) => Err(error),
    }
}

/// Stores those commands of a batch that conflict with nothing, and says which did.
///
/// Under the lock no other append can commit, so what is found free stays free until the commit.
async fn store_around_conflicts(
    connection: &mut PgConnection,
    commands: &[&[StreamAppend]],
) -> Result<Answers, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    sqlx::query("select events_lock()").execute(&mut *transaction).await?;
    let conflicts = find_conflicts(&mut transaction, commands).await?;
    let free: Vec<&[StreamAppend]> =
        commands.iter().zip(&conflicts).filter(|(_, conflict)| !**conflict).map(|(command, _)| *command).collect();
    let positions = insert(&mut transaction, &free).await?;
    transaction.commit().await?;
    Ok(answers(commands, &positions, &conflicts))
}

/// For each command whether one of its events is taken: in the table, or by an earlier command of the batch.
async fn find_conflicts(connection: &mut PgConnection, commands: &[&[StreamAppend]]) -> Result<Vec<bool>, sqlx::Error> {
    let mut keys: (Vec<&str>, Vec<&str>, Vec<i64>) = Default::default();
    // Two appends to a stream collide at the first event already: versions have no gaps.
    for stream in commands.iter().copied().flatten() {
        keys.0.push(stream.stream_type);
        keys.1.push(&stream.stream_id);
        keys.2.push(stream.expected_version + 1);
    }
    let taken: HashSet<(String, String, i64)> = sqlx::query_as(
        "select e.aggregate_type, e.aggregate_id, e.sequence
           from unnest($1::text[], $2::text[], $3::bigint[]) as k(aggregate_type, aggregate_id, sequence)
           join events e using (aggregate_type, aggregate_id, sequence)",
    )
    .bind(keys.0)
    .bind(keys.1)
    .bind(keys.2)
    .fetch_all(connection)
    .await?
    .into_iter()
    .collect();

    let mut claimed: HashSet<(&str, &str)> = HashSet::new();
    let conflicts = commands.iter().map(|command| {
        let is_taken = |stream: &StreamAppend| {
            taken.contains(&(stream.stream_type.to_owned(), stream.stream_id.clone(), stream.expected_version + 1))
                || claimed.contains(&(stream.stream_type, stream.stream_id.as_str()))
        };
        let conflict = command.iter().any(is_taken);
        if !conflict {
            claimed.extend(command.iter().map(|stream| (stream.stream_type, stream.stream_id.as_str())));
        }
        conflict
    });
    Ok(conflicts.collect())
}

/// Inserts the events of all commands, in order, and returns their positions, in order.
async fn insert(connection: &mut PgConnection, commands: &[&[StreamAppend]]) -> Result<Vec<i64>, sqlx::Error> {
    let rows = commands.iter().copied().flatten().map(|stream| stream.events.len()).sum();
    let mut types = Vec::with_capacity(rows);
    let mut ids = Vec::with_capacity(rows);
    let mut versions = Vec::with_capacity(rows);
    let mut event_types = Vec::with_capacity(rows);
    let mut event_versions = Vec::with_capacity(rows);
    let mut payloads = Vec::with_capacity(rows);
    let mut metadata = Vec::with_capacity(rows);
    let mut event_ids: Vec<Uuid> = Vec::with_capacity(rows);
    for stream in commands.iter().copied().flatten() {
        for (version, event) in (stream.expected_version + 1..).zip(&stream.events) {
            types.push(stream.stream_type);
            ids.push(stream.stream_id.as_str());
            versions.push(version);
            event_types.push(event.event_type.as_str());
            event_versions.push(event.event_version.as_str());
            payloads.push(event.payload.as_str());
            metadata.push(event.metadata.as_str());
            event_ids.push(event.event_id);
        }
    }
    if rows == 0 {
        return Ok(Vec::new());
    }
    sqlx::query_scalar(
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, event_id)
         select t, i, s, et, ev, p::json, m::json, e
           from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::uuid[])
                as new(t, i, s, et, ev, p, m, e)
         returning global_position",
    )
    .bind(types)
    .bind(ids)
    .bind(versions)
    .bind(event_types)
    .bind(event_versions)
    .bind(payloads)
    .bind(metadata)
    .bind(event_ids)
    .fetch_all(connection)
    .await
}

/// Deals the positions of the inserted events out to the commands that were not in conflict.
fn answers(commands: &[&[StreamAppend]], positions: &[i64], conflicts: &[bool]) -> Answers {
    let mut next = 0;
    let mut answers = Vec::with_capacity(commands.len());
    for (at, command) in commands.iter().enumerate() {
        if conflicts.get(at).copied().unwrap_or(false) {
            answers.push(Err(AppendError::Conflict));
            continue;
        }
        next += command.iter().map(|stream| stream.events.len()).sum::<usize>();
        let version = command
            .last()
            .map_or(0, |stream| stream.expected_version + i64::try_from(stream.events.len()).unwrap_or(0));
        let position = next.checked_sub(1).and_then(|last| positions.get(last)).copied().unwrap_or(0);
        answers.push(Ok(Appended { version, position }));
    }
    answers
}

fn is_conflict(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|database| database.constraint()) == Some("events_pkey")
}

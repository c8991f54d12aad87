//! One batch of appends as one transaction.
//!
//! Rows go in by binary COPY: Postgres has no statement to plan and no arrays to take apart.

use std::collections::HashSet;

use sqlx::{Executor, PgConnection};

use super::{AppendError, Appended, StreamAppend};

/// What became of each command, in order.
type Answers = Vec<Result<Appended, AppendError>>;

/// Why a batch was not stored.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    /// The server did not even begin: nothing was sent, and it can be tried again through another connection.
    #[error(transparent)]
    NotBegun(sqlx::Error),
    /// Whether it was stored is not known.
    #[error(transparent)]
    Failed(#[from] sqlx::Error),
}

impl From<StoreError> for sqlx::Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotBegun(error) | StoreError::Failed(error) => error,
        }
    }
}

/// Stores a batch. The usual case is one statement, which is its own transaction; only when it meets a conflict is the
/// batch looked at command by command, and written a second time.
pub(super) async fn store(connection: &mut PgConnection, commands: &[&[StreamAppend]]) -> Result<Answers, StoreError> {
    match copy(connection, commands).await {
        Ok(positions) => Ok(answers(commands, &positions, &[])),
        Err(StoreError::Failed(error)) if is_conflict(&error) => store_around_conflicts(connection, commands).await,
        Err(error) => Err(error),
    }
}

/// Stores those commands of a batch that conflict with nothing, and says which did.
///
/// Under the lock no other append can commit, so what is found free stays free until the commit.
async fn store_around_conflicts(
    connection: &mut PgConnection,
    commands: &[&[StreamAppend]],
) -> Result<Answers, StoreError> {
    connection.execute("begin; select events_lock()").await?;
    let conflicts = find_conflicts(connection, commands).await?;
    let free: Vec<&[StreamAppend]> =
        commands.iter().zip(&conflicts).filter(|(_, conflict)| !**conflict).map(|(command, _)| *command).collect();
    let positions = copy(connection, &free).await?;
    connection.execute("commit").await?;
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

/// Writes the events of all commands, in order, and returns their positions, in order. Any conflict fails all of it.
async fn copy(connection: &mut PgConnection, commands: &[&[StreamAppend]]) -> Result<Vec<i64>, StoreError> {
    let (rows, data) = encode(commands);
    if rows == 0 {
        return Ok(Vec::new());
    }
    let mut copy = connection.copy_in_raw(COPY).await.map_err(StoreError::NotBegun)?;
    copy.send(data).await?;
    copy.finish().await?;
    // Nobody else drew positions meanwhile: that takes the lock. So this session's last one is the last row's, and they
    // have no gaps. It is the same session's as long as no proxy deals its statements out to several.
    let last: i64 = sqlx::query_scalar("select currval('events_global_position')").fetch_one(connection).await?;
    Ok((last - rows + 1..=last).collect())
}

const COPY: &str = "copy events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, \
                    event_id) from stdin (format binary)";

/// The rows of all commands as COPY's binary format has them, and how many.
fn encode(commands: &[&[StreamAppend]]) -> (i64, Vec<u8>) {
    const FIELDS: i16 = 8;
    let mut data = Vec::with_capacity(1024 * commands.len());
    data.extend_from_slice(b"PGCOPY\n\xff\r\n\0");
    // No flags, no header extension.
    data.extend_from_slice(&[0; 8]);
    let mut rows = 0;
    for stream in commands.iter().copied().flatten() {
        for (version, event) in (stream.expected_version + 1..).zip(&stream.events) {
            rows += 1;
            data.extend_from_slice(&FIELDS.to_be_bytes());
            field(&mut data, stream.stream_type.as_bytes());
            field(&mut data, stream.stream_id.as_bytes());
            field(&mut data, &version.to_be_bytes());
            field(&mut data, event.event_type.as_bytes());
            field(&mut data, event.event_version.as_bytes());
            field(&mut data, event.payload.as_bytes());
            field(&mut data, event.metadata.as_bytes());
            field(&mut data, event.event_id.as_bytes());
        }
    }
    data.extend_from_slice(&(-1_i16).to_be_bytes());
    (rows, data)
}

fn field(data: &mut Vec<u8>, value: &[u8]) {
    // Bodies are far below what COPY takes; one that were not would be refused by the server, not cut.
    data.extend_from_slice(&i32::try_from(value.len()).unwrap_or(i32::MAX).to_be_bytes());
    data.extend_from_slice(value);
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

//! Storing a batch in which some commands conflict: with what is stored, or with each other.

use std::collections::{HashMap, HashSet};

use sqlx::{Connection, Executor, PgConnection};
use uuid::Uuid;

use super::writer::{AppendResults, store};
use super::{AppendError, AppendPosition, AppendRequest, StreamAppend};
use crate::idempotency::{IdempotencyKey, find_records};

/// Whether an error says that a version or a key of the batch is taken, or that a version is ahead of its stream.
pub(super) fn is_conflict(error: &sqlx::Error) -> bool {
    let constraint = error.as_database_error().and_then(|database| database.constraint());
    matches!(constraint, Some("events_pkey" | "events_follow_one_another" | "idempotency_records_pkey"))
}

/// Stores those commands of a batch that conflict with nothing, and says which conflict. A command whose events are stored
/// already, by an attempt whose answer was lost, is answered as that attempt would have been.
///
/// No other append can commit while the lock is held, so what is found free stays free until the commit. `events_lock()` has the
/// session ended if it stalls for 2 s while it holds the lock.
pub(super) async fn store_around_conflicts(
    connection: &mut PgConnection,
    commands: &[&AppendRequest],
) -> Result<AppendResults, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    // The table is locked first, as in every append and in an import, so that there is no deadlock. Answers may rest on what others
    // stored, so they must wait for the standbys too; a transaction that writes nothing would not, and so this one writes.
    let begin = "lock table events in row exclusive mode; select events_lock(); select pg_logical_emit_message(true, 'ordo', ''::text)";
    transaction.execute(begin).await?;
    let stored = find_stored(&mut transaction, commands).await?;
    let keys: Vec<_> = commands.iter().filter_map(|command| command.key()).collect();
    let used_keys = find_records(&mut transaction, &keys).await?;
    let mut claimed = BatchClaims::default();
    let mut answers = Vec::with_capacity(commands.len());
    let mut free = Vec::with_capacity(commands.len());
    for command in commands {
        let answer = if let Some(position) = stored_before(command, &stored) {
            Some(Ok(AppendPosition { version: command.version_after(), position }))
        } else if let Some(record) = command.key().and_then(|key| used_keys.get(&scoped(key))) {
            Some(Err(AppendError::Replayed(record.clone())))
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

/// A stream, by its type and its id, and a version of it.
type StreamVersionKey<'a> = (&'a str, &'a str, i64);

/// The first event of an append. Versions have no gaps, so two appends to a stream collide there already.
fn first_event_key(stream: &StreamAppend) -> StreamVersionKey<'_> {
    (stream.stream_type, &stream.stream_id, stream.expected_version + 1)
}

/// The event that an append to a stream follows.
fn preceding_key(stream: &StreamAppend) -> StreamVersionKey<'_> {
    (stream.stream_type, &stream.stream_id, stream.expected_version)
}

/// Whether a stream is at the version that an append expects.
fn fits(stream: &StreamAppend, stored: &HashMap<StreamVersionKey<'_>, (Uuid, i64)>) -> bool {
    let begun = stream.expected_version == 0 || stored.contains_key(&preceding_key(stream));
    begun && !stored.contains_key(&first_event_key(stream))
}

/// The stored events that precede the commands' events, or are in their place: their ids and positions.
async fn find_stored<'a>(
    connection: &mut PgConnection,
    commands: &[&'a AppendRequest],
) -> Result<HashMap<StreamVersionKey<'a>, (Uuid, i64)>, sqlx::Error> {
    let keys: Vec<StreamVersionKey<'a>> = commands
        .iter()
        .flat_map(|command| &command.streams)
        .flat_map(|it| [preceding_key(it), first_event_key(it)])
        .collect();
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

/// The position of a command's last event, if the events in its place are its own.
fn stored_before(command: &AppendRequest, stored: &HashMap<StreamVersionKey<'_>, (Uuid, i64)>) -> Option<i64> {
    let first = command.streams.first()?;
    let (event_id, position) = stored.get(&first_event_key(first))?;
    // Event ids are unique, and the events of a command have consecutive positions.
    (*event_id == first.events.first()?.event_id).then(|| position + command.event_count() - 1)
}

fn scoped(key: &IdempotencyKey) -> (&str, &str) {
    (&key.scope, &key.key)
}

/// The streams and keys that earlier commands of the batch take.
#[derive(Default)]
struct BatchClaims<'a> {
    streams: HashSet<(&'a str, &'a str)>,
    keys: HashSet<(&'a str, &'a str)>,
}

impl<'a> BatchClaims<'a> {
    /// Takes the streams and the key of a command, unless one of them is taken.
    fn claim(&mut self, command: &'a AppendRequest) -> bool {
        let stream = |stream: &'a StreamAppend| (stream.stream_type, stream.stream_id.as_str());
        let key = command.key().map(scoped);
        let mut free = !command.streams.iter().map(stream).any(|stream| self.streams.contains(&stream))
            && !key.is_some_and(|key| self.keys.contains(&key));
        if free {
            // A command that names a stream twice conflicts with itself.
            free = command.streams.iter().all(|it| self.streams.insert(stream(it)));
            self.keys.extend(key);
        }
        free
    }
}

#[cfg(test)]
mod tests;

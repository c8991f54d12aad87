//! Reading what others have appended to streams since they were folded.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use cqrs_es::Aggregate;
use event_versions::Upcastable;
use futures_util::TryStreamExt;
use sqlx::{PgConnection, PgPool};

use crate::event::{COLUMNS, StoredEvent};
use crate::read::{ReadError, Versioned};
use crate::snapshots::is_due;

/// How many events are read in one chunk. That takes some tens of milliseconds at most: a command that holds the lock meanwhile does
/// not keep others waiting, no time-out of statements or transactions is met, and little is lost if it is cancelled.
const CHUNK: i64 = 1_000;

/// The streams among these that have events.
pub(super) async fn existing<A: Aggregate>(pool: &PgPool, ids: Vec<String>) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select id from unnest($2::text[]) as id
          where exists (select from events where aggregate_type = $1 and aggregate_id = id)",
    )
    .bind(A::TYPE)
    .bind(ids)
    .fetch_all(pool)
    .await
}

/// What came of reading a chunk of the events that streams lack.
pub(crate) struct StreamRefreshOutcome<A> {
    /// There may be events that the streams still lack.
    pub(crate) more: bool,
    /// Streams whose last event is not in the database: it lost it, in a failover or a restore. They are left as they were.
    pub(crate) lost: Vec<String>,
    /// Streams as they were when a snapshot was due.
    pub(super) snapshots_due: Vec<(String, Arc<Versioned<A>>)>,
}

/// Folds a chunk of the events that streams lack, one after the other as they arrive.
pub(crate) async fn read_chunk<A: Upcastable + Clone>(
    connection: &mut PgConnection,
    streams: &mut HashMap<String, Arc<Versioned<A>>>,
) -> Result<StreamRefreshOutcome<A>, ReadError> {
    // Each stream is read along its key, so that nothing is sorted. It is read from its last known event on, to see whether that is
    // still there: so there is one row for each stream that is not new.
    let query = format!(
        "select e.* from unnest($2::text[], $3::bigint[]) as known(id, version)
          cross join lateral (
            select {COLUMNS} from events
             where aggregate_type = $1 and aggregate_id = known.id and sequence >= known.version
             order by sequence limit $4
          ) e limit $4"
    );
    let (ids, versions): (Vec<_>, Vec<_>) = streams.iter().map(|(id, stream)| (id.clone(), stream.version)).unzip();
    let limit = CHUNK + i64::try_from(ids.len()).unwrap_or(i64::MAX / 2);
    // Streams whose last known event has not come yet; it is the first of theirs to come.
    let mut unconfirmed: HashSet<String> =
        streams.iter().filter(|(_, stream)| stream.version > 0).map(|(id, _)| id.clone()).collect();
    let mut lost: HashSet<String> = HashSet::new();
    let mut events = sqlx::query(&query).bind(A::TYPE).bind(ids).bind(versions).bind(limit).fetch(connection);
    let (mut rows, mut snapshots_due) = (0, Vec::new());
    while let Some(row) = events.try_next().await? {
        rows += 1;
        let event = StoredEvent::from_row(&row)?;
        let Some(stream) = streams.get_mut(&event.stream_id) else { continue };
        if lost.contains(&event.stream_id) {
            continue;
        }
        if unconfirmed.remove(&event.stream_id) {
            let known = (stream.version, stream.last_position, stream.last_event);
            if (event.version, event.position, event.event_id) != known {
                lost.insert(event.stream_id);
            }
            continue;
        }
        if event.version != stream.version + 1 {
            // The statement can't return this; but a state with a gap would be wrong without anybody noticing.
            let gap = format!("stream {}: version {} after {}", event.stream_id, event.version, stream.version);
            return Err(sqlx::Error::Protocol(gap).into());
        }
        let decoded = event.decode::<A>()?;
        Arc::make_mut(stream).apply(decoded, event.version, event.position, event.event_id);
        if is_due(event.version - 1, event.version) {
            snapshots_due.push((event.stream_id, Arc::clone(stream)));
        }
    }
    let more = rows == limit;
    if !more {
        // With fewer rows than the limit every stream was read to its end.
        lost.extend(unconfirmed);
    }
    let lost: Vec<String> = lost.into_iter().collect();
    if !lost.is_empty() {
        tracing::warn!(streams = ?lost, "the database does not have events that it had; their streams are read anew");
    }
    Ok(StreamRefreshOutcome { more, lost, snapshots_due })
}

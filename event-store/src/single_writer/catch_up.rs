//! What others wrote to streams since they were folded.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use cqrs_es::Aggregate;
use event_versions::Versioned;
use futures_util::TryStreamExt;
use sqlx::{PgConnection, PgPool};

use crate::event::{COLUMNS, StoredEvent};
use crate::read::{Loaded, ReadError};
use crate::snapshot::is_due;

/// How many events are read in one go. That takes some tens of milliseconds at most, so that whoever has a turn meanwhile keeps
/// nobody waiting, no bound on statements or transactions is met, and little is lost when it is given up.
const PIECE: i64 = 1_000;

/// Those of the streams that have events.
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

/// What became of a piece.
pub(super) struct Piece<A> {
    /// There may be events that the streams still lack.
    pub(super) more: bool,
    /// Those streams whose last event is not in the database: it lost it, in a failover or a restore. They are left as they were.
    pub(super) lost: Vec<String>,
    /// Streams as they were when a snapshot was due.
    pub(super) due: Vec<(String, Arc<Loaded<A>>)>,
}

/// Folds a piece of what streams lack, one event after the other as they arrive.
pub(super) async fn read_on<A: Versioned + Clone>(
    connection: &mut PgConnection,
    streams: &mut HashMap<String, Arc<Loaded<A>>>,
) -> Result<Piece<A>, ReadError> {
    // Each stream by itself along its key, not all of them sorted first; from its last event on, to see whether that is there. So
    // there is a row for each stream that is not new.
    let query = format!(
        "select e.* from unnest($2::text[], $3::bigint[]) as known(id, version)
          cross join lateral (
            select {COLUMNS} from events
             where aggregate_type = $1 and aggregate_id = known.id and sequence >= known.version
             order by sequence limit $4
          ) e limit $4"
    );
    let (ids, versions): (Vec<_>, Vec<_>) = streams.iter().map(|(id, stream)| (id.clone(), stream.version)).unzip();
    let limit = PIECE + i64::try_from(ids.len()).unwrap_or(i64::MAX / 2);
    // Those whose last event has yet to be seen, which is the first of theirs to come.
    let mut not_met: HashSet<String> =
        streams.iter().filter(|(_, stream)| stream.version > 0).map(|(id, _)| id.clone()).collect();
    let mut lost: HashSet<String> = HashSet::new();
    let mut events = sqlx::query(&query).bind(A::TYPE).bind(ids).bind(versions).bind(limit).fetch(connection);
    let (mut rows, mut due) = (0, Vec::new());
    while let Some(row) = events.try_next().await? {
        rows += 1;
        let event = StoredEvent::from_row(&row)?;
        let Some(stream) = streams.get_mut(&event.stream_id) else { continue };
        if lost.contains(&event.stream_id) {
            continue;
        }
        if not_met.remove(&event.stream_id) {
            let place = (stream.version, stream.last_position, stream.last_event);
            if (event.version, event.position, event.event_id) != place {
                lost.insert(event.stream_id);
            }
            continue;
        }
        if event.version != stream.version + 1 {
            // Never, as the statement stands; but a state with a hole in it would promise what is not there.
            let hole = format!("stream {}: version {} after {}", event.stream_id, event.version, stream.version);
            return Err(sqlx::Error::Protocol(hole).into());
        }
        let decoded = event.decode::<A>()?;
        Arc::make_mut(stream).apply(decoded, event.version, event.position, event.event_id);
        if is_due(event.version - 1, event.version) {
            due.push((event.stream_id, Arc::clone(stream)));
        }
    }
    let more = rows == limit;
    if !more {
        // Of streams behind the last row none were asked for.
        lost.extend(not_met);
    }
    let lost: Vec<String> = lost.into_iter().collect();
    if !lost.is_empty() {
        tracing::warn!(streams = ?lost, "the database does not have events that it had; their streams are read anew");
    }
    Ok(Piece { more, lost, due })
}

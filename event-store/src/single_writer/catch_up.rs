//! What others wrote to streams since they were folded.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use cqrs_es::Aggregate;
use event_versions::Versioned;
use futures_util::TryStreamExt;
use sqlx::{PgConnection, PgPool};

use crate::event::{COLUMNS, StoredEvent};
use crate::read::{Loaded, ReadError};

/// Those of the streams that have events.
pub(super) async fn existing<A: Aggregate>(pool: &PgPool, ids: BTreeSet<String>) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select id from unnest($2::text[]) as id
          where exists (select from events where aggregate_type = $1 and aggregate_id = id)",
    )
    .bind(A::TYPE)
    .bind(ids.into_iter().collect::<Vec<_>>())
    .fetch_all(pool)
    .await
}

/// Brings streams up to date, and says which of them the database did not have as they were: it lost their last events, in a
/// failover or a restore. These are folded anew.
pub(super) async fn catch_up<A: Versioned + Clone>(
    connection: &mut PgConnection,
    streams: &mut HashMap<String, Arc<Loaded<A>>>,
) -> Result<Vec<String>, ReadError> {
    let lost = read_on(connection, streams).await?;
    if !lost.is_empty() {
        tracing::warn!(streams = ?lost, "the database does not have events that it had; their streams are read anew");
        let mut anew = lost.iter().map(|id| (id.clone(), Arc::default())).collect();
        read_on(connection, &mut anew).await?;
        streams.extend(anew);
    }
    Ok(lost)
}

/// Folds what the streams' versions do not have yet, one event after the other as they arrive: a long stream is never in memory
/// as a whole. Returns those streams whose last event is not in the database, which are left as they were.
async fn read_on<A: Versioned + Clone>(
    connection: &mut PgConnection,
    streams: &mut HashMap<String, Arc<Loaded<A>>>,
) -> Result<Vec<String>, ReadError> {
    // Each stream by itself along its key, not all of them sorted first; from its last event on, to see whether that is there.
    let query = format!(
        "select e.* from unnest($2::text[], $3::bigint[]) as known(id, version)
          cross join lateral (
            select {COLUMNS} from events
             where aggregate_type = $1 and aggregate_id = known.id and sequence >= known.version
             order by sequence
          ) e"
    );
    let (ids, versions): (Vec<_>, Vec<_>) = streams.iter().map(|(id, stream)| (id.clone(), stream.version)).unzip();
    let mut not_met: HashSet<String> =
        streams.iter().filter(|(_, stream)| stream.version > 0).map(|(id, _)| id.clone()).collect();
    let mut events = sqlx::query(&query).bind(A::TYPE).bind(ids).bind(versions).fetch(connection);
    while let Some(row) = events.try_next().await? {
        let event = StoredEvent::from_row(&row)?;
        let Some(stream) = streams.get_mut(&event.stream_id) else { continue };
        if not_met.contains(&event.stream_id) {
            if (event.version, event.event_id) == (stream.version, stream.last_event) {
                not_met.remove(&event.stream_id);
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
    }
    Ok(not_met.into_iter().collect())
}

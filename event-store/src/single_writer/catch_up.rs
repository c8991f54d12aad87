//! What others wrote to streams since they were folded.

use std::collections::{BTreeSet, HashMap};
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

/// Folds what the streams' versions do not have yet, one event after the other as they arrive: a long stream is never in memory
/// as a whole.
pub(super) async fn catch_up<A: Versioned + Clone>(
    connection: &mut PgConnection,
    streams: &mut HashMap<String, Arc<Loaded<A>>>,
) -> Result<(), ReadError> {
    // Each stream by itself along its key, not all of them sorted first.
    let query = format!(
        "select e.* from unnest($2::text[], $3::bigint[]) as known(id, version)
          cross join lateral (
            select {COLUMNS} from events
             where aggregate_type = $1 and aggregate_id = known.id and sequence > known.version
             order by sequence
          ) e"
    );
    let (ids, versions): (Vec<_>, Vec<_>) = streams.iter().map(|(id, stream)| (id.clone(), stream.version)).unzip();
    let mut events = sqlx::query(&query).bind(A::TYPE).bind(ids).bind(versions).fetch(connection);
    while let Some(row) = events.try_next().await? {
        let event = StoredEvent::from_row(&row)?;
        let Some(stream) = streams.get_mut(&event.stream_id) else { continue };
        if event.version != stream.version + 1 {
            // Never, as the statement stands; but a state with a hole in it would promise what is not there.
            let hole = format!("stream {}: version {} after {}", event.stream_id, event.version, stream.version);
            return Err(sqlx::Error::Protocol(hole).into());
        }
        let decoded = event.decode::<A>()?;
        Arc::make_mut(stream).apply(decoded, event.version, event.position);
    }
    Ok(())
}

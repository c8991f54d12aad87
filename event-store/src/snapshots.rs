//! Snapshots: long streams as they were at some version, so that a reader needs only the events after it.
//!
//! They are a cache and never the truth. A snapshot is used only if its last event is in the log, if a build wrote it that folds
//! events the same way ([`Snapshotted::STATE_VERSION`]), and if its row is undamaged. Otherwise the stream is folded from its first
//! event, and a new snapshot is written.

mod writer;

use std::collections::HashMap;
use std::sync::Arc;

use event_versions::Snapshotted;
use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use crate::event::StoredEvent;
use crate::read::Versioned;

pub(crate) use writer::{SnapshotWriter, is_due};

/// Snapshots that are newer than these folded streams. Snapshots that can't be used any more are deleted on the way.
pub(crate) async fn newer<A: Snapshotted>(
    connection: &mut PgConnection,
    streams: &HashMap<String, Arc<Versioned<A>>>,
) -> Result<Vec<(String, Arc<Versioned<A>>)>, sqlx::Error> {
    let (newer, unusable) = find(connection, streams).await?;
    for (id, found) in unusable {
        delete::<A>(connection, &id, &found).await?;
    }
    Ok(newer)
}

/// The snapshot of a stream; `None`: there is none that can be used. It only reads.
pub(crate) async fn usable<A: Snapshotted>(
    connection: &mut PgConnection,
    id: &str,
) -> Result<Option<Arc<Versioned<A>>>, sqlx::Error> {
    let wanted = HashMap::from([(id.to_owned(), Arc::default())]);
    let (found, _) = find(connection, &wanted).await?;
    Ok(found.into_iter().next().map(|(_, stream)| stream))
}

/// Snapshots of these streams, by id.
type Found<A> = Vec<(String, Arc<Versioned<A>>)>;

/// Snapshots that are newer than these folded streams, and those that can't be used any more.
async fn find<A: Snapshotted>(
    connection: &mut PgConnection,
    streams: &HashMap<String, Arc<Versioned<A>>>,
) -> Result<(Found<A>, Vec<(String, SnapshotRow)>), sqlx::Error> {
    let newer =
        "select known.id, s.version, s.last_event, s.state::text, s.digest, f.global_position, e.global_position
          from unnest($3::text[], $4::bigint[]) as known(id, version)
          join stream_snapshots s on (s.aggregate_type, s.aggregate_id, s.state_version) = ($1, known.id, $2)
                                 and s.version > known.version
          left join events f on (f.aggregate_type, f.aggregate_id, f.sequence) = ($1, known.id, 1)
          left join events e on (e.aggregate_type, e.aggregate_id, e.sequence, e.event_id)
                              = ($1, known.id, s.version, s.last_event)";
    let (ids, versions): (Vec<_>, Vec<_>) = streams.iter().map(|(id, stream)| (id.as_str(), stream.version)).unzip();
    let query = sqlx::query(newer).bind(A::TYPE).bind(A::STATE_VERSION).bind(ids).bind(versions);
    let mut rows = query.fetch(&mut *connection);
    let (mut newer, mut unusable) = (Vec::new(), Vec::new());
    while let Some(row) = rows.try_next().await? {
        let (id, found) = (row.try_get::<String, _>(0)?, SnapshotRow::of(&row)?);
        match found.stream::<A>(&row) {
            Ok(stream) => newer.push((id, Arc::new(stream))),
            Err(reason) => {
                tracing::warn!(stream = id, version = found.version, reason, "a snapshot is not used");
                unusable.push((id, found));
            }
        }
    }
    Ok((newer, unusable))
}

/// A snapshot's row.
struct SnapshotRow {
    version: i64,
    last_event: Uuid,
    digest: Vec<u8>,
}

impl SnapshotRow {
    fn of(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self { version: row.try_get(1)?, last_event: row.try_get(2)?, digest: row.try_get(4)? })
    }

    /// The folded stream, or why the snapshot can't be used.
    fn stream<A: Snapshotted>(&self, row: &PgRow) -> Result<Versioned<A>, &'static str> {
        let (Ok(first_position), Ok(last_position)) = (row.try_get(5), row.try_get(6)) else {
            return Err("the log does not have its last event");
        };
        let Ok(state) = row.try_get::<&str, _>(3) else { return Err("its state is no text") };
        if digest::<A>(self.last_event, state).as_slice() != self.digest {
            return Err("its row is damaged");
        }
        let Ok(state) = serde_json::from_str(state) else { return Err("its state can't be read") };
        Ok(Versioned { state, version: self.version, first_position, last_position, last_event: self.last_event })
    }
}

/// Deletes a snapshot, unless it was replaced by another.
async fn delete<A: Snapshotted>(
    connection: &mut PgConnection,
    id: &str,
    found: &SnapshotRow,
) -> Result<(), sqlx::Error> {
    let delete = "delete from stream_snapshots
                   where (aggregate_type, aggregate_id, version, last_event, digest) = ($1, $2, $3, $4, $5)";
    let delete = sqlx::query(delete).bind(A::TYPE).bind(id).bind(found.version).bind(found.last_event);
    delete.bind(&found.digest).execute(connection).await.map(drop)
}

fn digest<A: Snapshotted>(last_event: Uuid, state: &str) -> [u8; 32] {
    let digest = Sha256::new().chain_update(last_event).chain_update(A::STATE_VERSION.to_be_bytes());
    digest.chain_update(state).finalize().into()
}

/// What `ordo verify` takes from a stored snapshot, to compare it with a fresh fold of its stream.
#[derive(Debug)]
pub struct SnapshotToVerify {
    /// The version of the stream.
    pub version: i64,
    /// Whether its row is as it was written.
    pub intact: bool,
    last_event: Uuid,
    digest: Vec<u8>,
}

impl SnapshotToVerify {
    /// Whether its state is this one, if this event is its last one. For any other event the answer is yes.
    pub fn agrees_with<A: Snapshotted>(&self, event: &StoredEvent, state: &A) -> Result<bool, serde_json::Error> {
        if (event.version, event.event_id) != (self.version, self.last_event) {
            return Ok(true);
        }
        Ok(digest::<A>(self.last_event, &serde_json::to_string(state)?).as_slice() == self.digest)
    }
}

/// The snapshots that this build can use, by stream id.
pub async fn usable_snapshots<A: Snapshotted>(
    connection: &mut PgConnection,
) -> Result<HashMap<String, SnapshotToVerify>, sqlx::Error> {
    let snapshots = "select aggregate_id, version, last_event, digest,
               digest = sha256(uuid_send(last_event) || int4send(state_version) || convert_to(state::text, 'UTF8'))
          from stream_snapshots where aggregate_type = $1 and state_version = $2";
    let mut rows = sqlx::query(snapshots).bind(A::TYPE).bind(A::STATE_VERSION).fetch(connection);
    let mut snapshots = HashMap::new();
    while let Some(row) = rows.try_next().await? {
        let snapshot = SnapshotToVerify {
            version: row.try_get(1)?,
            last_event: row.try_get(2)?,
            digest: row.try_get(3)?,
            intact: row.try_get(4)?,
        };
        snapshots.insert(row.try_get(0)?, snapshot);
    }
    Ok(snapshots)
}

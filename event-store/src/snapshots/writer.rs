//! Writing snapshots in the background, beside appends and reads.

use std::io;
use std::sync::Arc;

use bounds::Budget;
use error_chain::error_chain;
use event_versions::Snapshotted;
use sqlx::PgPool;
use tokio::sync::Semaphore;

use super::digest;
use crate::EventStore;
use crate::read::Versioned;

/// A snapshot is due whenever a stream passes a multiple of so many versions. A test build on a busy machine folds 40,000 events a
/// second, so that reading the events since the last snapshot takes a quarter of a second at most. Shorter streams need no snapshot.
/// Writing one costs little beside so many events.
const EVERY: i64 = 10_000;
/// A larger snapshot is not written: to read it would cost about as much as to fold its stream.
const MAX_BYTES: usize = Budget::BYTES;
/// How many snapshots are written at once. Further ones are skipped: the next is due soon.
const CONCURRENT: usize = 2;

/// Whether a snapshot is due once a stream has come from one version to another.
pub(crate) fn is_due(from: i64, to: i64) -> bool {
    from / EVERY < to / EVERY
}

/// Writes snapshots for a store.
#[derive(Clone)]
pub(crate) struct SnapshotWriter {
    permits: Arc<Semaphore>,
}

impl Default for SnapshotWriter {
    fn default() -> Self {
        Self { permits: Arc::new(Semaphore::new(CONCURRENT)) }
    }
}

impl SnapshotWriter {
    /// Writes a snapshot of a stream. Nobody waits for it, and nothing depends on its success.
    pub(crate) fn write<A: Snapshotted>(&self, store: &EventStore, id: String, stream: Arc<Versioned<A>>) {
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else { return };
        let (pool, stop) = (store.pool.clone(), store.stop.clone());
        store.tasks.spawn(async move {
            let _permit = permit;
            let version = stream.version;
            if let Some(Err(error)) = stop.run_until_cancelled(write(&pool, &id, &stream)).await {
                let error = error_chain(&error);
                tracing::warn!(error, stream = id, version, "a snapshot could not be written");
            }
        });
    }
}

async fn write<A: Snapshotted>(pool: &PgPool, id: &str, stream: &Versioned<A>) -> Result<(), sqlx::Error> {
    let Some(state) = json(&stream.state) else {
        tracing::debug!(stream = id, version = stream.version, "too large for a snapshot");
        return Ok(());
    };
    // An earlier snapshot replaces a later one only if this build can't use the later one. None is written of events that the log has
    // lost meanwhile.
    let insert = "insert into stream_snapshots as s
                       (aggregate_type, aggregate_id, version, last_event, state_version, state, digest)
                select $1, $2, $3, $4, $5, $6::json, $7 from events
                 where (aggregate_type, aggregate_id, sequence, event_id) = ($1, $2, $3, $4)
                on conflict (aggregate_type, aggregate_id) do update
                   set (version, last_event, state_version, state, digest, taken_at)
                     = (excluded.version, excluded.last_event, excluded.state_version, excluded.state, excluded.digest, now())
                 where s.version <= excluded.version or s.state_version <> excluded.state_version";
    let digest = digest::<A>(stream.last_event, &state);
    let insert = sqlx::query(insert).bind(A::TYPE).bind(id).bind(stream.version).bind(stream.last_event);
    insert.bind(A::STATE_VERSION).bind(state).bind(digest.as_slice()).execute(pool).await.map(drop)
}

/// The state as it is stored; `None`: it is too large.
fn json(state: &impl serde::Serialize) -> Option<String> {
    let mut buffer = BoundedBuffer(Vec::new());
    serde_json::to_writer(&mut buffer, state).ok()?;
    String::from_utf8(buffer.0).ok()
}

/// A buffer that refuses to grow beyond [`MAX_BYTES`].
struct BoundedBuffer(Vec<u8>);

impl io::Write for BoundedBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_BYTES {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.0.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use domain::ids::LocationId;
    use domain::stock::{Stock, StockEvent, StockReceived};

    use super::*;
    use crate::{AppendQueueSettings, Metadata, NewEvent, StreamAppend};

    /// A stream of three events as it was after each of them.
    async fn three(pool: &PgPool) -> Vec<Versioned<Stock>> {
        let store = EventStore::start(pool.clone(), AppendQueueSettings::default());
        let received =
            StockEvent::StockReceived(StockReceived { unit: None, quantity: 1, location: LocationId::default() });
        let event = || NewEvent::new(&received, &Metadata::default()).unwrap();
        let events = vec![event(), event(), event()];
        let stream_id = "sku".to_owned();
        store
            .append(vec![StreamAppend { stream_type: "stock", stream_id, expected_version: 0, events }])
            .await
            .unwrap();
        let events = store.read_stream::<Stock>("sku").await.unwrap();
        (1..=3).map(|version| Versioned::fold(&events[..version]).unwrap()).collect()
    }

    async fn taken(pool: &PgPool) -> Option<(i64, i32)> {
        sqlx::query_as("select version, state_version from stream_snapshots").fetch_optional(pool).await.unwrap()
    }

    #[tokio::test]
    async fn an_earlier_snapshot_never_takes_the_place_of_a_later_one() {
        let database = testkit::database().await;
        let pool = database.pool();
        let three = three(pool).await;
        // At once.
        let writes = three.iter().map(|stream| write(pool, "sku", stream));
        futures_util::future::try_join_all(writes).await.unwrap();
        assert_eq!(taken(pool).await, Some((3, Stock::STATE_VERSION)));
        // Late.
        write(pool, "sku", &three[1]).await.unwrap();
        assert_eq!(taken(pool).await, Some((3, Stock::STATE_VERSION)));
        // One that this build can't use.
        sqlx::query("update stream_snapshots set state_version = 99").execute(pool).await.unwrap();
        write(pool, "sku", &three[1]).await.unwrap();
        assert_eq!(taken(pool).await, Some((2, Stock::STATE_VERSION)));
    }

    #[tokio::test]
    async fn no_snapshot_is_taken_of_what_the_log_does_not_have() {
        let database = testkit::database().await;
        let pool = database.pool();
        let mut stream = three(pool).await.remove(2);
        stream.last_event = uuid::Uuid::nil();
        write(pool, "sku", &stream).await.unwrap();
        assert_eq!(taken(pool).await, None);
    }

    #[test]
    fn a_snapshot_is_due_whenever_a_stream_passes_a_multiple() {
        let due = [(0, 9_999), (0, 10_000), (9_999, 10_001), (10_000, 10_001), (10_001, 19_999), (5, 50_000)];
        assert_eq!(due.map(|(from, to)| is_due(from, to)), [false, true, true, false, false, true]);
    }

    #[test]
    fn a_state_that_is_too_large_is_not_kept() {
        assert_eq!(json(&"a".repeat(MAX_BYTES - 2)).map(|kept| kept.len()), Some(MAX_BYTES));
        assert_eq!(json(&"a".repeat(MAX_BYTES - 1)), None);
    }
}

//! Reading: one stream folded, many streams folded, the log from a position on.

use std::collections::HashMap;

use cqrs_es::Aggregate;
use event_versions::Versioned;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use crate::EventStore;
use crate::event::{COLUMNS, DecodeError, StoredEvent};
use crate::selection::Selection;

/// A stream, folded.
#[derive(Debug, Clone)]
pub struct Loaded<A> {
    /// What its events add up to.
    pub state: A,
    /// Its version; 0: there is no such stream.
    pub version: i64,
    /// The position of its first event.
    pub first_position: i64,
    /// The position of its last event.
    pub last_position: i64,
    /// The id of its last event: another one may come to stand in its place, in a database that lost it.
    pub(crate) last_event: Uuid,
}

/// A stream without events.
impl<A: Default> Default for Loaded<A> {
    fn default() -> Self {
        Self { state: A::default(), version: 0, first_position: 0, last_position: 0, last_event: Uuid::nil() }
    }
}

impl<A: Versioned> Loaded<A> {
    /// A stream from its events, which are all of it, in order.
    pub fn fold(events: &[StoredEvent]) -> Result<Self, DecodeError> {
        let mut stream = Self::default();
        for event in events {
            stream.apply(event.decode::<A>()?, event.version, event.position, event.event_id);
        }
        Ok(stream)
    }

    /// The stream after its next event.
    pub(crate) fn apply(&mut self, event: A::Event, version: i64, position: i64, event_id: Uuid) {
        self.state.apply(event);
        if self.version == 0 {
            self.first_position = position;
        }
        self.version = version;
        self.last_position = position;
        self.last_event = event_id;
    }
}

/// Why events could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// An event is not known.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl EventStore {
    /// A stream, folded from all its events.
    pub async fn load<A: Versioned>(&self, stream_id: &str) -> Result<Loaded<A>, ReadError> {
        Ok(Loaded::fold(&self.read_stream::<A>(stream_id).await?)?)
    }

    /// The events of several streams, each oldest first; those without events are missing.
    pub async fn read_streams<A: Aggregate>(
        &self,
        stream_ids: &[String],
    ) -> Result<HashMap<String, Vec<StoredEvent>>, sqlx::Error> {
        let query = format!(
            "select {COLUMNS} from events where aggregate_type = $1 and aggregate_id = any($2)
              order by aggregate_id, sequence"
        );
        let rows = sqlx::query(&query).bind(A::TYPE).bind(stream_ids).fetch_all(&self.pool).await?;
        let mut streams: HashMap<String, Vec<StoredEvent>> = HashMap::with_capacity(stream_ids.len());
        for row in &rows {
            let event = StoredEvent::from_row(row)?;
            streams.entry(event.stream_id.clone()).or_default().push(event);
        }
        Ok(streams)
    }

    /// The events of a stream, oldest first.
    pub async fn read_stream<A: Aggregate>(&self, stream_id: &str) -> Result<Vec<StoredEvent>, sqlx::Error> {
        read_stream(&self.pool, A::TYPE, stream_id).await
    }
}

/// The events of a stream, oldest first.
pub async fn read_stream(
    executor: impl PgExecutor<'_>,
    stream_type: &str,
    stream_id: &str,
) -> Result<Vec<StoredEvent>, sqlx::Error> {
    let query =
        format!("select {COLUMNS} from events where aggregate_type = $1 and aggregate_id = $2 order by sequence");
    let rows = sqlx::query(&query).bind(stream_type).bind(stream_id).fetch_all(executor).await?;
    rows.iter().map(StoredEvent::from_row).collect()
}

/// The events after a position, in order, at most so many. None: there are none yet.
pub async fn read_after(
    connection: &mut PgConnection,
    position: i64,
    limit: i64,
) -> Result<Vec<StoredEvent>, sqlx::Error> {
    let query = format!("select {COLUMNS} from events where global_position > $1 order by global_position limit $2");
    let rows = sqlx::query(&query).bind(position).bind(limit).fetch_all(connection).await?;
    rows.iter().map(StoredEvent::from_row).collect()
}

/// The events of a selection, in the order of the log, at most so many.
pub async fn read_selected(
    connection: &mut PgConnection,
    selection: &Selection,
    limit: i64,
) -> Result<Vec<StoredEvent>, sqlx::Error> {
    let condition = selection.condition();
    let query = format!("select {COLUMNS} from events where {condition} order by global_position limit $1");
    // Not kept among the prepared ones: what is asked for is part of it.
    let rows = sqlx::query(&query).bind(limit).persistent(false).fetch_all(connection).await?;
    rows.iter().map(StoredEvent::from_row).collect()
}

/// The position of the last event; 0: there is none.
pub async fn read_end(executor: impl PgExecutor<'_>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("select coalesce(max(global_position), 0) from events").fetch_one(executor).await
}

/// The events stream by stream, each oldest first, at most so many. `after` is the last one that was read, as the kind of its
/// stream, its stream and its version; empty and 0 to begin with. None: there are no more.
pub async fn read_by_stream(
    connection: &mut PgConnection,
    after: (&str, &str, i64),
    limit: i64,
) -> Result<Vec<StoredEvent>, sqlx::Error> {
    let (stream_type, stream_id, version) = after;
    let query = format!(
        "select {COLUMNS} from events where (aggregate_type, aggregate_id, sequence) > ($1, $2, $3)
          order by aggregate_type, aggregate_id, sequence limit $4"
    );
    let query = sqlx::query(&query).bind(stream_type).bind(stream_id).bind(version).bind(limit);
    query.fetch_all(connection).await?.iter().map(StoredEvent::from_row).collect()
}

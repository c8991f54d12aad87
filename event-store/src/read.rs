//! Reading: one stream folded, several streams, the log from a position on.
//!
//! What is read together is bounded by bytes, not only by a number of events: rows are taken one by one until the budget is used up.
//! The statement itself stops near the bound, so that little is sent in vain.

use std::collections::HashMap;
use std::sync::Arc;

use bounds::Budget;
use cqrs_es::Aggregate;
use event_versions::{Snapshotted, Upcastable};
use futures_util::{Stream, TryStreamExt};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use crate::EventStore;
use crate::event::{COLUMNS, EventDecodeError, StoredEvent};
use crate::filter::EventFilter;
use crate::snapshots;
use crate::stream_locks::catch_up::read_chunk;

/// A folded stream, and the version that it is at.
#[derive(Debug, Clone)]
pub struct Versioned<A> {
    /// What its events fold to.
    pub state: A,
    /// Its version; 0: there is no such stream.
    pub version: i64,
    /// The position of its first event.
    pub first_position: i64,
    /// The position of its last event.
    pub last_position: i64,
    /// The id of its last event: a database that lost the event may have another one in its place.
    pub(crate) last_event: Uuid,
}

/// A stream without events.
impl<A: Default> Default for Versioned<A> {
    fn default() -> Self {
        Self { state: A::default(), version: 0, first_position: 0, last_position: 0, last_event: Uuid::nil() }
    }
}

/// A version of a stream, and the position of its event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamVersion {
    pub version: i64,
    pub position: i64,
}

impl<A> Versioned<A> {
    /// The stream's first event.
    pub fn first(&self) -> StreamVersion {
        StreamVersion { version: self.version.min(1), position: self.first_position }
    }

    /// The stream's last event.
    pub fn last(&self) -> StreamVersion {
        StreamVersion { version: self.version, position: self.last_position }
    }
}

impl<A: Upcastable> Versioned<A> {
    /// A stream from all of its events, in order.
    pub fn fold(events: &[StoredEvent]) -> Result<Self, EventDecodeError> {
        let mut stream = Self::default();
        for event in events {
            stream.apply(event.decode::<A>()?, event.version, event.position, event.event_id);
        }
        Ok(stream)
    }

    /// Applies the stream's next event.
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
    /// An event can't be decoded.
    #[error(transparent)]
    Decode(#[from] EventDecodeError),
}

impl EventStore {
    /// Folds a stream event by event as they arrive, so that a long stream is never in memory as a whole.
    pub async fn load<A: Upcastable>(&self, stream_id: &str) -> Result<Versioned<A>, ReadError> {
        let mut stream = Versioned::default();
        let query = format!(
            "select {COLUMNS} from events where aggregate_type = $1 and aggregate_id = $2
              order by sequence"
        );
        let mut rows = sqlx::query(&query).bind(A::TYPE).bind(stream_id).fetch(&self.pool);
        while let Some(row) = rows.try_next().await? {
            let event = StoredEvent::from_row(&row)?;
            stream.apply(event.decode::<A>()?, event.version, event.position, event.event_id);
        }
        Ok(stream)
    }

    /// The same, from the stream's snapshot on, if there is one, and in chunks: no statement takes long, however long the stream is.
    pub async fn load_from_snapshot<A: Snapshotted>(&self, stream_id: &str) -> Result<Versioned<A>, ReadError> {
        let snapshot = snapshots::usable::<A>(&mut *self.pool.acquire().await?, stream_id).await?;
        let mut streams = HashMap::from([(stream_id.to_owned(), snapshot.unwrap_or_default())]);
        loop {
            let read = read_chunk(&mut *self.pool.acquire().await?, &mut streams).await?;
            if !read.lost.is_empty() {
                streams.insert(stream_id.to_owned(), Arc::default());
            } else if !read.more {
                return Ok(streams.remove(stream_id).map(Arc::unwrap_or_clone).unwrap_or_default());
            }
        }
    }

    /// The events of those streams that fit into a budget, each stream complete and oldest event first; at least one stream, unless
    /// none has events. The caller asks again for the others.
    pub async fn read_streams<A: Aggregate>(
        &self,
        stream_ids: &[String],
        mut budget: Budget,
    ) -> Result<HashMap<String, Vec<StoredEvent>>, sqlx::Error> {
        // The statement counts payloads as they are stored, perhaps compressed. So it only cuts off what would be read in vain; the
        // budget itself is kept below. Each stream is looked up by itself: of a log that was not analyzed yet, the planner would
        // rather read all.
        let query = format!(
            "select {COLUMNS} from (
                select e.*, sum({STORED_BYTES}) over (
                           order by aggregate_id groups between unbounded preceding and 1 preceding) as before
                  from (select distinct id from unnest($2::text[]) as id) as wanted
                 cross join lateral (
                    select {COLUMNS} from events where aggregate_type = $1 and aggregate_id = wanted.id order by sequence
                    offset 0) as e) as e
              where coalesce(before, 0) <= $3 order by aggregate_id, sequence"
        );
        let query = sqlx::query(&query).bind(A::TYPE).bind(stream_ids).bind(bytes(budget));
        let mut rows = query.fetch(&self.pool);
        let mut streams: HashMap<String, Vec<StoredEvent>> = HashMap::with_capacity(stream_ids.len());
        while let Some(row) = rows.try_next().await? {
            let event = StoredEvent::from_row(&row)?;
            match streams.get_mut(&event.stream_id) {
                // A stream is read to its end once it was begun.
                Some(stream) => {
                    budget.spend(event.size());
                    stream.push(event);
                }
                None if budget.take(event.size()) => {
                    streams.insert(event.stream_id.clone(), vec![event]);
                }
                None => break,
            }
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
    let query = stream_query();
    let mut rows = sqlx::query(&query).bind(stream_type).bind(stream_id).fetch(executor);
    let mut events = Vec::new();
    while let Some(row) = rows.try_next().await? {
        events.push(StoredEvent::from_row(&row)?);
    }
    Ok(events)
}

/// The events of a stream after a version, oldest first: at most `limit`, and no further ones once payloads and metadata come to
/// `bytes`.
pub async fn read_stream_after(
    executor: impl PgExecutor<'_>,
    (stream_type, stream_id, version): (&str, &str, i64),
    limit: i64,
    bytes: i64,
) -> Result<Vec<StoredEvent>, sqlx::Error> {
    let size = "octet_length(payload::text) + octet_length(metadata::text)";
    let query = format!(
        "select {COLUMNS} from (
           select {COLUMNS}, sum({size}) over (order by sequence) - ({size}) as bytes_before from (
             select {COLUMNS} from events where aggregate_type = $1 and aggregate_id = $2 and sequence > $3
              order by sequence limit $4
           ) counted
         ) measured where bytes_before < $5 order by sequence"
    );
    let query = sqlx::query(&query).bind(stream_type).bind(stream_id).bind(version).bind(limit).bind(bytes);
    query.fetch_all(executor).await?.iter().map(StoredEvent::from_row).collect()
}

/// The version of a stream; 0: there is none.
pub async fn read_version(
    executor: impl PgExecutor<'_>,
    stream_type: &str,
    stream_id: &str,
) -> Result<i64, sqlx::Error> {
    let query = "select coalesce(max(sequence), 0) from events where aggregate_type = $1 and aggregate_id = $2";
    sqlx::query_scalar(query).bind(stream_type).bind(stream_id).fetch_one(executor).await
}

/// Events that were read together.
#[derive(Debug, Default)]
pub struct EventPage {
    pub events: Vec<StoredEvent>,
    /// Whether there may be more of them already.
    pub more: bool,
}

/// The events after a position, in order, as many as fit into a budget.
pub async fn read_after(
    connection: &mut PgConnection,
    position: i64,
    budget: Budget,
) -> Result<EventPage, sqlx::Error> {
    read_filtered(connection, &EventFilter::after(position), budget).await
}

/// The events that a filter matches, in the order of the log, as many as fit into a budget.
pub async fn read_filtered(
    connection: &mut PgConnection,
    filter: &EventFilter,
    budget: Budget,
) -> Result<EventPage, sqlx::Error> {
    read_in_order(connection, &filter.condition(), "global_position", budget).await
}

/// The events that meet a condition in an order, likewise.
pub(crate) async fn read_in_order(
    connection: &mut PgConnection,
    condition: &str,
    order: &str,
    budget: Budget,
) -> Result<EventPage, sqlx::Error> {
    let query = bounded_query(condition, order);
    // Not kept as a prepared statement: values are part of the condition.
    let query = sqlx::query(&query).bind(pieces(budget)).bind(bytes(budget)).persistent(false);
    page(query.fetch(connection), budget).await
}

/// The position of the last event; 0: there is none.
pub async fn last_position(executor: impl PgExecutor<'_>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("select coalesce(max(global_position), 0) from events").fetch_one(executor).await
}

/// The events stream by stream, each oldest first, as many as fit into a budget. `after` is the last event that was read, as stream
/// type, stream id and version; empty and 0 to begin with.
pub async fn read_by_stream(
    connection: &mut PgConnection,
    after: (&str, &str, i64),
    budget: Budget,
) -> Result<EventPage, sqlx::Error> {
    let (stream_type, stream_id, version) = after;
    let after = "(aggregate_type, aggregate_id, sequence) > ($3, $4, $5)";
    let query = bounded_query(after, "aggregate_type, aggregate_id, sequence");
    let query = sqlx::query(&query).bind(pieces(budget)).bind(bytes(budget));
    page(query.bind(stream_type).bind(stream_id).bind(version).fetch(connection), budget).await
}

/// The stored size of an event. A large payload is stored compressed; to know its real size it would have to be unpacked. That takes a
/// seventh longer where payloads are 4 KB, and saves no time where they are 250 KB: those beyond the cut would be unpacked as well.
const STORED_BYTES: &str = "pg_column_size(payload) + pg_column_size(metadata)";

/// The query for all events of one stream.
fn stream_query() -> String {
    format!("select {COLUMNS} from events where aggregate_type = $1 and aggregate_id = $2 order by sequence")
}

/// The query for the first events that meet a condition: at most `$1`, and until `$2` bytes are passed.
fn bounded_query(condition: &str, order: &str) -> String {
    format!(
        "select {COLUMNS} from (
            select {COLUMNS},
                   sum({STORED_BYTES}) over (order by {order} rows between unbounded preceding and 1 preceding) as before
              from events where {condition} order by {order} limit $1) as e
          where coalesce(before, 0) <= $2 order by {order}"
    )
}

/// As many of the rows as fit into a budget.
async fn page(
    mut rows: impl Stream<Item = Result<PgRow, sqlx::Error>> + Unpin,
    mut budget: Budget,
) -> Result<EventPage, sqlx::Error> {
    let mut page = EventPage::default();
    while let Some(row) = rows.try_next().await? {
        let event = StoredEvent::from_row(&row)?;
        if !budget.take(event.size()) {
            page.more = true;
            return Ok(page);
        }
        page.events.push(event);
    }
    // The statement may have ended where the budget does.
    page.more = budget.is_used_up();
    Ok(page)
}

fn pieces(budget: Budget) -> i64 {
    i64::try_from(budget.pieces()).unwrap_or(i64::MAX)
}

fn bytes(budget: Budget) -> i64 {
    i64::try_from(budget.bytes()).unwrap_or(i64::MAX)
}

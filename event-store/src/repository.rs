//! cqrs-es's repository on this store: code for `PersistedEventStore`, `CqrsFramework` and `QueryReplay` runs on it, with group commit
//! and one log.
//!
//! It has no snapshots: an order's stream is short, and cqrs-es 0.5 applies events twice in its snapshot modes.

use bounds::Budget;
use cqrs_es::Aggregate;
use cqrs_es::persist::{
    PersistedEventRepository, PersistenceError, ReplayFeed, ReplayStream, SerializedEvent, SerializedSnapshot,
};
use serde_json::Value;
use uuid::Uuid;

use crate::append::AppendError;
use crate::event::{NewEvent, StoredEvent};
use crate::read::read_filtered;
use crate::{EventFilter, EventStore, StreamAppend};

/// How many events are read ahead of the consumer.
const AHEAD: usize = 200;

impl PersistedEventRepository for EventStore {
    async fn get_events<A: Aggregate>(&self, aggregate_id: &str) -> Result<Vec<SerializedEvent>, PersistenceError> {
        self.get_last_events::<A>(aggregate_id, 0).await
    }

    async fn get_last_events<A: Aggregate>(
        &self,
        aggregate_id: &str,
        last_sequence: usize,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        let events = self.read_stream::<A>(aggregate_id).await.map_err(connection_error)?;
        events.into_iter().map(serialized).filter(|event| !is_up_to(event, last_sequence)).collect()
    }

    /// Always none.
    async fn get_snapshot<A: Aggregate>(&self, _: &str) -> Result<Option<SerializedSnapshot>, PersistenceError> {
        Ok(None)
    }

    async fn persist<A: Aggregate>(
        &self,
        events: &[SerializedEvent],
        snapshot_update: Option<(String, Value, usize)>,
    ) -> Result<(), PersistenceError> {
        if snapshot_update.is_some() {
            return Err(PersistenceError::UnknownError("this event store keeps no snapshots".into()));
        }
        let Some(first) = events.first() else { return Ok(()) };
        let append = StreamAppend {
            stream_type: A::TYPE,
            stream_id: first.aggregate_id.clone(),
            expected_version: i64::try_from(first.sequence).unwrap_or(i64::MAX) - 1,
            events: events.iter().map(NewEvent::from).collect(),
        };
        match self.append(vec![append]).await {
            Ok(_) => Ok(()),
            Err(AppendError::Conflict) => Err(PersistenceError::OptimisticLockError),
            Err(error) => Err(PersistenceError::ConnectionError(error.into())),
        }
    }

    async fn stream_events<A: Aggregate>(&self, aggregate_id: &str) -> Result<ReplayStream, PersistenceError> {
        let (mut feed, stream) = ReplayStream::new(AHEAD);
        let events = self.get_events::<A>(aggregate_id).await?;
        tokio::spawn(async move {
            for event in events {
                if feed.push(Ok(event)).await.is_err() {
                    return;
                }
            }
        });
        Ok(stream)
    }

    /// In commit order. If the database fails, the stream ends with the error.
    async fn stream_all_events<A: Aggregate>(&self) -> Result<ReplayStream, PersistenceError> {
        let (mut feed, stream) = ReplayStream::new(AHEAD);
        let store = self.clone();
        tokio::spawn(async move {
            if let Err(error) = store.feed_all::<A>(&mut feed).await {
                // The consumer may have gone.
                let _ = feed.push(Err(error)).await;
            }
        });
        Ok(stream)
    }
}

impl EventStore {
    async fn feed_all<A: Aggregate>(&self, feed: &mut ReplayFeed) -> Result<(), PersistenceError> {
        let mut filter = EventFilter { stream_types: vec![A::TYPE.to_owned()], ..EventFilter::default() };
        loop {
            let mut connection = self.pool().acquire().await.map_err(connection_error)?;
            let page = read_filtered(&mut connection, &filter, Budget::of(AHEAD)).await.map_err(connection_error)?;
            drop(connection);
            let Some(last) = page.events.last() else { return Ok(()) };
            filter.after = last.position;
            for event in page.events {
                feed.push(serialized(event)).await?;
            }
        }
    }
}

fn connection_error(error: sqlx::Error) -> PersistenceError {
    PersistenceError::ConnectionError(error.into())
}

fn serialized(event: StoredEvent) -> Result<SerializedEvent, PersistenceError> {
    Ok(SerializedEvent {
        payload: serde_json::from_str(event.payload.get())?,
        metadata: serde_json::from_str(event.metadata.get())?,
        sequence: usize::try_from(event.version).unwrap_or(usize::MAX),
        aggregate_id: event.stream_id,
        aggregate_type: event.stream_type,
        event_type: event.event_type,
        event_version: event.event_version,
    })
}

/// Errors are passed on to the caller.
fn is_up_to(event: &Result<SerializedEvent, PersistenceError>, sequence: usize) -> bool {
    event.as_ref().is_ok_and(|event| event.sequence <= sequence)
}

impl From<&SerializedEvent> for NewEvent {
    fn from(event: &SerializedEvent) -> Self {
        Self {
            event_id: Uuid::now_v7(),
            event_type: event.event_type.clone(),
            event_version: event.event_version.clone(),
            payload: event.payload.to_string(),
            metadata: event.metadata.to_string(),
        }
    }
}

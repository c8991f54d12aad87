//! What a projection is: a pure fold of events into items.

use std::fmt;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::order::Order;
use domain::stock::Stock;
use event_store::{BorrowedEvent, EventDecodeError, StoredEvent};
use event_versions::Upcastable;
use read_models::{Key, StreamItemChanges};
use utoipa_axum::router::OpenApiRouter;

use crate::error::FoldError;
use crate::fold_context::FoldWorkingSet;
use crate::reads::ReadRouteState;

/// A read model: how events become its items, and the routes that read them.
///
/// Processes fold different streams at the same time. So an item belongs to one stream, and only events of that stream
/// change it. What adds up over many streams is a tally.
pub struct ProjectionDefinition {
    /// The name of the read model, and of its subscription.
    pub name: &'static str,
    pub(crate) follows: FollowedStreams,
    /// The GET routes.
    pub(crate) routes: fn() -> OpenApiRouter<ReadRouteState>,
}

/// Whose events a projection folds. It never sees streams of another type.
pub(crate) enum FollowedStreams {
    Orders(ProjectionFold<Order>),
    Stock(ProjectionFold<Stock>),
}

/// How the events of an aggregate become items.
pub(crate) struct ProjectionFold<A: Aggregate> {
    /// The key of a stream's head: the item that changes with every event that changes any item. Its version tells how
    /// far the stream is folded.
    pub(crate) head: fn(stream_id: &str) -> Key,
    /// Whether an event may change anything. A stream is not even loaded for a batch that has only other events of it.
    pub(crate) handles: fn(&A::Event) -> bool,
    /// The keys of the other items that the fold of this event reads.
    pub(crate) keys_to_load: fn(&DecodedEvent<A>) -> Vec<Key>,
    /// Changes the items by an event.
    pub(crate) fold: fn(&mut FoldWorkingSet, &DecodedEvent<A>) -> Result<(), FoldError>,
}

/// An event of an aggregate, with its place in the log.
pub(crate) struct DecodedEvent<A: Aggregate> {
    pub(crate) stream_id: String,
    pub(crate) version: i64,
    pub(crate) position: i64,
    pub(crate) recorded_at: DateTime<Utc>,
    pub(crate) event: A::Event,
}

impl<A: Upcastable> ProjectionFold<A> {
    /// Folds the events of one stream. Events that the head has passed are skipped, so that a batch may come again.
    pub(crate) fn apply(
        &self,
        mut items: FoldWorkingSet,
        head: Key,
        events: &[DecodedEvent<A>],
    ) -> Result<Option<StreamItemChanges>, FoldError> {
        let base = items.version(&head);
        for recorded in events.iter().filter(|recorded| base.is_none_or(|passed| recorded.position > passed)) {
            (self.fold)(&mut items, recorded)?;
        }
        items.into_change(head, base)
    }
}

impl<A: Upcastable> DecodedEvent<A> {
    pub(crate) fn decode(event: &BorrowedEvent<'_>) -> Result<Self, EventDecodeError> {
        Ok(Self {
            stream_id: event.stream_id.to_owned(),
            version: event.version,
            position: event.position,
            recorded_at: event.recorded_at,
            event: event.decode::<A>()?,
        })
    }

    pub(crate) fn decode_all(events: &[StoredEvent]) -> Result<Vec<Self>, EventDecodeError> {
        events.iter().map(|event| Self::decode(&event.borrowed())).collect()
    }
}

impl ProjectionDefinition {
    /// Folds all events of one stream, the first of them first. `None`: they change nothing.
    pub(crate) fn fold_stream(&self, events: &[StoredEvent]) -> Result<Option<StreamItemChanges>, FoldError> {
        let Some(first) = events.first() else { return Ok(None) };
        match &self.follows {
            FollowedStreams::Orders(fold) if first.is_of::<Order>() => {
                fold.apply(FoldWorkingSet::default(), (fold.head)(&first.stream_id), &DecodedEvent::decode_all(events)?)
            }
            FollowedStreams::Stock(fold) if first.is_of::<Stock>() => {
                fold.apply(FoldWorkingSet::default(), (fold.head)(&first.stream_id), &DecodedEvent::decode_all(events)?)
            }
            FollowedStreams::Orders(_) | FollowedStreams::Stock(_) => Ok(None),
        }
    }
}

impl FollowedStreams {
    pub(crate) fn stream_type(&self) -> &'static str {
        match self {
            Self::Orders(_) => Order::TYPE,
            Self::Stock(_) => Stock::TYPE,
        }
    }
}

impl fmt::Debug for ProjectionDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Projection").field(&self.name).finish()
    }
}

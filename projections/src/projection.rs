//! What a projection is: a pure fold of events into items.

use std::collections::{HashMap, HashSet};
use std::fmt;

use axum::Router;
use bounds::BatchSize;
use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::order::Order;
use domain::stock::Stock;
use event_store::{DecodeError, EventRef, StoredEvent, SubscriberError};
use event_versions::Upcastable;
use read_models::{Change, Item, Key, StoreError, Table};
use sqlx::PgConnection;

use crate::items::Items;
use crate::reads::Reads;

/// A read model: how events become its items, and where they are read.
///
/// Copies fold different streams at the same time: an item belongs to one stream, and only its events change it. What adds up
/// over many streams is a tally.
pub struct Projection {
    /// Its name, and its subscription's.
    pub name: &'static str,
    /// What becomes of whose events.
    pub(crate) follows: Follows,
    /// Its GET routes.
    pub(crate) routes: fn() -> Router<Reads>,
}

/// Whose events a projection folds. Streams of other kinds do not concern it.
pub(crate) enum Follows {
    /// Orders.
    Orders(Fold<Order>),
    /// What there is of SKUs.
    Stock(Fold<Stock>),
}

/// How the events of an aggregate become items.
pub(crate) struct Fold<A: Aggregate> {
    /// The first item of a stream, which is changed by every event that changes anything: it tells how far the stream is folded.
    pub(crate) head: fn(stream_id: &str) -> Key,
    /// Whether an event may change anything. A stream of which a batch has no other is not even looked up.
    pub(crate) concerns: fn(&A::Event) -> bool,
    /// The keys of the other items that folding this event needs to see.
    pub(crate) needs: fn(&Fact<A>) -> Vec<Key>,
    /// Changes the items by an event.
    pub(crate) fold: fn(&mut Items, &Fact<A>) -> Result<(), FoldError>,
}

/// Something that happened to an aggregate, as projections see it.
pub(crate) struct Fact<A: Aggregate> {
    pub(crate) stream_id: String,
    pub(crate) version: i64,
    pub(crate) position: i64,
    pub(crate) recorded_at: DateTime<Utc>,
    pub(crate) event: A::Event,
}

/// Why events could not be folded. The subscription stops before an event that is not known; it parks the stream of any other.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// An event is not known.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// An item could not be read or written.
    #[error("an item of the read model can't be read or written")]
    Item(#[from] serde_json::Error),
    /// An event came for something that was never created.
    #[error("event at position {position}: there is no {key:?}")]
    Missing {
        /// Where the event is.
        position: i64,
        /// What should be there.
        key: Key,
    },
    /// The projection changed something and left the stream's first item as it was.
    #[error("the projection did not change {0:?}, which tells how far the stream is folded")]
    Headless(Key),
}

impl Projection {
    /// What a stream's events add up to, from the first on; `None`: nothing. They are of one stream, and in order.
    pub fn fold_alone(&self, events: &[StoredEvent]) -> Result<Option<Change>, FoldError> {
        let Some(first) = events.first() else { return Ok(None) };
        match &self.follows {
            Follows::Orders(fold) if first.is_of::<Order>() => fold.alone(&facts(events)?),
            Follows::Stock(fold) if first.is_of::<Stock>() => fold.alone(&facts(events)?),
            Follows::Orders(_) | Follows::Stock(_) => Ok(None),
        }
    }

    /// Folds events over what the table has, and writes what they changed, those of as many streams at a time as memory takes: an event
    /// may be small and what it changes large.
    pub(crate) async fn fold_into(
        &self,
        table: &dyn Table,
        transaction: &mut PgConnection,
        mut events: &[StoredEvent],
        stride: &mut BatchSize,
    ) -> Result<(), ProjectError> {
        while !events.is_empty() {
            let mut streams: HashSet<&str> = HashSet::new();
            let mut end = 0;
            for event in events {
                if streams.len() >= stride.pieces() && !streams.contains(&*event.stream_id) {
                    break;
                }
                streams.insert(&event.stream_id);
                end += 1;
            }
            let (some, rest) = events.split_at(end);
            let changed = self.fold_over(table, transaction, some).await?;
            table.write(transaction, &changed).await?;
            stride.observe(streams.len(), changed.iter().flat_map(Change::items).map(Item::size).sum());
            events = rest;
        }
        Ok(())
    }

    /// Folds events over what the table has, and returns what they changed.
    async fn fold_over(
        &self,
        table: &dyn Table,
        connection: &mut PgConnection,
        events: &[StoredEvent],
    ) -> Result<Vec<Change>, ProjectError> {
        match &self.follows {
            Follows::Orders(fold) => fold.over(table, connection, events).await,
            Follows::Stock(fold) => fold.over(table, connection, events).await,
        }
    }
}

impl fmt::Debug for Projection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Projection").field(&self.name).finish()
    }
}

impl Follows {
    /// The kind of their streams.
    pub(crate) fn stream_type(&self) -> &'static str {
        match self {
            Self::Orders(_) => Order::TYPE,
            Self::Stock(_) => Stock::TYPE,
        }
    }
}

impl<A: Upcastable> Fold<A> {
    async fn over(
        &self,
        table: &dyn Table,
        connection: &mut PgConnection,
        events: &[StoredEvent],
    ) -> Result<Vec<Change>, ProjectError> {
        let mut streams: Vec<Stream<A>> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for event in events.iter().filter(|event| event.is_of::<A>()) {
            let fact = Fact::of(&event.borrowed())?;
            if !(self.concerns)(&fact.event) {
                continue;
            }
            let place = *places.entry(&event.stream_id).or_insert(streams.len());
            if place == streams.len() {
                streams.push(Stream { head: (self.head)(&event.stream_id), needed: Vec::new(), facts: Vec::new() });
            }
            let stream = &mut streams[place];
            stream.needed.extend((self.needs)(&fact));
            stream.facts.push(fact);
        }
        let mut keys: Vec<Key> = streams.iter().flat_map(Stream::keys).cloned().collect();
        keys.sort_unstable();
        keys.dedup();
        let found = table.get(connection, &keys).await?;
        let mut found: HashMap<Key, Item> = found.into_iter().map(|item| (item.key.clone(), item)).collect();
        let mut changes = Vec::with_capacity(streams.len());
        for stream in streams {
            let known = Items::of(stream.keys().filter_map(|key| found.remove(key)));
            changes.extend(self.stream(known, stream.head, &stream.facts)?);
        }
        Ok(changes)
    }

    /// What all facts of a stream add up to.
    pub(crate) fn alone(&self, facts: &[Fact<A>]) -> Result<Option<Change>, FoldError> {
        let Some(first) = facts.first() else { return Ok(None) };
        self.stream(Items::default(), (self.head)(&first.stream_id), facts)
    }

    /// Folds what the stream's head has not passed: facts may come again.
    pub(crate) fn stream(&self, mut items: Items, head: Key, facts: &[Fact<A>]) -> Result<Option<Change>, FoldError> {
        let base = items.version(&head);
        for fact in facts.iter().filter(|fact| base.is_none_or(|passed| fact.position > passed)) {
            (self.fold)(&mut items, fact)?;
        }
        items.into_change(head, base)
    }
}

/// A stream's part of a batch.
struct Stream<A: Aggregate> {
    head: Key,
    needed: Vec<Key>,
    facts: Vec<Fact<A>>,
}

impl<A: Aggregate> Stream<A> {
    fn keys(&self) -> impl Iterator<Item = &Key> {
        [&self.head].into_iter().chain(&self.needed)
    }
}

impl<A: Upcastable> Fact<A> {
    pub(crate) fn of(event: &EventRef<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            stream_id: event.stream_id.to_owned(),
            version: event.version,
            position: event.position,
            recorded_at: event.recorded_at,
            event: event.decode::<A>()?,
        })
    }
}

/// The events of a stream of the aggregate, decoded.
pub(crate) fn facts<A: Upcastable>(events: &[StoredEvent]) -> Result<Vec<Fact<A>>, DecodeError> {
    events.iter().map(|event| Fact::of(&event.borrowed())).collect()
}

/// Why a batch could not be projected.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The fold failed.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// The read model could not be read or written.
    #[error("the read model can't be read or written")]
    Store(#[from] StoreError),
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

impl From<ProjectError> for SubscriberError {
    fn from(error: ProjectError) -> Self {
        match error {
            ProjectError::Fold(FoldError::Decode(error)) => error.into(),
            ProjectError::Fold(error @ (FoldError::Item(_) | FoldError::Missing { .. } | FoldError::Headless(_))) => {
                Self::poison(error)
            }
            ProjectError::Store(StoreError::Database(error)) | ProjectError::Database(error) => error.into(),
            ProjectError::Store(error @ StoreError::Refused { .. }) => Self::poison(error),
            ProjectError::Store(
                error @ (StoreError::Conflict(_) | StoreError::NoGeneration { .. } | StoreError::Remote(_)),
            ) => Self::unavailable(error),
        }
    }
}

impl From<DecodeError> for ProjectError {
    fn from(error: DecodeError) -> Self {
        Self::Fold(error.into())
    }
}

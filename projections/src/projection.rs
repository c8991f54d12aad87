//! What a projection is: a pure fold of events into items.

use std::collections::{BTreeSet, HashMap};

use axum::Router;
use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::Order;
use domain::stock::Stock;
use event_store::{DecodeError, StoredEvent, SubscriberError};
use read_models::{Item, Key, Table};
use sqlx::PgConnection;

use crate::reads::Reads;

/// A read model: how events become its items, and where they are read.
///
/// Copies fold different streams at the same time: an item belongs to one stream, and only its events change it.
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
    /// The keys of the items that folding this event needs to see.
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

/// The items that a fold works on, and which of them it changed.
#[derive(Default)]
pub(crate) struct Items {
    known: HashMap<Key, Item>,
    changed: BTreeSet<Key>,
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
}

impl Projection {
    pub(crate) fn table(&self) -> Table {
        Table::named(format!("read_model_{}", self.name))
    }

    /// Folds events over what the table has, and returns the items they changed, each once.
    pub(crate) async fn fold_over(
        &self,
        table: &Table,
        connection: &mut PgConnection,
        events: &[StoredEvent],
    ) -> Result<Vec<Item>, ProjectError> {
        match &self.follows {
            Follows::Orders(fold) => fold.over(table, connection, events).await,
            Follows::Stock(fold) => fold.over(table, connection, events).await,
        }
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

impl<A: Aggregate> Fold<A> {
    async fn over(
        &self,
        table: &Table,
        connection: &mut PgConnection,
        events: &[StoredEvent],
    ) -> Result<Vec<Item>, ProjectError> {
        let facts = facts::<A>(events)?;
        let needed: BTreeSet<Key> = facts.iter().flat_map(|fact| (self.needs)(fact)).collect();
        let needed: Vec<Key> = needed.into_iter().collect();
        let mut items = Items::default();
        for item in table.get(connection, &needed).await? {
            items.known.insert(item.key.clone(), item);
        }
        for fact in &facts {
            (self.fold)(&mut items, fact)?;
        }
        Ok(items.into_changed())
    }
}

/// Why a batch could not be projected.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The fold failed.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

/// What becomes of the events.
impl From<ProjectError> for SubscriberError {
    fn from(error: ProjectError) -> Self {
        match error {
            ProjectError::Fold(FoldError::Decode(error)) => error.into(),
            ProjectError::Fold(error @ (FoldError::Item(_) | FoldError::Missing { .. })) => Self::poison(error),
            ProjectError::Database(error) => error.into(),
        }
    }
}

impl From<DecodeError> for ProjectError {
    fn from(error: DecodeError) -> Self {
        Self::Fold(error.into())
    }
}

/// The events of the aggregate.
pub(crate) fn facts<A: Aggregate>(events: &[StoredEvent]) -> Result<Vec<Fact<A>>, DecodeError> {
    let fact = |event: &StoredEvent| {
        Ok(Fact {
            stream_id: event.stream_id.clone(),
            version: event.version,
            position: event.position,
            recorded_at: event.recorded_at,
            event: event.decode::<A>()?,
        })
    };
    events.iter().filter(|event| event.is_of::<A>()).map(fact).collect()
}

impl Items {
    pub(crate) fn get(&self, key: &Key) -> Option<&Item> {
        self.known.get(key)
    }

    pub(crate) fn put(&mut self, item: Item) {
        self.changed.insert(item.key.clone());
        self.known.insert(item.key.clone(), item);
    }

    /// In the order of their keys, so that all writers of a table lock its rows in one order.
    pub(crate) fn into_changed(mut self) -> Vec<Item> {
        self.changed.iter().filter_map(|key| self.known.remove(key)).collect()
    }
}

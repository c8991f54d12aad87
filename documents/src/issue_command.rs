//! Issues documents: their numbers, their content and the orders' events that name them are one append, all or nothing.
//!
//! A document's number is its version in the stream of its series. The append stores it only if the series is at the version that it
//! was decided on, and the order as well. So of two copies that take the same number, or issue the same document, one meets a conflict
//! and decides again.

use std::collections::{BTreeMap, HashMap};

use bounds::Budget;
use chrono::NaiveDate;
use cqrs_es::Aggregate;
use domain::document::{DocumentSeries, DocumentSeriesError, Seller, series_of};
use domain::ids::{InvalidId, OrderId, ShipmentId};
use domain::order::{DocumentCause, DocumentFacts, Order, OrderEvent, PlacedOrder};
use event_store::{
    Append, Command, Decision, EventDecodeError, EventStore, HandleError, LockedStreams, Metadata, NewEvent,
    StoredEvent, StreamAppend, StreamLocks, StreamVersion,
};

use crate::issuer::series_on;

/// The actor of the events.
const ACTOR: &str = "documents";
/// Events of orders that are read at once. The budget also bounds their bytes.
const EVENTS: usize = 5_000;

/// Why documents could not be issued.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IssueError {
    /// A later build wrote an event of the order.
    #[error("an order has an event that this build does not know")]
    Unknown(#[source] EventDecodeError),
    #[error("the database failed")]
    Database(#[source] sqlx::Error),
    #[error("an event could not be encoded")]
    Encode(#[source] serde_json::Error),
    /// The stream is of no order.
    #[error("a stream is named by what is no id")]
    Id(#[source] InvalidId),
    /// The decision was not the series'.
    #[error("the series refuses the document")]
    Series(#[source] DocumentSeriesError),
}

/// Why an order is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IssueCause<'a> {
    /// The event that its documents are traced back to.
    pub(crate) event: &'a StoredEvent,
    /// Whether a shipment was settled. If not, the order may call for credit notes, and for no invoice.
    pub(crate) settles: bool,
}

/// Issues all that some orders call for.
pub(crate) struct IssueDocuments<'a> {
    store: &'a EventStore,
    series: &'a StreamLocks<DocumentSeries>,
    seller: &'a Seller,
    /// Why each order is looked at.
    causes: &'a [IssueCause<'a>],
    today: NaiveDate,
}

impl<'a> IssueDocuments<'a> {
    pub(crate) fn new(
        store: &'a EventStore,
        series: &'a StreamLocks<DocumentSeries>,
        seller: &'a Seller,
        causes: &'a [IssueCause<'a>],
        today: NaiveDate,
    ) -> Self {
        Self { store, series, seller, causes, today }
    }

    /// The orders as they are now that call for a document, each with the event that it is looked at for.
    async fn read(&self) -> Result<Vec<(LoadedOrder, IssueCause<'a>)>, IssueError> {
        let mut causes: HashMap<&str, IssueCause<'a>> =
            self.causes.iter().map(|cause| (cause.event.stream_id.as_str(), *cause)).collect();
        let mut loaded = Vec::new();
        while !causes.is_empty() {
            let ids: Vec<String> = causes.keys().map(|id| (*id).to_owned()).collect();
            let read = self.store.read_streams::<Order>(&ids, Budget::of(EVENTS)).await;
            let streams = read.map_err(IssueError::Database)?;
            if streams.is_empty() {
                break;
            }
            for (id, events) in streams {
                let Some(cause) = causes.remove(id.as_str()) else { continue };
                let is_due = |order: &LoadedOrder| order.placed.next_due_document(cause.settles).is_some();
                let order = LoadedOrder::of(&events)?.filter(is_due);
                loaded.extend(order.map(|order| (order, cause)));
            }
        }
        // Numbers follow the log.
        loaded.sort_by_key(|(_, cause)| cause.event.position);
        Ok(loaded)
    }
}

impl Command for IssueDocuments<'_> {
    type Refusal = IssueError;

    fn stream(&self) -> (&'static str, &str) {
        (Order::TYPE, self.causes.first().map_or("", |cause| &cause.event.stream_id))
    }

    async fn decide(&mut self) -> Result<Decision<'_>, HandleError<IssueError>> {
        let orders = self.read().await.map_err(HandleError::Undecidable)?;
        if orders.is_empty() {
            return Ok(Decision::Unchanged(StreamVersion::default()));
        }
        let locked = self.series.lock(series_on(self.today)).await?;
        let mut issue = Issue { locked, issued: BTreeMap::new(), orders: Vec::new() };
        for (order, cause) in orders {
            issue.add(order, cause, self.seller, self.today).map_err(HandleError::Undecidable)?;
        }
        Ok(Decision::Append(issue.into_append()))
    }
}

/// An order as it is stored.
struct LoadedOrder {
    id: OrderId,
    placed: PlacedOrder,
    version: i64,
    /// The day on which each shipment was sent.
    sent_on: HashMap<ShipmentId, NaiveDate>,
}

impl LoadedOrder {
    fn of(events: &[StoredEvent]) -> Result<Option<Self>, IssueError> {
        let (mut order, mut sent_on) = (Order::default(), HashMap::new());
        for event in events {
            let happened = event.decode::<Order>().map_err(IssueError::Unknown)?;
            if let OrderEvent::OrderShipped(shipped) = &happened {
                sent_on.insert(shipped.shipment_id.clone(), event.recorded_at.date_naive());
            }
            domain::order::evolve(&mut order, happened);
        }
        let (Order::Placed(placed), Some(last)) = (order, events.last()) else { return Ok(None) };
        let id = OrderId::parse(last.stream_id.as_str()).map_err(IssueError::Id)?;
        Ok(Some(Self { id, placed: *placed, version: last.version, sent_on }))
    }

    fn supplied_on(&self, cause: &DocumentCause) -> Option<NaiveDate> {
        match cause {
            DocumentCause::Shipment(id) => self.sent_on.get(id).copied(),
            DocumentCause::Refund(_) => None,
        }
    }
}

/// What is to be appended while the series are locked.
struct Issue<'a> {
    locked: LockedStreams<'a, DocumentSeries>,
    /// By series: as it will be, and its events.
    issued: BTreeMap<String, (DocumentSeries, Vec<NewEvent>)>,
    orders: Vec<StreamAppend>,
}

impl<'a> Issue<'a> {
    /// Adds all documents that an order calls for.
    fn add(
        &mut self,
        mut order: LoadedOrder,
        cause: IssueCause<'_>,
        seller: &Seller,
        today: NaiveDate,
    ) -> Result<(), IssueError> {
        let metadata = Metadata::caused_by(cause.event, ACTOR);
        let mut events = Vec::new();
        while let Some(due) = order.placed.next_due_document(cause.settles) {
            let name = series_of(due.cause.kind(), today);
            let stored = self.locked.stream(&name);
            let (series, numbered) = self.issued.entry(name).or_insert_with(|| (stored.state.clone(), Vec::new()));
            let supplied_on = order.supplied_on(&due.cause);
            let facts = DocumentFacts { order_id: &order.id, seller, series, today, supplied_on };
            let (document, named) = order.placed.issue(due, facts);
            let document = series.decide(document).map_err(IssueError::Series)?;
            numbered.push(NewEvent::new(&document, &metadata).map_err(IssueError::Encode)?);
            series.evolve(&document);
            events.push(NewEvent::new(&named, &metadata).map_err(IssueError::Encode)?);
            order.placed.apply(named);
        }
        let (stream_type, stream_id) = (Order::TYPE, order.id.into());
        self.orders.push(StreamAppend { stream_type, stream_id, expected_version: order.version, events });
        Ok(())
    }

    fn into_append(self) -> Append<'a> {
        let Self { locked, issued, orders } = self;
        let series = issued.into_iter().map(|(stream_id, (_, events))| StreamAppend {
            stream_type: DocumentSeries::TYPE,
            expected_version: locked.stream(&stream_id).version,
            stream_id,
            events,
        });
        let streams = series.chain(orders).collect();
        locked.into_append(streams)
    }
}

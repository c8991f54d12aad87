//! Issues documents: their numbers, their content and the orders' events that name them are one append, all or nothing.

use std::collections::{BTreeSet, HashMap};

use chrono::NaiveDate;
use cqrs_es::Aggregate;
use domain::document::{DocumentKind, DocumentSeries, Seller, series_of};
use domain::order::{DocumentFacts, Order};
use event_store::{Command, Decision, EventStore, HandleError, Metadata, StoredEvent, StreamLocks, StreamVersion};

use crate::append::{IssueError, NumberingAppend, order_event};
use crate::loaded_order::{LoadedOrder, read_due_orders};

/// The actor of the events.
const ACTOR: &str = "documents";

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
    pub(crate) store: &'a EventStore,
    pub(crate) series: &'a StreamLocks<DocumentSeries>,
    pub(crate) seller: &'a Seller,
    /// Why each order is looked at.
    pub(crate) causes: &'a [IssueCause<'a>],
    pub(crate) today: NaiveDate,
}

impl Command for IssueDocuments<'_> {
    type Refusal = IssueError;

    fn stream(&self) -> (&'static str, &str) {
        (Order::TYPE, self.causes.first().map_or("", |cause| &cause.event.stream_id))
    }

    async fn decide(&mut self) -> Result<Decision<'_>, HandleError<IssueError>> {
        let causes: HashMap<&str, IssueCause<'_>> =
            self.causes.iter().map(|cause| (cause.event.stream_id.as_str(), *cause)).collect();
        let is_due =
            |order: &LoadedOrder, cause: &IssueCause<'_>| order.placed.next_due_document(cause.settles).is_some();
        let mut orders = read_due_orders(self.store, causes, is_due).await.map_err(HandleError::Undecidable)?;
        if orders.is_empty() {
            return Ok(Decision::Unchanged(StreamVersion::default()));
        }
        // Numbers follow the log.
        orders.sort_by_key(|(_, cause)| cause.event.position);
        let locked = self.series.lock(series_on(self.today)).await?;
        let mut append = NumberingAppend::new(locked);
        for (order, cause) in orders {
            self.issue(&mut append, order, cause).map_err(HandleError::Undecidable)?;
        }
        Ok(Decision::Append(append.into_append()))
    }
}

impl IssueDocuments<'_> {
    /// Adds all documents that an order calls for.
    fn issue(
        &self,
        append: &mut NumberingAppend<'_, DocumentSeries>,
        mut order: LoadedOrder,
        cause: IssueCause<'_>,
    ) -> Result<(), IssueError> {
        let metadata = Metadata::caused_by(cause.event, ACTOR);
        let mut events = Vec::new();
        while let Some(due) = order.placed.next_due_document(cause.settles) {
            let name = series_of(due.cause.kind(), self.today);
            let series = append.series(&name);
            let supplied_on = order.supplied_on(&due.cause);
            let facts =
                DocumentFacts { order_id: &order.id, seller: self.seller, series, today: self.today, supplied_on };
            let (document, named) = order.placed.issue(due, facts);
            let document = series.decide(document).map_err(IssueError::Document)?;
            append.add_to_series(&name, document, &metadata)?;
            events.push(order_event(&named, &metadata)?);
            order.placed.apply(named);
        }
        append.add_to_order(order, events);
        Ok(())
    }
}

/// The series whose numbers may be taken on a day.
fn series_on(today: NaiveDate) -> BTreeSet<String> {
    [DocumentKind::Invoice, DocumentKind::CreditNote].map(|kind| series_of(kind, today)).into()
}

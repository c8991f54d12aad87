//! The follower of the log that gives orders their numbers for people.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cqrs_es::Aggregate;
use domain::order::event::OrderNumbered;
use domain::order::{Order, OrderEvent};
use domain::order_number::{OrderNumberFormat, OrderNumberSeries};
use event_store::read::last_position;
use event_store::{
    Command, Decision, EventStore, HandleError, Metadata, StoredEvent, StreamLocks, StreamVersion, Subscriber,
    SubscriberError,
};
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use crate::append::{IssueError, NumberingAppend, issue_together, order_event};
use crate::loaded_order::{LoadedOrder, read_due_orders};
use crate::metrics::DocumentMetrics;

/// The name of the subscription that gives orders their numbers, and the actor of the events.
pub const ORDER_NUMBERS: &str = "order_numbers";
/// Series that are cached. There is one a year.
const SERIES_REMEMBERED: usize = 16;

/// Gives orders their numbers until told to stop. Any number of copies share the work. The first one begins with the orders that come
/// from then on.
pub async fn number_orders(
    store: EventStore,
    format: OrderNumberFormat,
    metrics: DocumentMetrics,
    stop: CancellationToken,
) {
    let series = StreamLocks::new(store.clone(), SERIES_REMEMBERED);
    let numberer = OrderNumberer { store: store.clone(), series, format: Arc::new(format), metrics };
    store.subscribe(numberer, stop).await;
}

struct OrderNumberer {
    store: EventStore,
    series: StreamLocks<OrderNumberSeries>,
    format: Arc<OrderNumberFormat>,
    metrics: DocumentMetrics,
}

#[async_trait]
impl Subscriber for OrderNumberer {
    fn name(&self) -> &str {
        ORDER_NUMBERS
    }

    fn follows(&self) -> Option<&'static str> {
        Some(Order::TYPE)
    }

    /// Orders that were there before get no numbers.
    async fn begins_after(&mut self, transaction: &mut PgConnection) -> Result<i64, sqlx::Error> {
        last_position(transaction).await
    }

    /// Customers wait for it.
    fn gathers_for(&self) -> Duration {
        Duration::from_millis(10)
    }

    async fn handle(&mut self, events: &[StoredEvent], _transaction: &mut PgConnection) -> Result<(), SubscriberError> {
        let (mut created, mut numbered) = (Vec::new(), 0);
        for event in events {
            let happened = event.decode::<Order>()?;
            numbered += u64::from(matches!(happened, OrderEvent::OrderNumbered(_)));
            if matches!(happened, OrderEvent::OrderCreated(_)) {
                created.push(event);
            }
        }
        let Self { store, series, format, metrics } = self;
        issue_together(store, &created, |created| NumberOrders { store, series, format, created }).await?;
        metrics.order_numbers_issued(numbered);
        Ok(())
    }
}

/// Gives some orders their numbers.
struct NumberOrders<'a> {
    store: &'a EventStore,
    series: &'a StreamLocks<OrderNumberSeries>,
    format: &'a OrderNumberFormat,
    /// The events by which the orders began, in the order of the log.
    created: &'a [&'a StoredEvent],
}

impl Command for NumberOrders<'_> {
    type Refusal = IssueError;

    fn stream(&self) -> (&'static str, &str) {
        (Order::TYPE, self.created.first().map_or("", |event| &event.stream_id))
    }

    async fn decide(&mut self) -> Result<Decision<'_>, HandleError<IssueError>> {
        let created: HashMap<&str, &StoredEvent> =
            self.created.iter().map(|event| (event.stream_id.as_str(), *event)).collect();
        let series_of = |created: &StoredEvent| self.format.series_of(created.recorded_at);
        let names: BTreeSet<String> = self.created.iter().map(|created| series_of(created)).collect();
        // The turn of the series first: the sagas change new orders all the time, also while it is waited for.
        let locked = self.series.lock(names).await?;
        let is_due = |order: &LoadedOrder, _: &&StoredEvent| order.placed.wants_number();
        let mut orders = read_due_orders(self.store, created, is_due).await.map_err(HandleError::Undecidable)?;
        if orders.is_empty() {
            return Ok(Decision::Unchanged(StreamVersion::default()));
        }
        // Numbers follow the log.
        orders.sort_by_key(|(_, created)| created.position);
        let mut append = NumberingAppend::new(locked);
        for (order, created) in orders {
            number(&mut append, order, series_of(created), created).map_err(HandleError::Undecidable)?;
        }
        Ok(Decision::Append(append.into_append()))
    }
}

/// Adds an order with its number.
fn number(
    append: &mut NumberingAppend<'_, OrderNumberSeries>,
    order: LoadedOrder,
    series: String,
    created: &StoredEvent,
) -> Result<(), IssueError> {
    let metadata = Metadata::caused_by(created, ORDER_NUMBERS);
    let known = append.series(&series);
    let issued = known.next(&series, &order.id);
    let event = known.decide(issued.clone()).map_err(IssueError::OrderNumber)?;
    append.add_to_series(&series, event, &metadata)?;
    let numbered = OrderNumbered { order_number: issued.order_number, series, sequence: issued.sequence };
    let events = vec![order_event(&OrderEvent::OrderNumbered(numbered), &metadata)?];
    append.add_to_order(order, events);
    Ok(())
}

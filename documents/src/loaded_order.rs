//! Orders as they are stored.

use std::collections::HashMap;

use bounds::Budget;
use chrono::NaiveDate;
use domain::ids::{OrderId, ShipmentId};
use domain::order::{DocumentCause, Order, OrderEvent, PlacedOrder};
use event_store::{EventStore, StoredEvent};

use crate::append::IssueError;

/// Events of orders that are read at once. The budget also bounds their bytes.
const EVENTS: usize = 5_000;

/// An order as it is stored.
pub(crate) struct LoadedOrder {
    pub(crate) id: OrderId,
    pub(crate) placed: PlacedOrder,
    pub(crate) version: i64,
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

    pub(crate) fn supplied_on(&self, cause: &DocumentCause) -> Option<NaiveDate> {
        match cause {
            DocumentCause::Shipment(id) => self.sent_on.get(id).copied(),
            DocumentCause::Refund(_) => None,
        }
    }
}

/// Those of some orders, as they are now, that something is due for: each with why it is looked at.
pub(crate) async fn read_due_orders<T>(
    store: &EventStore,
    mut causes: HashMap<&str, T>,
    is_due: impl Fn(&LoadedOrder, &T) -> bool,
) -> Result<Vec<(LoadedOrder, T)>, IssueError> {
    let mut loaded = Vec::new();
    while !causes.is_empty() {
        let ids: Vec<String> = causes.keys().map(|id| (*id).to_owned()).collect();
        let read = store.read_streams::<Order>(&ids, Budget::of(EVENTS)).await;
        let streams = read.map_err(IssueError::Database)?;
        if streams.is_empty() {
            break;
        }
        for (id, events) in streams {
            let Some(cause) = causes.remove(id.as_str()) else { continue };
            if let Some(order) = LoadedOrder::of(&events)?.filter(|order| is_due(order, &cause)) {
                loaded.push((order, cause));
            }
        }
    }
    Ok(loaded)
}

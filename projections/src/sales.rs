//! The orders of each hour, counted by currency and status: `GET /sales`.
//!
//! | item | pk | sk |
//! |---|---|---|
//! | how an order is counted | `ORDER#id` | `#SALE` |
//! | a tally | `SALES#2026-11-20` | `HOUR#10#USD#confirmed#7` |
//!
//! An order counts in the hour in which it was created (UTC), an imported one in that in which it was placed, under its present
//! status: an order that is confirmed moves from one tally to another. Only events that change the status write anything. Each sum is kept in several
//! tallies, one per partition of the subscription. So only one process at a time writes a tally, and none waits for
//! another.

pub(crate) mod routes;

use chrono::{DateTime, NaiveDate, Timelike, Utc};
use domain::money::Currency;
use domain::order::event::{EditEvent, FulfilmentEvent, LifecycleEvent, OrderSubject};
use domain::order::{Order, OrderEvent, OrderStatus};
use event_store::partition_of;
use read_models::Key;
use serde::{Deserialize, Serialize};

use crate::error::FoldError;
use crate::fold_context::FoldWorkingSet;
use crate::keys::{status_name, status_of};
use crate::projection::{FollowedStreams, ProjectionDefinition, ProjectionFold};

pub(crate) const PROJECTION: ProjectionDefinition = ProjectionDefinition {
    name: "sales",
    follows: FollowedStreams::Orders(ProjectionFold { head, handles, keys_to_load, fold }),
    routes: routes::routes,
};

type RecordedOrderEvent = crate::projection::DecodedEvent<Order>;

/// How an order is counted.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CountedOrder {
    created_at: DateTime<Utc>,
    currency: Currency,
    total_minor: i64,
    status: OrderStatus,
}

/// The sum that an order is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SalesBucket {
    hour: u32,
    currency: Currency,
    status: OrderStatus,
}

/// The numbers of a tally. An amount is split into two, because a single order may be worth as much as one number
/// holds: `BILLIONS` counts 10^9 minor units, `REST` the others.
const ORDERS: &str = "orders";
const BILLIONS: &str = "billions";
const REST: &str = "rest";
const BILLION: i64 = 1_000_000_000;

fn head(order_id: &str) -> Key {
    Key::new(format!("ORDER#{order_id}"), "#SALE")
}

fn handles(event: &OrderEvent) -> bool {
    status_after(event).is_some() || total_after(event).is_some()
}

/// Tallies are added to without being read.
fn keys_to_load(_fact: &RecordedOrderEvent) -> Vec<Key> {
    vec![]
}

fn fold(items: &mut FoldWorkingSet, recorded: &RecordedOrderEvent) -> Result<(), FoldError> {
    let key = head(&recorded.stream_id);
    let sale = if let OrderEvent::OrderCreated(content) = &recorded.event {
        let (currency, total_minor) = (content.currency, content.total_minor);
        let created_at = content.sold_at(recorded.recorded_at);
        CountedOrder { created_at, currency, total_minor, status: OrderStatus::Pending }
    } else {
        let (status, total_minor) = (status_after(&recorded.event), total_after(&recorded.event));
        if status.is_none() && total_minor.is_none() {
            return Ok(());
        }
        let missing = || FoldError::MissingItem { position: recorded.position, key: key.clone() };
        let before: CountedOrder = items.take(&key)?.ok_or_else(missing)?;
        before.count(items, recorded, -1);
        let status = status.unwrap_or(before.status);
        CountedOrder { status, total_minor: total_minor.unwrap_or(before.total_minor), ..before }
    };
    sale.count(items, recorded, 1);
    items.put(key, [None, None, None], recorded.position, sale);
    Ok(())
}

impl CountedOrder {
    /// Adds it to its tally so many times; -1 takes it out.
    fn count(&self, items: &mut FoldWorkingSet, recorded: &RecordedOrderEvent, times: i64) {
        let bucket = SalesBucket { hour: self.created_at.hour(), currency: self.currency, status: self.status };
        let sk = format!("{}#{}", bucket.sort_key(), partition_of(&recorded.stream_id));
        let numbers = [
            (ORDERS, times),
            (BILLIONS, times * (self.total_minor / BILLION)),
            (REST, times * (self.total_minor % BILLION)),
        ];
        items.add(Key::new(sales_of(self.created_at.date_naive()), sk), recorded.position, &numbers);
    }
}

impl SalesBucket {
    fn sort_key(self) -> String {
        format!("HOUR#{:02}#{}#{}", self.hour, self.currency, status_name(self.status))
    }

    fn of_sort_key(sk: &str) -> Option<Self> {
        let mut parts = sk.strip_prefix("HOUR#")?.split('#');
        Some(Self {
            hour: parts.next()?.parse().ok()?,
            currency: Currency::parse(parts.next()?).ok()?,
            status: status_of(parts.next()?)?,
        })
    }
}

fn sales_of(day: NaiveDate) -> String {
    format!("SALES#{day}")
}

/// The total of an order after an event. `None`: the event does not change it.
fn total_after(event: &OrderEvent) -> Option<i64> {
    match event.subject() {
        OrderSubject::Edit(EditEvent::OrderEdited(edited)) => Some(edited.total_minor),
        OrderSubject::Edit(EditEvent::OrderEditRequested(_) | EditEvent::OrderEditRejected(_))
        | OrderSubject::Document(_)
        | OrderSubject::Lifecycle(_)
        | OrderSubject::Reservation(_)
        | OrderSubject::Payment(_)
        | OrderSubject::Fulfilment(_)
        | OrderSubject::Return(_)
        | OrderSubject::Refund(_)
        | OrderSubject::Notification(_)
        | OrderSubject::Note(_)
        | OrderSubject::Operator(_) => None,
    }
}

/// The status of an order after an event. `None`: the event does not change it.
fn status_after(event: &OrderEvent) -> Option<OrderStatus> {
    match event.subject() {
        OrderSubject::Lifecycle(LifecycleEvent::OrderCreated(_)) => Some(OrderStatus::Pending),
        OrderSubject::Lifecycle(LifecycleEvent::OrderConfirmed(_)) => Some(OrderStatus::Confirmed),
        OrderSubject::Lifecycle(LifecycleEvent::OrderRejected(_)) => Some(OrderStatus::Rejected),
        OrderSubject::Lifecycle(LifecycleEvent::OrderCancelled(_)) => Some(OrderStatus::Cancelled),
        OrderSubject::Fulfilment(FulfilmentEvent::OrderDelivered(_)) => Some(OrderStatus::Completed),
        OrderSubject::Lifecycle(LifecycleEvent::OrderNumbered(_) | LifecycleEvent::CancellationRequested(_))
        | OrderSubject::Reservation(_)
        | OrderSubject::Payment(_)
        | OrderSubject::Edit(_)
        | OrderSubject::Fulfilment(
            FulfilmentEvent::OrderShipped(_)
            | FulfilmentEvent::LinesCancelled(_)
            | FulfilmentEvent::ShipmentDelivered(_)
            | FulfilmentEvent::ShipmentTrackingChanged(_)
            | FulfilmentEvent::OrderHeld(_)
            | FulfilmentEvent::OrderReleased(_),
        )
        | OrderSubject::Return(_)
        | OrderSubject::Refund(_)
        | OrderSubject::Notification(_)
        | OrderSubject::Note(_)
        | OrderSubject::Operator(_)
        | OrderSubject::Document(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use domain::order::evolve;

    use super::*;

    #[test]
    fn a_status_changes_by_the_events_that_change_it_in_the_domain() {
        let golden = |name: &str| -> OrderEvent {
            let file = format!("{}/../domain/golden/events/{name}-1.0.json", env!("CARGO_MANIFEST_DIR"));
            event_versions::decode::<Order>(name, "1.0", &std::fs::read_to_string(file).unwrap()).unwrap()
        };
        for name in OrderEvent::NAMES {
            let mut order = Order::Absent;
            evolve(&mut order, golden("OrderCreated"));
            let event = golden(name);
            let expected = status_after(&event).unwrap_or(OrderStatus::Pending);
            evolve(&mut order, event);
            let Order::Placed(placed) = order else { panic!("it was created") };
            assert_eq!(placed.status, expected, "{name}");
        }
    }
}

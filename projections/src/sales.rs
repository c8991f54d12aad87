//! What was ordered in each hour, by currency and by what became of it: `GET /sales`.
//!
//! | item | pk | sk |
//! |---|---|---|
//! | as what an order is counted | `ORDER#id` | `#SALE` |
//! | what adds up | `SALES#2026-11-20` | `HOUR#10#USD#confirmed#7` |
//!
//! An order counts in the hour in which it was created (UTC), under the status that it has now: one that is confirmed moves from one
//! sum to another. Only events that change its status write anything. Each sum is kept in parts, one for each partition of a
//! subscription: only one copy at a time changes a row, and none waits for another.

mod routes;

use chrono::{DateTime, NaiveDate, Timelike, Utc};
use domain::money::Currency;
use domain::order::{Order, OrderEvent, OrderStatus};
use event_store::partition_of;
use read_models::Key;
use serde::{Deserialize, Serialize};

use crate::items::Items;
use crate::keys::{status_name, status_of};
use crate::projection::{Fold, FoldError, Follows, Projection};

pub(crate) const PROJECTION: Projection = Projection {
    name: "sales",
    follows: Follows::Orders(Fold { head, concerns, needs, fold }),
    routes: routes::routes,
};

type Fact = crate::projection::Fact<Order>;

/// As what an order is counted.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sale {
    created_at: DateTime<Utc>,
    currency: Currency,
    total_minor: i64,
    status: OrderStatus,
}

/// Which sum an order is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counted {
    hour: u32,
    currency: Currency,
    status: OrderStatus,
}

/// The numbers of a sum. An amount is kept in two of them, of which `BILLIONS` counts 10^9 minor units: an order may be worth all
/// that fits into one number.
const ORDERS: &str = "orders";
const BILLIONS: &str = "billions";
const REST: &str = "rest";
const BILLION: i64 = 1_000_000_000;

fn head(order_id: &str) -> Key {
    Key::new(format!("ORDER#{order_id}"), "#SALE")
}

fn concerns(event: &OrderEvent) -> bool {
    status_after(event).is_some()
}

/// Sums are added to without being looked at.
fn needs(_fact: &Fact) -> Vec<Key> {
    vec![]
}

fn fold(items: &mut Items, fact: &Fact) -> Result<(), FoldError> {
    let key = head(&fact.stream_id);
    let sale = if let OrderEvent::OrderCreated(content) = &fact.event {
        let (currency, total_minor) = (content.currency, content.total_minor);
        Sale { created_at: fact.recorded_at, currency, total_minor, status: OrderStatus::Pending }
    } else {
        let Some(status) = status_after(&fact.event) else { return Ok(()) };
        let missing = || FoldError::Missing { position: fact.position, key: key.clone() };
        let before: Sale = items.take(&key)?.ok_or_else(missing)?;
        before.count(items, fact, -1);
        Sale { status, ..before }
    };
    sale.count(items, fact, 1);
    items.put(key, [None, None, None], fact.position, sale);
    Ok(())
}

impl Sale {
    /// Adds it to its sum so many times.
    fn count(&self, items: &mut Items, fact: &Fact, times: i64) {
        let counted = Counted { hour: self.created_at.hour(), currency: self.currency, status: self.status };
        let sk = format!("{}#{}", counted.sk(), partition_of(&fact.stream_id));
        let numbers = [
            (ORDERS, times),
            (BILLIONS, times * (self.total_minor / BILLION)),
            (REST, times * (self.total_minor % BILLION)),
        ];
        items.add(Key::new(sales(self.created_at.date_naive()), sk), fact.position, &numbers);
    }
}

impl Counted {
    fn sk(self) -> String {
        format!("HOUR#{:02}#{}#{}", self.hour, self.currency, status_name(self.status))
    }

    /// That of a sum's key.
    fn of_sk(sk: &str) -> Option<Self> {
        let mut parts = sk.strip_prefix("HOUR#")?.split('#');
        Some(Self {
            hour: parts.next()?.parse().ok()?,
            currency: Currency::parse(parts.next()?).ok()?,
            status: status_of(parts.next()?)?,
        })
    }
}

fn sales(day: NaiveDate) -> String {
    format!("SALES#{day}")
}

/// The status that an order has after an event; `None`: the one that it had.
fn status_after(event: &OrderEvent) -> Option<OrderStatus> {
    match event {
        OrderEvent::OrderCreated(_) => Some(OrderStatus::Pending),
        OrderEvent::OrderConfirmed(_) => Some(OrderStatus::Confirmed),
        OrderEvent::OrderRejected(_) => Some(OrderStatus::Rejected),
        OrderEvent::OrderCancelled(_) => Some(OrderStatus::Cancelled),
        OrderEvent::OrderDelivered(_) => Some(OrderStatus::Completed),
        OrderEvent::LinesCancelled(_)
        | OrderEvent::StockReserved(_)
        | OrderEvent::StockReservationFailed(_)
        | OrderEvent::StockReleased(_)
        | OrderEvent::PaymentAuthorized(_)
        | OrderEvent::PaymentDeclined(_)
        | OrderEvent::PaymentOutcomeUnknown(_)
        | OrderEvent::PaymentVoided(_)
        | OrderEvent::PaymentCaptured(_)
        | OrderEvent::RefundRequested(_)
        | OrderEvent::PaymentRefunded(_)
        | OrderEvent::CancellationRequested(_)
        | OrderEvent::OrderShipped(_)
        | OrderEvent::ReturnRequested(_)
        | OrderEvent::ReturnReceived(_)
        | OrderEvent::NotificationSent(_)
        | OrderEvent::NotificationFailed(_)
        | OrderEvent::NoteAdded(_)
        | OrderEvent::OperatorIntervened(_) => None,
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

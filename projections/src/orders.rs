//! One order with all that hangs on it; orders by customer, SKU, status and day.
//!
//! | item | pk | sk | found by |
//! |---|---|---|---|
//! | the order | `ORDER#id` | `#META` | gsi1 `CUSTOMER#customer` / `created-at#id` |
//! | | | | gsi2 `STATUS#status#shard` / `since-when-it-has-it#id` |
//! | | | | gsi3 `DAY#2026-11-20#shard` / `created-at#id` |
//! | a line | `ORDER#id` | `LINE#001` | gsi1 `SKU#sku` / `created-at#id`, the first line of its SKU |
//! | a shipment, cancellation, return, refund or note | `ORDER#id` | `SHIPMENT#id`, `CANCELLATION#id`, `RETURN#id`, `REFUND#id`, `NOTE#id` | |
//! | a mail | `ORDER#id` | `MAIL#notification-id` | |
//!
//! Most events change nothing that an order is found by, so that they move no index entry.
//!
//! How far an order is follows from rules that are the domain's: the order's item keeps the folded order, without texts, and
//! every event goes through [`domain::order::evolve`].

mod asked;
mod collections;
mod days;
mod items;
mod question;
mod routes;
mod search;
mod view;

use std::any::Any;
use std::collections::HashSet;

use chrono::NaiveDate;
use domain::ids::RefundId;
use domain::order::event::OrderCreated;
use domain::order::{Order, OrderEvent, OrderStatus};
use read_models::Key;
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::items::{CancellationItem, LineItem, MailItem, NoteItem, OrderItem, RefundItem, ReturnItem, ShipmentItem};
use crate::items::Items;
use crate::keys::{sharded, sortable, status_name};
use crate::projection::{Fold, FoldError, Follows, Projection};

pub(crate) use self::view::OrderView;

pub(crate) const PROJECTION: Projection = Projection {
    name: "orders",
    follows: Follows::Orders(Fold { head, concerns: |_| true, needs, fold }),
    routes: routes::routes,
};

type Fact = crate::projection::Fact<Order>;

const META: &str = "#META";

fn collection(order_id: &str) -> String {
    format!("ORDER#{order_id}")
}

fn customer(customer_id: &str) -> String {
    format!("CUSTOMER#{customer_id}")
}

fn with_sku(sku: &str) -> String {
    format!("SKU#{sku}")
}

fn of_status(status: OrderStatus) -> String {
    format!("STATUS#{}", status_name(status))
}

fn of_day(day: NaiveDate) -> String {
    format!("DAY#{day}")
}

fn key(fact: &Fact, sk: impl Into<String>) -> Key {
    Key::new(collection(&fact.stream_id), sk)
}

/// Every event changes the order's own item.
fn head(order_id: &str) -> Key {
    Key::new(collection(order_id), META)
}

/// These change another one that is there, too.
fn needs(fact: &Fact) -> Vec<Key> {
    let part = match &fact.event {
        OrderEvent::ReturnReceived(received) => Some(format!("RETURN#{}", received.return_id)),
        OrderEvent::PaymentRefunded(refunded) => Some(format!("REFUND#{}", refunded.refund_id)),
        OrderEvent::OrderCreated(_)
        | OrderEvent::StockReserved(_)
        | OrderEvent::StockReservationFailed(_)
        | OrderEvent::StockReleased(_)
        | OrderEvent::PaymentAuthorized(_)
        | OrderEvent::PaymentDeclined(_)
        | OrderEvent::PaymentOutcomeUnknown(_)
        | OrderEvent::PaymentVoided(_)
        | OrderEvent::PaymentCaptured(_)
        | OrderEvent::RefundRequested(_)
        | OrderEvent::OrderConfirmed(_)
        | OrderEvent::OrderRejected(_)
        | OrderEvent::CancellationRequested(_)
        | OrderEvent::OrderCancelled(_)
        | OrderEvent::OrderShipped(_)
        | OrderEvent::LinesCancelled(_)
        | OrderEvent::OrderDelivered(_)
        | OrderEvent::ReturnRequested(_)
        | OrderEvent::NotificationSent(_)
        | OrderEvent::NotificationFailed(_)
        | OrderEvent::NoteAdded(_)
        | OrderEvent::OperatorIntervened(_) => None,
    };
    part.into_iter().map(|sk| key(fact, sk)).collect()
}

fn fold(items: &mut Items, fact: &Fact) -> Result<(), FoldError> {
    if let OrderEvent::OrderCreated(content) = &fact.event {
        create(items, fact, content);
        return Ok(());
    }
    let mut order: OrderItem = take(items, fact, META)?;
    let (currency, status) = (order.currency(), order.status);
    if !order.apply(fact) {
        // An earlier build folded it, and kept less than this takes: it has to be rebuilt.
        return Err(FoldError::Missing { position: fact.position, key: key(fact, "#META, with the folded order") });
    }
    if order.status == status {
        items.put_back(key(fact, META), fact.position, order);
    } else {
        put_order(items, fact, order);
    }
    match &fact.event {
        OrderEvent::OrderShipped(shipped) => {
            put(items, fact, format!("SHIPMENT#{}", shipped.shipment_id), ShipmentItem::new(fact, shipped));
        }
        OrderEvent::LinesCancelled(cancelled) => {
            let sk = format!("CANCELLATION#{}", cancelled.cancellation_id);
            put(items, fact, sk, CancellationItem::new(fact, cancelled));
        }
        OrderEvent::ReturnRequested(requested) => {
            put(items, fact, format!("RETURN#{}", requested.return_id), ReturnItem::new(fact, requested));
        }
        OrderEvent::ReturnReceived(received) => {
            let sk = format!("RETURN#{}", received.return_id);
            let mut back: ReturnItem = take(items, fact, &sk)?;
            back.received_at = Some(fact.recorded_at);
            put(items, fact, sk, back);
            if received.refund_minor == 0 {
                return Ok(());
            }
            let refund_id = RefundId::of_return(&received.return_id);
            let refund = RefundItem::new(fact, &refund_id, received.refund_minor, currency, None);
            put(items, fact, format!("REFUND#{refund_id}"), refund);
        }
        OrderEvent::RefundRequested(requested) => {
            let refund_id = &requested.refund_id;
            let refund = RefundItem::new(fact, refund_id, requested.amount_minor, currency, requested.reason.clone());
            put(items, fact, format!("REFUND#{refund_id}"), refund);
        }
        OrderEvent::PaymentRefunded(refunded) => {
            let sk = format!("REFUND#{}", refunded.refund_id);
            let mut refund: RefundItem = take(items, fact, &sk)?;
            refund.refunded_at = Some(fact.recorded_at);
            put(items, fact, sk, refund);
        }
        OrderEvent::NoteAdded(note) => put(items, fact, format!("NOTE#{}", note.note_id), NoteItem::new(fact, note)),
        OrderEvent::NotificationSent(sent) => {
            put(items, fact, format!("MAIL#{}", sent.notification_id), MailItem::sent(fact, sent));
        }
        OrderEvent::NotificationFailed(failed) => {
            put(items, fact, format!("MAIL#{}", failed.notification_id), MailItem::failed(fact, failed));
        }
        OrderEvent::OrderCreated(_)
        | OrderEvent::StockReserved(_)
        | OrderEvent::StockReservationFailed(_)
        | OrderEvent::StockReleased(_)
        | OrderEvent::PaymentAuthorized(_)
        | OrderEvent::PaymentDeclined(_)
        | OrderEvent::PaymentOutcomeUnknown(_)
        | OrderEvent::PaymentVoided(_)
        | OrderEvent::PaymentCaptured(_)
        | OrderEvent::OrderConfirmed(_)
        | OrderEvent::OrderRejected(_)
        | OrderEvent::CancellationRequested(_)
        | OrderEvent::OrderCancelled(_)
        | OrderEvent::OrderDelivered(_)
        | OrderEvent::OperatorIntervened(_) => {}
    }
    Ok(())
}

fn create(items: &mut Items, fact: &Fact, content: &OrderCreated) {
    put_order(items, fact, OrderItem::new(fact, content));
    let created = format!("{}#{}", sortable(fact.recorded_at), fact.stream_id);
    let mut skus = HashSet::new();
    for (line_number, line) in (1..).zip(&content.lines) {
        // An order is listed once under a SKU, however many of its lines have it.
        let by_sku = skus.insert(&line.sku).then(|| Key::new(with_sku(line.sku.as_str()), created.clone()));
        let item = LineItem::new(line_number, line, content.currency);
        items.put(key(fact, format!("LINE#{line_number:03}")), [by_sku, None, None], fact.position, item);
    }
}

/// An item that an earlier event of the order wrote.
fn take<T: DeserializeOwned + Any>(items: &mut Items, fact: &Fact, sk: &str) -> Result<T, FoldError> {
    let key = key(fact, sk);
    items.take(&key)?.ok_or(FoldError::Missing { position: fact.position, key })
}

/// Puts the order where it is found by what it is now.
fn put_order(items: &mut Items, fact: &Fact, order: OrderItem) {
    let order_id = &order.order_id;
    let created = format!("{}#{order_id}", sortable(order.created_at));
    let since = format!("{}#{order_id}", sortable(order.status_since.unwrap_or(order.created_at)));
    let found_by = [
        Key::new(customer(&order.customer_id), created.clone()),
        Key::new(sharded(&of_status(order.status), order_id), since),
        Key::new(sharded(&of_day(order.created_at.date_naive()), order_id), created),
    ];
    items.put(key(fact, META), found_by.map(Some), fact.position, order);
}

fn put(items: &mut Items, fact: &Fact, sk: String, body: impl Serialize + Any + Send) {
    items.put(key(fact, sk), [None, None, None], fact.position, body);
}

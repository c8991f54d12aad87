//! One order with all that hangs on it, and a customer's orders, newest first.
//!
//! | item | pk | sk | gsi1 |
//! |---|---|---|---|
//! | the order | `ORDER#id` | `#META` | `CUSTOMER#customer` / `created-at#id` |
//! | a line | `ORDER#id` | `LINE#001` | |
//! | a shipment, return, refund or note | `ORDER#id` | `SHIPMENT#id`, `RETURN#id`, `REFUND#id`, `NOTE#id` | |
//! | a mail | `ORDER#id` | `MAIL#notification-id` | |
//!
//! How far an order is follows from rules that are the domain's: the order's item keeps the folded order, without texts, and
//! every event goes through [`domain::evolve`].

mod items;
mod routes;
mod view;

use std::any::Any;

use chrono::{DateTime, SecondsFormat, Utc};
use domain::{Order, OrderCreated, OrderEvent, RefundId};
use read_models::Key;
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::items::{LineItem, MailItem, NoteItem, OrderItem, RefundItem, ReturnItem, ShipmentItem};
use crate::items::Items;
use crate::projection::{Fold, FoldError, Follows, Projection};

pub(crate) const PROJECTION: Projection =
    Projection { name: "orders", follows: Follows::Orders(Fold { head, needs, fold }), routes: routes::routes };

type Fact = crate::projection::Fact<Order>;

const META: &str = "#META";

fn collection(order_id: &str) -> String {
    format!("ORDER#{order_id}")
}

fn customer(customer_id: &str) -> String {
    format!("CUSTOMER#{customer_id}")
}

fn key(fact: &Fact, sk: impl Into<String>) -> Key {
    Key::new(collection(&fact.stream_id), sk)
}

/// Sorts as the time does: always the same number of digits.
fn sortable(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
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
    let currency = order.currency();
    if !order.apply(fact) {
        // An earlier build folded it, and kept less than this takes: it has to be rebuilt.
        return Err(FoldError::Missing { position: fact.position, key: key(fact, "#META, with the folded order") });
    }
    put_order(items, fact, order);
    match &fact.event {
        OrderEvent::OrderShipped(shipped) => {
            put(items, fact, format!("SHIPMENT#{}", shipped.shipment_id), ShipmentItem::new(fact, shipped));
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
    for (line_number, line) in (1..).zip(&content.lines) {
        put(items, fact, format!("LINE#{line_number:03}"), LineItem::new(line_number, line, content.currency));
    }
}

/// An item that an earlier event of the order wrote.
fn take<T: DeserializeOwned + Any>(items: &mut Items, fact: &Fact, sk: &str) -> Result<T, FoldError> {
    let key = key(fact, sk);
    items.take(&key)?.ok_or(FoldError::Missing { position: fact.position, key })
}

fn put_order(items: &mut Items, fact: &Fact, order: OrderItem) {
    let by_customer =
        Key::new(customer(&order.customer_id), format!("{}#{}", sortable(order.created_at), order.order_id));
    items.put(key(fact, META), [Some(by_customer), None, None], fact.position, order);
}

fn put(items: &mut Items, fact: &Fact, sk: String, body: impl Serialize + Any + Send) {
    items.put(key(fact, sk), [None, None, None], fact.position, body);
}

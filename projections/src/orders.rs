//! One order with all that hangs on it; orders by customer, SKU, status and day.
//!
//! | item | pk | sk | found by |
//! |---|---|---|---|
//! | the order | `ORDER#id` | `#META` | gsi1 `CUSTOMER#customer` / `created-at#id`; not a guest's |
//! | | | | gsi2 `STATUS#status#shard` / `since-when-it-has-it#id` |
//! | | | | gsi3 `DAY#2026-11-20#shard` / `created-at#id` |
//! | what lists do not show, if there is any | `ORDER#id` | `#DETAILS` | |
//! | a line | `ORDER#id` | `LINE#001` | gsi1 `SKU#sku` / `created-at#id`, the first line of its SKU |
//! | | | | gsi2 `EMAIL#address` / `created-at#id`, the first line, if the order has an address |
//! | | | | gsi3 `TOTAL#EUR#shard` / `amount#id`, the first line |
//! | | | | its words, the first line |
//! | a tag | `ORDER#id` | `TAG#tag` | gsi1 `TAG#tag` / `created-at#id` |
//! | its number, if it has one | `ORDER#id` | `#NUMBER` | gsi1 `NUMBER#number` / `created-at#id` |
//! | a shipment, cancellation, return, refund or note | `ORDER#id` | `SHIPMENT#id`, `CANCELLATION#id`, `RETURN#id`, `REFUND#id`, `NOTE#id` | |
//! | a mail | `ORDER#id` | `MAIL#notification-id` | |
//!
//! Most events change no key of an index, so they move no index entry. What seldom changes of an order is found by its first line,
//! which only its number and edits write again.
//!
//! An order's status follows from the domain's rules: its item holds the folded order, without texts, and every event
//! goes through [`domain::order::evolve`].

mod by_log;
mod by_words;
pub(crate) mod changes;
mod collections;
mod csv;
mod cursor;
mod days;
pub(crate) mod documents;
mod edited;
mod expansion;
pub(crate) mod export;
mod filter;
mod list_request;
mod listed;
pub(crate) mod routes;
mod rows;
mod search;
mod sort;
pub(crate) mod time_travel;
mod view;
mod words;

use std::any::Any;
use std::collections::HashSet;

use chrono::NaiveDate;
use domain::money::Currency;
use domain::order::event::{
    EditEvent, FulfilmentEvent, LifecycleEvent, NoteEvent, NotificationEvent, OrderCreated, OrderNumbered,
    OrderSubject, RefundEvent, ReturnEvent,
};
use domain::order::{Order, OrderEvent, OrderStatus};
use read_models::Key;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use self::export::{EXPORTS, EXPORTS_PER_PRINCIPAL};
use self::filter::{folded, folded_text};
use self::rows::{
    CancellationRow, DetailsRow, ExchangeKeyRow, LineRow, MailRow, NoteRow, NumberRow, OrderRow, RefundRow, ReturnRow,
    ShipmentRow, TagRow,
};
use crate::error::FoldError;
use crate::fold_context::FoldWorkingSet;
use crate::keys::{sharded, sortable, sortable_amount, status_name};
use crate::projection::{FollowedStreams, ProjectionDefinition, ProjectionFold};

pub(crate) const PROJECTION: ProjectionDefinition = ProjectionDefinition {
    name: "orders",
    follows: FollowedStreams::Orders(ProjectionFold { head, handles: |_| true, keys_to_load, fold }),
    routes: routes::routes,
};

type RecordedOrderEvent = crate::projection::DecodedEvent<Order>;

const META: &str = "#META";
const DETAILS: &str = "#DETAILS";
const FIRST_LINE: &str = "LINE#001";
const NUMBER: &str = "#NUMBER";

fn collection(order_id: &str) -> String {
    format!("ORDER#{order_id}")
}

fn customer(customer_id: &str) -> String {
    format!("CUSTOMER#{customer_id}")
}

fn with_sku(sku: &str) -> String {
    format!("SKU#{sku}")
}

/// `email` is without capitals.
fn with_email(email: &str) -> String {
    format!("EMAIL#{email}")
}

fn with_tag(tag: &str) -> String {
    format!("TAG#{tag}")
}

/// In exchange for goods of that order.
fn in_exchange(order_id: &str) -> String {
    format!("EXCHANGE#{order_id}")
}

/// `order_number` is without capitals.
fn with_number(order_number: &str) -> String {
    format!("NUMBER#{order_number}")
}

fn with_total(currency: Currency) -> String {
    format!("TOTAL#{currency}")
}

fn of_status(status: OrderStatus) -> String {
    format!("STATUS#{}", status_name(status))
}

fn of_day(day: NaiveDate) -> String {
    format!("DAY#{day}")
}

fn key(recorded: &RecordedOrderEvent, sk: impl Into<String>) -> Key {
    Key::new(collection(&recorded.stream_id), sk)
}

/// Every event changes the order's own row.
fn head(order_id: &str) -> Key {
    Key::new(collection(order_id), META)
}

/// These events also change a row that an earlier event created.
fn keys_to_load(recorded: &RecordedOrderEvent) -> Vec<Key> {
    let part = match recorded.event.subject() {
        OrderSubject::Fulfilment(FulfilmentEvent::ShipmentDelivered(delivered)) => {
            Some(format!("SHIPMENT#{}", delivered.shipment_id))
        }
        OrderSubject::Fulfilment(FulfilmentEvent::ShipmentTrackingChanged(changed)) => {
            Some(format!("SHIPMENT#{}", changed.shipment_id))
        }
        OrderSubject::Return(ReturnEvent::ReturnReceived(received)) => Some(format!("RETURN#{}", received.return_id)),
        OrderSubject::Return(ReturnEvent::ReturnCancelled(cancelled)) => {
            Some(format!("RETURN#{}", cancelled.return_id))
        }
        OrderSubject::Refund(RefundEvent::PaymentRefunded(refunded)) => Some(format!("REFUND#{}", refunded.refund_id)),
        OrderSubject::Edit(EditEvent::OrderEdited(edited)) => {
            return edited::keys_to_load(edited).into_iter().map(|sk| key(recorded, sk)).collect();
        }
        OrderSubject::Edit(EditEvent::OrderEditRequested(requested)) => {
            requested.payment.as_ref().map(|_| DETAILS.to_owned())
        }
        OrderSubject::Lifecycle(LifecycleEvent::OrderNumbered(_)) => Some(FIRST_LINE.to_owned()),
        OrderSubject::Lifecycle(
            LifecycleEvent::OrderCreated(_)
            | LifecycleEvent::OrderConfirmed(_)
            | LifecycleEvent::OrderRejected(_)
            | LifecycleEvent::CancellationRequested(_)
            | LifecycleEvent::OrderCancelled(_),
        )
        | OrderSubject::Reservation(_)
        | OrderSubject::Payment(_)
        | OrderSubject::Edit(EditEvent::OrderEditRejected(_))
        | OrderSubject::Fulfilment(
            FulfilmentEvent::OrderShipped(_)
            | FulfilmentEvent::LinesCancelled(_)
            | FulfilmentEvent::OrderHeld(_)
            | FulfilmentEvent::OrderReleased(_)
            | FulfilmentEvent::OrderDelivered(_),
        )
        | OrderSubject::Return(ReturnEvent::ReturnRequested(_))
        | OrderSubject::Refund(RefundEvent::RefundRequested(_))
        | OrderSubject::Notification(_)
        | OrderSubject::Note(_)
        | OrderSubject::Operator(_)
        | OrderSubject::Document(_) => None,
    };
    part.into_iter().map(|sk| key(recorded, sk)).collect()
}

fn fold(items: &mut FoldWorkingSet, recorded: &RecordedOrderEvent) -> Result<(), FoldError> {
    if let OrderEvent::OrderCreated(content) = &recorded.event {
        create(items, recorded, content);
        return Ok(());
    }
    let mut order: OrderRow = take(items, recorded, META)?;
    let (currency, status) = (order.currency(), order.status);
    if !order.apply(recorded) {
        // The row of an earlier build has no folded order: the read model has to be rebuilt.
        return Err(FoldError::MissingItem {
            position: recorded.position,
            key: key(recorded, "#META, with the folded order"),
        });
    }
    let units = order.line_units();
    let is_complete = matches!(&recorded.event, OrderEvent::ReturnReceived(received) if order.has_received(received));
    let is_refunded = matches!(&recorded.event, OrderEvent::PaymentRefunded(it) if order.is_refunded(&it.refund_id));
    if let OrderEvent::OrderNumbered(numbered) = &recorded.event {
        fold_number(items, recorded, numbered, &order)?;
    }
    if let OrderSubject::Edit(edit) = recorded.event.subject() {
        edited::fold(items, recorded, edit, &order)?;
    }
    if order.status == status {
        items.put_back(key(recorded, META), recorded.position, order);
    } else {
        put_order(items, recorded, order);
    }
    match recorded.event.subject() {
        OrderSubject::Fulfilment(FulfilmentEvent::OrderShipped(shipped)) => {
            put(
                items,
                recorded,
                format!("SHIPMENT#{}", shipped.shipment_id),
                ShipmentRow::new(recorded, shipped, &units),
            );
        }
        OrderSubject::Fulfilment(FulfilmentEvent::ShipmentDelivered(delivered)) => {
            let sk = format!("SHIPMENT#{}", delivered.shipment_id);
            let mut shipment: ShipmentRow = take(items, recorded, &sk)?;
            shipment.delivered_at = Some(delivered.delivered_at.unwrap_or(recorded.recorded_at));
            put(items, recorded, sk, shipment);
        }
        OrderSubject::Fulfilment(FulfilmentEvent::ShipmentTrackingChanged(changed)) => {
            let sk = format!("SHIPMENT#{}", changed.shipment_id);
            let shipment: ShipmentRow = take(items, recorded, &sk)?;
            put(items, recorded, sk, shipment.followed_by(&changed.parcels));
        }
        OrderSubject::Fulfilment(FulfilmentEvent::LinesCancelled(cancelled)) => {
            let sk = format!("CANCELLATION#{}", cancelled.cancellation_id);
            put(items, recorded, sk, CancellationRow::new(recorded, cancelled, &units));
        }
        OrderSubject::Return(ReturnEvent::ReturnRequested(requested)) => {
            put(
                items,
                recorded,
                format!("RETURN#{}", requested.return_id),
                ReturnRow::new(recorded, requested, &units),
            );
        }
        OrderSubject::Return(ReturnEvent::ReturnReceived(received)) => {
            let sk = format!("RETURN#{}", received.return_id);
            let mut back: ReturnRow = take(items, recorded, &sk)?;
            back.receive(recorded, received, is_complete, &units);
            put(items, recorded, sk, back);
            if received.refund_minor == 0 {
                return Ok(());
            }
            let refund_id = received.refund();
            let refund = RefundRow::new(recorded, &refund_id, received.refund_minor, currency, None);
            put(items, recorded, format!("REFUND#{refund_id}"), refund);
        }
        OrderSubject::Return(ReturnEvent::ReturnCancelled(cancelled)) => {
            let sk = format!("RETURN#{}", cancelled.return_id);
            let mut back: ReturnRow = take(items, recorded, &sk)?;
            back.cancel(recorded, cancelled.reason.as_ref());
            put(items, recorded, sk, back);
        }
        OrderSubject::Refund(RefundEvent::RefundRequested(requested)) => {
            let refund_id = &requested.refund_id;
            let refund =
                RefundRow::new(recorded, refund_id, requested.amount_minor, currency, requested.reason.clone());
            put(items, recorded, format!("REFUND#{refund_id}"), refund);
        }
        OrderSubject::Refund(RefundEvent::PaymentRefunded(refunded)) => {
            let sk = format!("REFUND#{}", refunded.refund_id);
            let mut refund: RefundRow = take(items, recorded, &sk)?;
            // A refund to several payments is over with the last of them.
            refund.refunded_at = is_refunded.then_some(recorded.recorded_at);
            put(items, recorded, sk, refund);
        }
        OrderSubject::Note(NoteEvent::NoteAdded(note)) => {
            put(items, recorded, format!("NOTE#{}", note.note_id), NoteRow::new(recorded, note));
        }
        OrderSubject::Notification(NotificationEvent::NotificationSent(sent)) => {
            put(items, recorded, format!("MAIL#{}", sent.notification_id), MailRow::sent(recorded, sent));
        }
        OrderSubject::Notification(NotificationEvent::NotificationFailed(failed)) => {
            put(items, recorded, format!("MAIL#{}", failed.notification_id), MailRow::failed(recorded, failed));
        }
        OrderSubject::Lifecycle(_)
        | OrderSubject::Reservation(_)
        | OrderSubject::Payment(_)
        | OrderSubject::Edit(_)
        | OrderSubject::Notification(NotificationEvent::MailResendRequested(_))
        | OrderSubject::Fulfilment(
            FulfilmentEvent::OrderHeld(_) | FulfilmentEvent::OrderReleased(_) | FulfilmentEvent::OrderDelivered(_),
        )
        | OrderSubject::Operator(_)
        | OrderSubject::Document(_) => {}
    }
    Ok(())
}

fn create(items: &mut FoldWorkingSet, recorded: &RecordedOrderEvent, content: &OrderCreated) {
    put_order(items, recorded, OrderRow::new(recorded, content));
    if let Some(details) = DetailsRow::new(content) {
        put(items, recorded, DETAILS.to_owned(), details);
    }
    let created = format!("{}#{}", sortable(recorded.recorded_at), recorded.stream_id);
    for tag in &content.tags {
        let by_tag = Some(Key::new(with_tag(tag), created.clone()));
        items.put(key(recorded, with_tag(tag)), [by_tag, None, None], recorded.position, TagRow {});
    }
    if let Some(exchange) = &content.exchange_for {
        let of_order = in_exchange(exchange.order_id.as_str());
        let by_order = Some(Key::new(of_order.clone(), created.clone()));
        items.put(key(recorded, of_order), [by_order, None, None], recorded.position, ExchangeKeyRow {});
    }
    let by_email = content.customer_email.as_ref().map(|email| Key::new(with_email(&folded(email)), created.clone()));
    let total = format!("{}#{}", sortable_amount(content.total_minor), recorded.stream_id);
    let by_total = Some(Key::new(sharded(&with_total(content.currency), &recorded.stream_id), total));
    let mut of_order = ([by_email, by_total], Some(words::of_order(&recorded.stream_id, content)));
    let mut skus = HashSet::new();
    for (line_number, line) in (1..).zip(&content.lines) {
        // An order is listed once under a SKU, even if several of its lines have it.
        let by_sku = skus.insert(&line.sku).then(|| Key::new(with_sku(line.sku.as_str()), created.clone()));
        let item = LineRow::new(line_number, line, content.currency);
        // The first line takes them.
        let ([by_email, by_total], words) = std::mem::take(&mut of_order);
        let index_keys = [by_sku, by_email, by_total];
        let key = key(recorded, format!("LINE#{line_number:03}"));
        items.put_with_words(key, index_keys, recorded.position, item, words);
    }
}

/// The order is found by its number, and by the words of it beside those that it had.
fn fold_number(
    items: &mut FoldWorkingSet,
    recorded: &RecordedOrderEvent,
    numbered: &OrderNumbered,
    order: &OrderRow,
) -> Result<(), FoldError> {
    let by_number = Key::new(with_number(&folded_text(&numbered.order_number)), order.created_key());
    items.put(key(recorded, NUMBER), [Some(by_number), None, None], recorded.position, NumberRow {});
    let line: LineRow = take(items, recorded, FIRST_LINE)?;
    let words = Some(words::of_number(&numbered.order_number));
    items.put_back_with_words(key(recorded, FIRST_LINE), recorded.position, line, words);
    Ok(())
}

/// Takes a row that an earlier event of the order created.
fn take<T: DeserializeOwned + Any>(
    items: &mut FoldWorkingSet,
    recorded: &RecordedOrderEvent,
    sk: &str,
) -> Result<T, FoldError> {
    let key = key(recorded, sk);
    items.take(&key)?.ok_or(FoldError::MissingItem { position: recorded.position, key })
}

/// Puts the order's row under the index keys of its present state.
fn put_order(items: &mut FoldWorkingSet, recorded: &RecordedOrderEvent, order: OrderRow) {
    let (order_id, created) = (&order.order_id, order.created_key());
    let since = format!("{}#{order_id}", sortable(order.status_since.unwrap_or(order.created_at)));
    let index_keys = [
        order.customer_id.as_deref().map(|id| Key::new(customer(id), created.clone())),
        Some(Key::new(sharded(&of_status(order.status), order_id), since)),
        Some(Key::new(sharded(&of_day(order.created_at.date_naive()), order_id), created)),
    ];
    items.put(key(recorded, META), index_keys, recorded.position, order);
}

fn put(items: &mut FoldWorkingSet, recorded: &RecordedOrderEvent, sk: String, body: impl Serialize + Any + Send) {
    items.put(key(recorded, sk), [None, None, None], recorded.position, body);
}

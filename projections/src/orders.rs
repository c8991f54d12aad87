//! One order with its lines and mails, and a customer's orders, newest first.
//!
//! | item | pk | sk | gsi1 |
//! |---|---|---|---|
//! | the order | `ORDER#id` | `#META` | `CUSTOMER#customer` / `created-at#id` |
//! | a line | `ORDER#id` | `LINE#001` | |
//! | a mail | `ORDER#id` | `MAIL#notification-id` | |

mod routes;

use chrono::{DateTime, SecondsFormat, Utc};
use domain::{
    Currency, EmailAddress, JsonText, MailOutcome, Money, NotificationFailed, NotificationSent, Order, OrderConfirmed,
    OrderCreated, OrderEvent, OrderStatus,
};
use read_models::{Item, Key};
use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;
use uuid::Uuid;

use crate::projection::{Fold, FoldError, Follows, Items, Projection};

pub(crate) const PROJECTION: Projection =
    Projection { name: "orders", follows: Follows::Orders(Fold { needs, fold }), routes: routes::routes };

type Fact = crate::projection::Fact<Order>;

const META: &str = "#META";

/// The order itself, without what its other items hold.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OrderItem {
    order_id: String,
    customer_id: String,
    status: OrderStatus,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    total: Amount,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    customer_email: Option<EmailAddress>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    notes: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<JsonText>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LineItem {
    line_number: usize,
    sku: String,
    title: String,
    quantity: u32,
    unit_price: Amount,
    line_total: Amount,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<JsonText>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MailItem {
    notification_id: Uuid,
    template: String,
    status: MailOutcome,
    at: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recipient: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provider_message_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// An amount as answers have it: a decimal text with its currency.
#[derive(Debug, Serialize, Deserialize)]
struct Amount {
    amount: String,
    currency: Currency,
}

impl From<Money> for Amount {
    fn from(money: Money) -> Self {
        Self { amount: money.to_string(), currency: money.currency() }
    }
}

fn collection(order_id: &str) -> String {
    format!("ORDER#{order_id}")
}

fn meta_key(order_id: &str) -> Key {
    Key::new(collection(order_id), META)
}

fn customer(customer_id: &str) -> String {
    format!("CUSTOMER#{customer_id}")
}

/// Sorts as the time does: always the same number of digits.
fn sortable(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn needs(fact: &Fact) -> Vec<Key> {
    match fact.event {
        OrderEvent::OrderCreated(_) => vec![],
        OrderEvent::OrderConfirmed(_) | OrderEvent::NotificationSent(_) | OrderEvent::NotificationFailed(_) => {
            vec![meta_key(&fact.stream_id)]
        }
    }
}

fn fold(items: &mut Items, fact: &Fact) -> Result<(), FoldError> {
    match &fact.event {
        OrderEvent::OrderCreated(content) => create(items, fact, content),
        OrderEvent::OrderConfirmed(OrderConfirmed {}) => {
            change(items, fact, |order| order.status = OrderStatus::Confirmed)
        }
        OrderEvent::NotificationSent(sent) => {
            put_mail(items, fact, &MailItem::sent(fact, sent))?;
            change(items, fact, |_| {})
        }
        OrderEvent::NotificationFailed(failed) => {
            put_mail(items, fact, &MailItem::failed(fact, failed))?;
            change(items, fact, |_| {})
        }
    }
}

fn create(items: &mut Items, fact: &Fact, content: &OrderCreated) -> Result<(), FoldError> {
    let order = OrderItem {
        order_id: fact.stream_id.clone(),
        customer_id: content.customer_id.to_string(),
        status: OrderStatus::Pending,
        version: fact.version,
        created_at: fact.recorded_at,
        updated_at: fact.recorded_at,
        total: content.total().into(),
        customer_email: content.customer_email.clone(),
        notes: content.notes.clone(),
        metadata: content.metadata.clone(),
    };
    put_order(items, fact, &order)?;
    for (line_number, line) in (1..).zip(&content.lines) {
        let item = LineItem {
            line_number,
            sku: line.sku.to_string(),
            title: line.title.clone(),
            quantity: line.quantity,
            unit_price: line.unit_price(content.currency).into(),
            line_total: line.total(content.currency).into(),
            metadata: line.metadata.clone(),
        };
        put(items, fact, format!("LINE#{line_number:03}"), None, &item)?;
    }
    Ok(())
}

/// Changes the order's own item, which every event moves to its version.
fn change(items: &mut Items, fact: &Fact, change: impl FnOnce(&mut OrderItem)) -> Result<(), FoldError> {
    let key = meta_key(&fact.stream_id);
    let Some(item) = items.get(&key) else {
        return Err(FoldError::Missing { position: fact.position, key });
    };
    let mut order: OrderItem = item.read()?;
    change(&mut order);
    order.version = fact.version;
    order.updated_at = fact.recorded_at;
    put_order(items, fact, &order)
}

fn put_order(items: &mut Items, fact: &Fact, order: &OrderItem) -> Result<(), FoldError> {
    let by_customer =
        Key::new(customer(&order.customer_id), format!("{}#{}", sortable(order.created_at), order.order_id));
    put(items, fact, META.to_owned(), Some(by_customer), order)
}

fn put_mail(items: &mut Items, fact: &Fact, mail: &MailItem) -> Result<(), FoldError> {
    put(items, fact, format!("MAIL#{}", mail.notification_id), None, mail)
}

fn put(items: &mut Items, fact: &Fact, sk: String, gsi1: Option<Key>, body: &impl Serialize) -> Result<(), FoldError> {
    items.put(Item {
        key: Key::new(collection(&fact.stream_id), sk),
        index_keys: [gsi1, None, None],
        version: fact.position,
        body: to_raw_value(body)?,
    });
    Ok(())
}

impl MailItem {
    fn sent(fact: &Fact, sent: &NotificationSent) -> Self {
        Self {
            notification_id: sent.notification_id,
            template: sent.template.name().to_owned(),
            status: MailOutcome::Sent,
            at: fact.recorded_at,
            recipient: Some(sent.recipient.clone()),
            provider_message_id: Some(sent.provider_message_id.clone()),
            reason: None,
        }
    }

    fn failed(fact: &Fact, failed: &NotificationFailed) -> Self {
        Self {
            notification_id: failed.notification_id,
            template: failed.template.name().to_owned(),
            status: MailOutcome::Failed,
            at: fact.recorded_at,
            recipient: None,
            provider_message_id: None,
            reason: Some(failed.reason.clone()),
        }
    }
}

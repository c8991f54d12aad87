//! What the fulfilment saga and notification say to each other.
//!
//! The saga sends [`NotificationRequested`] to `ordo-notifications.fifo`; notification answers each with [`NotificationSent`] or
//! [`NotificationFailed`] on `ordo-replies.fifo`. Field names are camelCase on the wire; every contract has a golden file,
//! a request one for each mail.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::envelope::{CloudEvent, Contract, EnvelopeError, RawEvent};

/// A customer is to be told something about an order. The data holds all the mail needs: notification looks nothing up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NotificationRequested {
    /// Names this mail, whatever the number of requests for it: one mail is sent per id. Derived from the id of the event that
    /// caused it.
    pub notification_id: Uuid,
    /// Which request for this mail it is, from 1: a repeated request gets through the queue's deduplication.
    pub attempt: u32,
    /// Which mail.
    pub template: Template,
    /// Where to; without it, to the configured default recipient. A mail that is withdrawn is to [`NotificationRequested::NOBODY`].
    pub recipient: Option<String>,
    /// The order it is about.
    pub order_id: String,
    /// Whose order it is.
    pub customer_id: String,
    /// ISO 4217 code of every amount here.
    pub currency: String,
    /// The order's total, as a decimal with the currency's own number of decimals.
    pub total_amount: String,
    /// What was ordered, or is on its way, as many lines as a message can hold.
    pub lines: Vec<Line>,
    /// How many more lines there are.
    #[serde(default)]
    pub omitted_lines: u32,
    /// Why the order was rejected or cancelled, or money given back, in words for the customer; without it the mail gives none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How it travels, of an order that has shipped; `lines` are then what is on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipment: Option<Shipment>,
    /// What the customer gets back, as a decimal: of a refund, and of a cancelled order that had been charged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund_amount: Option<String>,
    /// Whether it is to be tried although it was recorded as failed for good: an operator has asked for it again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retry_failed: bool,
    /// Whether it is not to be sent any more: what became of it is to be answered, and if that is nothing yet, it never will be sent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withdraw: bool,
}

impl NotificationRequested {
    /// What is no address. A notification that does not know of withdrawals sends nothing there, records that it failed, and answers that.
    pub const NOBODY: &str = "";
}

/// What a customer can follow a shipment by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shipment {
    /// What a shipment of one parcel is followed by; of several, the first of them, for readers that know of no more.
    #[serde(flatten)]
    pub first: Parcel,
    /// All parcels, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parcels: Vec<Parcel>,
}

/// What a customer can follow a parcel by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parcel {
    /// Who brings it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
    /// The carrier's number for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking: Option<String>,
}

impl Shipment {
    /// A shipment in these parcels.
    pub fn of(parcels: Vec<Parcel>) -> Self {
        let first = parcels.first().cloned().unwrap_or_default();
        Self { first, parcels: if parcels.len() > 1 { parcels } else { vec![] } }
    }

    /// Its parcels, however many there are.
    pub fn parcels(&self) -> &[Parcel] {
        if self.parcels.is_empty() { std::slice::from_ref(&self.first) } else { &self.parcels }
    }
}

/// One line of an order, as the mail shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// What was ordered.
    pub sku: String,
    /// Its name as the customer saw it.
    pub title: String,
    /// How many.
    pub quantity: u32,
    /// The price of one, as a decimal.
    pub unit_price: String,
    /// Quantity times unit price, as a decimal.
    pub line_total: String,
}

/// Which mail to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Template {
    /// The order is confirmed.
    OrderConfirmed,
    /// The order could not be accepted.
    OrderRejected,
    /// The order was cancelled.
    OrderCancelled,
    /// The order, or a part of it, is on its way.
    OrderShipped,
    /// Money is given back.
    OrderRefunded,
}

impl Template {
    /// All there are.
    pub const ALL: [Self; 5] =
        [Self::OrderConfirmed, Self::OrderRejected, Self::OrderCancelled, Self::OrderShipped, Self::OrderRefunded];

    /// Its name on the wire and in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OrderConfirmed => "order-confirmed",
            Self::OrderRejected => "order-rejected",
            Self::OrderCancelled => "order-cancelled",
            Self::OrderShipped => "order-shipped",
            Self::OrderRefunded => "order-refunded",
        }
    }
}

/// The mail was handed over: the mail service accepted it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NotificationSent {
    /// The mail that was asked for.
    pub notification_id: Uuid,
    /// Which mail.
    pub template: Template,
    /// Where it went.
    pub recipient: String,
    /// The mail service's id for it.
    pub provider_message_id: String,
}

/// The mail was not sent, and will not be: an operator may ask again under a new id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NotificationFailed {
    /// The mail that was asked for.
    pub notification_id: Uuid,
    /// Which mail.
    pub template: Template,
    /// Why, in words for an operator.
    pub reason: String,
}

/// What notification answers to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotificationAnswer {
    /// The mail was handed over.
    Sent(NotificationSent),
    /// It never will be.
    Failed(NotificationFailed),
}

impl NotificationAnswer {
    /// Reads a body from the replies queue, by its type.
    pub fn parse(body: &str) -> Result<CloudEvent<Self>, EnvelopeError> {
        let raw = RawEvent::parse(body)?;
        if raw.kind == NotificationSent::TYPE {
            Ok(raw.typed()?.map(Self::Sent))
        } else if raw.kind == NotificationFailed::TYPE {
            Ok(raw.typed()?.map(Self::Failed))
        } else {
            Err(EnvelopeError::UnexpectedType {
                found: raw.kind,
                expected: "ordo.notification.sent.v1 or ordo.notification.failed.v1",
            })
        }
    }
}

impl Contract for NotificationRequested {
    const TYPE: &'static str = "ordo.notification.requested.v1";
    const SOURCE: &'static str = "/ordo/sagas/order-fulfilment";

    fn id(&self) -> Uuid {
        self.notification_id
    }
}

impl Contract for NotificationSent {
    const TYPE: &'static str = "ordo.notification.sent.v1";
    const SOURCE: &'static str = "/ordo/notification";

    fn id(&self) -> Uuid {
        Uuid::new_v5(&self.notification_id, b"sent")
    }
}

impl Contract for NotificationFailed {
    const TYPE: &'static str = "ordo.notification.failed.v1";
    const SOURCE: &'static str = "/ordo/notification";

    fn id(&self) -> Uuid {
        Uuid::new_v5(&self.notification_id, b"failed")
    }
}

#[cfg(test)]
mod tests;

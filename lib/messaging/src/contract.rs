//! The contracts between the fulfilment saga and notification.
//!
//! The saga sends [`NotificationRequested`] to `ordo-notifications.fifo`. Notification answers each with
//! [`NotificationSent`] or [`NotificationFailed`] on `ordo-replies.fifo`. Field names are camelCase on the wire. Every
//! contract has a golden file, the request one for each mail.

mod parts;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::parts::{DocumentLink, EditDetails, EditedLine, WaitingUnits};
use crate::envelope::{CloudEvent, EnvelopeError, MessageContract, RawCloudEvent};

/// A request for a mail about an order. It has everything that the mail needs: notification looks nothing up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NotificationRequested {
    /// Identifies the mail, however many requests for it there are: one mail is sent per id. It is derived from the id
    /// of the event that caused the mail.
    pub notification_id: Uuid,
    /// The number of this request for the mail, from 1. It lets a repeated request through the queue's deduplication.
    pub attempt: u32,
    pub template: NotificationTemplate,
    /// The address; without it, the mail goes to the configured default recipient. For a withdrawn mail it is
    /// [`NotificationRequested::NOBODY`].
    pub recipient: Option<String>,
    pub order_id: String,
    /// The order's number for people, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_number: Option<String>,
    /// The language that the customer reads, as a tag (BCP 47). Without it the mail is in English.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// Who ordered; left out for a guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// ISO 4217 code of every amount here.
    pub currency: String,
    /// The order's total, as a decimal with the currency's own number of decimals.
    pub total_amount: String,
    /// What was ordered or shipped: as many lines as fit into a message.
    pub lines: Vec<OrderedLine>,
    /// How many lines did not fit.
    #[serde(default)]
    pub omitted_lines: u32,
    /// What else the mail shows of the order.
    #[serde(flatten)]
    pub details: OrderDetails,
    /// Why the order was rejected, cancelled or refunded, in words for the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// For an order that the platform rejected: why, so that a mail can say it in its own language. `reason` says the same in English.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejection: Option<RejectionCause>,
    /// For a shipped order: its parcels. `lines` are then what was shipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipment: Option<ShipmentTracking>,
    /// What the customer gets back, as a decimal: for a refund, and for a cancelled order that had been charged. For money that a person
    /// released: how much that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund_amount: Option<String>,
    /// For a rejected or cancelled order: whether some of it was paid elsewhere, so that the mail can't say that nothing is charged. For
    /// money that a person released: whether it was paid elsewhere, and so was given back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paid_elsewhere: bool,
    /// Whether to try again a mail that is recorded as failed, because an operator wants it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retry_failed: bool,
    /// Whether to withdraw the mail: notification answers with its outcome, and never sends it if there is none yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withdraw: bool,
}

/// What a mail shows of an order beside its lines. An order has as much of it as the shop said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrderDetails {
    /// Who ordered, in a mail to staff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_name: Option<String>,
    /// What the total is made of, if that is more than the lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totals: Option<TotalParts>,
    /// How the goods go to the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_method: Option<String>,
    /// When they should arrive: a date or an instant (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_delivery: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_address: Option<PostalAddress>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billing_address: Option<PostalAddress>,
    /// What changed, in a mail about an edit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edit: Option<EditDetails>,
    /// The document of what the mail tells: the invoice of a shipment, the credit note of a refund.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<DocumentLink>,
}

/// Why the platform rejected an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RejectionCause {
    /// `outOfStock`, `paymentDeclined` or `notPaidInTime`; later builds may have more.
    pub code: String,
    /// The SKUs that are short.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skus: Vec<String>,
}

/// The parts of an order's total, as decimals: items − discounts + shipping + taxes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TotalParts {
    pub items: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discounts: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping: Option<String>,
    /// Those that are paid on top.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taxes: Option<String>,
    /// Those that are in the prices already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub included_taxes: Option<String>,
}

/// A postal address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PostalAddress {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<String>,
    pub line1: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line2: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// ISO 3166-1 alpha-2.
    pub country: String,
}

impl NotificationRequested {
    /// An invalid address. A notification of an earlier build, which ignores `withdraw`, fails to send the mail there
    /// and answers that.
    pub const NOBODY: &str = "";
}

/// How a customer can track a shipment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ShipmentTracking {
    /// The first parcel, for readers of earlier builds, which know only one.
    #[serde(flatten)]
    pub first: ParcelTracking,
    /// All parcels, if there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parcels: Vec<ParcelTracking>,
}

/// How a customer can track a parcel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ParcelTracking {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
    /// The carrier's number for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking: Option<String>,
}

impl ShipmentTracking {
    pub fn of(parcels: Vec<ParcelTracking>) -> Self {
        let first = parcels.first().cloned().unwrap_or_default();
        Self { first, parcels: if parcels.len() > 1 { parcels } else { vec![] } }
    }

    /// All parcels, even if there is only one.
    pub fn parcels(&self) -> &[ParcelTracking] {
        if self.parcels.is_empty() { std::slice::from_ref(&self.first) } else { &self.parcels }
    }
}

/// One line of an order, as the mail shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrderedLine {
    pub sku: String,
    /// The name that the customer saw.
    pub title: String,
    pub quantity: u32,
    /// How much there is of goods that are not sold by the piece. Their `quantity` is 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measure: Option<OrderedMeasure>,
    /// As a decimal.
    pub unit_price: String,
    /// Quantity times unit price, as a decimal.
    pub line_total: String,
    /// Those of it that are not in stock yet, in mails about an order that is not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<WaitingUnits>,
}

/// So much of a unit of measure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OrderedMeasure {
    /// As a decimal.
    pub quantity: String,
    /// The symbol of the unit: `kg`.
    pub unit: String,
}

/// Which mail is requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum NotificationTemplate {
    OrderConfirmed,
    OrderRejected,
    OrderCancelled,
    OrderShipped,
    OrderRefunded,
    OrderEdited,
    PaymentReleased,
    /// To the shop's staff, whose addresses notification knows.
    StaffNewOrder,
}

impl NotificationTemplate {
    pub const ALL: [Self; 8] = [
        Self::OrderConfirmed,
        Self::OrderRejected,
        Self::OrderCancelled,
        Self::OrderShipped,
        Self::OrderRefunded,
        Self::OrderEdited,
        Self::PaymentReleased,
        Self::StaffNewOrder,
    ];

    /// The name on the wire and in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OrderConfirmed => "order-confirmed",
            Self::OrderRejected => "order-rejected",
            Self::OrderCancelled => "order-cancelled",
            Self::OrderShipped => "order-shipped",
            Self::OrderRefunded => "order-refunded",
            Self::OrderEdited => "order-edited",
            Self::PaymentReleased => "payment-released",
            Self::StaffNewOrder => "staff-new-order",
        }
    }
}

/// The mail service accepted the mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NotificationSent {
    pub notification_id: Uuid,
    pub template: NotificationTemplate,
    /// The address; `staff` for a mail to the shop's staff.
    pub recipient: String,
    /// The mail service's id for it.
    pub provider_message_id: String,
}

/// The mail was not sent, and will not be. An operator can request it again under a new id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NotificationFailed {
    pub notification_id: Uuid,
    pub template: NotificationTemplate,
    /// Why, in words for an operator.
    pub reason: String,
}

/// What notification answers to a request for a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotificationAnswer {
    Sent(NotificationSent),
    Failed(NotificationFailed),
}

impl NotificationAnswer {
    /// Parses a body from the replies queue, by its type.
    pub fn parse(body: &str) -> Result<CloudEvent<Self>, EnvelopeError> {
        let raw = RawCloudEvent::parse(body)?;
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

impl MessageContract for NotificationRequested {
    const TYPE: &'static str = "ordo.notification.requested.v1";
    const SOURCE: &'static str = "/ordo/sagas/order-fulfilment";

    fn id(&self) -> Uuid {
        self.notification_id
    }
}

impl MessageContract for NotificationSent {
    const TYPE: &'static str = "ordo.notification.sent.v1";
    const SOURCE: &'static str = "/ordo/notification";

    fn id(&self) -> Uuid {
        Uuid::new_v5(&self.notification_id, b"sent")
    }
}

impl MessageContract for NotificationFailed {
    const TYPE: &'static str = "ordo.notification.failed.v1";
    const SOURCE: &'static str = "/ordo/notification";

    fn id(&self) -> Uuid {
        Uuid::new_v5(&self.notification_id, b"failed")
    }
}

#[cfg(test)]
mod schemas;
#[cfg(test)]
mod tests;

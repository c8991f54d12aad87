//! What can happen to an order. Each event has a golden file in `domain/golden/` and decodes for ever.

use cqrs_es::DomainEvent;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Currency, CustomerId, EmailAddress, JsonText, Money, PaymentToken, Sku};

/// Something that happened to an order. Who did it, when and why is the event's metadata, not its content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum OrderEvent {
    /// A customer ordered.
    OrderCreated(OrderCreated),
    /// The order was promised to the customer.
    OrderConfirmed(OrderConfirmed),
    /// The mail service took a mail to the customer.
    NotificationSent(NotificationSent),
    /// A mail to the customer was given up.
    NotificationFailed(NotificationFailed),
}

/// What the customer ordered. Amounts are minor units of `currency`; lines add up to `total_minor`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderCreated {
    /// Who ordered.
    pub customer_id: CustomerId,
    /// The one currency of all its amounts.
    pub currency: Currency,
    /// What the customer owes.
    pub total_minor: i64,
    /// What was ordered, in the customer's order; never empty.
    pub lines: Vec<OrderLine>,
    /// Where its mails go; without it to the shop's own recipient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_email: Option<EmailAddress>,
    /// What the payment provider knows the customer's means of payment by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_token: Option<PaymentToken>,
    /// The customer's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// The shop's own data, kept to the letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<JsonText>,
}

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderLine {
    /// What.
    pub sku: Sku,
    /// What people call it.
    pub title: String,
    /// How many, at least one.
    pub quantity: u32,
    /// What one of it costs.
    pub unit_price_minor: i64,
    /// The shop's own data, kept to the letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<JsonText>,
}

/// The order was promised to the customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderConfirmed {}

/// The mail service took a mail to the customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NotificationSent {
    /// The mail: the same in every attempt to send it.
    pub notification_id: Uuid,
    /// What it says.
    pub template: MailTemplate,
    /// Where it went.
    pub recipient: String,
    /// The mail service's own id of it.
    pub provider_message_id: String,
}

/// A mail to the customer was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NotificationFailed {
    /// The mail: the same in every attempt to send it.
    pub notification_id: Uuid,
    /// What it would have said.
    pub template: MailTemplate,
    /// Why, in the mail service's words.
    pub reason: String,
}

/// The mails a customer can get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MailTemplate {
    /// Your order is confirmed.
    OrderConfirmed,
    /// Your order could not be accepted.
    OrderRejected,
    /// Your order was cancelled.
    OrderCancelled,
    /// Your order, or a part of it, is on its way.
    OrderShipped,
    /// You get money back.
    OrderRefunded,
}

impl MailTemplate {
    /// Its name on the wire and in the read model.
    pub fn name(self) -> &'static str {
        match self {
            Self::OrderConfirmed => "order-confirmed",
            Self::OrderRejected => "order-rejected",
            Self::OrderCancelled => "order-cancelled",
            Self::OrderShipped => "order-shipped",
            Self::OrderRefunded => "order-refunded",
        }
    }
}

impl OrderCreated {
    /// What the customer owes.
    pub fn total(&self) -> Money {
        Money::from_minor(self.total_minor, self.currency)
    }
}

impl OrderLine {
    /// What one of it costs.
    pub fn unit_price(&self, currency: Currency) -> Money {
        Money::from_minor(self.unit_price_minor, currency)
    }

    /// What the line costs. Parsing made sure that it fits.
    pub fn total(&self, currency: Currency) -> Money {
        Money::from_minor(self.unit_price_minor.saturating_mul(i64::from(self.quantity)), currency)
    }
}

impl OrderEvent {
    /// The event's name, as stored.
    pub fn name(&self) -> &'static str {
        match self {
            Self::OrderCreated(_) => "OrderCreated",
            Self::OrderConfirmed(_) => "OrderConfirmed",
            Self::NotificationSent(_) => "NotificationSent",
            Self::NotificationFailed(_) => "NotificationFailed",
        }
    }
}

impl DomainEvent for OrderEvent {
    fn event_type(&self) -> String {
        self.name().to_owned()
    }

    fn event_version(&self) -> String {
        match self {
            Self::OrderCreated(_)
            | Self::OrderConfirmed(_)
            | Self::NotificationSent(_)
            | Self::NotificationFailed(_) => "1.0".to_owned(),
        }
    }
}

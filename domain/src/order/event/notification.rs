//! The mails to the customer.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The mail service accepted a mail to the customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NotificationSent {
    /// The id of the mail. It is the same in every attempt to send it.
    pub notification_id: Uuid,
    pub template: MailTemplate,
    /// The address that it was sent to.
    pub recipient: String,
    /// The mail service's id of the mail.
    pub provider_message_id: String,
    /// Which of the order's mails of this template it is, from 0. Events of earlier builds do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nth: Option<usize>,
}

/// A mail to the customer was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NotificationFailed {
    /// The id of the mail. It is the same in every attempt to send it.
    pub notification_id: Uuid,
    pub template: MailTemplate,
    /// Why, in the mail service's words.
    pub reason: String,
    /// Which of the order's mails of this template it is, from 0. Events of earlier builds do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nth: Option<usize>,
}

/// Somebody wants the customer to get a mail once more. It goes out as another mail, with an id of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MailResendRequested {
    /// The id of the mail so far.
    pub notification_id: Uuid,
    pub template: MailTemplate,
    /// Which of the order's mails of this template it is, from 0.
    pub nth: usize,
}

/// The mails about an order: to its customer, or to the staff of the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum MailTemplate {
    /// Your order is confirmed.
    OrderConfirmed,
    /// Your order could not be accepted.
    OrderRejected,
    /// Your order was cancelled.
    OrderCancelled,
    /// Your order, or some of it, is on its way.
    OrderShipped,
    /// Your money is on its way back.
    OrderRefunded,
    /// Your order was changed.
    OrderEdited,
    /// Money that was held for your order is free again, or was given back by hand.
    PaymentReleased,
    /// To the shop's staff: there is a new order.
    StaffNewOrder,
}

impl MailTemplate {
    /// The name in messages and in the read model.
    pub fn name(self) -> &'static str {
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

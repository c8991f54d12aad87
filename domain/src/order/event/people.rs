//! What people are told, and what people decide.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Shortage;
use crate::ids::NoteId;
use crate::order::saga::{OperatorDecision, SagaStep};

/// The order was promised to the customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderConfirmed {}

/// The order could not be promised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRejected {
    /// Why.
    pub reason: RejectionReason,
}

/// Why an order could not be promised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RejectionReason {
    /// There were not enough units.
    OutOfStock {
        /// Of what; never empty.
        shortages: Vec<Shortage>,
    },
    /// The payment was declined.
    PaymentDeclined {
        /// In the provider's words.
        message: String,
    },
    /// It could not be paid before its reservation ran out.
    NotPaidInTime,
    /// An operator gave it up.
    GivenUp {
        /// In the operator's words.
        reason: String,
    },
}

impl RejectionReason {
    /// As the shop and its operators are told: with all that is known.
    pub fn in_words(&self) -> String {
        match self {
            Self::OutOfStock { shortages } => {
                let short =
                    |it: &Shortage| format!("{} ({} ordered, {} left)", it.sku, it.requested, it.available.max(0));
                let short: Vec<String> = shortages.iter().map(short).collect();
                format!("not enough in stock: {}", short.join(", "))
            }
            Self::PaymentDeclined { message } => format!("the payment was declined: {message}"),
            Self::NotPaidInTime => "the payment could not be completed in time".to_owned(),
            Self::GivenUp { reason } => reason.clone(),
        }
    }

    /// As the customer is told: nothing of how many there are, of what the provider said, or of what operators wrote for each other.
    pub fn for_customer(&self) -> Option<String> {
        match self {
            Self::OutOfStock { shortages } => {
                let short: Vec<&str> = shortages.iter().map(|it| it.sku.as_str()).collect();
                Some(format!("not enough in stock: {}", short.join(", ")))
            }
            Self::PaymentDeclined { message: _ } => Some("the payment was declined".to_owned()),
            Self::NotPaidInTime => Some("the payment could not be completed in time".to_owned()),
            Self::GivenUp { reason: _ } => None,
        }
    }
}

/// Somebody wants the order cancelled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancellationRequested {
    /// Why, as the customer is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The order was cancelled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderCancelled {
    /// Why, in the words of whoever called it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

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
    /// Which of the order's mails of its kind it is, from 0. Events of earlier builds do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nth: Option<usize>,
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
    /// Which of the order's mails of its kind it is, from 0. Events of earlier builds do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nth: Option<usize>,
}

/// The mails a customer can get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

/// Somebody wrote something down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NoteAdded {
    /// Names the note.
    pub note_id: NoteId,
    /// What.
    pub text: String,
    /// Who, if they said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
}

/// An operator decided what the order's saga could not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OperatorIntervened {
    /// What is to be done.
    #[serde(rename = "verb")]
    pub decision: OperatorDecision,
    /// The step that was stuck.
    pub step: SagaStep,
    /// Who decided.
    pub actor: String,
    /// Why, for those who look after orders: the customer does not read it.
    pub reason: String,
    /// What the customer is told of why the order is undone, if it is because of this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_message: Option<String>,
    /// The mail that is skipped, if it is one. Builds that did not note it left its answer without an owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notification_id: Option<Uuid>,
}

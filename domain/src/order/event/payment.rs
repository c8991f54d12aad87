//! The payments: authorized, captured, voided. Amounts are minor units of the order's currency.
//!
//! An event names its payment by its number, from 1, in the order in which they were posted. The events of an order with one payment do
//! not name it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{PaymentToken, ShipmentId};

/// A payment of an order, as it was posted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrderPayment {
    /// What the customer pays with, in the shop's words.
    pub method: String,
    /// The payment provider's token for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<PaymentToken>,
    /// How much of the order's total it pays.
    pub amount_minor: i64,
    /// What a payment that was made elsewhere is known by there. The provider is asked for nothing then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// When it was paid elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid_at: Option<DateTime<Utc>>,
}

/// The provider holds the amount for us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PaymentAuthorized {
    /// The provider's id of the payment.
    pub reference: String,
    pub amount_minor: i64,
    /// Which of the order's payments; `None`: it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_number: Option<u32>,
}

/// The provider will not hold the amount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PaymentDeclined {
    /// The provider's code.
    pub code: String,
    /// The provider's words.
    pub message: String,
    /// Which of the order's payments; `None`: it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_number: Option<u32>,
}

/// The provider did not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PaymentOutcomeUnknown {
    /// What happened instead of an answer.
    pub reason: String,
    /// Which of the order's payments; `None`: it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_number: Option<u32>,
}

/// The provider holds no money of the payment any more, and never will. What was captured stays captured. Of a payment that was made
/// elsewhere: what was not captured went back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PaymentVoided {
    /// Which of the order's payments; `None`: it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_number: Option<u32>,
    /// How much a person set free, or gave back of a payment that was made elsewhere. The customer is told of it. `None`: the provider did
    /// it, or nothing is known to have been held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released_minor: Option<i64>,
}

/// The money for a shipment was captured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PaymentCaptured {
    pub shipment_id: ShipmentId,
    /// The price of its lines, or the payment's share of that.
    pub amount_minor: i64,
    /// The provider's id of the capture.
    pub reference: String,
    /// Which of the order's payments; `None`: it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_number: Option<u32>,
}

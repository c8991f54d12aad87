//! The payment: authorized, captured, voided. Amounts are minor units of the order's currency.

use serde::{Deserialize, Serialize};

use crate::ids::ShipmentId;

/// The provider holds the amount for us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentAuthorized {
    /// The provider's id of the payment.
    pub reference: String,
    /// How much is held.
    pub amount_minor: i64,
}

/// The provider will not hold the amount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentDeclined {
    /// The provider's code.
    pub code: String,
    /// The provider's words.
    pub message: String,
}

/// The provider did not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentOutcomeUnknown {
    /// What happened instead of an answer.
    pub reason: String,
}

/// Nothing is held any more, and nothing will be; what was taken stays taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentVoided {}

/// The amount of a shipment was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentCaptured {
    /// For which shipment.
    pub shipment_id: ShipmentId,
    /// How much: what its lines cost.
    pub amount_minor: i64,
    /// The provider's id of it.
    pub reference: String,
}

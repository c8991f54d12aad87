//! The payment: authorized, captured, voided. Amounts are minor units of the order's currency.

use serde::{Deserialize, Serialize};

use crate::ids::ShipmentId;

/// The provider holds the amount for us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PaymentAuthorized {
    /// The provider's id of the payment.
    pub reference: String,
    pub amount_minor: i64,
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
}

/// The provider did not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PaymentOutcomeUnknown {
    /// What happened instead of an answer.
    pub reason: String,
}

/// The provider holds no money any more, and never will. What was captured stays captured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PaymentVoided {}

/// The money for a shipment was captured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PaymentCaptured {
    pub shipment_id: ShipmentId,
    /// The price of its lines.
    pub amount_minor: i64,
    /// The provider's id of the capture.
    pub reference: String,
}

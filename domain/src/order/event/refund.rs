//! Money that goes back to the customer. Amounts are minor units of the order's currency.

use serde::{Deserialize, Serialize};

use crate::ids::RefundId;

/// Money was promised back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefundRequested {
    /// Names the refund.
    pub refund_id: RefundId,
    /// How much.
    pub amount_minor: i64,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Money went back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentRefunded {
    /// Which refund: of a request, or of a return under the return's id.
    pub refund_id: RefundId,
    /// How much.
    pub amount_minor: i64,
    /// The provider's id of it.
    pub reference: String,
}

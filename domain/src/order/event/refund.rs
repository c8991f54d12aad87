//! Money that goes back to the customer. Amounts are minor units of the order's currency.

use serde::{Deserialize, Serialize};

use crate::ids::RefundId;

/// Money is to go back to the customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RefundRequested {
    pub refund_id: RefundId,
    pub amount_minor: i64,
    /// Why, in the words of whoever asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Money went back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PaymentRefunded {
    /// The refund. The refund of a return has the return's id.
    pub refund_id: RefundId,
    pub amount_minor: i64,
    /// The provider's id of the refund.
    pub reference: String,
    /// Which of the order's payments; `None`: it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_number: Option<u32>,
}

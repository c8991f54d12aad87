//! Goods that come back.

use serde::{Deserialize, Serialize};

use super::LineQuantity;
use crate::ids::ReturnId;

/// The customer will send goods back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReturnRequested {
    pub return_id: ReturnId,
    /// What will come back. Never empty; each line is named once.
    pub lines: Vec<LineQuantity>,
    /// Why, in the customer's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The goods of a return came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReturnReceived {
    pub return_id: ReturnId,
    /// How much the customer gets for them: the price of the lines, as far as it was not refunded before.
    pub refund_minor: i64,
}

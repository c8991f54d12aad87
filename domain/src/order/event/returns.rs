//! Goods that come back.

use serde::{Deserialize, Serialize};

use super::LineQuantity;
use crate::ids::ReturnId;

/// The customer will send some of it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReturnRequested {
    /// Names the return.
    pub return_id: ReturnId,
    /// What will come back; never empty, each line once.
    pub lines: Vec<LineQuantity>,
    /// Why, in the customer's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What was to come back came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReturnReceived {
    /// Which return.
    pub return_id: ReturnId,
    /// What it is worth to the customer: what its lines cost, as far as that was not given back before.
    pub refund_minor: i64,
}

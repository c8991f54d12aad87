//! Goods that come back.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{LineQuantity, Quantity};

/// Units that come back together.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Return {
    pub return_id: String,
    #[serde(default)]
    pub lines: Vec<LineQuantity>,
    #[serde(default)]
    pub reason: Option<String>,
    pub requested_at: DateTime<Utc>,
    /// When the last of it came.
    #[serde(default)]
    pub received_at: Option<DateTime<Utc>>,
    /// What came, if it came in parts or more was said about it.
    #[serde(default)]
    pub receipts: Vec<Receipt>,
    /// When it was said that the rest is not coming.
    #[serde(default)]
    pub cancelled_at: Option<DateTime<Utc>>,
    #[serde(default)]
    pub cancellation_reason: Option<String>,
}

/// Units of a return that came together.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Receipt {
    pub receipt_id: String,
    pub lines: Vec<ReceivedLine>,
    #[serde(default)]
    pub refund_id: Option<String>,
    /// Where they are, if somebody said so.
    #[serde(default)]
    pub location: Option<String>,
    pub received_at: DateTime<Utc>,
}

/// Units of a line that came back, in one condition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceivedLine {
    pub line_number: u32,
    pub quantity: Quantity,
    /// `sellable`, `damaged`, `defective` or `expired`; `None`: nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// Whether they go back into the stock of their SKU.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restock: bool,
}

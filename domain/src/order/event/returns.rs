//! Goods that come back.

use event_versions::FIRST;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::LineQuantity;
use crate::ids::{LocationId, ReceiptId, RefundId, ReturnId};

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

/// Goods of a return came back: all that had not come before, or some of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReturnReceived {
    pub return_id: ReturnId,
    /// How much the customer gets for them: the price of the lines, as far as it was not refunded before.
    pub refund_minor: i64,
    /// The id of the receipt. `None`: all of the return came at once, and no more was said about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt_id: Option<ReceiptId>,
    /// What came. Empty: all of the return.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<ReceivedLine>,
    /// The id of the refund. `None`: the return's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund_id: Option<RefundId>,
    /// Where they are now, if somebody said so. Otherwise what is put back into stock is where it was sent from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<LocationId>,
}

impl ReturnReceived {
    /// The id of the refund for these goods.
    pub fn refund(&self) -> RefundId {
        self.refund_id.clone().unwrap_or_else(|| RefundId::of_return(&self.return_id))
    }

    /// The version that says all of it, if it is an earlier one.
    pub(super) fn earlier_version(&self) -> Option<&'static str> {
        let Self { return_id: _, refund_minor: _, receipt_id, lines, refund_id, location } = self;
        let is_of_first = receipt_id.is_none() && lines.is_empty() && refund_id.is_none();
        location.is_none().then_some(if is_of_first { FIRST } else { "2.0" })
    }
}

/// Units of a line that came back together, in one condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReceivedLine {
    /// The number of the line, from 1.
    pub line_number: u32,
    /// How many units, at least one.
    pub quantity: u32,
    /// In which condition they are, if somebody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<ItemCondition>,
    /// Whether they are put back into the stock of their SKU, in the same append.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub restock: bool,
}

/// The condition of goods that came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum ItemCondition {
    /// As good as new.
    Sellable,
    /// It took damage after it left.
    Damaged,
    /// It never worked as it should.
    Defective,
    /// It can't be sold any more because of its age.
    Expired,
}

impl ItemCondition {
    /// The condition with a name.
    ///
    /// # Errors
    /// There is none of that name.
    pub(crate) fn parse(name: &str) -> Result<Self, &'static str> {
        match name {
            "sellable" => Ok(Self::Sellable),
            "damaged" => Ok(Self::Damaged),
            "defective" => Ok(Self::Defective),
            "expired" => Ok(Self::Expired),
            _ => Err("must be sellable, damaged, defective or expired"),
        }
    }
}

/// What has not come of a return will not come any more. Its units can be announced again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReturnCancelled {
    pub return_id: ReturnId,
    /// Why, in the words of whoever cancelled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

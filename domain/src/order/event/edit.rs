//! Edits: an order is changed before it ships. Amounts are minor units of the order's currency.

use serde::{Deserialize, Serialize};

use super::{Address, Discount, OrderLine, RejectionReason, Shipping, Shortage, SkuQuantity, Tax, UnitMismatch};
use crate::ids::{EditId, PaymentToken};

/// An order is to be changed. It stays as it is until the units and the money for that are there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrderEditRequested {
    pub edit_id: EditId,
    pub changes: OrderChanges,
    /// What the customer owes once the changes are made.
    pub total_minor: i64,
    /// How the difference is paid. `None`: the order's payments are enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<AddedPayment>,
    /// Why, in the words of whoever asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A payment that an edit adds to an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AddedPayment {
    /// Its number among the order's payments, from 1. No other payment ever gets it.
    pub payment_number: u32,
    /// What the customer pays with, in the shop's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The payment provider's token for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<PaymentToken>,
    /// The difference.
    pub amount_minor: i64,
}

/// What an edit changes. What it does not name stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrderChanges {
    /// Each line is named once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<LineChange>,
    /// New lines. They get the next numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added_lines: Vec<OrderLine>,
    /// How the goods go to the customer from now on, and the postage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping: Option<Box<Shipping>>,
    /// All that is taken off the whole order from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discounts: Option<Vec<Discount>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billing_address: Option<Box<Address>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_address: Option<Box<Address>>,
}

/// A change of one line. What it does not name stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct LineChange {
    /// The number of the line, from 1.
    pub line_number: u32,
    /// How many in all, shipped and cancelled ones among them: pieces, or thousandths of the line's unit. 0: the line is removed, and keeps its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_price_minor: Option<i64>,
    /// What the new unit price has beyond whole minor units, in ten-thousandths of one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unit_price_ten_thousandths: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discounts: Option<Vec<Discount>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taxes: Option<Vec<Tax>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(rest: &u32) -> bool {
    *rest == 0
}

/// The order was changed. The units that it needs more were reserved in the same append, and those that it needs no longer released.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrderEdited {
    pub edit_id: EditId,
    pub changes: OrderChanges,
    /// What the customer owes from now on.
    pub total_minor: i64,
    /// The units that were reserved beside those before, by SKU and location, without SKUs that are not tracked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<SkuQuantity>,
    /// The units that were reserved before, shipped ones among them, if all of them were at the default location and some of the others
    /// are not. Otherwise there are none: where the units are is known then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units_before: Vec<SkuQuantity>,
    /// Whether the customer gets a mail about it. Earlier builds sent none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mail_customer: bool,
}

/// The order was not changed. What is held for the edit is let go of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrderEditRejected {
    pub edit_id: EditId,
    pub reason: EditRejectionReason,
}

/// Why an order was not changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum EditRejectionReason {
    /// There were not enough units.
    OutOfStock {
        /// The SKUs that are short. Never empty.
        shortages: Vec<Shortage>,
    },
    /// SKUs are counted in another unit of measure than they were ordered in.
    OtherUnit {
        /// Never empty.
        skus: Vec<UnitMismatch>,
    },
    /// The payment of the difference was declined.
    PaymentDeclined {
        /// The provider's words.
        message: String,
    },
    /// The order, or some of it, was cancelled meanwhile.
    Cancelled,
    /// An operator gave it up.
    GivenUp {
        /// The operator's words.
        reason: String,
    },
}

impl EditRejectionReason {
    /// For the shop and its operators: everything that is known.
    pub fn in_words(&self) -> String {
        match self {
            Self::OutOfStock { shortages } => {
                let short = |it: &Shortage| {
                    let (needed, left) = it.quantities();
                    let unit = it.unit.map_or_else(String::new, |unit| format!(" {unit}"));
                    format!("{} ({needed}{unit} more needed, {left}{unit} left)", it.sku)
                };
                let short: Vec<String> = shortages.iter().map(short).collect();
                format!("not enough in stock: {}", short.join(", "))
            }
            Self::OtherUnit { skus } => RejectionReason::OtherUnit { skus: skus.clone() }.in_words(),
            Self::PaymentDeclined { message } => format!("the payment was declined: {message}"),
            Self::Cancelled => "the order, or some of it, was cancelled".to_owned(),
            Self::GivenUp { reason } => reason.clone(),
        }
    }
}

//! Discounts, taxes and postage, as they were posted.

use domain::money::{Currency, Money};
use domain::order::event::{Discount, Shipping, Tax};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::amount_view::AmountView;

/// What is taken off a line or an order.
#[derive(Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Discount)]
pub(in crate::orders) struct DiscountRow {
    /// What the customer entered for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    amount: AmountView,
}

/// A tax on a line or on postage.
#[derive(Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Tax)]
pub(in crate::orders) struct TaxRow {
    name: String,
    /// 0.19 for 19 %.
    #[schema(example = "0.19")]
    rate: String,
    amount: AmountView,
    /// Whether the price has it in it already.
    included: bool,
}

/// How the goods go to the customer, and the postage.
#[derive(Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Shipping)]
#[serde(rename_all = "camelCase")]
pub(in crate::orders) struct ShippingRow {
    method: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    carrier: Option<String>,
    amount: AmountView,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    taxes: Vec<TaxRow>,
    /// A date or an instant (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    estimated_delivery: Option<String>,
}

impl DiscountRow {
    pub(super) fn all(discounts: &[Discount], currency: Currency) -> Vec<Self> {
        let row = |Discount { code, reason, amount_minor }: &Discount| Self {
            code: code.clone(),
            reason: reason.clone(),
            amount: Money::from_minor(*amount_minor, currency).into(),
        };
        discounts.iter().map(row).collect()
    }
}

impl TaxRow {
    pub(super) fn all(taxes: &[Tax], currency: Currency) -> Vec<Self> {
        let row = |Tax { name, rate, amount_minor, included }: &Tax| Self {
            name: name.clone(),
            rate: rate.to_string(),
            amount: Money::from_minor(*amount_minor, currency).into(),
            included: *included,
        };
        taxes.iter().map(row).collect()
    }
}

impl ShippingRow {
    pub(super) fn new(shipping: &Shipping, currency: Currency) -> Self {
        let Shipping { method, carrier, amount_minor, taxes, estimated_delivery } = shipping;
        Self {
            method: method.clone(),
            carrier: carrier.clone(),
            amount: Money::from_minor(*amount_minor, currency).into(),
            taxes: TaxRow::all(taxes, currency),
            estimated_delivery: estimated_delivery.clone(),
        }
    }
}

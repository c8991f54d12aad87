//! Parts of an order, as they are sent and as they are answered.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Money, Quantity};

/// What is said of the customer beside id and e-mail address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CustomerDetails {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// The language to write in, such as `de-DE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// The number under which the tax office knows the customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tax_id: Option<String>,
}

/// A postal address. In answers to who may not see it, it is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Address {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub company: Option<String>,
    /// Street and number.
    pub line1: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line2: Option<String>,
    /// Most countries need it, in a shape of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    /// State, province or prefecture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
}

/// What is taken off a line or an order, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewDiscount {
    /// What the customer entered for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub amount: String,
}

/// A tax on a line or on postage, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewTax {
    pub name: String,
    /// `0.19` for 19 %.
    pub rate: String,
    pub amount: String,
    /// Whether the price has it in it already. Otherwise it is paid on top.
    pub included: bool,
}

/// How the goods go to the customer, and the postage, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewShipping {
    pub method: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
    pub amount: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub taxes: Vec<NewTax>,
    /// A date or an instant (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimated_delivery: Option<String>,
}

/// What is taken off a line or an order.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Discount {
    #[serde(default)]
    pub code: Option<String>,
    #[serde(default)]
    pub reason: Option<String>,
    pub amount: Money,
}

/// A tax on a line or on postage.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Tax {
    pub name: String,
    /// `0.19` for 19 %.
    pub rate: String,
    pub amount: Money,
    /// Whether the price has it in it already.
    pub included: bool,
}

/// How the goods go to the customer, and the postage.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Shipping {
    pub method: String,
    #[serde(default)]
    pub carrier: Option<String>,
    pub amount: Money,
    #[serde(default)]
    pub taxes: Vec<Tax>,
    #[serde(default)]
    pub estimated_delivery: Option<String>,
}

/// The parts of an order's total: items − discounts + shipping + taxes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Totals {
    /// Quantity × unit price of all lines.
    pub items: Money,
    /// All discounts, of lines and of the order.
    pub discounts: Money,
    pub shipping: Money,
    /// The taxes that are paid on top.
    pub taxes: Money,
    /// The taxes that are in the prices already.
    pub included_taxes: Money,
    pub total: Money,
}

/// A line of an order, with how much of it was sent, cancelled and returned.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Line {
    pub line_number: u32,
    pub sku: String,
    #[serde(default)]
    pub title: String,
    pub quantity: Quantity,
    /// The unit of measure of goods that are not sold by the piece: `kg`.
    #[serde(default)]
    pub unit: Option<String>,
    pub unit_price: Money,
    /// Quantity × unit price, before discounts and taxes.
    pub line_total: Money,
    #[serde(default)]
    pub metadata: Option<Value>,
    #[serde(default)]
    pub variant: Option<String>,
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// `Some(false)`: nothing is sent for it.
    #[serde(default)]
    pub requires_shipping: Option<bool>,
    #[serde(default)]
    pub gift_card: Option<bool>,
    #[serde(default)]
    pub discounts: Vec<Discount>,
    #[serde(default)]
    pub taxes: Vec<Tax>,
    #[serde(default)]
    pub shipped: Quantity,
    #[serde(default)]
    pub cancelled: Quantity,
    #[serde(default)]
    pub returned: Quantity,
}

/// What keeps an order from being shipped.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Hold {
    pub hold_id: String,
    /// Empty in answers to who may not see it.
    #[serde(default)]
    pub reason: String,
    pub held_at: DateTime<Utc>,
}

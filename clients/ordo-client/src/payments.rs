//! The payments of an order, as they are placed and as they are answered, and what goes back of them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::Money;

/// A payment of an order to be placed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewPayment {
    /// What the customer pays with, in the shop's words.
    pub method: String,
    /// What the payment provider takes the money from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// How much of the total it pays.
    pub amount: String,
    /// What a payment that was made elsewhere is known by there. The provider is asked for nothing then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// When it was paid elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paid_at: Option<DateTime<Utc>>,
}

/// A payment of an order.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Payment {
    /// From 1.
    pub payment_number: u32,
    /// What the customer pays with, in the shop's words. The payment of an order that was placed without `payments` has none.
    #[serde(default)]
    pub method: Option<String>,
    /// How much of the total it pays.
    pub amount: Money,
    /// What a payment that was made elsewhere is known by there.
    #[serde(default)]
    pub reference: Option<String>,
    #[serde(default)]
    pub paid_at: Option<DateTime<Utc>>,
    /// Such as `authorized` or `captured`; a later server may have others.
    pub status: String,
    pub captured: Money,
    pub refunded: Money,
    /// What a person has to give back, because it was paid elsewhere.
    #[serde(default)]
    pub manual_refund: Option<Money>,
}

/// What goes back to one of several payments.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RefundShare {
    /// From 1.
    pub payment_number: u32,
    pub amount: Money,
    /// As that of a refund.
    pub status: String,
}

/// Money that goes back to the customer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Refund {
    pub refund_id: String,
    pub amount: Money,
    #[serde(default)]
    pub reason: Option<String>,
    pub requested_at: DateTime<Utc>,
    #[serde(default)]
    pub refunded_at: Option<DateTime<Utc>>,
    /// `requested`, `manual`, `refunded` or `skipped`.
    #[serde(default)]
    pub status: Option<String>,
    /// What goes back to each payment, where the order has several.
    #[serde(default)]
    pub payments: Vec<RefundShare>,
}

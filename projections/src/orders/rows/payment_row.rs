//! The payments of an order, as they were posted.

use chrono::{DateTime, Utc};
use domain::money::{Currency, Money};
use domain::order::event::OrderPayment;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::amount_view::AmountView;

/// A payment, as it was posted. Its token is for the payment provider only.
#[derive(Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = PaymentContent)]
#[serde(rename_all = "camelCase")]
pub(in crate::orders) struct PaymentRow {
    /// What the customer pays with, in the shop's words. It is left out where nobody said so.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    method: String,
    /// How much of the total it pays.
    amount: AmountView,
    /// What a payment that was made elsewhere is known by there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    /// When it was paid elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    paid_at: Option<DateTime<Utc>>,
}

impl PaymentRow {
    /// A payment of the provider.
    pub(super) fn of(method: Option<&str>, amount_minor: i64, currency: Currency) -> Self {
        let (method, amount) =
            (method.unwrap_or_default().to_owned(), Money::from_minor(amount_minor, currency).into());
        Self { method, amount, reference: None, paid_at: None }
    }

    pub(super) fn all(payments: &[OrderPayment], currency: Currency) -> Vec<Self> {
        let row = |OrderPayment { method, token: _, amount_minor, reference, paid_at }: &OrderPayment| Self {
            method: method.clone(),
            amount: Money::from_minor(*amount_minor, currency).into(),
            reference: reference.clone(),
            paid_at: *paid_at,
        };
        payments.iter().map(row).collect()
    }
}

//! An edit as it is posted.

use serde::Deserialize;
use utoipa::ToSchema;

use super::new_order::{NewAddress, NewDiscount, NewOrderItem, NewShipping, NewTax};
use super::{amount, quantity_or_none};

/// What changes about an order. What is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewEdit {
    /// An id for the edit; a UUID is made if it is left out.
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,128}$")]
    edit_id: Option<String>,
    /// Each line is named once.
    #[schema(min_items = 1, max_items = 500)]
    lines: Option<Vec<NewLineChange>>,
    /// New lines. They get the next numbers.
    #[schema(min_items = 1, max_items = 500)]
    added_lines: Option<Vec<NewOrderItem>>,
    /// Only before anything is shipped.
    shipping: Option<NewShipping>,
    /// All that is taken off the whole order from then on.
    #[schema(max_items = 50)]
    discounts: Option<Vec<NewDiscount>>,
    billing_address: Option<NewAddress>,
    /// Only before anything is shipped.
    shipping_address: Option<NewAddress>,
    /// What the difference is paid with, if the order costs more then: the order's first means of payment if it is left out.
    payment: Option<NewMeansOfPayment>,
    #[schema(max_length = 500, pattern = r"^[^\u0000]*$")]
    reason: Option<String>,
}

/// What changes about a line.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewLineChange {
    /// The line's number, from 1.
    #[schema(minimum = 1, maximum = 4_294_967_295_u32)]
    line_number: u32,
    /// How many units in all, with those that were shipped or cancelled. 0 removes the line.
    #[schema(schema_with = quantity_or_none, required = false)]
    quantity: String,
    #[schema(schema_with = amount, required = false)]
    unit_price: String,
    #[schema(max_items = 50)]
    discounts: Option<Vec<NewDiscount>>,
    /// Required where a line with taxes gets another quantity or price.
    #[schema(max_items = 20)]
    taxes: Option<Vec<NewTax>>,
}

/// A customer's means of payment.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewMeansOfPayment {
    /// What the customer pays with, in the shop's words.
    #[schema(
        max_length = 100,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    method: String,
    /// What the payment provider takes as the means of payment.
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,128}$")]
    token: Option<String>,
}

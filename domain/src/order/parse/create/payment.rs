//! Parses the payments of a posted order.

use super::price::{MAX_NAME_CHARS, read_each};
use super::{read_amount, read_instant};
use crate::body::{BodyReader, JsonField};
use crate::ids::PaymentToken;
use crate::money::{Currency, Money};
use crate::order::event::{OrderCreated, OrderPayment};

/// Of an order.
const MAX_PAYMENTS: usize = 10;
const MAX_REFERENCE_CHARS: usize = 200;

/// Reads `[{"method", "token"?, "amount", "reference"?, "paidAt"?}]`. A payment of a currency that is not known is left out.
pub(super) fn read_payments(
    reader: &mut BodyReader,
    field: &JsonField<'_>,
    currency: Option<Currency>,
) -> Option<Vec<OrderPayment>> {
    read_each(reader, field, MAX_PAYMENTS, |reader, element| {
        let fields = reader.fields(element)?;
        let [method, token, amount, reference, paid_at] =
            reader.object(fields, ["method", "token", "amount", "reference", "paidAt"]);
        let read_method = reader.required(&method, |r, field| r.line_up_to(field, MAX_NAME_CHARS));
        let read_token = reader.optional(&token, |r, field| r.text(field, PaymentToken::parse));
        let amount = reader.required(&amount, |r, field| read_amount(r, field, currency));
        let read_reference = reader.optional_line(&reference, MAX_REFERENCE_CHARS);
        let read_paid_at = reader.optional(&paid_at, |r, field| r.text(field, read_instant));
        let has_token = matches!(read_token, Some(Some(_)));
        match (&read_reference, &read_paid_at) {
            (Some(None), Some(Some(_))) => {
                reader.violation_at(&reference, "required", "is required of what was paid elsewhere");
            }
            (Some(Some(_)), _) if has_token => {
                reader.violation_at(
                    &token,
                    "contradiction",
                    "is of the provider, and a reference is of what was paid elsewhere",
                );
            }
            (Some(_) | None, _) => {}
        }
        Some(OrderPayment {
            method: read_method?,
            token: read_token?,
            amount_minor: amount?.map(Money::minor)?,
            reference: read_reference?,
            paid_at: read_paid_at?,
        })
    })
}

/// Refuses payments that are not what the order costs, or that contradict its one token.
pub(super) fn check_payments(reader: &mut BodyReader, field: &JsonField<'_>, content: &OrderCreated) {
    if content.payments.is_empty() {
        return;
    }
    if content.payment_token.is_some() {
        reader.violation_at(field, "contradiction", "are given beside paymentToken: give one of them");
    }
    let sum: i128 = content.payments.iter().map(|payment| i128::from(payment.amount_minor)).sum();
    if sum == i128::from(content.total_minor) {
        return;
    }
    let sum = i64::try_from(sum)
        .map_or_else(|_| "more than any amount".to_owned(), |sum| Money::from_minor(sum, content.currency).to_string());
    reader.violation_at(field, "not_the_sum", format!("add up to {sum}, but totalAmount is {}", content.total()));
}

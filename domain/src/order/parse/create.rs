//! Parses a posted order.

#[cfg(test)]
mod tests;

use chrono::{DateTime, Datelike, Utc};
use serde_json::value::RawValue;

use crate::body::{BodyReader, InvalidBody, JsonField, JsonFields, read_body};
use crate::email::EmailAddress;
use crate::ids::{CustomerId, OrderId, PaymentToken, Sku};
use crate::json_text::JsonText;
use crate::money::{Currency, Money};
use crate::order::event::{OrderCreated, OrderLine};

/// The most lines of an order.
pub(super) const MAX_ITEMS: usize = 500;
/// The most units of a line.
pub(super) const MAX_QUANTITY: u32 = 1_000_000;
const MAX_TITLE_CHARS: usize = 500;
const MAX_NOTES_CHARS: usize = 4_000;

/// An order as a client posts it.
#[derive(Debug, Clone, PartialEq)]
pub struct PostedOrder {
    /// The client's own id for it, if it gave one.
    pub order_id: Option<OrderId>,
    pub content: OrderCreated,
}

impl PostedOrder {
    /// Reads a body. Numbers never pass through a float.
    pub fn parse(body: &[u8]) -> Result<Self, InvalidBody> {
        read_body(body, read_order)
    }
}

/// The order; `None` if the reader has violations.
fn read_order(reader: &mut BodyReader, fields: JsonFields<'_>) -> Option<PostedOrder> {
    let [order_id, customer_id, customer_email, currency, total, items, payment_token, notes, metadata, placed_at] =
        reader.object(
            fields,
            [
                "orderId",
                "customerId",
                "customerEmail",
                "currency",
                "totalAmount",
                "items",
                "paymentToken",
                "notes",
                "metadata",
                "createdAtIso",
            ],
        );
    // Everything is read before the first return, so that one answer names every violation.
    let order_id = reader.optional(&order_id, |r, field| r.text(field, OrderId::parse));
    let customer_id = reader.required(&customer_id, |r, field| r.text(field, CustomerId::parse));
    let customer_email = reader.optional(&customer_email, |r, field| r.text(field, EmailAddress::parse));
    let currency = reader.required(&currency, |r, field| r.text(field, |code| Currency::parse(&code)));
    let total = reader.required(&total, |r, field| read_amount(r, field, currency));
    let items = reader.required(&items, |r, field| read_items(r, field, currency));
    let payment_token = reader.optional(&payment_token, |r, field| r.text(field, PaymentToken::parse));
    let notes = reader.optional(&notes, |r, field| r.text_up_to(field, MAX_NOTES_CHARS));
    let metadata = reader.optional(&metadata, |r, field| r.parsed(field, JsonText::parse));
    let placed_at = reader.optional(&placed_at, |r, field| r.text(field, read_instant));

    let (lines, sum) = items?;
    let total = total??;
    if reader.is_valid() && sum != Some(total) {
        let sum = sum.map_or("more than any amount".to_owned(), |sum| sum.to_string());
        reader.add_violation("/totalAmount", "not_the_sum", format!("is {total}, but the items add up to {sum}"));
    }
    Some(PostedOrder {
        order_id: order_id?,
        content: OrderCreated {
            customer_id: customer_id?,
            currency: currency?,
            total_minor: total.minor(),
            lines,
            customer_email: customer_email?,
            payment_token: payment_token?,
            notes: notes?,
            metadata: metadata?,
            placed_at: placed_at?,
        },
    })
}

/// The lines and their sum (`None`: it does not fit).
fn read_items(
    reader: &mut BodyReader,
    field: &JsonField<'_>,
    currency: Option<Currency>,
) -> Option<(Vec<OrderLine>, Option<Money>)> {
    let items: Vec<&RawValue> = reader.array(field, 1..=MAX_ITEMS)?;
    let mut lines = Vec::with_capacity(items.len());
    let mut sum = currency.map(|currency| Money::from_minor(0, currency));
    for (index, item) in items.into_iter().enumerate() {
        let Some((line, total)) = reader.element(field, index, |reader| read_line(reader, item, currency)) else {
            continue;
        };
        sum = sum.zip(total).and_then(|(sum, total)| sum.checked_add(total));
        lines.push(line);
    }
    Some((lines, sum))
}

fn read_line(
    reader: &mut BodyReader,
    item: &RawValue,
    currency: Option<Currency>,
) -> Option<(OrderLine, Option<Money>)> {
    let fields = reader.fields(item)?;
    let [sku, title, quantity, unit_price, metadata] =
        reader.object(fields, ["sku", "title", "quantity", "unitPrice", "metadata"]);
    let sku = reader.required(&sku, |r, field| r.text(field, Sku::parse));
    let title = reader.optional(&title, |r, field| r.text_up_to(field, MAX_TITLE_CHARS));
    let quantity = reader.required(&quantity, |r, field| r.integer(field, 1..=MAX_QUANTITY));
    let unit_price = reader.required(&unit_price, |r, field| read_amount(r, field, currency));
    let metadata = reader.optional(&metadata, |r, field| r.parsed(field, JsonText::parse));
    let (sku, quantity, unit_price) = (sku?, quantity?, unit_price??);
    // A line without a title is called by its SKU.
    let title = title?.unwrap_or_else(|| sku.to_string());
    let line = OrderLine { sku, title, quantity, unit_price_minor: unit_price.minor(), metadata: metadata? };
    Some((line, unit_price.checked_mul(quantity)))
}

/// An instant, in any zone.
#[expect(clippy::needless_pass_by_value, reason = "as all that read a text")]
fn read_instant(text: String) -> Result<DateTime<Utc>, &'static str> {
    let instant = DateTime::parse_from_rfc3339(&text).map(|instant| instant.to_utc()).ok();
    // Other years do not have four digits.
    let instant = instant.filter(|instant| (0..=9999).contains(&instant.year()));
    instant.ok_or("must be an instant such as 2026-11-21T18:00:00Z (RFC 3339)")
}

/// An amount: a number or a text that holds one. `Some(None)` if the currency is invalid, which is a violation of its own.
#[expect(clippy::option_option, reason = "outer: was it valid as far as can be told; inner: is the currency known")]
fn read_amount(reader: &mut BodyReader, field: &JsonField<'_>, currency: Option<Currency>) -> Option<Option<Money>> {
    let text = reader.number_text(field)?;
    let read = match currency {
        Some(currency) => Money::parse(&text, currency).map(Some),
        None => Money::check(&text).map(|()| None),
    };
    match read {
        Ok(amount) => Some(amount),
        Err(error) => {
            reader.violation_at(field, "invalid", error.to_string());
            None
        }
    }
}

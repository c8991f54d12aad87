//! Parses a posted order.

pub(super) mod address;
mod customer;
pub(super) mod line;
mod payment;
pub(super) mod price;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Datelike, Utc};

use self::address::read_address;
use self::customer::{PostedCustomer, read_customer};
use self::line::read_items;
use self::payment::{check_payments, read_payments};
use self::price::{read_discounts, read_shipping};
use crate::body::{BodyReader, InvalidBody, JsonField, JsonFields, read_body};
use crate::email::EmailAddress;
use crate::ids::{CustomerId, OrderId, PaymentToken, ReturnId};
use crate::json_text::JsonObjectText;
use crate::money::{Currency, Money};
use crate::order::OrderTotals;
use crate::order::event::{ExchangeFor, OrderCreated};
use crate::order::import::IMPORT_SOURCE;

/// The most lines of an order.
pub(in crate::order) const MAX_ITEMS: usize = 500;
/// The most units of a line.
pub(super) const MAX_QUANTITY: u32 = 1_000_000;
const MAX_NOTES_CHARS: usize = 4_000;
/// Of a channel, a source or a tag.
const MAX_LABEL_CHARS: usize = 100;
const MAX_TAGS: usize = 50;

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

/// The fields of an order, those that most have first.
pub(super) const FIELDS: [&str; 21] = [
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
    "placedAt",
    "customer",
    "billingAddress",
    "shippingAddress",
    "channel",
    "source",
    "tags",
    "shipping",
    "discounts",
    "payments",
    "exchangeFor",
];

/// Ids that no new order may have: `/orders/export` and the next two are other routes, and clients take the dots out of a URL. So the order
/// could not be read.
const RESERVED_IDS: [&str; 5] = ["export", "batch", "import", ".", ".."];

fn read_order_id(reader: &mut BodyReader, field: &JsonField<'_>) -> Option<OrderId> {
    let id = reader.text(field, OrderId::parse)?;
    if RESERVED_IDS.contains(&id.as_str()) {
        let reason =
            "must not be export, batch or import, which are addresses of their own, nor . or .., which no URL keeps";
        reader.violation_at(field, "invalid", reason);
        return None;
    }
    Some(id)
}

/// The order; `None` if the reader has violations.
fn read_order(reader: &mut BodyReader, fields: JsonFields<'_>) -> Option<PostedOrder> {
    let fields = reader.object(fields, FIELDS);
    let posted = read_order_fields(reader, fields)?;
    if posted.content.source.as_deref() == Some(IMPORT_SOURCE) {
        reader.add_violation("/source", "invalid", "must be another: import is the source of imported orders");
    }
    Some(posted)
}

/// The order that these fields are of; `None` if they have violations.
pub(super) fn read_order_fields(reader: &mut BodyReader, fields: [JsonField<'_>; FIELDS.len()]) -> Option<PostedOrder> {
    let [
        order_id,
        customer_id,
        customer_email,
        currency,
        total,
        items,
        payment_token,
        notes,
        metadata,
        created_at,
        placed_at,
        customer,
        billing_address,
        shipping_address,
        channel,
        source,
        tags,
        shipping,
        discounts,
        payments,
        exchange_for,
    ] = fields;
    // Everything is read before the first return, so that one answer names every violation.
    let order_id = reader.optional(&order_id, read_order_id);
    let given_id = reader.optional(&customer_id, |r, field| r.text(field, CustomerId::parse));
    let email = reader.optional(&customer_email, |r, field| r.text(field, EmailAddress::parse));
    let customer = reader.optional(&customer, read_customer);
    let has_customer = matches!(customer, Some(Some(_)));
    let (inner_id, inner_email, details) = match customer.map(Option::unwrap_or_default) {
        Some(PostedCustomer { id, email, details }) => (Some(id), Some(email), Some(details)),
        None => (None, None, None),
    };
    let given_id = said_once(reader, ("customerId", given_id), ("/customer/id", inner_id));
    let customer_email = said_once(reader, ("customerEmail", email), ("/customer/email", inner_email));
    // A shop that only forgot the id has no guest.
    match (&given_id, &customer_email) {
        (Some(None), _) if !has_customer => {
            reader.violation_at(&customer_id, "required", "is required; a guest has customer.email instead");
        }
        (Some(None), Some(None)) => {
            reader.add_violation("/customer/email", "required", "is required of a guest, who has no id");
        }
        (Some(_) | None, _) => {}
    }
    let currency = reader.required(&currency, |r, field| r.text(field, |code| Currency::parse(&code)));
    let total = reader.required(&total, |r, field| read_amount(r, field, currency));
    let items = reader.required(&items, |r, field| read_items(r, field, currency));
    let payment_token = reader.optional(&payment_token, |r, field| r.text(field, PaymentToken::parse));
    let notes = reader.optional(&notes, |r, field| r.text_up_to(field, MAX_NOTES_CHARS));
    let metadata = reader.optional(&metadata, |r, field| r.parsed(field, JsonObjectText::parse));
    let created_at = reader.optional(&created_at, |r, field| r.text(field, read_instant));
    let placed_at = reader.optional(&placed_at, |r, field| r.text(field, read_instant));
    let placed_at = said_once(reader, ("createdAtIso", created_at), ("/placedAt", placed_at));
    let billing_address = reader.optional(&billing_address, read_address);
    let shipping_address = reader.optional(&shipping_address, read_address);
    let channel = reader.optional_line(&channel, MAX_LABEL_CHARS);
    let source = reader.optional_line(&source, MAX_LABEL_CHARS);
    let tags = reader.optional(&tags, |r, field| r.lines_of_text(field, 0..=MAX_TAGS, MAX_LABEL_CHARS));

    let shipping = reader.optional(&shipping, |r, field| read_shipping(r, field, currency));
    let off = reader.optional(&discounts, |r, field| read_discounts(r, field, currency));
    let paid_with = reader.optional(&payments, |r, field| read_payments(r, field, currency));
    let own_id = order_id.as_ref().and_then(Option::as_ref);
    let exchange_for = reader.optional(&exchange_for, |r, field| read_exchange(r, field, own_id));

    let content = OrderCreated {
        customer_id: given_id?,
        currency: currency?,
        total_minor: total??.minor(),
        lines: items?,
        customer_email: customer_email?,
        payment_token: payment_token?,
        notes: notes?,
        metadata: metadata?,
        placed_at: placed_at?,
        customer: details?,
        billing_address: billing_address?,
        shipping_address: shipping_address?,
        channel: channel?,
        source: source?,
        tags: tags?.unwrap_or_default(),
        shipping: shipping?,
        discounts: off?.unwrap_or_default(),
        payments: paid_with?.unwrap_or_default(),
        exchange_for: exchange_for?.map(Box::new),
    };
    if reader.is_valid() && content.is_discounted_too_much() {
        reader.violation_at(&discounts, "more_than_the_price", "are more than all that they are taken from");
    } else if reader.is_valid() {
        check_total(reader, &content);
        check_payments(reader, &payments, &content);
    }
    Some(PostedOrder { order_id: order_id?, content })
}

/// What the order is the exchange for. It is not the exchange for itself.
fn read_exchange(reader: &mut BodyReader, field: &JsonField<'_>, own_id: Option<&OrderId>) -> Option<ExchangeFor> {
    reader.member(field, |reader, fields| {
        let [order, of_return] = reader.object(fields, ["orderId", "returnId"]);
        let order_id = reader.required(&order, read_order_id);
        let return_id = reader.required(&of_return, |r, field| r.text(field, ReturnId::parse));
        if order_id.is_some() && order_id.as_ref() == own_id {
            reader.violation_at(&order, "invalid", "must be another order than this one");
        }
        Some(ExchangeFor { order_id: order_id?, return_id: return_id? })
    })
}

/// Refuses a total that is not what the parts come to.
fn check_total(reader: &mut BodyReader, content: &OrderCreated) {
    let totals = OrderTotals::of(content);
    if totals.is_some_and(|totals| totals.total_minor == content.total_minor) {
        return;
    }
    let amount = |minor| Money::from_minor(minor, content.currency);
    let sum = totals.map_or("more than any amount".to_owned(), |totals| amount(totals.total_minor).to_string());
    let parts = match totals {
        Some(it) if it.has_more_than_items() => {
            let [items, discounts] = [it.items_minor, it.discounts_minor].map(amount);
            let [shipping, taxes] = [it.shipping_minor, it.taxes_minor].map(amount);
            format!("parts add up to {sum}: items {items}, discounts −{discounts}, shipping {shipping}, taxes {taxes}")
        }
        Some(_) | None => format!("items add up to {sum}"),
    };
    reader.add_violation("/totalAmount", "not_the_sum", format!("is {}, but the {parts}", content.total()));
}

/// What is said in two places: in a field of the order, and in another. Both may say the same.
#[expect(clippy::option_option, reason = "outer: was it valid; inner: was it given")]
fn said_once<T: PartialEq>(
    reader: &mut BodyReader,
    (name, one): (&str, Option<Option<T>>),
    (pointer, other): (&str, Option<Option<T>>),
) -> Option<Option<T>> {
    match (one?, other?) {
        (Some(one), Some(other)) if one != other => {
            reader.add_violation(pointer, "contradiction", format!("is not the same as {name}: give one of them"));
            None
        }
        (one, other) => Some(one.or(other)),
    }
}

/// An instant, in any zone.
#[expect(clippy::needless_pass_by_value, reason = "as all that read a text")]
pub(crate) fn read_instant(text: String) -> Result<DateTime<Utc>, &'static str> {
    let instant = DateTime::parse_from_rfc3339(&text).map(|instant| instant.to_utc()).ok();
    // Other years do not have four digits.
    let instant = instant.filter(|instant| (0..=9999).contains(&instant.year()));
    instant.ok_or("must be an instant such as 2026-11-21T18:00:00Z (RFC 3339)")
}

/// An amount: a number or a text that holds one. `Some(None)` if the currency is invalid, which is a violation of its own.
#[expect(clippy::option_option, reason = "outer: was it valid as far as can be told; inner: is the currency known")]
pub(super) fn read_amount(
    reader: &mut BodyReader,
    field: &JsonField<'_>,
    currency: Option<Currency>,
) -> Option<Option<Money>> {
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

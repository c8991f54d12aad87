//! Parses the body of an edit.

use serde_json::value::RawValue;
use uuid::Uuid;

use super::commands::{MAX_REASON_CHARS, read_id, unit_of};
use super::create::address::read_address;
use super::create::line::{read_items, read_unit_price};
use super::create::price::{MAX_NAME_CHARS, read_discounts, read_shipping, read_taxes};
use super::create::{MAX_ITEMS, MAX_QUANTITY};
use crate::body::{BodyReader, InvalidBody, JsonField, read_body};
use crate::ids::{EditId, PaymentToken};
use crate::money::Currency;
use crate::order::event::{LineChange, OrderChanges, OrderLine};
use crate::order::{MeansOfPayment, RequestEdit};
use crate::quantity::read_quantity;

/// Reads `{"editId"?, "lines"?: [{"lineNumber": 1, "quantity"?: 2, "unitPrice"?, "discounts"?, "taxes"?}], "addedLines"?: [item],
/// "shipping"?, "discounts"?, "billingAddress"?, "shippingAddress"?, "payment"?: {"method", "token"?}, "reason"?}`, with amounts in the
/// order's currency.
pub fn parse_edit(
    body: &[u8],
    ordered: &[OrderLine],
    generated: Uuid,
    currency: Currency,
) -> Result<RequestEdit, InvalidBody> {
    read_body(body, |reader, fields| {
        let [id, lines, added, shipping, off, billing_address, shipping_address, payment, reason] = reader.object(
            fields,
            [
                "editId",
                "lines",
                "addedLines",
                "shipping",
                "discounts",
                "billingAddress",
                "shippingAddress",
                "payment",
                "reason",
            ],
        );
        let edit_id = read_id(reader, &id, EditId::parse, generated);
        let lines = reader.optional(&lines, |r, field| read_changes(r, field, ordered, currency));
        let added_lines = reader.optional(&added, |r, field| read_items(r, field, Some(currency)));
        let shipping = reader.optional(&shipping, |r, field| read_shipping(r, field, Some(currency)));
        let discounts = reader.optional(&off, |r, field| read_discounts(r, field, Some(currency)));
        let billing_address = reader.optional(&billing_address, read_address);
        let shipping_address = reader.optional(&shipping_address, read_address);
        let payment = reader.optional(&payment, read_means);
        let reason = reader.optional(&reason, |r, field| r.text_up_to(field, MAX_REASON_CHARS));
        let changes = OrderChanges {
            lines: lines?.unwrap_or_default(),
            added_lines: added_lines?.unwrap_or_default(),
            shipping: shipping?,
            discounts: discounts?,
            billing_address: billing_address?,
            shipping_address: shipping_address?,
        };
        Some(RequestEdit { edit_id: edit_id?, changes, payment: payment?, reason: reason? })
    })
}

fn read_changes(
    reader: &mut BodyReader,
    field: &JsonField<'_>,
    ordered: &[OrderLine],
    currency: Currency,
) -> Option<Vec<LineChange>> {
    let elements: Vec<&RawValue> = reader.array(field, 1..=MAX_ITEMS)?;
    let mut changes = Vec::with_capacity(elements.len());
    for (index, element) in elements.into_iter().enumerate() {
        changes.extend(reader.element(field, index, |reader| read_change(reader, element, ordered, currency)));
    }
    Some(changes)
}

fn read_change(
    reader: &mut BodyReader,
    element: &RawValue,
    ordered: &[OrderLine],
    currency: Currency,
) -> Option<LineChange> {
    let fields = reader.fields(element)?;
    let [line_number, quantity, unit_price, discounts, taxes] =
        reader.object(fields, ["lineNumber", "quantity", "unitPrice", "discounts", "taxes"]);
    let line_number = reader.required(&line_number, |r, field| r.integer(field, 1..=u32::MAX));
    let unit = unit_of(ordered, line_number);
    let quantity = reader.optional(&quantity, |r, field| match r.number_text(field)?.as_ref() {
        // The line is removed.
        "0" => Some(0),
        _ => read_quantity(r, field, unit, MAX_QUANTITY),
    });
    let unit_price = reader.optional(&unit_price, |r, field| read_unit_price(r, field, unit, Some(currency)));
    let discounts = reader.optional(&discounts, |r, field| read_discounts(r, field, Some(currency)));
    let taxes = reader.optional(&taxes, |r, field| read_taxes(r, field, Some(currency)));
    let unit_price = unit_price?.flatten();
    Some(LineChange {
        line_number: line_number?,
        quantity: quantity?,
        unit_price_minor: unit_price.map(|price| price.minor),
        unit_price_ten_thousandths: unit_price.map_or(0, |price| price.ten_thousandths),
        discounts: discounts?,
        taxes: taxes?,
    })
}

fn read_means(reader: &mut BodyReader, field: &JsonField<'_>) -> Option<MeansOfPayment> {
    reader.member(field, |reader, fields| {
        let [method, token] = reader.object(fields, ["method", "token"]);
        let method = reader.required(&method, |r, field| r.line_up_to(field, MAX_NAME_CHARS));
        let token = reader.optional(&token, |r, field| r.text(field, PaymentToken::parse));
        Some(MeansOfPayment { method: method?, token: token? })
    })
}

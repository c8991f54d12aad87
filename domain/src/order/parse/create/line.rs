//! Parses the items of a posted order.

use std::collections::HashMap;

use serde_json::value::RawValue;

use super::price::{check_included, read_discounts, read_taxes};
use super::{MAX_ITEMS, MAX_QUANTITY, read_amount};
use crate::body::{BodyReader, JsonField, TextsLimits};
use crate::ids::Sku;
use crate::json_text::JsonObjectText;
use crate::money::{Currency, Money};
use crate::order::event::OrderLine;
use crate::quantity::{MAX_THOUSANDTHS, UnitOfMeasure, read_quantity};
use crate::unit_price::UnitPrice;

const MAX_TITLE_CHARS: usize = 500;
const MAX_VARIANT_CHARS: usize = 200;
const ATTRIBUTES: TextsLimits = TextsLimits { entries: 50, name_chars: 100, value_chars: 500 };

/// The lines. One that is not valid is left out.
pub(in crate::order::parse) fn read_items(
    reader: &mut BodyReader,
    field: &JsonField<'_>,
    currency: Option<Currency>,
) -> Option<Vec<OrderLine>> {
    let items: Vec<&RawValue> = reader.array(field, 1..=MAX_ITEMS)?;
    let posted = items.len();
    let mut lines = Vec::with_capacity(posted);
    for (index, item) in items.into_iter().enumerate() {
        lines.extend(reader.element(field, index, |reader| read_line(reader, item, currency)));
    }
    if lines.len() == posted && lines.iter().any(|line| line.unit.is_some()) {
        check_measures(reader, field, &lines);
    }
    Some(lines)
}

/// Refuses lines of one SKU in several units, and more of it than can be counted.
fn check_measures(reader: &mut BodyReader, field: &JsonField<'_>, lines: &[OrderLine]) {
    let mut by_sku: HashMap<&Sku, (Option<UnitOfMeasure>, u32)> = HashMap::with_capacity(lines.len());
    for (index, line) in lines.iter().enumerate() {
        let (unit, sum) = by_sku.entry(&line.sku).or_insert((line.unit, 0));
        *sum = sum.saturating_add(line.quantity);
        let wrong = if *unit != line.unit {
            Some(("unit", "contradiction", "must be that of the other lines of this SKU"))
        } else if unit.is_some() && *sum > MAX_THOUSANDTHS {
            Some(("quantity", "out_of_range", "must be at most 1000000 with the other lines of this SKU"))
        } else {
            None
        };
        if let Some((name, code, message)) = wrong {
            reader.element(field, index, |reader| reader.violation_in(name, code, message));
        }
    }
}

fn read_line(reader: &mut BodyReader, item: &RawValue, currency: Option<Currency>) -> Option<OrderLine> {
    let fields = reader.fields(item)?;
    let [
        sku,
        title,
        quantity,
        unit_price,
        metadata,
        variant,
        attributes,
        requires_shipping,
        gift_card,
        discounts,
        taxes,
        unit,
    ] = reader.object(
        fields,
        [
            "sku",
            "title",
            "quantity",
            "unitPrice",
            "metadata",
            "variant",
            "attributes",
            "requiresShipping",
            "giftCard",
            "discounts",
            "taxes",
            "unit",
        ],
    );
    let sku = reader.required(&sku, |r, field| r.text(field, Sku::parse));
    let title = reader.optional(&title, |r, field| r.text_up_to(field, MAX_TITLE_CHARS));
    let unit = reader.optional(&unit, |r, field| r.text(field, |symbol: String| UnitOfMeasure::parse(&symbol)));
    let quantity = reader.required(&quantity, |r, field| read_quantity(r, field, unit?, MAX_QUANTITY));
    let unit_price = reader.required(&unit_price, |r, field| read_unit_price(r, field, unit?, currency));
    let metadata = reader.optional(&metadata, |r, field| r.parsed(field, JsonObjectText::parse));
    let variant = reader.optional_line(&variant, MAX_VARIANT_CHARS);
    let attributes = reader.optional(&attributes, |r, field| r.texts_by_name(field, ATTRIBUTES));
    let requires_shipping = reader.optional(&requires_shipping, BodyReader::boolean);
    let gift_card = reader.optional(&gift_card, BodyReader::boolean);
    let off = reader.optional(&discounts, |r, field| read_discounts(r, field, currency));
    let added = reader.optional(&taxes, |r, field| read_taxes(r, field, currency));
    // A line with a price is compared with its discounts and taxes, whatever else is wrong with it.
    let (sku, quantity, unit_price) = (sku?, quantity?, unit_price??);
    // A line without a title is called by its SKU.
    let title = title.flatten().unwrap_or_else(|| sku.to_string());
    let line = OrderLine {
        sku,
        title,
        quantity,
        unit_price_minor: unit_price.minor,
        metadata: metadata.flatten(),
        variant: variant.flatten(),
        attributes: attributes.flatten().unwrap_or_default(),
        requires_shipping: requires_shipping.flatten().unwrap_or(true),
        gift_card: gift_card.flatten().unwrap_or(false),
        discounts: off.flatten().unwrap_or_default(),
        taxes: added.flatten().unwrap_or_default(),
        unit: unit?,
        unit_price_ten_thousandths: unit_price.ten_thousandths,
    };
    if line.net() < 0 {
        reader.violation_at(&discounts, "more_than_the_price", "are more than quantity × unit price");
    } else {
        check_included(reader, &taxes, &line.taxes, line.net());
    }
    Some(line)
}

/// The price of a piece, or of a unit of measure. `Some(None)` if the currency is invalid, which is a violation of its own.
#[expect(clippy::option_option, reason = "outer: was it valid as far as can be told; inner: is the currency known")]
pub(in crate::order::parse) fn read_unit_price(
    reader: &mut BodyReader,
    field: &JsonField<'_>,
    unit: Option<UnitOfMeasure>,
    currency: Option<Currency>,
) -> Option<Option<UnitPrice>> {
    match (unit, currency) {
        (Some(_), Some(currency)) => reader.number(field, |text| UnitPrice::parse(text, currency)).map(Some),
        (Some(_) | None, _) => {
            let amount = read_amount(reader, field, currency)?;
            let price = |it: Money| UnitPrice { minor: it.minor(), ten_thousandths: 0, currency: it.currency() };
            Some(amount.map(price))
        }
    }
}

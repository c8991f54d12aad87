//! Parses discounts, taxes and postage.

use serde_json::value::RawValue;

use super::{read_amount, read_instant};
use crate::body::{BodyReader, JsonField};
use crate::money::{Currency, Money};
use crate::order::amounts::taxes_of;
use crate::order::event::{Discount, Shipping, Tax, TaxRate};

/// Of a line, or of an order.
const MAX_DISCOUNTS: usize = 50;
/// Of a line, or of postage.
const MAX_TAXES: usize = 20;
/// Of a code, a tax's name, a shipping method, a carrier or a payment method.
pub(in crate::order::parse) const MAX_NAME_CHARS: usize = 100;
const MAX_REASON_CHARS: usize = 200;

/// Reads `[{"code"?, "reason"?, "amount"}]`. A discount of a currency that is not known is left out.
pub(in crate::order::parse) fn read_discounts(
    reader: &mut BodyReader,
    field: &JsonField<'_>,
    currency: Option<Currency>,
) -> Option<Vec<Discount>> {
    read_each(reader, field, MAX_DISCOUNTS, |reader, element| {
        let fields = reader.fields(element)?;
        let [code, reason, amount] = reader.object(fields, ["code", "reason", "amount"]);
        let code = reader.optional_line(&code, MAX_NAME_CHARS);
        let reason = reader.optional_line(&reason, MAX_REASON_CHARS);
        let amount = reader.required(&amount, |r, field| read_amount(r, field, currency))?;
        Some(Discount { code: code?, reason: reason?, amount_minor: amount.map(Money::minor)? })
    })
}

/// Reads `[{"name", "rate", "amount", "included"?}]`. A tax of a currency that is not known is left out.
pub(in crate::order::parse) fn read_taxes(
    reader: &mut BodyReader,
    field: &JsonField<'_>,
    currency: Option<Currency>,
) -> Option<Vec<Tax>> {
    read_each(reader, field, MAX_TAXES, |reader, element| {
        let fields = reader.fields(element)?;
        let [name, rate, amount, included] = reader.object(fields, ["name", "rate", "amount", "included"]);
        let name = reader.required(&name, |r, field| r.line_up_to(field, MAX_NAME_CHARS));
        let rate = reader.required(&rate, |r, field| r.number(field, TaxRate::parse));
        let amount = reader.required(&amount, |r, field| read_amount(r, field, currency));
        let included = reader.optional(&included, BodyReader::boolean);
        let included = included?.unwrap_or(false);
        Some(Tax { name: name?, rate: rate?, amount_minor: amount?.map(Money::minor)?, included })
    })
}

/// Reads `{"method", "carrier"?, "amount", "taxes"?, "estimatedDelivery"?}`. `None` also if the currency is not known.
pub(in crate::order::parse) fn read_shipping(
    reader: &mut BodyReader,
    field: &JsonField<'_>,
    currency: Option<Currency>,
) -> Option<Box<Shipping>> {
    reader.member(field, |reader, fields| {
        let [method, carrier, amount, taxes, estimated_delivery] =
            reader.object(fields, ["method", "carrier", "amount", "taxes", "estimatedDelivery"]);
        let method = reader.required(&method, |r, field| r.line_up_to(field, MAX_NAME_CHARS));
        let carrier = reader.optional_line(&carrier, MAX_NAME_CHARS);
        let amount = reader.required(&amount, |r, field| read_amount(r, field, currency));
        let read_taxes = reader.optional(&taxes, |r, field| read_taxes(r, field, currency));
        let estimated_delivery = reader.optional(&estimated_delivery, |r, field| r.text(field, read_day_or_instant));
        let (amount, read_taxes) = (amount?.map(Money::minor)?, read_taxes?.unwrap_or_default());
        check_included(reader, &taxes, &read_taxes, amount.into());
        Some(Box::new(Shipping {
            method: method?,
            carrier: carrier?,
            amount_minor: amount,
            taxes: read_taxes,
            estimated_delivery: estimated_delivery?,
        }))
    })
}

/// Refuses taxes that are more than the price that they are said to be in.
pub(super) fn check_included(reader: &mut BodyReader, field: &JsonField<'_>, taxes: &[Tax], price_minor: i128) {
    if taxes_of(taxes, true) > price_minor {
        reader.violation_at(field, "more_than_the_price", "are said to be in a price that is less than them");
    }
}

/// Reads the elements of an array. One that is not valid is left out.
pub(super) fn read_each<T>(
    reader: &mut BodyReader,
    field: &JsonField<'_>,
    most: usize,
    mut read: impl FnMut(&mut BodyReader, &RawValue) -> Option<T>,
) -> Option<Vec<T>> {
    let elements: Vec<&RawValue> = reader.array(field, 0..=most)?;
    let mut all = Vec::with_capacity(elements.len());
    for (index, element) in elements.into_iter().enumerate() {
        all.extend(reader.element(field, index, |reader| read(reader, element)));
    }
    Some(all)
}

/// A day such as 2026-11-21, or an instant.
fn read_day_or_instant(text: String) -> Result<String, &'static str> {
    // chrono reads blanks and signs between the parts, but never writes them.
    let is_day = text.parse::<chrono::NaiveDate>().is_ok_and(|day| day.to_string() == text);
    if is_day || read_instant(text.clone()).is_ok() {
        return Ok(text);
    }
    Err("must be a date such as 2026-11-21, or an instant such as 2026-11-21T18:00:00Z (RFC 3339)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_estimated_as_rfc_3339_has_it() {
        for day in ["2026-11-21", "2028-02-29", "2026-11-21T18:00:00Z", "2026-11-21T18:00:00+01:00"] {
            assert_eq!(read_day_or_instant(day.to_owned()), Ok(day.to_owned()));
        }
        for wrong in
            ["2026- 1-21", "+2026-1-21", "2026-1-021", "2026-01- 1", " 2026-01-1", "2026-02-29", "2026-1-2", ""]
        {
            assert!(read_day_or_instant(wrong.to_owned()).is_err(), "{wrong:?}");
        }
    }
}

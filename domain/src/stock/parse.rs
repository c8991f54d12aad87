//! Parses the bodies of commands to the stock of a SKU.

use super::{
    BackorderLimitSet, LowStockThresholdSet, MAX_CHANGE, StockAdjusted, StockCommand, StockReceived, StockTransferred,
};
use crate::body::{BodyReader, InvalidBody, JsonField, JsonFields, read_body};
use crate::ids::LocationId;
use crate::order::parse::read_instant;
use crate::quantity::{UnitOfMeasure, read_difference, read_quantity};

const MAX_REASON_CHARS: usize = 500;

/// Reads `{"quantity": 10, "unit"?: "kg", "location"?: "berlin"}`.
pub fn parse_receipt(body: &[u8]) -> Result<StockCommand, InvalidBody> {
    read_body(body, |reader: &mut BodyReader, fields: JsonFields<'_>| {
        let [quantity, location, unit] = reader.object(fields, ["quantity", "location", "unit"]);
        let unit = read_unit(reader, &unit);
        let quantity = reader.required(&quantity, |r, field| read_quantity(r, field, unit?, MAX_CHANGE));
        let location = read_location(reader, &location);
        Some(StockCommand::Receive(StockReceived { unit: unit?, quantity: quantity?, location: location? }))
    })
}

/// Reads `{"delta": -3, "reason": "counted", "unit"?: "kg", "location"?: "berlin"}`.
pub fn parse_adjustment(body: &[u8]) -> Result<StockCommand, InvalidBody> {
    read_body(body, |reader: &mut BodyReader, fields: JsonFields<'_>| {
        let [delta, reason, location, unit] = reader.object(fields, ["delta", "reason", "location", "unit"]);
        let unit = read_unit(reader, &unit);
        let delta = reader.required(&delta, |r, field| read_delta(r, field, unit?));
        let reason = reader.required(&reason, read_reason);
        let location = read_location(reader, &location);
        Some(StockCommand::Adjust(StockAdjusted { unit: unit?, delta: delta?, reason: reason?, location: location? }))
    })
}

/// Reads `{"from": "berlin", "to": "hamburg", "quantity": 5}`.
pub fn parse_transfer(body: &[u8]) -> Result<StockCommand, InvalidBody> {
    read_body(body, |reader: &mut BodyReader, fields: JsonFields<'_>| {
        let [from, to_field, quantity, unit] = reader.object(fields, ["from", "to", "quantity", "unit"]);
        let unit = read_unit(reader, &unit);
        let from = reader.required(&from, |r, field| r.text(field, LocationId::parse));
        let to = reader.required(&to_field, |r, field| r.text(field, LocationId::parse));
        let quantity = reader.required(&quantity, |r, field| read_quantity(r, field, unit?, MAX_CHANGE));
        if from.is_some() && from == to {
            reader.violation_at(&to_field, "changes_nothing", "must not be where the units are");
        }
        Some(StockCommand::Transfer(StockTransferred { from: from?, to: to?, quantity: quantity?, unit: unit? }))
    })
}

/// Reads `{"limit": 50, "availableAt"?: "2026-12-24T08:00:00Z", "unit"?: "kg", "location"?: "berlin"}`.
pub fn parse_backorder(body: &[u8]) -> Result<StockCommand, InvalidBody> {
    read_body(body, |reader: &mut BodyReader, fields: JsonFields<'_>| {
        let [limit, available_at, location, unit] = reader.object(fields, ["limit", "availableAt", "location", "unit"]);
        let unit = read_unit(reader, &unit);
        let limit = reader.required(&limit, |r, field| read_limit(r, field, unit?));
        let available_at = reader.optional(&available_at, |r, field| r.text(field, read_instant));
        let location = read_location(reader, &location);
        let (limit, available_at, location, unit) = (limit?, available_at?, location?, unit?);
        Some(StockCommand::SetBackorderLimit(BackorderLimitSet { limit, available_at, location, unit }))
    })
}

/// Reads `{"threshold": 10, "unit"?: "kg"}`.
pub fn parse_low_stock(body: &[u8]) -> Result<StockCommand, InvalidBody> {
    read_body(body, |reader: &mut BodyReader, fields: JsonFields<'_>| {
        let [threshold, unit] = reader.object(fields, ["threshold", "unit"]);
        let unit = read_unit(reader, &unit);
        let threshold = reader.required(&threshold, |r, field| read_limit(r, field, unit?));
        Some(StockCommand::SetLowStockThreshold(LowStockThresholdSet { threshold: threshold?, unit: unit? }))
    })
}

/// A quantity that may be 0.
fn read_limit(reader: &mut BodyReader, field: &JsonField<'_>, unit: Option<UnitOfMeasure>) -> Option<u32> {
    let limit = read_difference(reader, field, unit, MAX_CHANGE)?;
    let limit = u32::try_from(limit).ok();
    if limit.is_none() {
        reader.violation_at(field, "out_of_range", "must not be less than 0");
    }
    limit
}

/// A location; the default one if none is named.
fn read_location(reader: &mut BodyReader, field: &JsonField<'_>) -> Option<LocationId> {
    reader.optional(field, |r, field| r.text(field, LocationId::parse)).map(Option::unwrap_or_default)
}

/// The unit of measure; `None` in it: by the piece.
#[expect(clippy::option_option, reason = "outer: was it valid; inner: was it given")]
fn read_unit(reader: &mut BodyReader, field: &JsonField<'_>) -> Option<Option<UnitOfMeasure>> {
    reader.optional(field, |r, field| r.text(field, |symbol: String| UnitOfMeasure::parse(&symbol)))
}

fn read_delta(reader: &mut BodyReader, field: &JsonField<'_>, unit: Option<UnitOfMeasure>) -> Option<i64> {
    let delta = read_difference(reader, field, unit, MAX_CHANGE)?;
    if delta == 0 {
        reader.violation_at(field, "changes_nothing", "must not be 0");
        return None;
    }
    Some(delta)
}

fn read_reason(reader: &mut BodyReader, field: &JsonField<'_>) -> Option<String> {
    let reason = reader.text_up_to(field, MAX_REASON_CHARS)?;
    if reason.trim().is_empty() {
        reader.violation_at(field, "invalid", "must say why");
        return None;
    }
    Some(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(parsed: Result<StockCommand, InvalidBody>) -> Vec<(String, &'static str)> {
        match parsed {
            Err(InvalidBody::Invalid(violations)) => violations.into_iter().map(|v| (v.pointer, v.code)).collect(),
            other => panic!("expected violations, got {other:?}"),
        }
    }

    fn at(pointer: &str, code: &'static str) -> (String, &'static str) {
        (pointer.to_owned(), code)
    }

    #[test]
    fn what_came_in_and_what_was_counted_are_read() {
        let receipt = |location| StockCommand::Receive(StockReceived { unit: None, quantity: 10, location });
        assert_eq!(parse_receipt(br#"{"quantity": 10}"#), Ok(receipt(LocationId::default())));
        assert_eq!(parse_receipt(br#"{"quantity": 10, "location": "berlin"}"#), Ok(receipt(berlin())));
        let adjustment = |location| {
            StockCommand::Adjust(StockAdjusted { unit: None, delta: -3, reason: "counted".into(), location })
        };
        let body = br#"{"delta": -3, "reason": "counted"}"#;
        assert_eq!(parse_adjustment(body), Ok(adjustment(LocationId::default())));
        let body = br#"{"delta": -3, "reason": "counted", "location": "berlin"}"#;
        assert_eq!(parse_adjustment(body), Ok(adjustment(berlin())));
    }

    fn berlin() -> LocationId {
        LocationId::parse("berlin").unwrap()
    }

    #[test]
    fn a_transfer_is_read_and_goes_to_another_location() {
        let (from, to) = (berlin(), LocationId::default());
        let transfer = StockCommand::Transfer(StockTransferred { from, to, quantity: 5, unit: None });
        assert_eq!(parse_transfer(br#"{"from": "berlin", "to": "default", "quantity": 5}"#), Ok(transfer));
        let missing = [at("/from", "required"), at("/to", "required"), at("/quantity", "required")];
        assert_eq!(wrong(parse_transfer(b"{}")), missing);
        let nowhere = parse_transfer(br#"{"from": "berlin", "to": "berlin", "quantity": 0}"#);
        assert_eq!(wrong(nowhere), [at("/quantity", "out_of_range"), at("/to", "changes_nothing")]);
    }

    #[test]
    fn a_threshold_is_0_or_more() {
        let kg = UnitOfMeasure::parse("kg").ok();
        let set = |threshold, unit| Ok(StockCommand::SetLowStockThreshold(LowStockThresholdSet { threshold, unit }));
        assert_eq!(parse_low_stock(br#"{"threshold": 0}"#), set(0, None));
        assert_eq!(parse_low_stock(br#"{"threshold": "2.5", "unit": "kg"}"#), set(2_500, kg));
        for threshold in ["-1", "1.5", "1000000001", "null"] {
            let body = format!(r#"{{"threshold": {threshold}}}"#);
            assert_eq!(wrong(parse_low_stock(body.as_bytes())), [at("/threshold", "out_of_range")], "{threshold}");
        }
        let wrong = wrong(parse_low_stock(br#"{"location": "ulm"}"#));
        assert_eq!(wrong, [at("/location", "unknown_field"), at("/threshold", "required")]);
    }

    #[test]
    fn the_default_location_may_be_named() {
        assert_eq!(parse_receipt(br#"{"quantity": 10, "location": "default"}"#), parse_receipt(br#"{"quantity": 10}"#));
    }

    #[test]
    fn a_location_that_can_be_none_is_named() {
        for location in [r#""""#, r#""Halle 3""#, "7", "[]"] {
            let body = format!(r#"{{"quantity": 0, "location": {location}}}"#);
            let wrong: Vec<String> = wrong(parse_receipt(body.as_bytes())).into_iter().map(|it| it.0).collect();
            assert_eq!(wrong, ["/quantity", "/location"], "{location}");
        }
    }

    #[test]
    fn every_violation_is_in_one_answer() {
        let both = wrong(parse_adjustment(br#"{"delta": 0, "reason": " ", "by": "me"}"#));
        assert_eq!(both, [at("/by", "unknown_field"), at("/delta", "changes_nothing"), at("/reason", "invalid")]);
        assert_eq!(wrong(parse_adjustment(b"{}")), [at("/delta", "required"), at("/reason", "required")]);
    }

    #[test]
    fn a_quantity_is_a_whole_number_within_bounds() {
        for quantity in ["0", "-1", "1.5", "1e3", "\"1\"", "1000000001", "null", "99999999999999999999"] {
            let body = format!(r#"{{"quantity": {quantity}}}"#);
            assert_eq!(wrong(parse_receipt(body.as_bytes())), [at("/quantity", "out_of_range")], "{quantity}");
        }
        assert!(parse_receipt(br#"{"quantity": 1000000000}"#).is_ok());
        assert!(parse_adjustment(br#"{"delta": -1000000000, "reason": "lost at sea"}"#).is_ok());
        let too_far = wrong(parse_adjustment(br#"{"delta": -1000000001, "reason": "lost at sea"}"#));
        assert_eq!(too_far, [at("/delta", "out_of_range")]);
    }

    #[test]
    fn a_quantity_in_a_unit_of_measure_has_decimals() {
        let kg = Some(UnitOfMeasure::parse("kg").unwrap());
        let location = LocationId::default();
        let receipt = StockReceived { unit: kg, quantity: 12_500, location: location.clone() };
        for quantity in ["12.5", "\"12.5\"", "\"12.500\""] {
            let body = format!(r#"{{"quantity": {quantity}, "unit": "kg"}}"#);
            assert_eq!(parse_receipt(body.as_bytes()), Ok(StockCommand::Receive(receipt.clone())), "{quantity}");
        }
        let counted = StockAdjusted { unit: kg, delta: -500, reason: "dried".into(), location };
        let body = br#"{"delta": "-0.5", "unit": "kg", "reason": "dried"}"#;
        assert_eq!(parse_adjustment(body), Ok(StockCommand::Adjust(counted)));
        for quantity in ["0", "\"-1\"", "\"0.0001\"", "\"1000000.001\"", "\"x\""] {
            let body = format!(r#"{{"quantity": {quantity}, "unit": "kg"}}"#);
            assert_eq!(wrong(parse_receipt(body.as_bytes())), [at("/quantity", "out_of_range")], "{quantity}");
        }
        let too_fine = wrong(parse_adjustment(br#"{"delta": "0.0001", "unit": "kg", "reason": "dried"}"#));
        assert_eq!(too_fine, [at("/delta", "out_of_range")]);
        assert_eq!(wrong(parse_receipt(br#"{"quantity": "12.5"}"#)), [at("/quantity", "out_of_range")]);
        assert_eq!(wrong(parse_receipt(br#"{"quantity": "12.5", "unit": "KG"}"#)), [at("/unit", "invalid")]);
    }

    #[test]
    fn what_is_no_json_object_is_malformed() {
        for body in [&b"[]"[..], b"", b"7", b"{", b"\xff"] {
            assert!(matches!(parse_receipt(body), Err(InvalidBody::Malformed(_))), "{body:?}");
        }
    }
}

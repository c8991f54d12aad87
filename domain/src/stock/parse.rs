//! Parses the bodies of commands to the stock of a SKU.

use super::{MAX_CHANGE, StockAdjusted, StockCommand, StockReceived};
use crate::body::{BodyReader, InvalidBody, JsonField, JsonFields, read_body};

const MAX_REASON_CHARS: usize = 500;

/// Reads `{"quantity": 10}`.
pub fn parse_receipt(body: &[u8]) -> Result<StockCommand, InvalidBody> {
    read_body(body, |reader: &mut BodyReader, fields: JsonFields<'_>| {
        let [quantity] = reader.object(fields, ["quantity"]);
        let quantity = reader.required(&quantity, |r, field| r.integer(field, 1..=MAX_CHANGE))?;
        Some(StockCommand::Receive(StockReceived { quantity }))
    })
}

/// Reads `{"delta": -3, "reason": "counted"}`.
pub fn parse_adjustment(body: &[u8]) -> Result<StockCommand, InvalidBody> {
    read_body(body, |reader: &mut BodyReader, fields: JsonFields<'_>| {
        let [delta, reason] = reader.object(fields, ["delta", "reason"]);
        let delta = reader.required(&delta, read_delta);
        let reason = reader.required(&reason, read_reason);
        Some(StockCommand::Adjust(StockAdjusted { delta: delta?, reason: reason? }))
    })
}

fn read_delta(reader: &mut BodyReader, field: &JsonField<'_>) -> Option<i64> {
    let most = i64::from(MAX_CHANGE);
    let delta = reader.integer(field, -most..=most)?;
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
        let receipt = StockCommand::Receive(StockReceived { quantity: 10 });
        assert_eq!(parse_receipt(br#"{"quantity": 10}"#), Ok(receipt));
        let adjustment = StockCommand::Adjust(StockAdjusted { delta: -3, reason: "counted".into() });
        assert_eq!(parse_adjustment(br#"{"delta": -3, "reason": "counted"}"#), Ok(adjustment));
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
    fn what_is_no_json_object_is_malformed() {
        for body in [&b"[]"[..], b"", b"7", b"{", b"\xff"] {
            assert!(matches!(parse_receipt(body), Err(InvalidBody::Malformed(_))), "{body:?}");
        }
    }
}

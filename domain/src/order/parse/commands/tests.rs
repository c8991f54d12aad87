use serde_json::{Value, json};

use super::*;

const GENERATED: Uuid = Uuid::from_u128(7);

fn usd() -> Currency {
    Currency::parse("USD").unwrap()
}

fn bytes(body: &Value) -> Vec<u8> {
    body.to_string().into_bytes()
}

fn wrong<T: std::fmt::Debug>(parsed: Result<T, InvalidBody>) -> Vec<(String, &'static str)> {
    match parsed {
        Err(InvalidBody::Invalid(violations)) => violations.into_iter().map(|v| (v.pointer, v.code)).collect(),
        other => panic!("expected violations, got {other:?}"),
    }
}

fn at(pointer: &str, code: &'static str) -> (String, &'static str) {
    (pointer.to_owned(), code)
}

#[test]
fn what_is_left_out_is_made_or_left_open() {
    let all = OrderCommand::CancelOrder(CancellationRequested { reason: None });
    assert_eq!(parse_cancellation(b"{}", &[], GENERATED), Ok(all));
    let shipment = ShipOrder { shipment_id: ShipmentId::from(GENERATED), lines: None, parcels: vec![], location: None };
    assert_eq!(parse_shipment(b"{}", &[], GENERATED), Ok(shipment.clone()));
    assert_eq!(parse_shipment(br#"{"lines": null, "shipmentId": null}"#, &[], GENERATED), Ok(shipment));
    let refund = RequestRefund { refund_id: RefundId::from(GENERATED), amount_minor: None, reason: None };
    assert_eq!(parse_refund(b"{}", GENERATED, usd()), Ok(refund));
    assert_eq!(parse_nothing(b" {} "), Ok(()));
}

#[test]
fn what_is_given_is_taken() {
    let lines = vec![LineQuantity { line_number: 2, quantity: 3 }];
    let body = json!({ "shipmentId": "s-1", "lines": [{ "lineNumber": 2, "quantity": 3 }], "carrier": "DHL", "tracking": "J" });
    let shipment = ShipOrder {
        shipment_id: ShipmentId::parse("s-1").unwrap(),
        lines: Some(lines.clone()),
        parcels: vec![Parcel { carrier: Some("DHL".into()), tracking: Some("J".into()) }],
        location: None,
    };
    assert_eq!(parse_shipment(&bytes(&body), &[], GENERATED), Ok(shipment));
    let body = json!({ "cancellationId": "c-1", "lines": [{ "lineNumber": 2, "quantity": 3 }], "reason": "sold out" });
    let cancelled = CancelLines {
        cancellation_id: CancellationId::parse("c-1").unwrap(),
        lines: lines.clone(),
        reason: Some("sold out".into()),
    };
    assert_eq!(parse_cancellation(&bytes(&body), &[], GENERATED), Ok(OrderCommand::CancelLines(cancelled)));
    let named = json!({ "cancellationId": "c-1" });
    assert_eq!(wrong(parse_cancellation(&bytes(&named), &[], GENERATED)), [at("/cancellationId", "invalid")]);
    let the_rest = json!({ "cancellationId": "the-rest", "lines": [{ "lineNumber": 2, "quantity": 3 }] });
    assert_eq!(wrong(parse_cancellation(&bytes(&the_rest), &[], GENERATED)), [at("/cancellationId", "invalid")]);
    let body = json!({ "returnId": "r-1", "lines": [{ "lineNumber": 2, "quantity": 3 }], "reason": "too small" });
    let asked = ReturnRequested { return_id: ReturnId::parse("r-1").unwrap(), lines, reason: Some("too small".into()) };
    assert_eq!(parse_return(&bytes(&body), &[], GENERATED), Ok(asked));
    let note = NoteAdded { note_id: NoteId::from(GENERATED), text: "gift wrap".into(), author: Some("Ann".into()) };
    assert_eq!(parse_note(br#"{"text": "gift wrap", "author": "Ann"}"#, GENERATED), Ok(note));
}

#[test]
fn every_violation_is_in_one_answer() {
    let body = json!({ "shipmentId": "a b", "lines": [{ "lineNumber": 0, "quantity": 0, "sku": "x" }, 7, {}],
                       "carrier": "x".repeat(101), "tracking": "\0", "when": "now" });
    assert_eq!(
        wrong(parse_shipment(&bytes(&body), &[], GENERATED)),
        [
            at("/when", "unknown_field"),
            at("/shipmentId", "invalid"),
            at("/lines/0/sku", "unknown_field"),
            at("/lines/0/lineNumber", "out_of_range"),
            at("/lines/0/quantity", "out_of_range"),
            at("/lines/1", "wrong_type"),
            at("/lines/2/lineNumber", "required"),
            at("/lines/2/quantity", "required"),
            at("/carrier", "too_long"),
            at("/tracking", "invalid"),
        ]
    );
    assert_eq!(wrong(parse_return(br#"{"lines": []}"#, &[], GENERATED)), [at("/lines", "out_of_range")]);
    assert_eq!(wrong(parse_return(b"{}", &[], GENERATED)), [at("/lines", "required")]);
    assert_eq!(wrong(parse_note(br#"{"text": " "}"#, GENERATED)), [at("/text", "invalid")]);
    assert_eq!(wrong(parse_nothing(br#"{"reason": "x"}"#)), [at("/reason", "unknown_field")]);
}

#[test]
fn a_shipment_travels_in_any_number_of_parcels_each_with_something_to_follow_it_by() {
    let parcels = |body: Value| parse_shipment(&bytes(&body), &[], GENERATED).map(|shipment| shipment.parcels);
    let parcel = |carrier: Option<&str>, tracking: Option<&str>| Parcel {
        carrier: carrier.map(Into::into),
        tracking: tracking.map(Into::into),
    };
    let several =
        json!({ "parcels": [{ "carrier": "DHL" }, { "tracking": "J" }, { "carrier": "UPS", "tracking": "1Z" }] });
    let expected = vec![parcel(Some("DHL"), None), parcel(None, Some("J")), parcel(Some("UPS"), Some("1Z"))];
    assert_eq!(parcels(several), Ok(expected));
    assert_eq!(parcels(json!({ "tracking": "J" })), Ok(vec![parcel(None, Some("J"))]));
    assert_eq!(parcels(json!({ "carrier": null, "parcels": null })), Ok(vec![]));
    let many = |count: usize| parcels(json!({ "parcels": vec![json!({ "carrier": "DHL" }); count] }));
    assert_eq!(many(20).map(|parcels| parcels.len()), Ok(20));
    assert_eq!(wrong(many(21)), [at("/parcels", "out_of_range")]);
    assert_eq!(wrong(many(0)), [at("/parcels", "out_of_range")]);
    let both = json!({ "carrier": "DHL", "parcels": [{ "carrier": "DHL" }] });
    assert_eq!(wrong(parcels(both)), [at("/parcels", "invalid")]);
    let bad = json!({ "parcels": [{}, 7, { "carrier": "x".repeat(101) }, { "colour": "red", "tracking": "J" }] });
    let expected = [
        at("/parcels/0/tracking", "required"),
        at("/parcels/1", "wrong_type"),
        at("/parcels/2/carrier", "too_long"),
        at("/parcels/3/colour", "unknown_field"),
    ];
    assert_eq!(wrong(parcels(bad)), expected);
}

#[test]
fn what_came_back_is_said_line_by_line_or_not_at_all() {
    let return_id = ReturnId::parse("r-1").unwrap();
    let receipt = |body: Value| parse_return_receipt(&bytes(&body), &[], &return_id, GENERATED).map(|it| it.receipt);
    assert_eq!(receipt(json!({})), Ok(None));
    assert_eq!(receipt(json!({ "lines": null })), Ok(None));
    let all = NewReceipt { receipt_id: ReceiptId::parse("e-1").unwrap(), lines: None, location: None };
    assert_eq!(receipt(json!({ "receiptId": "e-1" })), Ok(Some(all)));
    let good = ReceivedLine { line_number: 2, quantity: 3, condition: Some(ItemCondition::Sellable), restock: true };
    let bad = ReceivedLine { condition: Some(ItemCondition::Damaged), restock: false, ..good.clone() };
    let lines = json!([{ "lineNumber": 2, "quantity": 3, "condition": "sellable", "restock": true },
                       { "lineNumber": 2, "quantity": 3, "condition": "damaged" }]);
    let some = NewReceipt { receipt_id: ReceiptId::from(GENERATED), lines: Some(vec![good, bad]), location: None };
    assert_eq!(receipt(json!({ "lines": lines })), Ok(Some(some)));
    let wrong_ones = json!({ "receiptId": "the-rest", "lines": [
        { "lineNumber": 1, "quantity": 1, "condition": "broken", "restock": "yes" },
        { "lineNumber": 1, "quantity": 1, "condition": "defective", "restock": true }] });
    assert_eq!(
        wrong(receipt(wrong_ones)),
        [
            at("/lines/0/condition", "invalid"),
            at("/lines/0/restock", "wrong_type"),
            at("/lines/1/restock", "contradiction"),
            at("/receiptId", "invalid"),
        ]
    );
    assert_eq!(wrong(receipt(json!({ "lines": [] }))), [at("/lines", "out_of_range")]);
    let cancelled = ReturnCancelled { return_id: return_id.clone(), reason: Some("keeps it".into()) };
    assert_eq!(parse_return_cancellation(br#"{"reason": "keeps it"}"#, &return_id), Ok(cancelled));
}

#[test]
fn an_amount_has_the_decimals_of_the_orders_currency_and_is_more_than_nothing() {
    let refund = |amount: Value, code: &str| {
        parse_refund(&bytes(&json!({ "amount": amount })), GENERATED, Currency::parse(code).unwrap())
            .map(|refund| refund.amount_minor)
    };
    assert_eq!(refund(json!("12.50"), "USD"), Ok(Some(1_250)));
    assert_eq!(refund(json!(12.5), "USD"), Ok(Some(1_250)));
    assert_eq!(refund(json!(500), "JPY"), Ok(Some(500)));
    assert_eq!(wrong(refund(json!("12.505"), "USD")), [at("/amount", "invalid")]);
    assert_eq!(wrong(refund(json!("0.5"), "JPY")), [at("/amount", "invalid")]);
    assert_eq!(wrong(refund(json!("-1"), "USD")), [at("/amount", "invalid")]);
    assert_eq!(wrong(refund(json!(0), "USD")), [at("/amount", "out_of_range")]);
    assert_eq!(wrong(refund(json!(true), "USD")), [at("/amount", "wrong_type")]);
}

#[test]
fn an_arrival_has_an_instant_or_none() {
    let at = |body: Value| parse_delivery(&bytes(&body));
    assert_eq!((at(json!({})), at(json!({ "deliveredAt": null }))), (Ok(None), Ok(None)));
    let instant = DateTime::from_timestamp(1_795_284_000, 0);
    assert_eq!(at(json!({ "deliveredAt": "2026-11-21T19:00:00+01:00" })).unwrap(), instant.map(|it| it.to_utc()));
    for (wrong_at, code) in
        [(json!("yesterday"), "invalid"), (json!("2026-11-21"), "invalid"), (json!(7), "wrong_type")]
    {
        assert_eq!(wrong(at(json!({ "deliveredAt": wrong_at }))), [("/deliveredAt".to_owned(), code)]);
    }
}

#[test]
fn a_hold_has_a_reason_and_a_release_may_name_a_hold() {
    let hold = OrderHeld { hold_id: HoldId::from(GENERATED), reason: "fraud check".into() };
    assert_eq!(parse_hold(br#"{"reason": "fraud check"}"#, GENERATED), Ok(hold));
    for (body, code) in [(json!({}), "required"), (json!({ "reason": " " }), "invalid")] {
        assert_eq!(wrong(parse_hold(&bytes(&body), GENERATED)), [at("/reason", code)]);
    }
    assert_eq!(
        wrong(parse_hold(&bytes(&json!({ "reason": "x".repeat(501) })), GENERATED)),
        [at("/reason", "too_long")]
    );
    assert_eq!((parse_release(b"{}"), parse_release(br#"{"holdId": "h"}"#)), (Ok(None), Ok(HoldId::parse("h").ok())));
    assert_eq!(wrong(parse_release(br#"{"holdId": "a b"}"#)), [at("/holdId", "invalid")]);
}

#[test]
fn a_correction_names_all_parcels_and_there_may_be_none() {
    assert_eq!(parse_tracking(br#"{"parcels": []}"#), Ok(vec![]));
    let parcel = Parcel { carrier: None, tracking: Some("J".into()) };
    assert_eq!(parse_tracking(br#"{"parcels": [{"tracking": "J"}]}"#), Ok(vec![parcel]));
    assert_eq!(wrong(parse_tracking(b"{}")), [at("/parcels", "required")]);
    assert_eq!(wrong(parse_tracking(br#"{"parcels": [{}]}"#)), [at("/parcels/0/tracking", "required")]);
    let many = json!({ "parcels": vec![json!({ "carrier": "DHL" }); 21] });
    assert_eq!(wrong(parse_tracking(&bytes(&many))), [at("/parcels", "out_of_range")]);
}

#[test]
fn a_text_may_be_as_long_as_its_bound_and_no_longer() {
    let reason = |chars: usize| parse_cancellation(&bytes(&json!({ "reason": "ä".repeat(chars) })), &[], GENERATED);
    assert!(reason(500).is_ok());
    assert_eq!(wrong(reason(501)), [at("/reason", "too_long")]);
    let note = |chars: usize| parse_note(&bytes(&json!({ "text": "ä".repeat(chars) })), GENERATED);
    assert!(note(4_000).is_ok());
    assert_eq!(wrong(note(4_001)), [at("/text", "too_long")]);
}

#[test]
fn what_is_no_json_object_is_malformed() {
    for body in [&b"[]"[..], b"", b"7", b"{", b"\xff"] {
        assert!(matches!(parse_nothing(body), Err(InvalidBody::Malformed(_))), "{body:?}");
        assert!(matches!(parse_cancellation(body, &[], GENERATED), Err(InvalidBody::Malformed(_))), "{body:?}");
    }
}

#[test]
fn a_quantity_is_in_the_unit_of_its_line() {
    let lines = include_str!("../../../../golden/events/OrderCreated-4.0.json");
    let mut event: Value = serde_json::from_str(lines).unwrap();
    let apples: OrderLine = serde_json::from_value(event["OrderCreated"]["lines"][0].take()).unwrap();
    let mut pieces = apples.clone();
    (pieces.unit, pieces.unit_price_ten_thousandths) = (None, 0);
    let ordered = [apples, pieces];
    let ship = |number: u32, quantity: Value| {
        let body = json!({ "lines": [{ "lineNumber": number, "quantity": quantity }] });
        parse_shipment(&bytes(&body), &ordered, GENERATED).map(|it| it.lines.unwrap()[0].quantity)
    };
    for (quantity, thousandths) in [(json!("0.5"), 500), (json!(0.5), 500), (json!(1), 1_000), (json!("1.235"), 1_235)]
    {
        assert_eq!(ship(1, quantity), Ok(thousandths));
    }
    assert_eq!(ship(2, json!(1)), Ok(1));
    for (number, quantity) in
        [(1, json!("0.0001")), (1, json!(0)), (1, json!("-1")), (2, json!("0.5")), (2, json!(0.5)), (3, json!("0.5"))]
    {
        assert_eq!(
            wrong(ship(number, quantity.clone())),
            [at("/lines/0/quantity", "out_of_range")],
            "{quantity} of line {number}"
        );
    }
    let return_id = ReturnId::parse("r-1").unwrap();
    let body = json!({ "lines": [{ "lineNumber": 1, "quantity": "0.25" }] });
    let receipt = parse_return_receipt(&bytes(&body), &ordered, &return_id, GENERATED).unwrap().receipt.unwrap();
    assert_eq!(receipt.lines.unwrap()[0].quantity, 250);
    assert_eq!(parse_return(&bytes(&body), &ordered, GENERATED).unwrap().lines[0].quantity, 250);
}

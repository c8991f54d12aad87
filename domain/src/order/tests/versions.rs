//! What is in the log stays readable, whichever build wrote it.

use super::*;
use crate::golden;

const FOLDER: &str = "events";

#[test]
fn every_event_version_decodes_from_its_golden_file_and_encodes_to_it() {
    let events = every_event();
    assert_eq!(events.iter().map(OrderEvent::name).collect::<Vec<_>>(), OrderEvent::NAMES);
    golden::check_today::<Order>(FOLDER, events);
}

#[test]
fn every_golden_file_still_decodes() {
    golden::check_all::<Order>(FOLDER);
}

#[test]
fn every_version_of_every_event_has_a_golden_file() {
    golden::check_versions::<Order>(FOLDER, OrderEvent::NAMES);
}

/// A shipment as the first version had it, with these fields beside its id and lines.
fn first_shipment(fields: &str) -> OrderEvent {
    let payload =
        format!(r#"{{"OrderShipped":{{"shipmentId":"s-1","lines":[{{"lineNumber":1,"quantity":1}}]{fields}}}}}"#);
    event_versions::decode::<Order>("OrderShipped", "1.0", &payload).unwrap()
}

fn shipment(parcels: &[(Option<&str>, Option<&str>)]) -> OrderEvent {
    let parcel = |(carrier, tracking): &(Option<&str>, Option<&str>)| Parcel {
        carrier: carrier.map(Into::into),
        tracking: tracking.map(Into::into),
    };
    OrderEvent::OrderShipped(OrderShipped {
        shipment_id: ShipmentId::parse("s-1").unwrap(),
        lines: line(1),
        parcels: parcels.iter().map(parcel).collect(),
        location: None,
    })
}

#[test]
fn a_shipment_of_the_first_version_had_at_most_one_parcel() {
    let both = first_shipment(r#","carrier":"DHL","tracking":"JD0146""#);
    assert_eq!(both, shipment(&[(Some("DHL"), Some("JD0146"))]));
    assert_eq!(first_shipment(r#","tracking":"JD0146""#), shipment(&[(None, Some("JD0146"))]));
    assert_eq!(first_shipment(r#","carrier":"DHL","tracking":null"#), shipment(&[(Some("DHL"), None)]));
    assert_eq!(first_shipment(""), shipment(&[]));
}

#[test]
fn a_shipment_is_not_taken_for_one_of_another_version() {
    let golden = include_str!("../../../golden/events/OrderShipped-1.0.json");
    let error = event_versions::decode::<Order>("OrderShipped", "2.0", golden).unwrap_err();
    assert!(error.to_string().starts_with("missing field `parcels`"), "{error}");
}

#[test]
fn what_does_not_look_like_a_shipment_is_an_error_and_no_shipment() {
    for payload in ["null", "[]", "{}", r#"{"OrderShipped":null}"#, r#"{"OrderShipped":{"carrier":7}}"#] {
        assert!(event_versions::decode::<Order>("OrderShipped", "1.0", payload).is_err(), "{payload}");
    }
}

#[test]
fn an_order_with_everything_that_can_be_said_is_stored_as_in_its_golden_file() {
    let orders = include_str!("../../../golden/posted/shop-orders.jsonl");
    let golden = include_str!("../../../golden/shapes/OrderCreated-whole.json").trim_end();
    let everything: serde_json::Value = serde_json::from_str(orders.lines().last().unwrap()).unwrap();
    let content = PostedOrder::parse(everything["body"].to_string().as_bytes()).unwrap().content;
    let event = OrderEvent::OrderCreated(content);
    assert_eq!(serde_json::to_string(&event).unwrap(), golden);
    assert_eq!(event_versions::decode::<Order>("OrderCreated", "1.0", golden).unwrap(), event);
    golden::check_today::<Order>(FOLDER, [event]);
}

#[test]
fn an_order_is_of_the_second_version_exactly_if_it_says_what_the_first_one_could_not() {
    use cqrs_es::DomainEvent as _;

    let version = |content: &serde_json::Value| {
        let event = serde_json::json!({ "OrderCreated": content });
        serde_json::from_value::<OrderEvent>(event).unwrap().event_version()
    };
    let golden = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["OrderCreated"].take();
    let first = golden(include_str!("../../../golden/events/OrderCreated-1.0.json"));
    let whole = golden(include_str!("../../../golden/events/OrderCreated-2.0.json"));
    assert_eq!(version(&first), "1.0");
    assert_eq!(version(&whole), "2.0");

    // Each field alone.
    let of_first = ["customerId", "currency", "totalMinor", "customerEmail", "notes", "placedAt"];
    let of_first_line = ["sku", "title", "quantity", "unitPriceMinor", "metadata"];
    let mut tried = 0;
    for (name, value) in whole.as_object().unwrap().iter().filter(|(name, _)| *name != "lines") {
        let mut order = first.clone();
        order[name] = value.clone();
        assert_eq!(version(&order), if of_first.contains(&name.as_str()) { "1.0" } else { "2.0" }, "{name}");
        tried += 1;
    }
    for line in whole["lines"].as_array().unwrap() {
        for (name, value) in line.as_object().unwrap() {
            let mut order = first.clone();
            order["lines"][0][name] = value.clone();
            let expected = if of_first_line.contains(&name.as_str()) { "1.0" } else { "2.0" };
            assert_eq!(version(&order), expected, "{name} of a line");
            tried += 1;
        }
    }
    assert!(tried > 20, "{tried}");
    let mut guest = first;
    guest.as_object_mut().unwrap().remove("customerId");
    assert_eq!(version(&guest), "2.0");
}

#[test]
fn metadata_of_the_first_version_is_kept_to_the_letter() {
    let order = r#"{"OrderCreated":{"customerId":"c","currency":"USD","totalMinor":1,"lines":[{"sku":"s","title":"t","quantity":1,"unitPriceMinor":1}],"metadata":{"b":1.10,"a":123456789012345678901234567890}}}"#;
    let event = event_versions::decode::<Order>("OrderCreated", "1.0", order).unwrap();
    assert_eq!(serde_json::to_string(&event).unwrap(), order);
}

#[test]
fn an_event_of_one_of_several_payments_is_stored_as_in_its_golden_file() {
    let payment_number = Some(2);
    let shipment_id = ShipmentId::parse("s-1").unwrap();
    let refund_id = RefundId::parse("f-1").unwrap();
    let events = vec![
        OrderEvent::OrderCreated(two_payments()),
        OrderEvent::PaymentAuthorized(PaymentAuthorized {
            reference: "pay-2".into(),
            amount_minor: 5_000,
            payment_number,
        }),
        OrderEvent::PaymentDeclined(PaymentDeclined {
            code: "card_declined".into(),
            message: "no funds".into(),
            payment_number,
        }),
        OrderEvent::PaymentOutcomeUnknown(PaymentOutcomeUnknown { reason: "no answer".into(), payment_number }),
        OrderEvent::PaymentVoided(PaymentVoided { payment_number, released_minor: None }),
        OrderEvent::PaymentVoided(PaymentVoided { payment_number, released_minor: Some(5_000) }),
        OrderEvent::PaymentCaptured(PaymentCaptured {
            shipment_id,
            amount_minor: 5_000,
            reference: "cap-2".into(),
            payment_number,
        }),
        OrderEvent::PaymentRefunded(PaymentRefunded {
            refund_id,
            amount_minor: 500,
            reference: "ref-2".into(),
            payment_number,
        }),
        OrderEvent::OperatorIntervened(OperatorIntervened {
            decision: OperatorDecision::MarkSucceeded { reference: "transfer-7".into() },
            step: SagaStep::RefundManually,
            actor: "ann".into(),
            reason: "sent it by bank transfer".into(),
            customer_message: None,
            notification_id: None,
            payment_number,
        }),
    ];
    golden::check_today::<Order>(FOLDER, events);
}

#[test]
fn a_decision_about_money_that_a_person_gives_back_is_of_the_second_version_also_with_one_payment() {
    use cqrs_es::DomainEvent as _;

    let decided = |step| {
        let skip = OperatorDecision::Skip;
        OrderEvent::OperatorIntervened(operators::intervene(skip, step)).event_version()
    };
    assert_eq!(decided(SagaStep::RefundManually), "2.0");
    assert_eq!(decided(SagaStep::RefundPayment), "1.0");
}

#[test]
fn the_folded_order_of_one_payment_is_stored_as_builds_did_that_knew_of_one_only() {
    let shipped = operators::shipped();
    let requested = RefundRequested { refund_id: RefundId::parse("f").unwrap(), amount_minor: 5, reason: None };
    let events = promised().into_iter().chain([shipped, OrderEvent::RefundRequested(requested)]);
    let order = given(events);
    let json = serde_json::to_value(&order).unwrap();
    let placed = &json["Placed"];
    let payment = serde_json::json!({
        "state": { "Authorized": { "reference": "pay-1", "amount_minor": 12_999 } },
        "token": null, "replaced": 0, "captured_minor": 0, "refunded_minor": 0,
    });
    assert_eq!(placed["payment"], payment);
    let shipment = serde_json::json!({
        "id": "s", "lines": [{ "lineNumber": 1, "quantity": 1 }], "parcels": [], "settled": false,
    });
    assert_eq!(placed["shipments"], serde_json::json!([shipment]));
    let refund = serde_json::json!({ "id": "f", "amount_minor": 5, "reason": null, "settled": false });
    assert_eq!(placed["refunds"], serde_json::json!([refund]));
    assert_eq!(serde_json::from_value::<Order>(json).unwrap(), order);
}

#[test]
fn an_order_of_goods_by_measure_is_stored_as_in_its_golden_file() {
    use cqrs_es::DomainEvent as _;

    let event = OrderEvent::OrderCreated(by_weight());
    assert_eq!(event.event_version(), "4.0");
    golden::check_today::<Order>(FOLDER, [event]);
}

#[test]
fn an_order_in_exchange_for_goods_of_another_is_stored_as_in_its_golden_file() {
    use cqrs_es::DomainEvent as _;

    let event = OrderEvent::OrderCreated(in_exchange());
    assert_eq!(event.event_version(), "5.0");
    golden::check_today::<Order>(FOLDER, [event]);
}

#[test]
fn what_is_said_of_units_of_measure_is_stored_as_in_its_golden_files() {
    use cqrs_es::DomainEvent as _;

    let other_units =
        vec![UnitMismatch { sku: Sku::parse("APPLES").unwrap(), ordered: by_weight().lines[0].unit, stocked: None }];
    let failed = StockReservationFailed { shortages: vec![], other_units };
    let reason = failed.reason();
    assert_eq!(reason.in_words(), "ordered in another unit: APPLES (ordered in kg, counted by the piece)");
    assert_eq!(reason.for_customer().unwrap(), "not for sale: APPLES in kg");
    let rejected = OrderEvent::OrderRejected(OrderRejected { reason });
    golden::check_today::<Order>(FOLDER, [OrderEvent::StockReservationFailed(failed), rejected]);

    let unit = by_weight().lines[0].unit;
    let short = |unit| Shortage { sku: Sku::parse("APPLES").unwrap(), requested: 1_235, available: 1_000, unit };
    let failed = |unit| StockReservationFailed { shortages: vec![short(unit)], other_units: vec![] };
    let words = failed(unit).reason().in_words();
    assert_eq!(words, "not enough in stock: APPLES (1.235 kg ordered, 1 kg left)");
    let version = |unit| OrderEvent::StockReservationFailed(failed(unit)).event_version();
    assert_eq!((version(None).as_str(), version(unit).as_str()), ("1.0", "2.0"));
}

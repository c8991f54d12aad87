//! What answers leave out, by every event that there is.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use std::fs;

use access_control::{Redaction, Route};
use serde_json::{Value, json};

/// What a redaction leaves of an answer of `GET path`.
fn of(redaction: Redaction, path: &str, answer: &str) -> String {
    redaction.apply(Route::find("GET", path).unwrap(), answer).unwrap()
}

fn of_event(redaction: Redaction, event: &str) -> String {
    of(redaction, STREAM, event)
}

const ORDER: &str = "/orders/{order_id}";
const STREAM: &str = "/events/stream";

/// Each event as a timeline has it.
fn events() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../domain/golden/events");
    let mut entries = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let event: Value = serde_json::from_str(&text).unwrap();
        let (event_type, data) = event.as_object().unwrap().iter().next().unwrap();
        let metadata = json!({ "actor": "support:bob", "traceparent": "00-1234" });
        let entry = json!({ "version": 1, "type": event_type, "eventId": "e", "metadata": metadata, "data": data });
        entries.push(entry.to_string());
    }
    assert!(entries.len() > 20, "{entries:?}");
    entries
}

fn order() -> String {
    json!({
        "orderId": "o-1", "customerId": "customer-42", "customerEmail": "anna@example.com", "status": "rejected",
        "paymentStatus": "declined", "reason": "the payment was declined: no funds", "notes": "for Anna",
        "total": { "amount": "129.99", "currency": "USD" }, "captured": { "amount": "12.00", "currency": "USD" },
        "metadata": { "reference": "anna-1" },
        "refunds": [{ "refundId": "f-1", "amount": { "amount": "5.00", "currency": "USD" }, "reason": "for Anna" }],
        "addedNotes": [{ "noteId": "n-1", "text": "Anna called", "author": "Bob" }],
        "mails": [{ "notificationId": "m-1", "recipient": "anna@example.com", "providerMessageId": "0100-mail",
                    "reason": "the provider said no" }],
        "customer": { "name": "Anna Smith", "phone": "555-0100", "locale": "en", "taxId": "GB123" },
        "shippingAddress": { "name": "Anna Smith", "line1": "1 High St", "city": "Leeds", "country": "GB" },
        "discounts": [{ "code": "THANKS-SMITH", "amount": { "amount": "1.00", "currency": "USD" } }],
        "lines": [{ "sku": "s", "attributes": { "engraving": "for Anna" }, "discounts": [{ "code": "THANKS-LINE" }] }],
    })
    .to_string()
}

/// The answers that are looked at, each as a redaction leaves it.
fn left(redaction: Redaction) -> Vec<String> {
    let events = events().into_iter().map(|event| of_event(redaction, &event));
    events.chain([of(redaction, ORDER, &order())]).collect()
}

fn assert_none_has(answers: &[String], secrets: &[&str]) {
    for (answer, secret) in answers.iter().flat_map(|answer| secrets.iter().map(move |secret| (answer, secret))) {
        assert!(!answer.contains(secret), "{secret} is in {answer}");
    }
}

#[test]
fn an_auditor_sees_no_customer_and_nothing_that_people_wrote() {
    let left = left(Redaction::PersonalData);
    assert_none_has(
        &left,
        &[
            "customer-42",
            "example.com",
            "sample order",
            "gift wrap",
            "Ann",
            "Bob",
            "mind",
            "JD0146",
            "555-0100",
            "GB123",
            "High St",
            "THANKS-",
            r#""code":"TEN""#,
            r#""code":"CHAIR""#,
        ],
    );
    // Who of the shop did it stays, and so do amounts and what happened.
    for kept in ["support:bob", "pay-1", "12999", "129.99", "OrderShipped", "\"ann\""] {
        assert!(left.iter().any(|answer| answer.contains(kept)), "{kept}");
    }
    assert!(left.iter().any(|answer| answer.contains(r#""customerId":"***""#)));
    assert!(left.iter().any(|answer| answer.contains(r#""shippingAddress":{}"#)));
}

#[test]
fn a_customer_sees_nothing_of_providers_and_operators() {
    let left = left(Redaction::Internals);
    let secrets = ["pay-1", "cap-1", "ref-1", "0100-mail", "\"ann\"", "support:bob", "00-1234", "said no", "dashboard"];
    assert_none_has(&left, &secrets);
    for kept in ["customer-42", "anna@example.com", "gift wrap", "12999", "anna-1", "THANKS-SMITH", "THANKS-LINE"] {
        assert!(left.iter().any(|answer| answer.contains(kept)), "{kept}");
    }
}

#[test]
fn a_warehouse_sees_nothing_of_payments() {
    let left = left(Redaction::Payments);
    let secrets =
        ["pay-1", "cap-1", "ref-1", "no funds", "card_declined", "\"paymentStatus\"", "12.00", "5.00", "12499"];
    assert_none_has(&left, &secrets);
    for kept in ["JD0146", "gift wrap", "129.99", "support:bob", "High St"] {
        assert!(left.iter().any(|answer| answer.contains(kept)), "{kept}");
    }
}

/// An event as a timeline has it.
fn event(event_type: &str, data: &Value) -> String {
    let metadata = json!({ "actor": "operator:ann", "secret": "planted" });
    json!({ "version": 1, "type": event_type, "eventId": "e", "secret": "planted", "metadata": metadata, "data": data })
        .to_string()
}

/// Events with something planted where a customer may read nothing.
fn planted() -> Vec<String> {
    let short = json!([{ "sku": "cable", "requested": 4711, "available": "planted" }]);
    let intervened = json!({ "verb": "compensate", "step": "planted", "actor": "planted", "reason": "planted",
                             "customerMessage": "planted" });
    vec![
        event("OrderRejected", &json!({ "reason": { "givenUp": { "reason": "planted" } } })),
        event("OrderRejected", &json!({ "reason": { "paymentDeclined": { "message": "planted" } } })),
        event("OrderRejected", &json!({ "reason": { "outOfStock": { "shortages": short } } })),
        event("StockReservationFailed", &json!({ "shortages": short })),
        event("OrderCancelled", &json!({ "reason": "planted" })),
        event("PaymentDeclined", &json!({ "code": "planted", "message": "planted" })),
        event("PaymentOutcomeUnknown", &json!({ "reason": "planted" })),
        event("OperatorIntervened", &intervened),
        event("OrderConfirmed", &json!({ "laterField": "planted" })),
        event("OrderConfirmed", &json!("planted")),
        event("LaterEvent", &json!({ "anything": ["planted"] })),
    ]
}

#[test]
fn a_customer_reads_nothing_that_the_shop_keeps_to_itself() {
    let left: Vec<String> = planted().iter().map(|event| of_event(Redaction::Internals, event)).collect();
    assert_none_has(&left, &["planted", "operator:ann"]);
    // The kind of reason is told, and what is short.
    for kept in ["givenUp", "paymentDeclined", "cable", "4711"] {
        assert!(left.iter().any(|event| event.contains(kept)), "{kept}");
    }
}

#[test]
fn fields_that_the_table_does_not_name_are_left_out_for_every_role() {
    let unknown =
        [event("LaterEvent", &json!({ "a": "planted" })), event("OrderConfirmed", &json!({ "b": "planted" }))];
    for redaction in [Redaction::Payments, Redaction::Internals, Redaction::PersonalData] {
        for event in &unknown {
            let left: Value = serde_json::from_str(&of_event(redaction, event)).unwrap();
            assert_eq!(left["data"], json!({}), "{left}");
            assert!(!left.to_string().contains("planted"), "{left}");
        }
    }
}

#[test]
fn an_auditor_reads_no_rows_of_read_models_and_no_message_to_a_customer() {
    let row = json!({ "customerId": "anna-7" }).to_string();
    let example = json!({ "pk": "ORDER#a", "sk": "#META", "old": row, "new": row });
    let comparison =
        json!({ "orders": { "different": 1, "examples": [example], "later": "anna-7" }, "stock": "anna-7" });
    let replay = json!({ "id": "r", "comparison": comparison, "error": "no mail to anna@example.com" });
    let left = of(Redaction::PersonalData, "/admin/replays/{id}", &replay.to_string());
    let examples = json!([{ "pk": "ORDER#a", "sk": "#META" }]);
    let comparison = json!({ "orders": { "different": 1, "examples": examples }, "stock": null });
    let expected = json!({ "id": "r", "comparison": comparison, "error": "***" });
    assert_eq!(serde_json::from_str::<Value>(&left).unwrap(), expected);
    let message = event("OperatorIntervened", &json!({ "customerMessage": "Dear Anna", "actor": "customer:anna" }));
    let left = of_event(Redaction::PersonalData, &message);
    assert!(!left.to_lowercase().contains("anna"), "{left}");
}

#[test]
fn a_warehouse_does_not_learn_of_refunds_by_the_way() {
    let order = json!({ "mails": [{ "notificationId": "m-1", "template": "order-shipped" },
                                  { "notificationId": "m-2", "template": "order-refunded" }],
                        "shipments": [{ "shipmentId": "s-1", "settled": true }], "more": ["refunds", "notes"] });
    let expected = json!({ "mails": [{ "notificationId": "m-1", "template": "order-shipped" }],
                           "shipments": [{ "shipmentId": "s-1" }], "more": ["notes"] });
    for (path, order, expected) in [
        (ORDER, order.clone(), expected.clone()),
        ("/orders", json!({ "items": [order], "cursor": "x" }), json!({ "items": [expected], "cursor": "x" })),
    ] {
        let left = of(Redaction::Payments, path, &order.to_string());
        assert_eq!(serde_json::from_str::<Value>(&left).unwrap(), expected);
    }
    let rejected = event("OrderRejected", &json!({ "reason": { "givenUp": { "reason": "not paid" } } }));
    assert!(of_event(Redaction::Payments, &rejected).contains("\"data\":{}"));
}

#[test]
fn a_customer_is_not_told_of_mails_to_staff() {
    let mail = |template: &str| json!({ "notificationId": "m-1", "template": template, "status": "sent" });
    let order = json!({ "mails": [mail("order-confirmed"), mail("staff-new-order")] });
    let expected = json!({ "mails": [mail("order-confirmed")] });
    let telling = |event_type: &str, template: &str| {
        let data = json!({ "notificationId": "m-1", "template": template });
        json!({ "version": 5, "type": event_type, "eventId": "e", "metadata": {}, "data": data })
    };
    let of_staff =
        ["NotificationSent", "NotificationFailed", "MailResendRequested"].map(|it| telling(it, "staff-new-order"));
    let [sent, failed, resent] = of_staff;
    let events =
        json!({ "items": [telling("NotificationSent", "order-confirmed"), sent, failed, resent], "cursor": "9" });
    let expected_events = json!({ "items": [telling("NotificationSent", "order-confirmed")], "cursor": "9" });
    for (path, answer, expected) in [
        (ORDER, order.clone(), expected.clone()),
        ("/customers/{customer_id}/orders", json!({ "items": [order.clone()] }), json!({ "items": [expected] })),
        ("/orders/{order_id}/mails", json!({ "items": order["mails"] }), json!({ "items": [mail("order-confirmed")] })),
        ("/orders/{order_id}/events", events.clone(), expected_events.clone()),
        (ORDER, json!({ "events": events }), json!({ "events": expected_events })),
    ] {
        let left = of(Redaction::Internals, path, &answer.to_string());
        assert_eq!(serde_json::from_str::<Value>(&left).unwrap(), expected, "{path}");
        // Who packs is.
        let left = of(Redaction::Payments, path, &answer.to_string());
        assert!(
            path.contains("events") || answer.get("events").is_some() || left.contains("staff-new-order"),
            "{left}"
        );
    }
}

#[test]
fn a_field_of_an_answer_that_no_table_names_is_left_out_for_each() {
    let line = json!({ "sku": "cable", "later": "planted", "unitPrice": { "amount": "1.00", "later": "planted" } });
    let order = json!({ "orderId": "a", "later": "planted", "status": { "later": "planted" }, "lines": [line, ["x"]],
                        "total": "1.00" });
    for redaction in [Redaction::Payments, Redaction::Internals, Redaction::PersonalData] {
        let left: Value = serde_json::from_str(&of(redaction, ORDER, &order.to_string())).unwrap();
        let line = json!({ "sku": "cable", "unitPrice": { "amount": "1.00" } });
        // An object where a text was to be, and the other way round.
        let expected = json!({ "orderId": "a", "status": {}, "lines": [line, [null]], "total": null });
        assert_eq!(left, expected, "{redaction:?}");
        // Routes at which nobody sees less have no table.
        assert_eq!(of(redaction, "/sales", &order.to_string()), "{}");
    }
}

#[test]
fn what_is_masked_keeps_its_kind() {
    let order = json!({ "metadata": { "a": 1 }, "lines": [{ "metadata": [1] }], "notes": "Anna", "reason": null });
    let left = of(Redaction::PersonalData, ORDER, &order.to_string());
    let expected = json!({ "metadata": {}, "lines": [{ "metadata": [] }], "notes": "***", "reason": null });
    assert_eq!(serde_json::from_str::<Value>(&left).unwrap(), expected);
}

#[test]
fn what_stays_keeps_its_text() {
    let text = r#"{"version":1e400,"more":[1.10,-0,null,"\u00e4"],"total":{},"orderId":"\/","lines":[]}"#;
    let metadata = r#"{"metadata":{"b":1e400,"a":[1.10,-0,null,"\u00e4"],"b":{}},"lines":[{"metadata":[ 1 ]}]}"#;
    for redaction in [Redaction::Payments, Redaction::Internals, Redaction::PersonalData] {
        assert_eq!(of(redaction, ORDER, text), text);
        if redaction != Redaction::PersonalData {
            assert_eq!(of(redaction, ORDER, metadata), metadata);
        }
        for (text, left) in [("7", "null"), ("\"x\"", "null"), ("null", "null"), ("[]", "[]"), (" {} ", "{}")] {
            assert_eq!(of(redaction, ORDER, text), left);
        }
        let route = Route::find("GET", ORDER).unwrap();
        assert!(redaction.apply(route, "{").is_err());
        assert!(redaction.apply(route, &"[".repeat(200)).is_err());
        assert!(redaction.apply(route, &format!("{}{}", "[".repeat(100), "]".repeat(100))).is_err());
    }
}

#[test]
fn an_actor_that_is_a_customer_is_masked_for_an_auditor() {
    for (actor, seen) in [("customer:anna", "***"), ("shop:backend", "shop:backend")] {
        let entry = json!({ "eventId": "e", "type": "OrderConfirmed", "metadata": { "actor": actor } }).to_string();
        let left: Value = serde_json::from_str(&of_event(Redaction::PersonalData, &entry)).unwrap();
        assert_eq!(left["metadata"]["actor"], seen);
        let message = json!({ "event": "NoteAdded", "actor": actor, "text": "Anna called" });
        let report = json!({ "sagas": [{ "steps": [{ "messages": [message], "lastError": "no Anna" }] }] });
        let left = of(Redaction::PersonalData, "/orders/{order_id}/saga", &report.to_string());
        let message = json!({ "event": "NoteAdded", "actor": seen, "text": "***" });
        let expected = json!({ "sagas": [{ "steps": [{ "messages": [message], "lastError": "***" }] }] });
        assert_eq!(serde_json::from_str::<Value>(&left).unwrap(), expected);
    }
}

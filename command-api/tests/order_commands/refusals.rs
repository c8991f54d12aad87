//! Commands that are refused, and bodies that are.

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

use crate::shop::Shop;

#[tokio::test]
async fn what_it_is_not_the_time_for_is_refused_with_what_can_be_asked_instead() {
    let shop = Shop::with_confirmed_order().await;
    let refused = shop.post("/orders/a/deliver", json!({})).await;
    assert_eq!((refused.status, &refused.body["code"]), (409, &json!("not-allowed")), "{}", refused.body);
    assert_eq!(refused.body["stage"], "confirmed");
    assert_eq!(
        refused.body["allowed"],
        json!(["cancel", "edits", "ship", "hold", "mails/{notificationId}/resend", "notes"])
    );
    assert_eq!(
        refused.body["detail"],
        "the order is confirmed: deliver is not possible; possible: cancel, edits, ship, hold, mails/{notificationId}/resend, notes"
    );
    assert_eq!(shop.version().await, 4);
    shop.store.close().await;
}

#[tokio::test]
async fn a_refusal_names_the_field_that_it_is_about() {
    let shop = Shop::with_shipped_order().await;
    let before = shop.version().await;
    let returns = async |lines: Value| shop.post("/orders/a/returns", json!({ "lines": lines })).await;
    let line = |line_number: u32, quantity: u32| json!({ "lineNumber": line_number, "quantity": quantity });
    for (lines, expected) in [
        (json!([line(1, 1), line(3, 1)]), ("/lines/1/lineNumber", "no_such_line")),
        (json!([line(1, 1), line(2, 1), line(1, 1)]), ("/lines/2/lineNumber", "line_twice")),
        (json!([line(2, 1), line(1, 3)]), ("/lines/1/quantity", "too_many")),
        (json!([]), ("/lines", "out_of_range")),
        (json!([line(1, 0)]), ("/lines/0/quantity", "out_of_range")),
    ] {
        assert_eq!(returns(lines.clone()).await.violation(), expected, "{lines}");
    }
    let refund = async |amount: Value| shop.post("/orders/a/refunds", json!({ "amount": amount })).await;
    let too_much = refund(json!("25.51")).await;
    assert_eq!(too_much.violation(), ("/amount", "too_much"));
    assert_eq!(too_much.body["errors"][0]["message"], "only 25.50 USD can be refunded");
    assert_eq!(refund(json!("1.001")).await.violation(), ("/amount", "invalid"));
    assert_eq!(refund(json!(0)).await.violation(), ("/amount", "out_of_range"));
    let note = shop.post("/orders/a/notes", json!({ "text": "x".repeat(4_001) })).await;
    assert_eq!(note.violation(), ("/text", "too_long"));
    assert_eq!(shop.version().await, before);

    // All that is left, and then nothing is.
    assert_eq!(shop.post("/orders/a/refunds", json!({})).await.status, 202);
    let nothing = shop.post("/orders/a/refunds", json!({})).await;
    assert_eq!(nothing.violation(), ("/amount", "too_much"));
    assert_eq!(nothing.body["errors"][0]["message"], "nothing is left that could be refunded");
    shop.store.close().await;
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let shop = Shop::with_shipped_order().await;
    let before = shop.version().await;
    let lines = json!({ "lines": [{ "lineNumber": 1, "quantity": 1 }] });
    for order_id in ["nothing", "a%20b", "%ff", "%00"] {
        for (path, body) in [
            ("cancel", json!({})),
            ("edits", json!({ "discounts": [] })),
            ("edits/preview", json!({ "discounts": [] })),
            ("ship", json!({})),
            ("deliver", json!({})),
            ("shipments/s-1/deliver", json!({})),
            ("hold", json!({ "reason": "x" })),
            ("release", json!({})),
            ("returns", lines.clone()),
            ("returns/r-1/receive", json!({})),
            ("returns/r-1/cancel", json!({})),
            ("mails/0192f0c1-2b3a-5c4d-8e5f-60718293a4b5/resend", json!({})),
            ("refunds", json!({})),
            ("notes", json!({ "text": "x" })),
        ] {
            let answer = shop.post(&format!("/orders/{order_id}/{path}"), body).await;
            assert_eq!((answer.status, &answer.body["code"]), (404, &json!("not-found")), "{order_id} {path}");
        }
    }
    for return_id in ["r-1", "a%20b"] {
        for path in ["receive", "cancel"] {
            let answer = shop.post(&format!("/orders/a/returns/{return_id}/{path}"), json!({})).await;
            assert_eq!(answer.status, 404, "{return_id}: {}", answer.body);
        }
    }
    for mail in ["0192f0c1-2b3a-5c4d-8e5f-60718293a4b5", "mail-1"] {
        let answer = shop.post(&format!("/orders/a/mails/{mail}/resend"), json!({})).await;
        assert_eq!(answer.status, 404, "{mail}: {}", answer.body);
    }
    for shipment_id in ["s-9", "a%20b"] {
        let answer = shop.post(&format!("/orders/a/shipments/{shipment_id}/deliver"), json!({})).await;
        assert_eq!(answer.status, 404, "{shipment_id}: {}", answer.body);
        let parcels = json!({ "parcels": [] });
        let answer = shop.put(&format!("/orders/a/shipments/{shipment_id}/parcels"), parcels.clone()).await;
        assert_eq!(answer.status, 404, "{shipment_id}: {}", answer.body);
        assert_eq!(shop.put("/orders/nothing/shipments/s-1/parcels", parcels).await.status, 404);
    }
    let no_hold = shop.post("/orders/a/release", json!({ "holdId": "h-9" })).await;
    assert_eq!(no_hold.status, 404, "{}", no_hold.body);
    assert_eq!(shop.version().await, before);
    shop.store.close().await;
}

#[tokio::test]
async fn what_is_on_hold_is_not_shipped_and_the_refusal_says_so() {
    let shop = Shop::with_confirmed_order().await;
    let held = shop.post("/orders/a/hold", json!({ "reason": "fraud check" })).await;
    assert_eq!(held.status, 201, "{}", held.body);
    let hold_id = held.body["holdId"].as_str().unwrap();

    let refused = shop.post("/orders/a/ship", json!({})).await;

    assert_eq!((refused.status, &refused.body["code"]), (409, &json!("on-hold")), "{}", refused.body);
    assert_eq!(refused.body["stage"], "confirmed and on hold");
    assert_eq!(
        refused.body["allowed"],
        json!(["cancel", "edits", "hold", "release", "mails/{notificationId}/resend", "notes"])
    );
    let released = shop.post("/orders/a/release", json!({ "holdId": hold_id })).await;
    assert_eq!((released.status, &released.body["holdId"]), (200, &held.body["holdId"]));
    assert_eq!(shop.post("/orders/a/ship", json!({})).await.status, 202);
    let nothing_to_hold = shop.post("/orders/a/hold", json!({ "reason": "too late" })).await;
    assert_eq!((nothing_to_hold.status, &nothing_to_hold.body["code"]), (409, &json!("not-allowed")));
    shop.store.close().await;
}

#[tokio::test]
async fn nothing_arrives_in_the_future() {
    let shop = Shop::with_shipped_order().await;
    let arrived = async |at: &str| shop.post("/orders/a/shipments/s-1/deliver", json!({ "deliveredAt": at })).await;
    assert_eq!(arrived("2999-01-01T00:00:00Z").await.violation(), ("/deliveredAt", "in_the_future"));
    assert_eq!(arrived("yesterday").await.violation(), ("/deliveredAt", "invalid"));
    let answer = arrived("2026-11-24T09:30:00Z").await;
    assert_eq!((answer.status, &answer.body["shipmentId"]), (200, &json!("s-1")), "{}", answer.body);
    shop.store.close().await;
}

#[tokio::test]
async fn a_body_must_be_json_where_there_has_to_be_one() {
    let shop = Shop::with_confirmed_order().await;
    for path in ["hold", "returns", "notes"] {
        let nothing = Request::post(format!("/orders/a/{path}")).body(Body::empty()).unwrap();
        assert_eq!(shop.send(nothing).await.status, 415, "{path}");
    }
    let optional =
        ["cancel", "deliver", "release", "returns/r-1/receive", "returns/r-1/cancel", "ship", "shipments/s-1/deliver"];
    for path in optional {
        let text = Request::post(format!("/orders/a/{path}")).header("content-type", "text/plain");
        assert_eq!(shop.send(text.body(Body::from("{}")).unwrap()).await.status, 415, "{path}");
        assert_eq!(shop.post(&format!("/orders/a/{path}"), json!([])).await.status, 400, "{path}");
        let unknown = shop.post(&format!("/orders/a/{path}"), json!({ "colour": "red" })).await;
        assert_eq!(unknown.violation(), ("/colour", "unknown_field"), "{path}");
    }
    assert_eq!(shop.version().await, 4);
    shop.store.close().await;
}

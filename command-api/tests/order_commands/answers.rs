//! Commands that are accepted.

use axum::body::Body;
use domain::ids::ShipmentId;
use domain::order::event::PaymentCaptured;
use domain::order::{Order, OrderCommand, OrderEvent};
use http::Request;
use serde_json::json;

use crate::shop::Shop;

#[tokio::test]
async fn every_command_is_stored_and_answered_with_where_the_order_is_now() {
    let shop = Shop::with_confirmed_order().await;
    let one = json!([{ "lineNumber": 1, "quantity": 1 }]);
    let captured = PaymentCaptured {
        payment_number: None,
        shipment_id: ShipmentId::parse("s-1").unwrap(),
        amount_minor: 1_000,
        reference: "cap-1".into(),
    };
    for (path, body, status, field, event) in [
        ("ship", json!({ "shipmentId": "s-1", "lines": one, "carrier": "DHL" }), 202, "shipmentId", "OrderShipped"),
        ("ship", json!({ "parcels": [{ "tracking": "1Z9" }] }), 202, "shipmentId", "OrderShipped"),
        ("shipments/s-1/deliver", json!({}), 200, "shipmentId", "ShipmentDelivered"),
        ("deliver", json!({}), 200, "", "OrderDelivered"),
        ("returns", json!({ "returnId": "r-1", "lines": one, "reason": "loud" }), 201, "returnId", "ReturnRequested"),
        ("returns/r-1/receive", json!({}), 202, "returnId", "ReturnReceived"),
        ("refunds", json!({ "amount": "0.01" }), 202, "refundId", "RefundRequested"),
        ("notes", json!({ "text": "called back", "author": "Ann" }), 201, "noteId", "NoteAdded"),
    ] {
        if path == "refunds" {
            // The shipment that no money was taken for yet is worth the return.
            shop.does("a", OrderCommand::RecordPaymentCaptured(captured.clone())).await;
            let rest = shop.load("a").await;
            let Order::Placed(order) = rest.state else { panic!("it is there") };
            let shipment = order.unsettled_shipment().unwrap();
            let rest = PaymentCaptured {
                payment_number: None,
                shipment_id: shipment.id.clone(),
                amount_minor: order.capture_minor(&shipment.id, 1),
                reference: "cap-2".into(),
            };
            shop.does("a", OrderCommand::RecordPaymentCaptured(rest)).await;
        }
        let answer = shop.post(&format!("/orders/a/{path}"), body).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        let now = shop.load("a").await;
        assert_eq!(shop.last_event().await.name(), event);
        assert_eq!(answer.header("etag"), format!("\"{}\"", now.version));
        assert_eq!(answer.header("event-position"), now.last_position.to_string());
        assert_eq!(answer.header("location"), "/orders/a");
        let mut expected =
            json!({ "status": "accepted", "orderId": "a", "version": now.version, "position": now.last_position });
        if !field.is_empty() {
            expected[field] = answer.body[field].clone();
            assert!(answer.body[field].is_string(), "{path}: {}", answer.body);
        }
        assert_eq!(answer.body, expected, "{path}");
    }
    let stored = shop.store.read_stream::<Order>("a").await.unwrap();
    assert_eq!(stored.last().unwrap().metadata().actor.as_deref(), Some("shop:test"));
    shop.store.close().await;
}

#[tokio::test]
async fn the_parcels_of_a_shipment_are_put_in_the_place_of_those_before() {
    let shop = Shop::with_shipped_order().await;
    let body = json!({ "parcels": [{ "carrier": "UPS", "tracking": "1Z9" }] });
    let first = shop.put("/orders/a/shipments/s-1/parcels", body.clone()).await;
    assert_eq!((first.status, &first.body["shipmentId"]), (200, &json!("s-1")), "{}", first.body);
    assert_eq!(shop.last_event().await.name(), "ShipmentTrackingChanged");
    let again = shop.put("/orders/a/shipments/s-1/parcels", body).await;
    assert_eq!((again.status, again.body), (200, first.body));
    let wrong = shop.put("/orders/a/shipments/s-1/parcels", json!({ "parcels": [{}] })).await;
    assert_eq!(wrong.violation(), ("/parcels/0/tracking", "required"));
    shop.store.close().await;
}

#[tokio::test]
async fn an_order_can_be_called_off_without_a_word() {
    let shop = Shop::with_confirmed_order().await;
    let answer = shop.send(Request::post("/orders/a/cancel").body(Body::empty()).unwrap()).await;
    assert_eq!((answer.status, &answer.body["version"]), (202, &json!(5)), "{}", answer.body);

    // It is called off already: the answer tells where it is, and the first reason stands.
    let again = shop.post("/orders/a/cancel", json!({ "reason": "changed my mind" })).await;
    assert_eq!((again.status, again.body), (202, answer.body));
    shop.store.close().await;
}

#[tokio::test]
async fn what_is_asked_again_under_its_id_changes_nothing() {
    let shop = Shop::with_confirmed_order().await;
    let body = json!({ "shipmentId": "s-1", "lines": [{ "lineNumber": 1, "quantity": 1 }], "tracking": "J-1" });
    let first = shop.post("/orders/a/ship", body.clone()).await;
    let again = shop.post("/orders/a/ship", body.clone()).await;
    assert_eq!((again.status, &again.body), (202, &first.body));
    shop.post("/orders/a/notes", json!({ "text": "one is on its way" })).await;

    let later = shop.post("/orders/a/ship", body).await;
    assert_eq!((&later.body["shipmentId"], &later.body["version"]), (&json!("s-1"), &json!(6)));

    let other = shop.post("/orders/a/ship", json!({ "shipmentId": "s-1", "tracking": "J-2" })).await;
    assert_eq!((other.status, &other.body["code"]), (409, &json!("id-taken")), "{}", other.body);
    assert_eq!(shop.version().await, 6);
    shop.store.close().await;
}

#[tokio::test]
async fn commands_that_meet_are_both_carried_out() {
    let shop = Shop::with_confirmed_order().await;
    let note = |text: &'static str| shop.post("/orders/a/notes", json!({ "text": text }));
    let (one, two, three) = tokio::join!(note("one"), note("two"), note("three"));
    let mut versions = [one, two, three].map(|answer| answer.body["version"].as_i64().unwrap());
    versions.sort_unstable();
    assert_eq!(versions, [5, 6, 7]);
    shop.store.close().await;
}

#[tokio::test]
async fn a_body_in_which_everything_may_be_left_out_may_be_left_out() {
    let nothing = |path: &str| Request::post(path).body(Body::empty()).unwrap();
    let shop = Shop::with_confirmed_order().await;
    let shipped = shop.send(nothing("/orders/a/ship")).await;
    assert_eq!(shipped.status, 202, "{}", shipped.body);
    let OrderEvent::OrderShipped(event) = shop.last_event().await else { panic!("not shipped") };
    assert_eq!(event.lines.len(), 2, "all that was left");

    let shop = Shop::with_shipped_order().await;
    let refunded = shop.send(nothing("/orders/a/refunds")).await;
    assert_eq!(refunded.status, 202, "{}", refunded.body);
}

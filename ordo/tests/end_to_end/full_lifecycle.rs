//! An order's life after its confirmation, asked for over HTTP: sent, brought back, refunded, called off.

use std::collections::HashSet;

use http::Method;
use serde_json::{Value, json};
use testkit::{demo_order, eventually};

use crate::support::{Answer, Client, Ordo, PATIENCE, at_rest, settled};

const JSON: &str = "application/json";

async fn ask(client: &Client, path: &str, body: Value) -> Answer {
    client.post(path, JSON, body.to_string()).await
}

/// The order, once what is asked of its view holds.
async fn shown(client: &Client, order_id: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let path = format!("/orders/{order_id}");
    eventually(PATIENCE, || async {
        let answer = client.get(&path).await;
        answer.status == 200 && holds(&answer.json())
    })
    .await;
    client.get(&path).await.json()
}

/// How many mails of a template were sent about it.
fn mails(order: &Value, template: &str) -> usize {
    let mails = order["mails"].as_array().unwrap().iter();
    mails.filter(|mail| mail["template"] == template && mail["status"] == "sent").count()
}

/// The demo order twice over: two of its one line.
fn two_of_a_kind(order_id: &str) -> Value {
    let mut order = demo_order(order_id);
    order["totalAmount"] = json!("259.98");
    order["items"][0]["quantity"] = json!(2);
    order
}

#[tokio::test]
async fn an_order_of_which_the_rest_cannot_ship_comes_to_its_end_and_everything_agrees() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    assert_eq!(ask(&client, "/stock/sku-123/receive", json!({ "quantity": 5 })).await.status, 201);
    client.order(&two_of_a_kind("a")).await;
    settled(&client, "a").await;
    let one = json!([{ "lineNumber": 1, "quantity": 1 }]);
    assert_eq!(ask(&client, "/orders/a/ship", json!({ "lines": one })).await.status, 202);
    let order = shown(&client, "a", |order| order["captured"]["amount"] == "129.99").await;
    assert_eq!(order["paymentStatus"], "partiallyCaptured");
    assert_eq!(ask(&client, "/orders/a/deliver", json!({})).await.status, 409);

    let cancelled = ask(&client, "/orders/a/cancel", json!({ "reason": "sold out" })).await;

    assert_eq!(cancelled.status, 202, "{}", cancelled.text());
    assert_eq!(ask(&client, "/orders/a/deliver", json!({})).await.status, 200);
    let order = shown(&client, "a", |order| order["status"] == "completed").await;
    assert_eq!((&order["paymentStatus"], &order["cancelled"]["amount"]), (&json!("captured"), &json!("129.99")));
    at_rest(&ordo.database, 1, PATIENCE).await;
    let stock = client.get("/stock/sku-123").await.json();
    assert_eq!([&stock["onHand"], &stock["reserved"], &stock["sold"]], [4, 0, 1]);
}

#[tokio::test]
async fn an_order_is_completed_by_its_last_shipment_or_by_the_cancellation_of_the_rest_and_everything_agrees() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    assert_eq!(ask(&client, "/stock/sku-123/receive", json!({ "quantity": 10 })).await.status, 201);
    let one = json!({ "shipmentId": "s-1", "lines": [{ "lineNumber": 1, "quantity": 1 }] });
    let arrived = json!({ "deliveredAt": "2026-11-24T09:30:00Z" });
    for id in ["in-parts", "rest-first", "rest-last"] {
        client.order(&two_of_a_kind(id)).await;
        settled(&client, id).await;
        assert_eq!(ask(&client, &format!("/orders/{id}/ship"), one.clone()).await.status, 202);
    }
    let mut download = demo_order("download");
    download["items"][0]["requiresShipping"] = json!(false);
    client.order(&download).await;
    settled(&client, "download").await;

    for (path, body) in [
        ("in-parts/shipments/s-1/deliver", arrived.clone()),
        ("in-parts/ship", json!({ "shipmentId": "s-2" })),
        ("in-parts/shipments/s-2/deliver", json!({})),
        ("rest-first/cancel", json!({ "reason": "sold out" })),
        ("rest-first/shipments/s-1/deliver", arrived.clone()),
        ("rest-last/shipments/s-1/deliver", arrived),
        ("rest-last/cancel", json!({ "reason": "sold out" })),
        ("download/ship", json!({})),
    ] {
        let answer = ask(&client, &format!("/orders/{path}"), body).await;
        assert!(answer.status < 300, "{path}: {}", answer.text());
    }

    for (id, captured) in
        [("in-parts", "259.98"), ("rest-first", "129.99"), ("rest-last", "129.99"), ("download", "129.99")]
    {
        let is_over = |order: &Value| order["captured"]["amount"] == captured && order["status"] == "completed";
        let order = shown(&client, id, is_over).await;
        assert_eq!(order["paymentStatus"], "captured", "{order}");
        assert_eq!(order["fulfilmentStatus"], "delivered");
        assert!(order["shipments"].as_array().unwrap().iter().all(|it| it["deliveredAt"].is_string()), "{order}");
    }
    let order = client.get("/orders/in-parts").await.json();
    assert_eq!(order["shipments"][0]["deliveredAt"], "2026-11-24T09:30:00Z");
    at_rest(&ordo.database, 4, PATIENCE).await;
    let stock = client.get("/stock/sku-123").await.json();
    assert_eq!([&stock["onHand"], &stock["reserved"], &stock["sold"]], [5, 0, 5]);
}

#[tokio::test]
async fn an_order_is_sent_in_parts_and_some_of_it_comes_back() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    client.order(&two_of_a_kind("a")).await;
    settled(&client, "a").await;
    let one = json!([{ "lineNumber": 1, "quantity": 1 }]);

    let sent = ask(&client, "/orders/a/ship", json!({ "shipmentId": "s-1", "lines": one, "carrier": "DHL" })).await;
    assert_eq!(sent.status, 202, "{}", sent.text());
    let order = shown(&client, "a", |order| order["captured"]["amount"] == "129.99").await;
    assert_eq!(order["fulfilmentStatus"], "partiallyShipped");

    let parcels = json!([{ "carrier": "UPS", "tracking": "1Z9" }, { "tracking": "0034" }]);
    let sent = ask(&client, "/orders/a/ship", json!({ "shipmentId": "s-2", "parcels": parcels })).await;
    assert_eq!(sent.status, 202, "{}", sent.text());
    let order = shown(&client, "a", |order| order["captured"]["amount"] == "259.98").await;
    assert_eq!(order["shipments"][0]["parcels"], json!([{ "carrier": "DHL" }]));
    assert_eq!((&order["shipments"][1]["parcels"], &order["shipments"][1]["carrier"]), (&parcels, &json!("UPS")));
    assert_eq!(ask(&client, "/orders/a/deliver", json!({})).await.status, 200);
    let back = ask(&client, "/orders/a/returns", json!({ "returnId": "r-1", "lines": one, "reason": "loud" })).await;
    assert_eq!(back.status, 201, "{}", back.text());
    assert_eq!(ask(&client, "/orders/a/returns/r-1/receive", json!({})).await.status, 202);

    let paid = |order: &Value| order["refunded"]["amount"] == "129.99" && mails(order, "order-refunded") == 1;
    let order = shown(&client, "a", paid).await;
    assert_eq!(order["status"], "completed");
    assert_eq!(order["paymentStatus"], "partiallyRefunded");
    assert_eq!(
        (&order["fulfilmentStatus"], &order["returnsStatus"]),
        (&json!("delivered"), &json!("partiallyReturned"))
    );
    assert_eq!((&order["lines"][0]["shipped"], &order["lines"][0]["returned"]), (&json!(2), &json!(1)));
    assert_eq!((mails(&order, "order-confirmed"), mails(&order, "order-shipped")), (1, 2));
    let messages = Client::new(&ordo.inbox).get("/messages").await.text();
    assert!(messages.contains("Carrier: UPS\\nTracking number: 1Z9\\n\\nTracking number: 0034\\n"), "{messages}");

    let rest = ask(&client, "/orders/a/refunds", json!({ "refundId": "f-1", "reason": "goodwill" })).await;
    assert_eq!(rest.status, 202, "{}", rest.text());
    let order = shown(&client, "a", |order| order["paymentStatus"] == "refunded").await;
    assert_eq!(order["refunded"], order["captured"]);
}

#[tokio::test]
async fn a_return_comes_in_parts_and_everything_agrees() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    assert_eq!(ask(&client, "/stock/sku-123/receive", json!({ "quantity": 5 })).await.status, 201);
    let mut three = demo_order("a");
    three["totalAmount"] = json!("389.97");
    three["items"][0]["quantity"] = json!(3);
    client.order(&three).await;
    settled(&client, "a").await;
    assert_eq!(ask(&client, "/orders/a/ship", json!({})).await.status, 202);
    shown(&client, "a", |order| order["captured"]["amount"] == "389.97").await;
    let all = json!({ "returnId": "r-1", "lines": [{ "lineNumber": 1, "quantity": 3 }] });
    assert_eq!(ask(&client, "/orders/a/returns", all).await.status, 201);
    let one = |condition: &str, restock: bool| json!({ "lines": [{ "lineNumber": 1, "quantity": 1, "condition": condition, "restock": restock }] });

    for body in [one("sellable", true), one("damaged", false)] {
        let received = ask(&client, "/orders/a/returns/r-1/receive", body).await;
        assert_eq!(received.status, 202, "{}", received.text());
    }
    let closed = ask(&client, "/orders/a/returns/r-1/cancel", json!({ "reason": "keeps one" })).await;
    assert_eq!(closed.status, 202, "{}", closed.text());

    let paid = |order: &Value| order["refunded"]["amount"] == "259.98" && mails(order, "order-refunded") == 2;
    let order = shown(&client, "a", paid).await;
    assert_eq!(order["paymentStatus"], "partiallyRefunded");
    assert_eq!((&order["returnsStatus"], &order["lines"][0]["returned"]), (&json!("partiallyReturned"), &json!(2)));
    assert_eq!(order["returns"][0]["receipts"].as_array().map(Vec::len), Some(2));
    let stock = client.get("/stock/sku-123").await.json();
    assert_eq!([&stock["onHand"], &stock["reserved"], &stock["sold"]], [3, 0, 3]);
    // `ordo verify` agrees.
    at_rest(&ordo.database, 1, PATIENCE).await;
}

#[tokio::test]
async fn a_mail_goes_out_once_more_for_each_time_that_it_is_wanted() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    client.order(&demo_order("a")).await;
    let order = shown(&client, "a", |order| mails(order, "order-confirmed") == 1).await;
    let first = order["mails"][0]["notificationId"].as_str().unwrap().to_owned();
    let path = format!("/orders/a/mails/{first}/resend");
    let headers = [("content-type", "application/json"), ("idempotency-key", "k-1")];

    for _ in 0..2 {
        let asked = client.send_with(Method::POST, &path, &headers, "{}").await;
        assert_eq!(asked.status, 202, "{}", asked.text());
        shown(&client, "a", |order| mails(order, "order-confirmed") == 2).await;
    }

    // Another key, and the id that it has by now: it is wanted another time.
    let order = shown(&client, "a", |order| mails(order, "order-confirmed") == 2).await;
    let ids: HashSet<&str> =
        order["mails"].as_array().unwrap().iter().map(|it| it["notificationId"].as_str().unwrap()).collect();
    let second = ids.iter().find(|id| **id != first).unwrap();
    assert_eq!(ask(&client, &format!("/orders/a/mails/{second}/resend"), json!({})).await.status, 202);
    shown(&client, "a", |order| mails(order, "order-confirmed") == 3).await;
    at_rest(&ordo.database, 1, PATIENCE).await;
}

#[tokio::test]
async fn a_held_order_is_paid_for_and_confirmed_and_ships_once_it_is_released() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    client.order(&demo_order("a")).await;
    assert_eq!(ask(&client, "/orders/a/hold", json!({ "holdId": "h-1", "reason": "fraud check" })).await.status, 201);
    let order = settled(&client, "a").await;
    assert_eq!((&order["status"], &order["paymentStatus"]), (&json!("confirmed"), &json!("authorized")), "{order}");
    assert_eq!(order["holds"][0]["reason"], "fraud check");
    let refused = ask(&client, "/orders/a/ship", json!({})).await.problem(409);
    assert_eq!(refused["code"], "on-hold");
    assert_eq!(ask(&client, "/orders/a/release", json!({})).await.status, 200);

    let parcels = json!({ "shipmentId": "s-1", "carrier": "UPS", "tracking": "wrong" });
    assert_eq!(ask(&client, "/orders/a/ship", parcels).await.status, 202);
    shown(&client, "a", |order| mails(order, "order-shipped") == 1).await;
    let right = json!({ "parcels": [{ "carrier": "UPS", "tracking": "right" }] }).to_string();
    let json_body = [("content-type", JSON)];
    let put = client.send_with(Method::PUT, "/orders/a/shipments/s-1/parcels", &json_body, right).await;
    assert_eq!(put.status, 200, "{}", put.text());

    let order = shown(&client, "a", |order| order["shipments"][0]["tracking"] == "right").await;
    assert!(order.get("holds").is_none(), "{order}");
    // Nobody is told a second time.
    at_rest(&ordo.database, 1, PATIENCE).await;
    assert_eq!(mails(&client.get("/orders/a").await.json(), "order-shipped"), 1);
}

#[tokio::test]
async fn a_confirmed_order_that_is_called_off_holds_nothing_and_says_why() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    client.order(&demo_order("a")).await;
    settled(&client, "a").await;

    let asked = ask(&client, "/orders/a/cancel", json!({ "reason": "changed my mind" })).await;
    assert_eq!(asked.status, 202, "{}", asked.text());

    let order = shown(&client, "a", |order| mails(order, "order-cancelled") == 1).await;
    assert_eq!((&order["status"], &order["reason"]), (&json!("cancelled"), &json!("changed my mind")));
    assert_eq!((&order["paymentStatus"], &order["fulfilmentStatus"]), (&json!("voided"), &json!("none")));
    let problem = ask(&client, "/orders/a/ship", json!({})).await.problem(409);
    assert_eq!(
        (&problem["code"], &problem["allowed"]),
        (&json!("not-allowed"), &json!(["mails/{notificationId}/resend", "notes"]))
    );
}

#[tokio::test]
async fn an_order_that_is_called_off_at_once_has_one_end() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    for nth in 0..20 {
        let id = format!("o-{nth}");
        client.order(&demo_order(&id)).await;
        assert_eq!(ask(&client, &format!("/orders/{id}/cancel"), json!({})).await.status, 202);
    }
    for nth in 0..20 {
        let order = shown(&client, &format!("o-{nth}"), |order| mails(order, "order-cancelled") == 1).await;
        assert_eq!(order["status"], "cancelled", "{order}");
        // No authorization was asked for before it was called off, or it was let go of.
        assert!(["none", "voided"].iter().any(|status| order["paymentStatus"] == *status), "{order}");
        assert_eq!(order["fulfilmentStatus"], "none", "{order}");
        assert_eq!(order["captured"]["amount"], "0.00", "{order}");
    }
}

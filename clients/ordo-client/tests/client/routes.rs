//! Each method asks what it is for.

use std::time::Duration;

use chrono::{DateTime, Utc};
use ordo_client::{
    Client, LineQuantity, NewCancellation, NewDelivery, NewHold, NewNote, NewReceipt, NewRefund, NewRelease, NewReturn,
    NewReturnCancellation, NewShipment, NewTracking, NewTrackingInfo, ReceivedLine,
};

use crate::fake_server::{FakeServer, answer, json};
use crate::impatient;

fn units() -> Vec<LineQuantity> {
    vec![LineQuantity { line_number: 1, quantity: 2.into() }]
}

/// The request line and the body that a call sends. What is answered does not matter here.
async fn sent<T>(call: impl AsyncFnOnce(Client) -> T) -> String {
    let server = FakeServer::with([json("{}")]).await;
    let client = impatient(&server.url).connect_timeout(Duration::from_secs(5)).build().unwrap();
    call(client).await;
    let request = server.requests().remove(0);
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let line = head.lines().next().unwrap().strip_suffix(" HTTP/1.1").unwrap();
    format!("{line} {body}").trim_end().to_owned()
}

#[tokio::test]
async fn commands_of_an_order() {
    let cancel = NewCancellation { reason: Some("r".into()), lines: units(), cancellation_id: None };
    let done = sent(async |client| client.cancel_order("o", &cancel).await.is_ok()).await;
    assert_eq!(done, r#"POST /orders/o/cancel {"reason":"r","lines":[{"lineNumber":1,"quantity":2}]}"#);
    let parcels = vec![NewTrackingInfo { carrier: Some("DHL".into()), tracking: None }];
    let ship = NewShipment { parcels, ..NewShipment::default() };
    let done = sent(async |client| client.ship_order("o", &ship).await.is_ok()).await;
    assert_eq!(done, r#"POST /orders/o/ship {"parcels":[{"carrier":"DHL"}]}"#);
    assert_eq!(sent(async |client| client.deliver_order("o").await.is_ok()).await, "POST /orders/o/deliver");
    let delivery = NewDelivery { delivered_at: Some("2026-11-24T09:30:00Z".parse().unwrap()) };
    let done = sent(async |client| client.deliver_shipment("o", "s", &delivery).await.is_ok()).await;
    assert_eq!(done, r#"POST /orders/o/shipments/s/deliver {"deliveredAt":"2026-11-24T09:30:00Z"}"#);
    let tracking = NewTracking { parcels: vec![NewTrackingInfo { carrier: None, tracking: Some("1Z".into()) }] };
    let done = sent(async |client| client.change_tracking("o", "s", &tracking).await.is_ok()).await;
    assert_eq!(done, r#"PUT /orders/o/shipments/s/parcels {"parcels":[{"tracking":"1Z"}]}"#);
    let hold = NewHold { hold_id: None, reason: "r".into() };
    let done = sent(async |client| client.hold_order("o", &hold).await.is_ok()).await;
    assert_eq!(done, r#"POST /orders/o/hold {"reason":"r"}"#);
    let release = NewRelease { hold_id: Some("h".into()) };
    let done = sent(async |client| client.release_order("o", &release).await.is_ok()).await;
    assert_eq!(done, r#"POST /orders/o/release {"holdId":"h"}"#);
    let back = NewReturn { lines: units(), ..NewReturn::default() };
    let done = sent(async |client| client.request_return("o", &back).await.is_ok()).await;
    assert_eq!(done, r#"POST /orders/o/returns {"lines":[{"lineNumber":1,"quantity":2}]}"#);
    let done = sent(async |client| client.receive_return("o", "r").await.is_ok()).await;
    assert_eq!(done, "POST /orders/o/returns/r/receive");
    let good = ReceivedLine { line_number: 1, quantity: 2.into(), condition: Some("sellable".into()), restock: true };
    let receipt = NewReceipt { receipt_id: None, lines: vec![good], location: None };
    let done = sent(async |client| client.receive_part_of_return("o", "r", &receipt).await.is_ok()).await;
    let body = r#"{"lines":[{"lineNumber":1,"quantity":2,"condition":"sellable","restock":true}]}"#;
    assert_eq!(done, format!("POST /orders/o/returns/r/receive {body}"));
    let cancel = NewReturnCancellation { reason: Some("keeps it".into()) };
    let done = sent(async |client| client.cancel_return("o", "r", &cancel).await.is_ok()).await;
    assert_eq!(done, r#"POST /orders/o/returns/r/cancel {"reason":"keeps it"}"#);
    let refund = NewRefund { amount: Some("1.50".into()), ..NewRefund::default() };
    let done = sent(async |client| client.refund_order("o", &refund).await.is_ok()).await;
    assert_eq!(done, r#"POST /orders/o/refunds {"amount":"1.50"}"#);
    let done = sent(async |client| client.resend_mail("o", "m").await.is_ok()).await;
    assert_eq!(done, "POST /orders/o/mails/m/resend");
    let note = NewNote { text: "t".into(), author: Some("a".into()), note_id: None };
    let done = sent(async |client| client.add_note("o", &note).await.is_ok()).await;
    assert_eq!(done, r#"POST /orders/o/notes {"text":"t","author":"a"}"#);
}

#[tokio::test]
async fn questions_about_orders() {
    let done = sent(async |client| client.order("o").as_of_version(3).await.is_ok()).await;
    assert_eq!(done, "GET /orders/o?asOf=3");
    let at: DateTime<Utc> = "2026-11-30T03:07:09.5+01:00".parse().unwrap();
    let done = sent(async |client| client.order("o").as_of(at).await.is_ok()).await;
    assert_eq!(done, "GET /orders/o?asOf=2026-11-30T02%3A07%3A09.500000Z");
    let list = async |client: Client| {
        let orders =
            client.orders().customer_id("c").sku("a&b").status("confirmed").from("2026-11-01").to("2026-12-01");
        orders.held(true).limit(5).min_position(7).page(Some("k")).await.is_ok()
    };
    let expected = "GET /orders?customerId=c&sku=a%26b&status=confirmed&from=2026-11-01&to=2026-12-01&held=true&limit=5&minPosition=7&cursor=k";
    assert_eq!(sent(list).await, expected);
    assert_eq!(
        sent(async |it| it.timeline("o").min_position(7).page(None).await.is_ok()).await,
        "GET /orders/o/events?minPosition=7"
    );
    assert_eq!(sent(async |it| it.shipments("o").page(None).await.is_ok()).await, "GET /orders/o/shipments");
    assert_eq!(sent(async |it| it.cancellations("o").page(None).await.is_ok()).await, "GET /orders/o/cancellations");
    assert_eq!(sent(async |it| it.returns("o").page(None).await.is_ok()).await, "GET /orders/o/returns");
    assert_eq!(sent(async |it| it.refunds("o").page(None).await.is_ok()).await, "GET /orders/o/refunds");
    assert_eq!(sent(async |it| it.notes("o").page(None).await.is_ok()).await, "GET /orders/o/notes");
    assert_eq!(sent(async |it| it.mails("o").page(None).await.is_ok()).await, "GET /orders/o/mails");
}

#[tokio::test]
async fn stock_and_sales() {
    let done = sent(async |it| it.receive_stock("a/b", 10).await.is_ok()).await;
    assert_eq!(done, r#"POST /stock/a%2Fb/receive {"quantity":10}"#);
    let done = sent(async |it| it.adjust_stock("a", -3, "counted").await.is_ok()).await;
    assert_eq!(done, r#"POST /stock/a/adjust {"delta":-3,"reason":"counted"}"#);
    let done = sent(async |it| it.sales("2026-11-20", "2026-11-21").await.is_ok()).await;
    assert_eq!(done, "GET /sales?from=2026-11-20&to=2026-11-21");
}

#[tokio::test]
async fn what_operators_ask() {
    assert_eq!(sent(async |it| it.sagas("stuck").page(None).await.is_ok()).await, "GET /sagas?state=stuck");
    assert_eq!(sent(async |it| it.order_sagas("o").await.is_ok()).await, "GET /orders/o/saga");
    assert_eq!(sent(async |it| it.replays().await.is_ok()).await, "GET /admin/replays");
    assert_eq!(sent(async |it| it.replay_progress("r").await.is_ok()).await, "GET /admin/replays/r");
    assert_eq!(sent(async |it| it.cancel_replay("r").await.is_ok()).await, "DELETE /admin/replays/r");
    let done = sent(async |it| it.get(&["metrics", "a"], &[("b", "c")]).await.is_ok()).await;
    assert_eq!(done, "GET /metrics/a?b=c");
}

#[tokio::test]
async fn an_answer_without_content_is_one() {
    let server = FakeServer::with([answer(204, "application/json", "", "")]).await;
    impatient(&server.url).build().unwrap().cancel_replay("r").await.unwrap();
}

#[tokio::test]
async fn a_base_may_have_a_path() {
    let server = FakeServer::with([json(r#"{"sku":"a","tracked":false}"#)]).await;
    let client = impatient(&format!("{}/v1/", server.url)).build().unwrap();
    client.stock_level("a").await.unwrap();
    assert!(server.requests()[0].starts_with("GET /v1/stock/a HTTP/1.1\r\n"), "{:?}", server.requests());
}

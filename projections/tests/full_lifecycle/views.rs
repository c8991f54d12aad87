//! What `GET /orders/{id}` shows after each event.

use axum::body::Body;
use domain::ids::{
    CancellationId, HoldId, LocationId, NoteId, PaymentToken, ReceiptId, RefundId, ReturnId, ShipmentId, Sku,
};
use domain::order::OrderEvent;
use domain::order::event::{
    CancellationRequested, ItemCondition, LinesCancelled, NoteAdded, OrderCancelled, OrderDelivered, OrderHeld,
    OrderRejected, OrderReleased, Parcel, PaymentDeclined, PaymentVoided, ReceivedLine, RejectionReason,
    ReturnCancelled, ReturnReceived, ReturnRequested, ShipmentDelivered, ShipmentTrackingChanged, Shortage,
    StockReleased, StockReservationFailed,
};
use domain::order::parse::PostedOrder;
use domain::order::saga::{OperatorDecision, SagaStep};
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::events::{
    authorized, captured, confirmed, created, good_life, intervened, lines, refund_requested, reserved, shipped,
};
use crate::read_side::{ReadSide, statuses, usd};

#[tokio::test]
async fn who_has_a_version_already_is_not_sent_it_again() {
    let reads = ReadSide::running().await;
    let created = PostedOrder::parse(
        json!({ "customerId": "c", "currency": "USD", "totalAmount": 1,
                "items": [{ "sku": "s", "title": "S", "quantity": 1, "unitPrice": 1 }] })
        .to_string()
        .as_bytes(),
    );
    reads.after(OrderEvent::OrderCreated(created.unwrap().content)).await;
    let ask = async |uri: &str, name: &str, value: &str| {
        let request = Request::get(uri).header(name, value).body(Body::empty()).unwrap();
        let answer = reads.routes.clone().oneshot(request).await.unwrap();
        let (status, etag) = (answer.status().as_u16(), answer.headers().get("etag").cloned());
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(status == 304, body.is_empty(), "{uri} {name}: {value}");
        (status, etag.map(|etag| etag.to_str().unwrap().to_owned()))
    };
    for uri in ["/orders/a", "/orders/a?asOf=1"] {
        let etag = Some("\"1\"".to_owned());
        for known in ["\"1\"", "W/\"1\"", "\"7\", \"1\"", "*"] {
            assert_eq!(ask(uri, "if-none-match", known).await, (304, etag.clone()), "{uri} {known}");
        }
        assert_eq!(ask(uri, "if-none-match", "\"2\"").await, (200, etag.clone()), "{uri}");
        assert_eq!(ask(uri, "if-match", "\"1\"").await, (200, etag.clone()), "{uri}");
        assert_eq!(ask(uri, "if-match", "\"2\"").await.0, 412, "{uri}");
        assert_eq!(ask(uri, "if-none-match", "1").await.0, 400, "{uri}");
    }
    assert_eq!(ask("/orders/none", "if-none-match", "*").await.0, 404);
    assert_eq!(ask("/stock/none", "if-none-match", "\"0\"").await, (304, Some("\"0\"".to_owned())));
    assert_eq!(ask("/stock/none", "if-match", "*").await.0, 412);
    reads.end().await;
}

#[tokio::test]
async fn what_was_cancelled_of_an_order_is_shown_with_its_lines() {
    let reads = ReadSide::running().await;
    let before = reads
        .after_all([
            created(),
            reserved(),
            authorized(),
            confirmed(),
            shipped("s-1", &[(1, 1)]),
            captured("s-1", 1_000),
        ])
        .await;
    assert!(before.get("cancelled").is_none() && before.get("cancellations").is_none(), "{before}");
    let cancelled = OrderEvent::LinesCancelled(LinesCancelled {
        cancellation_id: CancellationId::parse("c-1").unwrap(),
        lines: lines(&[(1, 1), (2, 1)]),
        reason: Some("sold out".into()),
    });

    let view = reads.after(cancelled).await;

    assert_eq!(statuses(&view), ["confirmed", "captured", "shipped", "none"]);
    assert_eq!(view["cancelled"], json!({ "amount": "15.50", "currency": "USD" }));
    let counted = |line: &Value| [&line["shipped"], &line["cancelled"]].map(Value::as_u64);
    let counted: Vec<_> = view["lines"].as_array().unwrap().iter().map(counted).collect();
    assert_eq!(counted, [[Some(1), Some(1)], [Some(0), Some(1)]]);
    let [cancellation] = view["cancellations"].as_array().unwrap().as_slice() else { panic!("{view}") };
    assert_eq!((&cancellation["cancellationId"], &cancellation["reason"]), (&json!("c-1"), &json!("sold out")));
    let view =
        reads.after(OrderEvent::PaymentVoided(PaymentVoided { payment_number: None, released_minor: None })).await;
    assert_eq!(statuses(&view), ["confirmed", "captured", "shipped", "none"]);
}

#[tokio::test]
async fn a_shipment_is_shown_with_its_arrival() {
    let reads = ReadSide::running().await;
    let sent = [
        created(),
        reserved(),
        authorized(),
        confirmed(),
        shipped("s-1", &[(1, 1)]),
        shipped("s-2", &[(1, 1), (2, 1)]),
    ];
    reads.after_all(sent).await;
    let at = "2026-11-24T09:30:00Z";
    let arrived =
        ShipmentDelivered { shipment_id: ShipmentId::parse("s-1").unwrap(), delivered_at: Some(at.parse().unwrap()) };

    let view = reads.after(OrderEvent::ShipmentDelivered(arrived)).await;

    let arrivals = |view: &Value| {
        let shipments = view["shipments"].as_array().unwrap().iter();
        shipments.map(|it| it["deliveredAt"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(arrivals(&view), [json!(at), Value::Null]);
    // All of it arrives at once, whatever arrived before.
    let view = reads.after(OrderEvent::OrderDelivered(OrderDelivered {})).await;
    assert_eq!(statuses(&view)[0], "completed");
    assert_eq!(arrivals(&view), [json!(at), Value::Null]);
    let page = reads.get("/orders/a/shipments").await;
    assert_eq!(arrivals(&json!({ "shipments": page["items"] })), arrivals(&view));
    reads.end().await;
}

#[tokio::test]
async fn a_shipment_is_shown_with_the_parcels_that_were_named_last() {
    let reads = ReadSide::running().await;
    reads.after_all([created(), reserved(), authorized(), confirmed(), shipped("s-1", &[(1, 1)])]).await;
    let parcel = Parcel { carrier: None, tracking: Some("1Z9".into()) };
    for (parcels, shown) in [(vec![parcel.clone(), parcel], json!("1Z9")), (vec![], Value::Null)] {
        let (count, shipment_id) = (parcels.len(), ShipmentId::parse("s-1").unwrap());
        let changed = ShipmentTrackingChanged { shipment_id, parcels };
        let view = reads.after(OrderEvent::ShipmentTrackingChanged(changed)).await;
        let shipment = &view["shipments"][0];
        assert_eq!((shipment["parcels"].as_array().unwrap().len(), &shipment["tracking"]), (count, &shown), "{view}");
        assert_eq!(shipment["carrier"], Value::Null);
    }
    reads.end().await;
}

#[tokio::test]
async fn an_order_is_shown_with_its_holds_and_listed_by_whether_it_is_held() {
    let reads = ReadSide::running().await;
    let held = |id: &str| {
        OrderEvent::OrderHeld(OrderHeld { hold_id: HoldId::parse(id).unwrap(), reason: format!("because of {id}") })
    };
    let released = |id: &str| OrderEvent::OrderReleased(OrderReleased { hold_id: HoldId::parse(id).unwrap() });
    let ids = |view: &Value| {
        let holds = view["holds"].as_array().into_iter().flatten();
        holds.map(|hold| hold["holdId"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let listed = async |held: bool| reads.get(&format!("/orders?held={held}")).await["items"].as_array().unwrap().len();
    let view = reads.after_all([created(), held("h-1"), reserved(), authorized(), confirmed(), held("h-2")]).await;
    assert_eq!(ids(&view), ["h-1", "h-2"]);
    assert_eq!(view["holds"][0]["reason"], "because of h-1");
    assert_eq!((listed(true).await, listed(false).await), (1, 0));
    assert_eq!(ids(&reads.after(released("h-1")).await), ["h-2"]);
    assert_eq!(ids(&reads.after(released("h-2")).await), [""; 0]);
    assert_eq!((listed(true).await, listed(false).await), (0, 1));
    // Nothing that is undone can be shipped.
    assert_eq!(ids(&reads.after(held("h-3")).await), ["h-3"]);
    let view = reads.after(OrderEvent::CancellationRequested(CancellationRequested { reason: None })).await;
    assert!(view.get("holds").is_none(), "{view}");
    let rows = reads.rows().await.concat();
    assert_eq!(rows.matches("because of").count(), 0, "{rows}");
    reads.end().await;
}

#[tokio::test]
async fn a_return_is_shown_with_what_came_of_it_and_what_did_not() {
    let reads = ReadSide::running().await;
    let sent = [created(), reserved(), authorized(), confirmed(), shipped("s-1", &[(1, 2)]), captured("s-1", 2_000)];
    reads.after_all(sent).await;
    let return_id = ReturnId::parse("r-1").unwrap();
    let announced = ReturnRequested { return_id: return_id.clone(), lines: lines(&[(1, 2)]), reason: None };
    reads.after(OrderEvent::ReturnRequested(announced)).await;
    let good = ReceivedLine { line_number: 1, quantity: 1, condition: Some(ItemCondition::Sellable), restock: true };
    let received = OrderEvent::ReturnReceived(ReturnReceived {
        return_id: return_id.clone(),
        refund_minor: 1_000,
        receipt_id: Some(ReceiptId::parse("e-1").unwrap()),
        lines: vec![good],
        refund_id: Some(RefundId::parse("f-2").unwrap()),
        location: LocationId::parse("ulm").ok(),
    });
    let view = reads.after(received).await;
    assert_eq!(statuses(&view)[3], "partiallyReturned");
    let back = &view["returns"][0];
    assert!(back.get("receivedAt").is_none() && back["receipts"][0]["receivedAt"].is_string(), "{view}");
    assert_eq!((&back["receipts"][0]["receiptId"], &back["receipts"][0]["refundId"]), (&json!("e-1"), &json!("f-2")));
    let line = json!({ "lineNumber": 1, "quantity": 1, "condition": "sellable", "restock": true });
    assert_eq!((&back["receipts"][0]["lines"], &back["receipts"][0]["location"]), (&json!([line]), &json!("ulm")));
    assert_eq!((&view["refunds"][0]["refundId"], &view["lines"][0]["returned"]), (&json!("f-2"), &json!(1)));

    let reason = Some("keeps it".to_owned());
    let view = reads.after(OrderEvent::ReturnCancelled(ReturnCancelled { return_id, reason })).await;

    assert_eq!(statuses(&view)[3], "partiallyReturned");
    let back = &view["returns"][0];
    assert!(back["cancelledAt"].is_string() && back.get("receivedAt").is_none(), "{view}");
    assert_eq!(back["cancellationReason"], "keeps it");
    reads.end().await;
}

#[tokio::test]
async fn how_far_an_order_is_is_shown_after_every_event() {
    let reads = ReadSide::running().await;
    let expected = [
        ["pending", "none", "none", "none"],
        ["pending", "none", "reserved", "none"],
        ["pending", "unknown", "reserved", "none"],
        ["pending", "authorized", "reserved", "none"],
        ["confirmed", "authorized", "reserved", "none"],
        ["confirmed", "authorized", "partiallyShipped", "none"],
        ["confirmed", "partiallyCaptured", "partiallyShipped", "none"],
        ["confirmed", "partiallyCaptured", "shipped", "none"],
        ["confirmed", "captured", "shipped", "none"],
        ["completed", "captured", "delivered", "none"],
        ["completed", "captured", "delivered", "requested"],
        ["completed", "captured", "delivered", "partiallyReturned"],
        ["completed", "partiallyRefunded", "delivered", "partiallyReturned"],
    ];
    let life = good_life();
    assert_eq!(life.len(), expected.len());
    for (version, (event, expected)) in (1..).zip(life.into_iter().zip(expected)) {
        let name = event.name();
        let view = reads.after(event).await;
        assert_eq!(statuses(&view), expected, "{name}");
        assert_eq!(view["version"], version, "{name}");
    }
    reads.end().await;
}

#[tokio::test]
async fn what_was_sent_came_back_and_was_paid_is_listed() {
    let reads = ReadSide::running().await;
    let mut life = good_life();
    let (paid, received) = (life.pop().unwrap(), life.pop().unwrap());

    let view = reads.after_all(life).await;
    assert_eq!((&view["captured"], &view["refunded"]), (&usd("25.50"), &usd("0.00")));
    let quantities = |view: &Value| {
        let lines = view["lines"].as_array().unwrap().iter();
        lines
            .map(|line| [&line["quantity"], &line["shipped"], &line["returned"]].map(|n| n.as_u64().unwrap()))
            .collect()
    };
    let before: Vec<_> = quantities(&view);
    assert_eq!(before, [[2, 2, 0], [1, 1, 0]]);
    let [first, second] = view["shipments"].as_array().unwrap().as_slice() else { panic!("{view}") };
    assert_eq!(first["shipmentId"], "s-1");
    assert_eq!(second["lines"], json!([{ "lineNumber": 1, "quantity": 1 }, { "lineNumber": 2, "quantity": 1 }]));
    assert_eq!((&second["carrier"], &second["tracking"]), (&json!("DHL"), &json!("J-s-2")));
    assert_eq!(second["parcels"], json!([{ "carrier": "DHL", "tracking": "J-s-2" }, { "tracking": "K-s-2" }]));
    assert!(first["settled"] == true && second["settled"] == true);
    assert_eq!(view["returns"][0]["reason"], "too loud");
    assert!(view["returns"][0]["requestedAt"].is_string() && view["returns"][0]["receivedAt"].is_null());
    assert_eq!(view["refunds"], json!([]));

    let view = reads.after(received).await;
    let after: Vec<_> = quantities(&view);
    assert_eq!(after, [[2, 2, 1], [1, 1, 0]]);
    assert!(view["returns"][0]["receivedAt"].is_string());
    assert_eq!(view["refunds"][0]["status"], "requested");

    let view = reads.after(paid).await;
    let refund = &view["refunds"][0];
    assert_eq!(
        (&refund["refundId"], &refund["amount"], &refund["status"]),
        (&json!("r-1"), &usd("10.00"), &json!("refunded"))
    );
    assert!(refund["refundedAt"].is_string());
    assert_eq!(view["refunded"], usd("10.00"));
    reads.end().await;
}

#[tokio::test]
async fn an_order_that_could_not_be_promised_says_why() {
    let reads = ReadSide::running().await;
    let shortages = vec![Shortage { unit: None, sku: Sku::parse("headphones").unwrap(), requested: 2, available: 1 }];
    let failed = StockReservationFailed { shortages: shortages.clone(), other_units: vec![] };
    let undone = reads.after_all([created(), OrderEvent::StockReservationFailed(failed)]).await;
    let words = "not enough in stock: headphones (2 ordered, 1 left)";
    assert_eq!((&undone["status"], &undone["reason"]), (&json!("pending"), &json!(words)));

    let reason = RejectionReason::OutOfStock { shortages };
    let rejected = reads.after(OrderEvent::OrderRejected(OrderRejected { reason })).await;
    assert_eq!((&rejected["status"], &rejected["reason"]), (&json!("rejected"), &json!(words)));
    reads.end().await;
}

#[tokio::test]
async fn a_declined_order_holds_neither_units_nor_money() {
    let reads = ReadSide::running().await;
    let declined = PaymentDeclined { payment_number: None, code: "card_declined".into(), message: "no funds".into() };
    let events = [
        created(),
        reserved(),
        OrderEvent::PaymentDeclined(declined),
        OrderEvent::StockReleased(StockReleased { expired: false }),
    ];
    let view = reads.after_all(events).await;
    assert_eq!(statuses(&view), ["pending", "declined", "none", "none"]);
    assert_eq!(view["reason"], "the payment was declined: no funds");
    reads.end().await;
}

#[tokio::test]
async fn a_cancelled_order_says_why() {
    let reads = ReadSide::running().await;
    let reason = Some("changed my mind".to_owned());
    let requested = CancellationRequested { reason: reason.clone() };
    let events = [created(), reserved(), authorized(), confirmed(), OrderEvent::CancellationRequested(requested)];
    let view = reads.after_all(events).await;
    assert_eq!((&view["status"], &view["reason"]), (&json!("confirmed"), &json!("changed my mind")));
    assert_eq!(view["undoing"], true);

    let undone = [
        OrderEvent::PaymentVoided(PaymentVoided { payment_number: None, released_minor: None }),
        OrderEvent::StockReleased(StockReleased { expired: false }),
        OrderEvent::OrderCancelled(OrderCancelled { reason }),
    ];
    let view = reads.after_all(undone).await;
    assert_eq!(statuses(&view), ["cancelled", "voided", "none", "none"]);
    assert_eq!(view["reason"], "changed my mind");
    assert!(view["undoing"].is_null());
    reads.end().await;
}

#[tokio::test]
async fn what_an_operator_does_without_is_shown_as_that() {
    let reads = ReadSide::running().await;
    let mut events = vec![created(), reserved(), authorized(), confirmed(), shipped("s-1", &[(1, 2), (2, 1)])];
    events.extend([intervened(SagaStep::CapturePayment, OperatorDecision::Skip), refund_requested("f-1", 100)]);
    let view = reads.after_all(events).await;
    assert_eq!(view["shipments"][0]["settled"], true);
    assert_eq!(view["captured"], usd("0.00"));
    assert_eq!(view["refunds"][0]["status"], "requested");

    let view = reads.after(intervened(SagaStep::RefundPayment, OperatorDecision::Skip)).await;
    assert_eq!((&view["refunds"][0]["status"], &view["refunds"][0]["reason"]), (&json!("skipped"), &json!("goodwill")));
    reads.end().await;
}

#[tokio::test]
async fn notes_are_listed_beside_the_customers_own_words() {
    let reads = ReadSide::running().await;
    let note = |id: &str, text: &str, author: Option<&str>| {
        let author = author.map(str::to_owned);
        OrderEvent::NoteAdded(NoteAdded { note_id: NoteId::parse(id).unwrap(), text: text.into(), author })
    };
    let content = PostedOrder::parse(testkit::demo_order("a").to_string().as_bytes()).unwrap().content;
    let events =
        [OrderEvent::OrderCreated(content), note("n-2", "called back", Some("Ann")), note("n-1", "gift wrap", None)];
    let view = reads.after_all(events).await;
    assert_eq!(view["notes"], "REST Client sample order");
    let texts: Vec<_> = view["addedNotes"].as_array().unwrap().iter().map(|note| note["text"].clone()).collect();
    assert_eq!(texts, ["called back", "gift wrap"]);
    assert_eq!(view["addedNotes"][0]["author"], "Ann");
    reads.end().await;
}

#[tokio::test]
async fn what_pays_and_what_it_is_folded_from_are_shown_to_nobody() {
    let reads = ReadSide::running().await;
    let token = PaymentToken::parse("tok_other_secret").unwrap();
    let retry = OperatorDecision::Retry { payment_token: Some(token) };
    let view = reads.after_all([created(), reserved(), intervened(SagaStep::AuthorizePayment, retry)]).await;
    let (timeline, page) = (reads.get("/orders/a/events").await, reads.get("/customers/customer-42/orders").await);
    assert_eq!(timeline["items"][2]["data"]["actor"], "ann");
    assert_eq!(page["items"][0]["fulfilmentStatus"], "reserved");
    for answer in [view, timeline, page] {
        assert!(!answer.to_string().contains("secret"), "{answer}");
        assert!(!answer.to_string().contains("folded"), "{answer}");
    }
    assert!(!reads.rows().await.concat().contains("secret"));
    reads.end().await;
}

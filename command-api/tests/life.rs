//! What can be asked of an order that is there: the answers, and what is stored.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use axum::Router;
use axum::body::Body;
use chrono::DateTime;
use domain::ids::ShipmentId;
use domain::order::event::{PaymentAuthorized, PaymentCaptured, StockReserved};
use domain::order::parse::PostedOrder;
use domain::order::{Order, OrderCommand, OrderEvent, OrderLimits, decide};
use event_store::{EventStore, Loaded, Metadata, SingleWriter, StoreSettings};
use http::{HeaderMap, Request};
use serde_json::{Value, json};
use testkit::Database;
use tower::ServiceExt;

/// The write side of a database.
struct Shop {
    _database: Database,
    store: EventStore,
    routes: Router,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Shop {
    async fn open() -> Self {
        let database = testkit::database().await;
        let store = EventStore::start(database.pool().clone(), StoreSettings::default());
        let stock = SingleWriter::new(store.clone(), 16);
        let routes = command_api::routes(store.clone(), stock, OrderLimits::default());
        Self { routes, _database: database, store }
    }

    /// A shop with an order `a`: two headphones at 10.00 and a cable at 5.50, confirmed.
    async fn with_confirmed_order() -> Self {
        let shop = Self::open().await;
        shop.confirm("a").await;
        shop
    }

    /// The same with all of it sent and paid for.
    async fn with_shipped_order() -> Self {
        let shop = Self::with_confirmed_order().await;
        assert_eq!(shop.post("/orders/a/ship", json!({ "shipmentId": "s-1" })).await.status, 202);
        let shipment_id = ShipmentId::parse("s-1").unwrap();
        let captured = PaymentCaptured { shipment_id, amount_minor: 2_550, reference: "cap-1".into() };
        shop.does("a", OrderCommand::RecordPaymentCaptured(captured)).await;
        shop
    }

    async fn confirm(&self, order_id: &str) {
        let body = json!({
            "customerId": "customer-42", "currency": "USD", "totalAmount": "25.50",
            "items": [{ "sku": "headphones", "title": "Headphones", "quantity": 2, "unitPrice": 10 },
                      { "sku": "cable", "title": "Cable", "quantity": 1, "unitPrice": "5.50" }]
        });
        let content = PostedOrder::parse(body.to_string().as_bytes()).unwrap().content;
        let expires_at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let authorized = PaymentAuthorized { reference: "pay-1".into(), amount_minor: 2_550 };
        self.does(order_id, OrderCommand::CreateOrder(content)).await;
        self.does(order_id, OrderCommand::RecordStockReserved(StockReserved { units: vec![], expires_at })).await;
        self.does(order_id, OrderCommand::RecordPaymentAuthorized(authorized)).await;
        self.does(order_id, OrderCommand::ConfirmOrder).await;
    }

    async fn does(&self, order_id: &str, command: OrderCommand) {
        let known = self.load(order_id).await;
        let decide = |order: &Order| decide(order, command.clone());
        self.store.execute(order_id, known, &Metadata::default(), decide).await.unwrap();
    }

    async fn load(&self, order_id: &str) -> Loaded<Order> {
        self.store.load(order_id).await.unwrap()
    }

    async fn version(&self) -> i64 {
        self.load("a").await.version
    }

    async fn last_event(&self) -> OrderEvent {
        self.store.read_stream::<Order>("a").await.unwrap().last().unwrap().decode::<Order>().unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.post_with(path, body, &[]).await
    }

    async fn post_with(&self, path: &str, body: Value, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::post(path).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let answer = self.routes.clone().oneshot(request).await.unwrap();
        let (head, body) = answer.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{body:?}")),
        }
    }
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    fn violation(&self) -> (&str, &str) {
        assert_eq!(self.status, 422, "{}", self.body);
        let [only] = self.body["errors"].as_array().unwrap().as_slice() else { panic!("{}", self.body) };
        (only["pointer"].as_str().unwrap(), only["code"].as_str().unwrap())
    }
}

#[tokio::test]
async fn an_order_is_posted_only_if_what_is_there_is_what_the_client_says() {
    let shop = Shop::open().await;
    let order = |id: &str, amount: &str| {
        json!({
            "orderId": id, "customerId": "customer-42", "currency": "USD", "totalAmount": amount,
            "items": [{ "sku": "cable", "title": "Cable", "quantity": 1, "unitPrice": amount }]
        })
    };
    let post = async |id: &str, amount: &str, headers: &[(&str, &str)]| {
        let answer = shop.post_with("/orders", order(id, amount), headers).await;
        (answer.status, answer.body["currentVersion"].as_i64())
    };
    // New ones.
    assert_eq!(post("a", "5.50", &[("if-match", "*")]).await, (412, Some(0)));
    assert_eq!(post("a", "5.50", &[("if-match", "\"1\"")]).await, (412, Some(0)));
    assert_eq!(post("a", "5.50", &[("if-match", "one")]).await, (400, None));
    assert_eq!(shop.version().await, 0);
    let once = [("if-none-match", "*"), ("idempotency-key", "k-1")];
    assert_eq!(post("a", "5.50", &once).await, (201, None));
    assert_eq!(post("b", "5.50", &[("if-match", "\"0\"")]).await, (201, None));

    // One that is there.
    assert_eq!(post("a", "5.50", &[("if-none-match", "*")]).await, (412, Some(1)));
    assert_eq!(post("a", "7.50", &[("if-none-match", "*")]).await, (412, Some(1)));
    assert_eq!(post("a", "5.50", &[("if-match", "\"0\"")]).await, (412, Some(1)));
    assert_eq!(post("a", "5.50", &[("if-match", "*")]).await, (201, None));
    assert_eq!(post("a", "5.50", &[("if-match", "\"1\"")]).await, (201, None));
    // What was carried out is answered as it was.
    assert_eq!(post("a", "5.50", &once).await, (201, None));
    assert_eq!(shop.version().await, 1);
    let note = shop.post_with("/orders/a/notes", json!({ "text": "x" }), &[("if-none-match", "\"1\"")]).await;
    assert_eq!((note.status, &note.body["currentVersion"]), (412, &json!(1)));
}

#[tokio::test]
async fn every_command_is_stored_and_answered_with_where_the_order_is_now() {
    let shop = Shop::with_confirmed_order().await;
    let one = json!([{ "lineNumber": 1, "quantity": 1 }]);
    let captured = PaymentCaptured {
        shipment_id: ShipmentId::parse("s-1").unwrap(),
        amount_minor: 1_000,
        reference: "cap-1".into(),
    };
    for (path, body, status, field, event) in [
        ("ship", json!({ "shipmentId": "s-1", "lines": one, "carrier": "DHL" }), 202, "shipmentId", "OrderShipped"),
        ("ship", json!({ "parcels": [{ "tracking": "1Z9" }] }), 202, "shipmentId", "OrderShipped"),
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
                shipment_id: shipment.id.clone(),
                amount_minor: order.worth_minor(&shipment.lines),
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
    assert_eq!(stored.last().unwrap().metadata().actor.as_deref(), Some("shop"));
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
async fn what_it_is_not_the_time_for_is_refused_with_what_can_be_asked_instead() {
    let shop = Shop::with_confirmed_order().await;
    let refused = shop.post("/orders/a/deliver", json!({})).await;
    assert_eq!((refused.status, &refused.body["code"]), (409, &json!("not-allowed")), "{}", refused.body);
    assert_eq!(refused.body["stage"], "confirmed");
    assert_eq!(refused.body["allowed"], json!(["cancel", "ship", "notes"]));
    assert_eq!(
        refused.body["detail"],
        "the order is confirmed: deliver is not possible; possible: cancel, ship, notes"
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
            ("ship", json!({})),
            ("deliver", json!({})),
            ("returns", lines.clone()),
            ("returns/r-1/receive", json!({})),
            ("refunds", json!({})),
            ("notes", json!({ "text": "x" })),
        ] {
            let answer = shop.post(&format!("/orders/{order_id}/{path}"), body).await;
            assert_eq!((answer.status, &answer.body["code"]), (404, &json!("not-found")), "{order_id} {path}");
        }
    }
    for return_id in ["r-1", "a%20b"] {
        let answer = shop.post(&format!("/orders/a/returns/{return_id}/receive"), json!({})).await;
        assert_eq!(answer.status, 404, "{return_id}: {}", answer.body);
    }
    assert_eq!(shop.version().await, before);
    shop.store.close().await;
}

#[tokio::test]
async fn a_body_must_be_json_where_there_has_to_be_one() {
    let shop = Shop::with_confirmed_order().await;
    for path in ["returns", "notes"] {
        let nothing = Request::post(format!("/orders/a/{path}")).body(Body::empty()).unwrap();
        assert_eq!(shop.send(nothing).await.status, 415, "{path}");
    }
    for path in ["cancel", "deliver", "returns/r-1/receive", "ship"] {
        let text = Request::post(format!("/orders/a/{path}")).header("content-type", "text/plain");
        assert_eq!(shop.send(text.body(Body::from("{}")).unwrap()).await.status, 415, "{path}");
        assert_eq!(shop.post(&format!("/orders/a/{path}"), json!([])).await.status, 400, "{path}");
        let unknown = shop.post(&format!("/orders/a/{path}"), json!({ "colour": "red" })).await;
        assert_eq!(unknown.violation(), ("/colour", "unknown_field"), "{path}");
    }
    assert_eq!(shop.version().await, 4);
    shop.store.close().await;
}

#[tokio::test]
async fn a_command_that_is_meant_for_another_version_changes_nothing() {
    let shop = Shop::with_confirmed_order().await;
    let ship = async |version: &str| shop.post_with("/orders/a/ship", json!({}), &[("if-match", version)]).await;
    let old = ship("\"3\"").await;
    assert_eq!((old.status, &old.body["code"]), (412, &json!("precondition-failed")), "{}", old.body);
    assert_eq!(old.body["currentVersion"], 4);
    assert_eq!(ship("4").await.status, 400);
    assert_eq!(shop.version().await, 4);

    assert_eq!(ship("\"4\"").await.status, 202);
    let note = shop.post_with("/orders/a/notes", json!({ "text": "x" }), &[("if-match", "*")]).await;
    assert_eq!(note.status, 201);
    shop.store.close().await;
}

#[tokio::test]
async fn a_request_that_comes_again_under_its_key_gets_its_first_answer_again() {
    let shop = Shop::with_confirmed_order().await;
    shop.confirm("b").await;
    // Each would be refused, or do more, without its key: what is left is sent already, and the version has moved on.
    let one = json!({ "lines": [{ "lineNumber": 1, "quantity": 1 }] });
    for (path, body, headers) in [
        ("ship", one.clone(), vec![("idempotency-key", "k-1")]),
        ("ship", json!({}), vec![("idempotency-key", "k-2"), ("if-match", "\"5\"")]),
        ("deliver", json!({}), vec![("idempotency-key", "k-1")]),
        ("returns", one.clone(), vec![("idempotency-key", "k-1")]),
        ("notes", json!({ "text": "x" }), vec![("idempotency-key", "k-1")]),
        ("notes", json!({ "text": "x", "noteId": "n-1" }), vec![("idempotency-key", "k-2")]),
    ] {
        let path = format!("/orders/a/{path}");
        let first = shop.post_with(&path, body.clone(), &headers).await;
        assert!(first.status < 300, "{path}: {}", first.body);
        assert_eq!(first.header("idempotent-replayed"), "");
        let version = shop.version().await;

        let again = shop.post_with(&path, body, &headers).await;

        assert_eq!((again.status, &again.body), (first.status, &first.body), "{path}");
        for header in ["etag", "event-position", "location"] {
            assert_eq!(again.header(header), first.header(header), "{path}: {header}");
        }
        assert_eq!(again.header("idempotent-replayed"), "true");
        assert_eq!(shop.version().await, version);
    }
    // A key is for one request: neither another body nor another order.
    let key = [("idempotency-key", "k-1")];
    for (path, body) in [("/orders/a/notes", json!({ "text": "y" })), ("/orders/b/notes", json!({ "text": "x" }))] {
        let reused = shop.post_with(path, body, &key).await;
        assert_eq!((reused.status, &reused.body["code"]), (422, &json!("idempotency-key-reused")), "{path}");
    }
    shop.store.close().await;
}

#[tokio::test]
async fn a_request_that_changes_nothing_takes_its_key() {
    let shop = Shop::with_confirmed_order().await;
    let note = json!({ "noteId": "n-1", "text": "x" });
    shop.post("/orders/a/notes", note.clone()).await;
    shop.post("/orders/a/notes", json!({ "noteId": "n-2", "text": "y" })).await;
    let key = [("idempotency-key", "k")];

    let first = shop.post_with("/orders/a/notes", note.clone(), &key).await;
    assert_eq!((first.status, &first.body["noteId"], &first.body["version"]), (201, &json!("n-1"), &json!(6)));
    shop.post("/orders/a/notes", json!({ "text": "z" })).await;

    let again = shop.post_with("/orders/a/notes", note, &key).await;
    assert_eq!((again.header("idempotent-replayed"), &again.body), ("true", &first.body));
    let other = shop.post_with("/orders/a/notes", json!({ "text": "another" }), &key).await;
    assert_eq!(other.status, 422);
    shop.store.close().await;
}

#[tokio::test]
async fn a_refused_command_leaves_its_key_free() {
    let shop = Shop::with_confirmed_order().await;
    let key = [("idempotency-key", "k")];
    assert_eq!(shop.post_with("/orders/a/deliver", json!({}), &key).await.status, 409);
    shop.post("/orders/a/ship", json!({})).await;
    assert_eq!(shop.post_with("/orders/a/deliver", json!({}), &key).await.status, 200);
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

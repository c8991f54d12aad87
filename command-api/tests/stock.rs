//! What came in and what was counted, from the request to the stored event.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use axum::Router;
use axum::body::Body;
use command_api::SupportRefundLimits;
use domain::ids::{LocationId, OrderId, Sku};
use domain::order::event::{PaymentAuthorized, SkuQuantity, StockReserved};
use domain::order::{Order, OrderCommand, decide};
use domain::stock;
use domain::stock::{ReservationMade, Stock, StockEvent};
use event_store::{AppendQueueSettings, EventStore, Metadata, StreamLocks, Versioned};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

struct Shop {
    _database: testkit::Database,
    store: EventStore,
    routes: Router,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Shop {
    async fn new() -> Self {
        let database = testkit::database().await;
        let store = EventStore::start(database.pool().clone(), AppendQueueSettings::default());
        let stock = StreamLocks::new(store.clone(), 100);
        let limits = domain::order::OrderGrowthLimits::default();
        let routes = command_api::routes(store.clone(), stock, limits, SupportRefundLimits::parse("none").unwrap());
        let routes = testkit::called_by_shop(routes).layer(problem::layer());
        Self { _database: database, store, routes }
    }

    async fn posts(&self, path: &str, body: Value, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::post(path).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_string())).unwrap();
        let answer = self.routes.clone().oneshot(request).await.unwrap();
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: head.status, headers: head.headers, body: serde_json::from_slice(&body).unwrap() }
    }

    async fn receives(&self, quantity: u32) -> Answer {
        self.posts("/stock/sku-1/receive", json!({ "quantity": quantity }), &[]).await
    }

    /// Has an order promised, with units of a SKU set aside for it.
    async fn promises(&self, order_id: &str, sku: &str, quantity: u32) {
        let (id, sku_id) = (OrderId::parse(order_id).unwrap(), Sku::parse(sku).unwrap());
        let expires_at = chrono::DateTime::UNIX_EPOCH;
        let made = StockEvent::ReservationMade(ReservationMade {
            unit: None,
            order_id: id,
            quantity,
            expires_at,
            location: LocationId::default(),
        });
        let reserve = |_: &Stock| Ok::<_, stock::StockError>(vec![made.clone()]);
        let known = self.store.load(sku).await.unwrap();
        self.store.execute(sku, known, &Metadata::default(), reserve).await.unwrap();
        let units = vec![SkuQuantity { sku: sku_id, quantity, location: LocationId::default() }];
        let authorized = PaymentAuthorized { payment_number: None, reference: "pay-1".into(), amount_minor: 4_000 };
        for command in [
            OrderCommand::RecordStockReserved(StockReserved { units, expires_at, backorders: vec![] }),
            OrderCommand::RecordPaymentAuthorized(authorized),
            OrderCommand::ConfirmOrder { mail_staff: false },
        ] {
            let known = self.store.load(order_id).await.unwrap();
            let decide = |order: &Order| decide(order, command.clone());
            self.store.execute(order_id, known, &Metadata::default(), decide).await.unwrap();
        }
    }

    /// How many there are, and at which version.
    async fn on_hand(&self, sku: &str) -> (i64, i64) {
        let stream: Versioned<Stock> = self.store.load(sku).await.unwrap();
        match stream.state {
            Stock::Untracked => (0, stream.version),
            Stock::Tracked(tracked) => (tracked.on_hand, stream.version),
        }
    }
}

fn code(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.body["code"].as_str().unwrap())
}

#[tokio::test]
async fn what_came_in_is_counted() {
    let shop = Shop::new().await;
    let first = shop.receives(10).await;
    assert_eq!(first.status, StatusCode::CREATED);
    assert_eq!(first.body, json!({ "status": "accepted", "sku": "sku-1", "version": 1, "position": 1 }));
    assert_eq!(first.headers["location"], "/stock/sku-1");
    assert_eq!((&first.headers["etag"], &first.headers["event-position"]), (&"\"1\"".parse().unwrap(), &1.into()));

    assert_eq!(shop.receives(5).await.status, StatusCode::OK);
    let counted = shop.posts("/stock/sku-1/adjust", json!({ "delta": -3, "reason": "counted" }), &[]).await;
    assert_eq!((counted.status, &counted.body["version"]), (StatusCode::OK, &json!(3)));
    assert_eq!(shop.on_hand("sku-1").await, (12, 3));

    let events = shop.store.read_stream::<Stock>("sku-1").await.unwrap();
    assert_eq!(events[0].metadata().actor.as_deref(), Some("shop:test"));
    assert!(events.iter().all(|event| event.metadata().traceparent.is_some()));
}

#[tokio::test]
async fn units_are_received_and_counted_at_a_location() {
    let shop = Shop::new().await;
    shop.receives(10).await;
    let there = json!({ "quantity": 2, "location": "berlin" });
    assert_eq!(shop.posts("/stock/sku-1/receive", there, &[]).await.status, StatusCode::OK);
    let fewer = |location: &str| json!({ "delta": -3, "reason": "counted", "location": location });
    let refused = shop.posts("/stock/sku-1/adjust", fewer("berlin"), &[]).await;
    assert_eq!((code(&refused), &refused.body["reserved"]), ((409, "below-reserved"), &json!(0)));
    assert_eq!(refused.body["detail"], "there are fewer than that: the count can't be below 0, at berlin");
    let moved = json!({ "from": "berlln", "to": "ulm", "quantity": 1 });
    let refused = shop.posts("/stock/sku-1/transfer", moved, &[]).await;
    assert_eq!(
        (code(&refused), &refused.body["detail"]),
        ((409, "not-enough"), &json!("only 0 are available, at berlln"))
    );
    assert_eq!(shop.posts("/stock/sku-1/adjust", fewer("default"), &[]).await.status, StatusCode::OK);
    assert_eq!(shop.on_hand("sku-1").await, (9, 3));
    let unclear = shop.posts("/stock/sku-1/receive", json!({ "quantity": 1, "location": "" }), &[]).await;
    assert_eq!((code(&unclear), &unclear.body["errors"][0]["pointer"]), ((422, "invalid"), &json!("/location")));
}

#[tokio::test]
async fn units_are_moved_as_far_as_they_are_not_promised() {
    let shop = Shop::new().await;
    let shop = &shop;
    let moves = |quantity: u32, key: &'static str| async move {
        let body = json!({ "from": "default", "to": "berlin", "quantity": quantity });
        shop.posts("/stock/sku-1/transfer", body, &[("idempotency-key", key)]).await
    };
    assert_eq!(code(&moves(1, "first").await), (409, "not-tracked"));
    shop.receives(3).await;
    assert_eq!(moves(2, "two").await.status, StatusCode::OK);
    let refused = moves(2, "more").await;
    assert_eq!((code(&refused), &refused.body["available"]), ((409, "not-enough"), &json!(1)));
    // The same under the same key is done once.
    let again = moves(2, "two").await;
    assert_eq!((again.status, &again.body["version"]), (StatusCode::OK, &json!(2)));
    assert_eq!(shop.on_hand("sku-1").await, (3, 2));
    let nowhere = json!({ "from": "berlin", "to": "berlin", "quantity": 1 });
    let unclear = shop.posts("/stock/sku-1/transfer", nowhere, &[]).await;
    assert_eq!((code(&unclear), &unclear.body["errors"][0]["pointer"]), ((422, "invalid"), &json!("/to")));
}

#[tokio::test]
async fn a_threshold_is_set_and_says_what_it_makes_of_the_sku() {
    let shop = Shop::new().await;
    let shop = &shop;
    let sets = |body: Value| async move { shop.posts("/stock/sku-1/low-stock", body, &[]).await };
    assert_eq!(code(&sets(json!({ "threshold": 5 })).await), (409, "not-tracked"));
    shop.receives(4).await;
    // What changes nothing makes nothing, at the first version too.
    for (path, none) in [("low-stock", json!({ "threshold": 0 })), ("backorder", json!({ "limit": 0 }))] {
        let kept = shop.posts(&format!("/stock/sku-1/{path}"), none, &[]).await;
        assert_eq!((kept.status, &kept.body["version"]), (StatusCode::OK, &json!(1)), "{path}");
    }
    let set = sets(json!({ "threshold": 5 })).await;
    assert_eq!((set.status, &set.body["version"]), (StatusCode::OK, &json!(3)), "both are stored at once");
    let again = sets(json!({ "threshold": 5 })).await;
    assert_eq!((again.status, &again.body["version"]), (StatusCode::OK, &json!(3)));
    shop.receives(1).await;
    let events = shop.store.read_stream::<Stock>("sku-1").await.unwrap();
    let names: Vec<_> = events.iter().map(|event| event.event_type.as_str()).collect();
    let expected = ["StockReceived", "LowStockThresholdSet", "StockRanLow", "StockReceived", "StockRecovered"];
    assert_eq!(names, expected);
    let unclear = sets(json!({ "threshold": -1, "location": "ulm" })).await;
    let pointers = [&unclear.body["errors"][0]["pointer"], &unclear.body["errors"][1]["pointer"]];
    assert_eq!((code(&unclear), pointers), ((422, "invalid"), [&json!("/location"), &json!("/threshold")]));
    let other = sets(json!({ "threshold": "1.5", "unit": "kg" })).await;
    assert_eq!((code(&other), &other.body["pointer"]), ((409, "other-unit"), &json!("/unit")));
    assert_eq!(other.body["sku"], "sku-1");
}

#[tokio::test]
async fn a_body_that_is_wrong_is_told_where() {
    let shop = Shop::new().await;
    let answer = shop.posts("/stock/sku-1/adjust", json!({ "delta": 0, "why": "" }), &[]).await;
    let pointers: Vec<_> =
        answer.body["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    assert_eq!((code(&answer), pointers), ((422, "invalid"), vec!["/why", "/delta", "/reason"]));
    assert_eq!(code(&shop.receives(0).await), (422, "invalid"));
    assert_eq!(code(&shop.posts("/stock/sku-1/receive", json!([]), &[]).await), (400, "malformed"));
    for path in [
        "/stock/%20b/receive",
        "/stock/a%E2%80%8Bb/receive",
        "/stock/U%CC%88/receive",
        "/stock/%00/adjust",
        "/stock/%ff/receive",
    ] {
        assert_eq!(code(&shop.posts(path, json!({ "quantity": 1 }), &[]).await), (404, "not-found"), "{path}");
    }
    assert_eq!(shop.on_hand("sku-1").await, (0, 0));
}

#[tokio::test]
async fn the_count_is_not_put_below_what_is_promised() {
    let shop = Shop::new().await;
    let fewer = || shop.posts("/stock/sku-1/adjust", json!({ "delta": -2, "reason": "counted" }), &[]);
    assert_eq!(code(&fewer().await), (409, "not-tracked"));
    shop.receives(3).await;
    let order_id = OrderId::parse("order-1").unwrap();
    let (expires_at, location) = (chrono::DateTime::UNIX_EPOCH, LocationId::default());
    let made = ReservationMade { unit: None, order_id, quantity: 2, expires_at, location };
    let reserve = |_: &Stock| Ok::<_, stock::StockError>(vec![StockEvent::ReservationMade(made.clone())]);
    let known = shop.store.load("sku-1").await.unwrap();
    shop.store.execute("sku-1", known, &Metadata::default(), reserve).await.unwrap();

    let refused = fewer().await;
    assert_eq!(code(&refused), (409, "below-reserved"));
    assert_eq!((&refused.body["pointer"], &refused.body["reserved"]), (&json!("/delta"), &json!(2)));
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(detail.contains("GET /stock/{sku}/reservations lists them: cancel some, or wait"), "{detail}");
    assert_eq!(shop.on_hand("sku-1").await, (3, 2));
}

#[tokio::test]
async fn a_change_is_made_to_the_version_it_was_meant_for() {
    let shop = Shop::new().await;
    let at = async |etag: &str| {
        let headers = [("if-match", etag)];
        shop.posts("/stock/sku-1/receive", json!({ "quantity": 1 }), &headers).await
    };
    assert_eq!(code(&at("*").await), (412, "precondition-failed"));
    assert_eq!(at("\"0\"").await.status, StatusCode::CREATED);
    let late = at("\"0\"").await;
    assert_eq!((code(&late), &late.body["currentVersion"]), ((412, "precondition-failed"), &json!(1)));
    assert_eq!(at("\"1\"").await.status, StatusCode::OK);
    assert_eq!(code(&at("2").await), (400, "malformed"));
    assert_eq!(shop.on_hand("sku-1").await, (2, 2));
}

#[tokio::test]
async fn a_change_under_a_key_is_made_once() {
    let shop = Shop::new().await;
    let keyed = async |path: &str, quantity: u32, etag: &str| {
        let headers = [("idempotency-key", "k"), ("if-match", etag)];
        shop.posts(path, json!({ "quantity": quantity }), &headers).await
    };
    let first = keyed("/stock/sku-1/receive", 10, "\"0\"").await;
    shop.receives(1).await;
    // What it was meant for is long past, but it is the same request.
    for etag in ["\"0\"", "\"2\""] {
        let again = keyed("/stock/sku-1/receive", 10, etag).await;
        assert_eq!((again.status, &again.body), (first.status, &first.body));
        assert_eq!(again.headers["idempotent-replayed"], "true");
    }
    assert_eq!(code(&keyed("/stock/sku-1/receive", 11, "\"2\"").await), (422, "idempotency-key-reused"));
    assert_eq!(code(&keyed("/stock/sku-2/receive", 10, "\"0\"").await), (422, "idempotency-key-reused"));
    assert_eq!((shop.on_hand("sku-1").await, shop.on_hand("sku-2").await), ((11, 2), (0, 0)));
}

#[tokio::test]
async fn a_refused_change_leaves_its_key_free() {
    let shop = Shop::new().await;
    let headers = [("idempotency-key", "k")];
    let fewer = || shop.posts("/stock/sku-1/adjust", json!({ "delta": -2, "reason": "counted" }), &headers);
    assert_eq!(code(&fewer().await), (409, "not-tracked"));
    shop.receives(3).await;
    assert_eq!(fewer().await.status, StatusCode::OK);
    assert_eq!(shop.on_hand("sku-1").await, (1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_that_come_all_at_once_are_all_counted() {
    let shop = Shop::new().await;
    let posts = (0..100).map(|_| {
        let routes = shop.routes.clone();
        let request = Request::post("/stock/sku-1/receive").header("content-type", "application/json");
        let request = request.body(Body::from(r#"{"quantity": 1}"#)).unwrap();
        tokio::spawn(async move { routes.oneshot(request).await.unwrap().status() })
    });
    for answer in posts.collect::<Vec<_>>() {
        assert!(answer.await.unwrap().is_success());
    }
    assert_eq!(shop.on_hand("sku-1").await, (100, 100));
}

#[tokio::test]
async fn units_of_lines_that_are_cancelled_are_free_in_the_same_moment() {
    let shop = Shop::new().await;
    shop.receives(5).await;
    let posted = json!({
        "orderId": "a", "customerId": "c", "currency": "USD", "totalAmount": 40,
        "items": [{ "sku": "sku-1", "quantity": 3, "unitPrice": 10 }, { "sku": "untracked", "quantity": 1, "unitPrice": 10 }]
    });
    assert_eq!(shop.posts("/orders", posted, &[]).await.status, StatusCode::CREATED);
    shop.promises("a", "sku-1", 3).await;
    let reserved = async || match shop.store.load::<Stock>("sku-1").await.unwrap().state {
        Stock::Tracked(tracked) => tracked.reserved,
        Stock::Untracked => 0,
    };
    let cancel = async |body: Value, key: &str| {
        let headers = [("idempotency-key", key)];
        shop.posts("/orders/a/cancel", body, &headers).await
    };
    let line = |line_number: u32, quantity: u32| json!({ "lineNumber": line_number, "quantity": quantity });

    let one = json!({ "lines": [line(1, 1), line(2, 1)], "reason": "sold out" });
    let cancelled = cancel(one.clone(), "k-1").await;
    assert_eq!(cancelled.status, StatusCode::ACCEPTED, "{}", cancelled.body);
    assert_eq!((cancelled.body["version"].as_i64(), reserved().await), (Some(5), 2));
    assert!(cancelled.body["cancellationId"].is_string());
    let again = cancel(one, "k-1").await;
    assert_eq!((&again.body, &again.headers["idempotent-replayed"]), (&cancelled.body, &"true".parse().unwrap()));

    let all = shop.posts("/orders/a/cancel", json!({ "lines": [line(1, 2)] }), &[]).await;
    assert_eq!((code(&all), &all.body["errors"][0]["code"]), ((422, "invalid"), &json!("all_of_it")));
    let ship = json!({ "shipmentId": "s-1", "lines": [line(1, 1)] });
    assert_eq!(shop.posts("/orders/a/ship", ship, &[]).await.status, StatusCode::ACCEPTED);
    // What was sent stays set aside until it is paid; the rest goes back.
    assert_eq!(shop.posts("/orders/a/cancel", json!({}), &[]).await.status, StatusCode::ACCEPTED);
    assert_eq!(reserved().await, 1);
    assert_eq!(shop.posts("/orders/a/cancel", json!({}), &[]).await.status, StatusCode::ACCEPTED, "it is so already");
    assert_eq!(shop.posts("/orders/a/deliver", json!({}), &[]).await.status, StatusCode::OK);
    let events = shop.store.read_stream::<Order>("a").await.unwrap();
    let names: Vec<_> = events[4..].iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!(names, ["LinesCancelled", "OrderShipped", "LinesCancelled", "OrderDelivered"]);
}

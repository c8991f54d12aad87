//! What came in and what was counted, from the request to the stored event.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use axum::Router;
use axum::body::Body;
use domain::stock::{ReservationMade, Stock, StockEvent};
use domain::{OrderId, stock};
use event_store::{AppendSettings, EventStore, Loaded, Metadata, SingleWriter};
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
        let store = EventStore::start(database.pool().clone(), AppendSettings::default());
        let stock = SingleWriter::new(store.clone(), 100);
        let limits = domain::OrderLimits::default();
        let routes = command_api::routes(store.clone(), stock, limits).layer(problem::layer());
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

    /// How many there are, and at which version.
    async fn on_hand(&self, sku: &str) -> (i64, i64) {
        let stream: Loaded<Stock> = self.store.load(sku).await.unwrap();
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
    assert_eq!(events[0].metadata().actor.as_deref(), Some("shop"));
    assert!(events.iter().all(|event| event.metadata().traceparent.is_some()));
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
    for path in ["/stock/a%20b/receive", "/stock/%00/adjust", "/stock/%ff/receive"] {
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
    let made = ReservationMade { order_id, quantity: 2, expires_at: chrono::DateTime::UNIX_EPOCH };
    let reserve = |_: &Stock| Ok::<_, stock::StockRefusal>(vec![StockEvent::ReservationMade(made.clone())]);
    let known = shop.store.load("sku-1").await.unwrap();
    shop.store.execute("sku-1", known, &Metadata::default(), reserve).await.unwrap();

    let refused = fewer().await;
    assert_eq!(code(&refused), (409, "below-reserved"));
    assert_eq!((&refused.body["pointer"], &refused.body["reserved"]), (&json!("/delta"), &json!(2)));
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

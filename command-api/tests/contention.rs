//! Many commands on one order at the same time, and more of them than its limits allow.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use axum::Router;
use axum::body::Body;
use command_api::SupportRefundLimits;
use domain::order::{Order, OrderGrowthLimits};
use event_store::{EventStore, StoreSettings, StreamLocks};
use futures_util::future::join_all;
use http::Request;
use serde_json::{Value, json};
use sqlx::PgPool;
use tower::ServiceExt;

/// A process that answers commands.
struct Process {
    store: EventStore,
    routes: Router,
}

impl Process {
    fn start(pool: &PgPool, limits: OrderGrowthLimits) -> Self {
        let store = EventStore::start(pool.clone(), StoreSettings::default());
        let stock = StreamLocks::new(store.clone(), 16);
        let routes = command_api::routes(store.clone(), stock, limits, SupportRefundLimits::parse("none").unwrap());
        Self { routes: testkit::called_by_shop(routes), store }
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let request = Request::post(path).header("content-type", "application/json").body(Body::from(body.to_string()));
        let answer = self.routes.clone().oneshot(request.unwrap()).await.unwrap();
        let status = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn order(&self) {
        let body = json!({
            "orderId": "a", "customerId": "c", "currency": "USD", "totalAmount": "10",
            "items": [{ "sku": "headphones", "title": "Headphones", "quantity": 1, "unitPrice": 10 }]
        });
        assert_eq!(self.post("/orders", body).await.0, 201);
    }
}

#[tokio::test]
async fn all_of_many_notes_on_one_order_are_stored_whichever_process_they_go_to() {
    let database = testkit::database().await;
    let processes = [(); 2].map(|()| Process::start(database.pool(), OrderGrowthLimits::default()));
    processes[0].order().await;

    let writer = async |n: usize| {
        for at in 0..10 {
            let note = json!({ "noteId": format!("n-{n}-{at}"), "text": format!("note {at} of {n}") });
            let (status, answer) = processes[n % 2].post("/orders/a/notes", note).await;
            assert_eq!(status, 201, "{answer}");
        }
    };
    join_all((0..32).map(writer)).await;

    let order = processes[0].store.load::<Order>("a").await.unwrap();
    assert_eq!(order.version, 1 + 320);
    for process in processes {
        process.store.close().await;
    }
}

#[tokio::test]
async fn an_order_that_has_enough_of_something_takes_no_more_of_it() {
    let database = testkit::database().await;
    let shop =
        Process::start(database.pool(), OrderGrowthLimits { notes: 2, bytes: 20_000, ..OrderGrowthLimits::default() });
    shop.order().await;
    let note = |n: u32, text: &str| shop.post("/orders/a/notes", json!({ "noteId": format!("n-{n}"), "text": text }));
    assert_eq!(note(1, "x").await.0, 201);
    assert_eq!(note(2, "y").await.0, 201);

    let (status, refused) = note(3, "z").await;
    assert_eq!(
        (status, &refused["code"], &refused["of"], &refused["limit"]),
        (409, &json!("limit-reached"), &json!("notes"), &json!(2))
    );
    // What is there already can be sent again, and an order that is full can still be called off.
    assert_eq!(note(2, "y").await.0, 201);
    assert_eq!(shop.post("/orders/a/cancel", json!({})).await.0, 202);
    assert_eq!(shop.store.load::<Order>("a").await.unwrap().version, 4);
    shop.store.close().await;
}

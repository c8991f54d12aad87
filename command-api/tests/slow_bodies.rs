//! Clients whose large bodies come slowly, all at the same time.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use command_api::SupportRefundLimits;
use std::pin::Pin;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use domain::order::{Order, OrderGrowthLimits};
use event_store::{EventStore, StoreSettings, StreamLocks};
use futures_util::future::join_all;
use futures_util::{StreamExt, poll, stream};
use http::Request;
use serde_json::json;
use testkit::Database;
use tower::ServiceExt;

/// As many as would hold 255 MiB.
const CROWD: usize = 1_024;
const LARGE: usize = 255 * 1024;

type Answering = Pin<Box<dyn Future<Output = Response>>>;

struct Shop {
    store: EventStore,
    routes: Router,
    _database: Database,
}

impl Shop {
    async fn open() -> Self {
        let database = testkit::database().await;
        let store = EventStore::start(database.pool().clone(), StoreSettings::default());
        let stock = StreamLocks::new(store.clone(), 16);
        let limits = (OrderGrowthLimits::default(), SupportRefundLimits::parse("USD=10").unwrap());
        let routes = testkit::called_by_shop(command_api::routes(store.clone(), stock, limits.0, limits.1));
        Self { store, routes, _database: database }
    }

    /// Answers once the client goes on, which it does after having sent nearly all of a large order.
    fn slow(&self, path: &str) -> Answering {
        let begun = stream::iter([Ok::<_, std::io::Error>(Bytes::from(vec![b' '; LARGE]))]);
        self.post(path, Body::from_stream(begun.chain(stream::pending())))
    }

    fn post(&self, path: &str, body: Body) -> Answering {
        let request = Request::post(path).header("content-type", "application/json").body(body).unwrap();
        let answering = self.routes.clone().oneshot(request);
        Box::pin(async move { answering.await.unwrap() })
    }

    async fn order(&self, order_id: &str, notes: usize) -> u16 {
        let body = json!({
            "orderId": order_id, "customerId": "c", "currency": "USD", "totalAmount": "10",
            "items": [{ "sku": "headphones", "quantity": 1, "unitPrice": 10 }]
        });
        let spaces = " ".repeat(notes);
        self.post("/orders", Body::from(format!("{body}{spaces}"))).await.status().as_u16()
    }
}

#[tokio::test]
async fn large_bodies_that_come_slowly_are_held_up_to_a_bound_and_the_rest_is_told_to_come_back() {
    let shop = Shop::open().await;
    let paths = ["/orders", "/orders/a/notes", "/orders/a/cancel", "/stock/headphones/receive"];
    let (mut held, mut refused) = (Vec::new(), Vec::new());
    for nth in 0..CROWD {
        let mut client = shop.slow(paths[nth % paths.len()]);
        // It is read as far as it has come. Who is refused gets the answer once what is on its way was taken in.
        assert!(poll!(&mut client).is_pending());
        if nth * LARGE < 32 << 20 { held.push(client) } else { refused.push(client) }
    }
    // A few of them may still have found room; they have been refused when the others are.
    let beyond = refused.split_off(refused.len() / 2);
    for answer in join_all(beyond).await {
        assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (503, &"1".parse().unwrap()));
        let problem = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        let problem: serde_json::Value = serde_json::from_slice(&problem).unwrap();
        assert_eq!(problem["code"], "overloaded");
    }

    // Usual orders go on, a large one finds no room.
    assert_eq!(shop.order("usual", 0).await, 201);
    assert_eq!(shop.order("large", LARGE).await, 503);
    assert_eq!(shop.store.load::<Order>("large").await.unwrap().version, 0, "nothing is stored");

    // Who goes away in the middle makes room.
    drop(held);
    assert_eq!(shop.order("large", LARGE).await, 201);
    shop.store.close().await;
}

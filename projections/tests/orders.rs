//! The orders read model: what GETs answer, pages, waiting for a position, rebuilding while orders come in.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use domain::order::event::{MailTemplate, NotificationFailed, NotificationSent, OrderConfirmed, OrderCreated};
use domain::order::parse::PostedOrder;
use domain::order::{Order, OrderError, OrderEvent};
use event_store::operations::checkpoints;
use event_store::{AppendQueueSettings, EventStore, Handled, Metadata, Versioned};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use projections::{ReplayError, ReplayOperations, ReplayOptions, ReplaySummary, SlowReads};
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::Database;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use uuid::Uuid;

/// Far longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The read side of a database.
struct Fixture {
    database: Database,
    store: EventStore,
    routes: Router,
    stop: CancellationToken,
    running: Option<JoinHandle<()>>,
}

impl Fixture {
    async fn new() -> Self {
        let database = testkit::database().await;
        projections::create_tables(&*testkit::read_models(database.pool()), &[]).await.unwrap();
        let store = EventStore::start(database.pool().clone(), AppendQueueSettings::default());
        let routes = testkit::called_by_shop(projections::routes(
            store.clone(),
            &*testkit::read_models(store.pool()),
            None,
            SlowReads::default(),
        ));
        Self { database, store, routes, stop: CancellationToken::new(), running: None }
    }

    async fn running() -> Self {
        let mut fixture = Self::new().await;
        fixture.run();
        fixture
    }

    fn run(&mut self) {
        self.running = Some(tokio::spawn(projections::run(
            self.store.clone(),
            testkit::read_models(self.store.pool()),
            self.stop.clone(),
        )));
    }

    async fn happens(&self, order_id: &str, event: OrderEvent) -> i64 {
        let known: Versioned<Order> = self.store.load(order_id).await.unwrap();
        let decide = |_: &Order| Ok::<_, OrderError>(vec![event.clone()]);
        match self.store.execute(order_id, known, &Metadata::default(), decide).await.unwrap() {
            Handled::Appended(appended) => appended.position,
            Handled::Unchanged(_) | Handled::Replayed(_) => panic!("{order_id}: nothing happened"),
        }
    }

    async fn create(&self, order_id: &str) -> i64 {
        let content = PostedOrder::parse(testkit::demo_order(order_id).to_string().as_bytes()).unwrap().content;
        self.happens(order_id, OrderEvent::OrderCreated(content)).await
    }

    /// An order of a quarter of a megabyte.
    async fn create_large(&self, order_id: &str) -> i64 {
        let content = PostedOrder::parse(testkit::demo_order(order_id).to_string().as_bytes()).unwrap().content;
        let content = OrderCreated { notes: Some("n".repeat(250_000)), ..content };
        self.happens(order_id, OrderEvent::OrderCreated(content)).await
    }

    async fn get(&self, uri: &str) -> (StatusCode, Value) {
        let request = Request::get(uri).body(Body::empty()).unwrap();
        let answer = self.routes.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{uri}: {body:?}")))
    }

    async fn end(mut self) {
        self.stop.cancel();
        if let Some(running) = self.running.take() {
            running.await.unwrap();
        }
        self.store.close().await;
    }

    /// Every row of the read model, in order.
    async fn rows(&self) -> Vec<String> {
        let rows = sqlx::query_scalar("select row_to_json(t)::text from read_model_orders t order by pk, sk");
        rows.fetch_all(self.database.pool()).await.unwrap()
    }

    async fn eventually_at(&self, position: i64) {
        testkit::eventually(PATIENCE, || async {
            let positions = checkpoints(self.database.pool()).await.unwrap();
            positions.get("orders").is_some_and(|reached| *reached >= position)
        })
        .await;
    }
}

#[tokio::test]
async fn an_order_is_shown_as_it_goes() {
    let reads = Fixture::running().await;
    let position = reads.create("a").await;

    let (status, order) = reads.get(&format!("/orders/a?minPosition={position}")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(order["status"], "pending");
    assert_eq!(order["total"], json!({ "amount": "129.99", "currency": "USD" }));
    assert_eq!(order["lines"][0]["title"], "Wireless Headphones");
    assert_eq!(order["lines"][0]["unitPrice"]["amount"], "129.99");
    assert_eq!(order["metadata"]["channel"], "rest-client");

    reads.happens("a", OrderEvent::OrderConfirmed(OrderConfirmed::default())).await;
    let sent = NotificationSent {
        notification_id: Uuid::from_u128(1),
        template: MailTemplate::OrderConfirmed,
        recipient: "c@example.com".into(),
        provider_message_id: "m-1".into(),
        nth: None,
    };
    let position = reads.happens("a", OrderEvent::NotificationSent(sent)).await;
    let (_, order) = reads.get(&format!("/orders/a?minPosition={position}")).await;
    assert_eq!((&order["status"], &order["version"]), (&json!("confirmed"), &json!(3)));
    assert_eq!(order["mails"][0]["status"], "sent");
    assert_eq!(order["mails"][0]["providerMessageId"], "m-1");

    let (_, timeline) = reads.get(&format!("/orders/a/events?minPosition={position}")).await;
    let types: Vec<_> = timeline["items"].as_array().unwrap().iter().map(|entry| entry["type"].clone()).collect();
    assert_eq!(types, ["OrderCreated", "OrderConfirmed", "NotificationSent"]);
    assert_eq!(timeline["items"][0]["data"]["totalMinor"], 12_999);
    reads.end().await;
}

#[tokio::test]
async fn a_mail_that_failed_is_listed_with_its_reason() {
    let reads = Fixture::running().await;
    reads.create("a").await;
    let failed = NotificationFailed {
        notification_id: Uuid::from_u128(1),
        template: MailTemplate::OrderConfirmed,
        reason: "no such mailbox".into(),
        nth: None,
    };
    let position = reads.happens("a", OrderEvent::NotificationFailed(failed)).await;
    let (_, order) = reads.get(&format!("/orders/a?minPosition={position}")).await;
    assert_eq!(order["mails"][0]["status"], "failed");
    assert_eq!(order["mails"][0]["reason"], "no such mailbox");
    reads.end().await;
}

#[tokio::test]
async fn what_pays_for_an_order_is_shown_to_nobody() {
    let reads = Fixture::running().await;
    let mut body = testkit::demo_order("a");
    body["paymentToken"] = json!("tok_secret");
    let content = PostedOrder::parse(body.to_string().as_bytes()).unwrap().content;
    let position = reads.happens("a", OrderEvent::OrderCreated(content)).await;
    for uri in [format!("/orders/a?minPosition={position}"), "/orders/a/events".to_owned()] {
        let (status, answer) = reads.get(&uri).await;
        assert_eq!(status, StatusCode::OK);
        assert!(!answer.to_string().contains("tok_secret"), "{answer}");
    }
    reads.end().await;
}

#[tokio::test]
async fn without_its_database_a_read_is_told_to_come_back() {
    let reads = Fixture::new().await;
    reads.database.pool().close().await;
    for uri in ["/orders/a", "/orders/a?minPosition=1", "/orders/a/events", "/customers/c/orders"] {
        let (status, problem) = reads.get(uri).await;
        assert_eq!((status.as_u16(), &problem["code"]), (503, &json!("database-unavailable")), "{uri}");
    }
    reads.end().await;
}

#[tokio::test]
async fn a_position_beyond_the_end_of_the_log_is_refused_at_once() {
    // Nobody projects anything: whoever waited would wait until its time is up.
    let reads = Fixture::new().await;
    let end = reads.create("a").await;
    for uri in [
        "/orders/a",
        "/orders/a/events",
        "/orders",
        "/customers/c/orders",
        "/stock",
        "/stock/sku-1",
        "/sales?day=2026-11-20",
    ] {
        let separator = if uri.contains('?') { '&' } else { '?' };
        for beyond in [end + 1, i64::MAX] {
            let (status, problem) = reads.get(&format!("{uri}{separator}minPosition={beyond}")).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{uri}: {problem}");
            let detail = problem["detail"].as_str().unwrap();
            assert_eq!(detail, format!("position {beyond} is beyond the end of the log, which is at {end}"));
        }
    }
    // What others append meanwhile is no longer beyond it.
    let elsewhere = EventStore::start(reads.database.pool().clone(), AppendQueueSettings::default());
    let content = PostedOrder::parse(testkit::demo_order("b").to_string().as_bytes()).unwrap().content;
    let decide = |_: &Order| Ok::<_, OrderError>(vec![OrderEvent::OrderCreated(content.clone())]);
    elsewhere.execute("b", Versioned::default(), &Metadata::default(), decide).await.unwrap();
    elsewhere.close().await;
    let mut reads = reads;
    reads.run();
    let (status, order) = reads.get(&format!("/orders/b?minPosition={}", end + 1)).await;
    assert_eq!(status, StatusCode::OK, "{order}");
    reads.end().await;
}

#[tokio::test]
async fn a_customers_orders_come_newest_first_page_by_page() {
    let reads = Fixture::running().await;
    let mut position = 0;
    for n in 0..7 {
        position = reads.create(&format!("o-{n}")).await;
    }
    let mut ids = Vec::new();
    let mut uri = format!("/customers/customer-42/orders?limit=3&minPosition={position}");
    loop {
        let (status, page) = reads.get(&uri).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        ids.extend(page["items"].as_array().unwrap().iter().map(|order| order["orderId"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["cursor"].as_str() else { break };
        uri = format!("/orders?customerId=customer-42&limit=3&cursor={cursor}");
    }
    assert_eq!(ids, ["o-6", "o-5", "o-4", "o-3", "o-2", "o-1", "o-0"]);

    let (_, nobody) = reads.get("/customers/nobody/orders").await;
    assert_eq!(nobody, json!({ "items": [], "cursor": null }));
    reads.end().await;
}

#[tokio::test]
async fn what_is_asked_wrongly_gets_an_answer_that_says_so() {
    let reads = Fixture::new().await;
    for order_id in ["a", "b", "c"] {
        reads.create(order_id).await;
    }
    let mut reads = reads;
    reads.run();
    reads.eventually_at(3).await;
    let (_, page) = reads.get("/customers/customer-42/orders?limit=1").await;
    let cursor = page["cursor"].as_str().unwrap();
    for (uri, status, names) in [
        ("/orders?customerId=customer-42&limit=0".to_owned(), 422, "limit"),
        ("/orders?customerId=customer-42&limit=201".to_owned(), 422, "limit"),
        ("/orders?customerId=customer-42&limit=x".to_owned(), 422, "?limit"),
        ("/orders?customerId=customer-42&color=red".to_owned(), 422, "?color"),
        ("/orders?customerId=customer-42&cursor=nonsense".to_owned(), 422, "cursor"),
        (format!("/customers/someone-else/orders?cursor={cursor}"), 422, "cursor"),
        ("/orders/a?minPosition=soon".to_owned(), 422, "?minPosition"),
        ("/orders/nothing".to_owned(), 404, "order"),
        ("/orders/nothing/events".to_owned(), 404, "order"),
        ("/orders/%00".to_owned(), 404, "order"),
        ("/orders/%ff/events".to_owned(), 404, "order"),
    ] {
        let (answered, problem) = reads.get(&uri).await;
        assert_eq!(answered.as_u16(), status, "{uri}: {problem}");
        assert!(problem.to_string().contains(names), "{uri}: {problem}");
    }
    let (status, _) = reads.get("/customers/%00/orders").await;
    assert_eq!(status, StatusCode::OK);
    reads.end().await;
}

#[tokio::test]
async fn a_read_that_waits_in_vain_says_that_the_view_lags() {
    let reads = Fixture::new().await;
    let position = reads.create("a").await;
    let (status, problem) = reads.get(&format!("/orders/a?minPosition={position}")).await;
    assert_eq!((status.as_u16(), &problem["code"]), (503, &json!("projection-lagging")));
    reads.end().await;
}

#[tokio::test]
async fn a_read_model_rebuilt_from_nothing_while_orders_come_in_is_the_same() {
    let reads = Fixture::running().await;
    for n in 0..50 {
        let order_id = format!("before-{n}");
        reads.create(&order_id).await;
        reads.happens(&order_id, OrderEvent::OrderConfirmed(OrderConfirmed::default())).await;
    }
    // Some of what is there was changed behind its back; a rebuild mends that.
    let pool = reads.database.pool().clone();
    reads.eventually_at(100).await;
    let spoil = "update read_model_orders set item = '{}' where pk = 'ORDER#before-7'";
    sqlx::query(spoil).execute(&pool).await.unwrap();
    sqlx::query("delete from read_model_orders where pk = 'ORDER#before-8'").execute(&pool).await.unwrap();

    let coming_in = async {
        let mut position = 0;
        for n in 0..50 {
            position = reads.create(&format!("meanwhile-{n}")).await;
        }
        position
    };
    let (position, replayed) = tokio::join!(coming_in, replay(&pool, "orders"));
    let replayed = replayed.unwrap();
    assert!(replayed.events >= 100);
    reads.eventually_at(position).await;
    let live = reads.rows().await;
    assert_eq!(live.len(), 200);

    reads.stop.cancel();
    replay(&pool, "orders").await.unwrap();
    assert_eq!(reads.rows().await, live);
    reads.end().await;
}

#[tokio::test]
async fn a_rebuild_of_something_unknown_or_already_under_way_is_refused() {
    let reads = Fixture::new().await;
    let pool = reads.database.pool();
    let unknown = replay(pool, "odrers").await.unwrap_err().to_string();
    assert_eq!(unknown, "there is no projection odrers; there are: orders, sales, stock");

    for n in 0..3 {
        reads.create(&format!("o-{n}")).await;
    }
    // The first is held up half-way, by someone who reads from the live one.
    let mut holder = pool.begin().await.unwrap();
    sqlx::query("select * from read_model_orders").execute(&mut *holder).await.unwrap();
    let first = tokio::spawn({
        let pool = pool.clone();
        async move { replay(&pool, "orders").await }
    });
    testkit::eventually(PATIENCE, || async {
        let held = "select count(*) from pg_locks where locktype = 'advisory' and granted
                     and database = (select oid from pg_database where datname = current_database())";
        sqlx::query_scalar::<_, i64>(held).fetch_one(pool).await.unwrap() == 1
    })
    .await;
    let second = replay(pool, "orders").await;
    assert!(matches!(second, Err(ReplayError::AlreadyRunning(_))), "{second:?}");
    holder.rollback().await.unwrap();
    first.await.unwrap().unwrap();
    reads.end().await;
}

/// A whole replay of one projection.
async fn replay(pool: &PgPool, projection: &str) -> Result<ReplaySummary, ReplayError> {
    let replays = ReplayOperations::new(pool.clone(), testkit::read_models(pool));
    let replay = replays.open(&ReplayOptions { projections: vec![projection.to_owned()], compare: false }).await?;
    replay.run(&CancellationToken::new(), |_| ()).await
}

#[tokio::test]
async fn a_page_of_large_orders_has_few_of_them_and_a_walk_meets_all() {
    let shop = Fixture::running().await;
    let mut last = 0;
    for nth in 0..40 {
        let id = format!("o-{nth:02}");
        shop.create_large(&id).await;
        last = shop.happens(&id, OrderEvent::OrderConfirmed(OrderConfirmed::default())).await;
    }
    for question in ["/orders?limit=200", "/orders?sku=sku-123&limit=200", "/customers/customer-42/orders?limit=200"] {
        let separator = if question.contains('?') { '&' } else { '?' };
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let (status, page) = shop.get(&format!("{question}{separator}minPosition={last}{cursor}")).await;
            assert_eq!(status, StatusCode::OK, "{page}");
            let orders = page["items"].as_array().unwrap();
            assert!(page.to_string().len() < 5 << 20, "{question}: {} orders", orders.len());
            seen.extend(orders.iter().map(|order| order["orderId"].as_str().unwrap().to_owned()));
            match page["cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        seen.sort_unstable();
        let all: Vec<String> = (0..40).map(|nth| format!("o-{nth:02}")).collect();
        assert_eq!(seen, all, "{question}");
    }
    shop.end().await;
}

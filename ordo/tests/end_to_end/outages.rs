//! Orders while a service that the platform needs is away.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use futures_util::future::join_all;
use http::HeaderMap;
use rustix::process::Signal;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use testkit::eventually;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::support::{Client, Deployment, PATIENCE, at_rest, mails_by_order, order_of};

const ORDERS: usize = 40;
const BOUND: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_are_confirmed_while_notification_is_away_and_every_mail_goes_out_once_afterwards() {
    // Given
    let deployment = Deployment::new(&[]).await;
    let (shop, _sagas, mut notification) =
        tokio::join!(deployment.serve("command-api"), deployment.serve("sagas"), deployment.serve("notification"));
    notification.signal(Signal::TERM);
    assert!(notification.ended(PATIENCE).await.is_some());

    // When
    post_all(&shop.client(), None).await;

    // Then
    until(&deployment, "OrderConfirmed", ORDERS).await;
    assert_eq!(deployment.inbox.accepted(), 0);

    // When
    let _back = deployment.serve("notification").await;

    // Then
    let told = at_rest(deployment.database.url(), ORDERS, BOUND).await;
    assert_eq!(told["sagas"]["completed"], ORDERS, "{told}");
    let mails = mails_by_order(&deployment.inbox.messages());
    assert_eq!(mails, (0..ORDERS).map(|nth| (order_id(nth), 1)).collect());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_wait_while_the_payment_provider_is_away_and_nobody_pays_twice() {
    // Given a provider that nobody can reach.
    let nowhere = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("http://{nowhere}");
    let deployment = Deployment::new(&[
        ("ORDO_PAYMENT_PROVIDER", "stripe"),
        ("ORDO_STRIPE_URL", &url),
        ("ORDO_STRIPE_SECRET_KEY", "sk_test_nobody"),
        ("ORDO_PAYMENT_TIMEOUT", "1"),
        ("ORDO_PAYMENT_BREAKER_WINDOW", "6"),
        ("ORDO_PAYMENT_BREAKER_PAUSE", "1"),
    ])
    .await;
    let (shop, sagas, _notification) =
        tokio::join!(deployment.serve("command-api"), deployment.serve("sagas"), deployment.serve("notification"));
    let client = shop.client();

    // When
    post_all(&client, Some("pm_card_visa")).await;

    // Then the breaker opens and the orders wait, their units set aside.
    eventually(PATIENCE, || async { sagas.log().contains("the payment provider is failing") }).await;
    until(&deployment, "StockReserved", ORDERS).await;
    assert_eq!(count(&deployment, "OrderConfirmed").await + count(&deployment, "OrderRejected").await, 0);

    // When it is back, but does what it is asked and says nothing, then answers.
    let stripe = Stripe::start(nowhere).await;
    eventually(PATIENCE, || async { !stripe.payments().is_empty() }).await;
    stripe.is_well();

    // Then each is confirmed, and authorized once.
    let told = at_rest(deployment.database.url(), ORDERS, BOUND).await;
    assert_eq!(told["sagas"]["completed"], ORDERS, "{told}");
    assert_eq!(stripe.payments(), (0..ORDERS).map(|nth| (order_id(nth), (1, 0))).collect());

    // And paid once, whatever becomes of the answers.
    stripe.says_nothing();
    for nth in 0..ORDERS {
        let shipped = client.try_post(&format!("/orders/{}/ship", order_id(nth)), &json!({})).await.unwrap();
        assert_eq!(shipped.status, 202, "{}", shipped.text());
    }
    eventually(PATIENCE, || async { stripe.payments().values().any(|(_, captures)| *captures > 0) }).await;
    stripe.is_well();
    let told = at_rest(deployment.database.url(), ORDERS, BOUND).await;
    assert_eq!(told["money"]["USD"]["capturedMinor"], 1_000 * ORDERS, "{told}");
    assert_eq!(stripe.payments(), (0..ORDERS).map(|nth| (order_id(nth), (1, 1))).collect());
}

fn order_id(nth: usize) -> String {
    format!("outage-{nth}")
}

async fn post_all(client: &Client, token: Option<&str>) {
    let orders: Vec<Value> = (0..ORDERS).map(|nth| order_of(&order_id(nth), token, &[("sku-123", 1)])).collect();
    for answer in join_all(orders.iter().map(|order| client.order(order))).await {
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
}

async fn count(deployment: &Deployment, event_type: &str) -> usize {
    let mut connection = PgConnection::connect(deployment.database.url()).await.unwrap();
    let count = sqlx::query_scalar("select count(*) from events where event_type = $1").bind(event_type);
    let count: i64 = count.fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    usize::try_from(count).unwrap()
}

async fn until(deployment: &Deployment, event_type: &str, times: usize) {
    eventually(PATIENCE, || async { count(deployment, event_type).await == times }).await;
}

/// As much of Stripe as the platform talks to. It remembers what it did under which key, and does nothing twice.
struct Stripe {
    books: Arc<Books>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Books {
    is_well: std::sync::atomic::AtomicBool,
    /// By idempotency key.
    answers: Mutex<HashMap<String, Value>>,
    /// By id: the order, and how often money was taken.
    intents: Mutex<HashMap<String, (String, usize)>>,
}

impl Stripe {
    /// It does what it is asked, and hangs up.
    async fn start(address: SocketAddr) -> Self {
        let books = Arc::new(Books::default());
        let routes = Router::new()
            .route("/v1/payment_intents", post(authorize))
            .route("/v1/payment_intents/search", get(search))
            .route("/v1/payment_intents/{id}", get(show))
            .route("/v1/payment_intents/{id}/capture", post(capture))
            .with_state(Arc::clone(&books));
        let listener = TcpListener::bind(address).await.unwrap();
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { books, serving }
    }

    fn is_well(&self) {
        self.books.is_well.store(true, std::sync::atomic::Ordering::SeqCst);
    }

    fn says_nothing(&self) {
        self.books.is_well.store(false, std::sync::atomic::Ordering::SeqCst);
    }

    /// How often each order was authorized, and how often money was taken for it.
    fn payments(&self) -> HashMap<String, (usize, usize)> {
        let mut payments: HashMap<String, (usize, usize)> = HashMap::new();
        for (order_id, captures) in self.books.intents.lock().unwrap().values() {
            let (authorized, captured) = payments.entry(order_id.clone()).or_default();
            (*authorized, *captured) = (*authorized + 1, *captured + captures);
        }
        payments
    }
}

impl Drop for Stripe {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Books {
    /// Does it if it was not done under this key before, and answers, or does not.
    async fn once(&self, headers: &HeaderMap, act: impl FnOnce(&str) -> Value) -> Response {
        let key = headers["idempotency-key"].to_str().unwrap();
        let answer = {
            let mut answers = self.answers.lock().unwrap();
            let known = answers.get(key).cloned();
            known.unwrap_or_else(|| answers.entry(key.to_owned()).or_insert_with(|| act(key)).clone())
        };
        if !self.is_well.load(std::sync::atomic::Ordering::SeqCst) {
            // Longer than anyone waits.
            tokio::time::sleep(Duration::from_secs(30)).await;
        }
        Response::new(Body::from(answer.to_string()))
    }
}

/// Its search is far behind.
async fn search() -> Response {
    Response::new(Body::from(json!({ "data": [] }).to_string()))
}

/// It keeps no marks of captures, and its keys for ever.
async fn show(Path(id): Path<String>) -> Response {
    Response::new(Body::from(json!({ "id": id, "status": "requires_capture" }).to_string()))
}

async fn authorize(State(books): State<Arc<Books>>, headers: HeaderMap, body: String) -> Response {
    let form: HashMap<String, String> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let intents = &books.intents;
    let act = |_: &str| {
        let mut intents = intents.lock().unwrap();
        let id = format!("pi_{}", intents.len());
        intents.insert(id.clone(), (form["metadata[order_id]"].clone(), 0));
        json!({ "id": id, "status": "requires_capture" })
    };
    books.once(&headers, act).await
}

async fn capture(State(books): State<Arc<Books>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let intents = &books.intents;
    let act = |_: &str| {
        intents.lock().unwrap().get_mut(&id).unwrap().1 += 1;
        json!({ "id": id, "status": "succeeded" })
    };
    books.once(&headers, act).await
}

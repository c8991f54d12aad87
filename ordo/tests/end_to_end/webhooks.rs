//! Webhooks of the whole platform: made by a command or over HTTP, delivered however often it is killed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use access_control::Role;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use http::{HeaderMap, Method, StatusCode};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use testkit::demo_order;
use tokio_util::task::AbortOnDropHandle;

use crate::access::{as_role, asking};
use crate::support::{Ordo, PATIENCE, folder, run, settled};

const KILLS: usize = 10;
const ORDERS: usize = 100;

/// What a receiver got: headers and body.
type Received = Arc<Mutex<Vec<(HeaderMap, String)>>>;

/// Somebody who is told of events, and fails now and then.
struct Receiver {
    url: String,
    received: Received,
    _serving: AbortOnDropHandle<()>,
}

impl Receiver {
    async fn new() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks", listener.local_addr().unwrap());
        let received = Received::default();
        let routes = Router::new().fallback(receive).with_state(Arc::clone(&received));
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { url, received, _serving: AbortOnDropHandle::new(serving) }
    }

    /// All that came, as the official library verifies it.
    fn verified(&self, secret: &str) -> Vec<Value> {
        let webhook = Webhook::new(secret).unwrap();
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        let verified = |(headers, body): &(HeaderMap, String)| {
            webhook.verify(body.as_bytes(), headers).unwrap();
            serde_json::from_str(body).unwrap()
        };
        received.iter().map(verified).collect()
    }

    /// The versions that came of each order, in the order in which they came.
    fn versions(&self, secret: &str) -> BTreeMap<String, Vec<i64>> {
        let mut versions: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for event in self.verified(secret) {
            let order = event["subject"].as_str().unwrap().to_owned();
            versions.entry(order).or_default().push(event["data"]["version"].as_i64().unwrap());
        }
        versions
    }
}

async fn receive(State(received): State<Received>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let body = String::from_utf8(body.into()).unwrap();
    received.lock().unwrap_or_else(PoisonError::into_inner).push((headers, body));
    StatusCode::NO_CONTENT
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_delivery_is_lost_however_often_the_platform_is_killed() {
    // Given
    let seed = std::env::var("ORDO_TEST_SEED").map_or(3, |seed| seed.parse().unwrap());
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (data_dir, receiver) = (folder(), Receiver::new().await);
    let settings = [("ORDO_LOG", "warn"), ("ORDO_WEBHOOK_TIMEOUT", "1"), ("ORDO_LEASE", "1")];
    let mut ordo = Ordo::up_on(data_dir.path(), &settings).await;
    let database = [("DATABASE_URL", ordo.database.as_str()), ("ORDO_WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8")];
    let made = run(&["webhook", "create", "--url", &receiver.url, "--json"], &database).await;
    assert_eq!(made.code, 0, "{}", made.err);
    let made: Value = serde_json::from_str(&made.out).unwrap();
    let secret = made["secret"].as_str().unwrap();

    // When
    let mut posted = 0;
    for _ in 0..KILLS {
        let client = ordo.client();
        for _ in 0..ORDERS / KILLS {
            assert_eq!(client.order(&demo_order(&format!("hooked-{posted}"))).await.status, 201);
            posted += 1;
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(0..400))).await;
        ordo.kill().await;
        ordo = Ordo::up_on(data_dir.path(), &settings).await;
    }

    // Then each event of each order came, none before one that comes first.
    let client = ordo.client();
    for nth in 0..ORDERS {
        settled(&client, &format!("hooked-{nth}")).await;
    }
    testkit::eventually(PATIENCE, || async {
        let versions = receiver.versions(secret);
        versions.len() == ORDERS && versions.values().all(|versions| versions.contains(&5))
    })
    .await;
    let (versions, mut repeats) = (receiver.versions(secret), 0);
    for (order, versions) in versions {
        let mut highest = 0;
        for version in &versions {
            assert!(*version <= highest + 1, "{order}: {versions:?}");
            highest = highest.max(*version);
        }
        repeats += versions.len() - versions.iter().collect::<BTreeSet<_>>().len();
    }
    println!("{ORDERS} orders, {KILLS} kills, {repeats} deliveries that came again");
}

#[tokio::test]
async fn operators_make_webhooks_and_look_at_what_was_delivered() {
    // Given
    let (ordo, receiver) = tokio::join!(Ordo::up(&[]), Receiver::new());
    let client = ordo.client();
    let body = json!({ "url": receiver.url, "eventTypes": ["OrderCreated", "OrderConfirmed"], "role": "shop" });
    let made = client.try_post("/webhooks", &body).await.unwrap();
    assert_eq!(made.status, 201, "{}", made.text());
    let (path, made) = (made.header("location").to_owned(), made.json());
    let secret = made["secret"].as_str().unwrap().to_owned();
    let id = made["id"].as_str().unwrap().to_owned();
    assert_eq!(path, format!("/webhooks/{id}"));

    // When
    assert_eq!(client.order(&demo_order("o-1")).await.status, 201);

    // Then
    let deliveries = async |query: &str| client.get(&format!("{path}/deliveries{query}")).await.json();
    testkit::eventually(PATIENCE, || async {
        deliveries("?state=delivered").await["items"].as_array().is_some_and(|items| items.len() == 2)
    })
    .await;
    let seen = receiver.verified(&secret);
    assert_eq!(seen.iter().map(|event| event["type"].clone()).collect::<Vec<_>>(), ["OrderCreated", "OrderConfirmed"]);
    assert_eq!(seen[0]["data"]["data"]["customerId"], "customer-42");
    let page = deliveries("?limit=1").await;
    assert_eq!((&page["items"][0]["type"], &page["items"][0]["status"]), (&json!("OrderConfirmed"), &json!(204)));
    let next = deliveries(&format!("?limit=1&cursor={}", page["cursor"].as_str().unwrap())).await;
    assert_eq!(next["items"][0]["type"], "OrderCreated");

    // Again, one and all.
    let delivery = &next["items"][0]["id"];
    let resent = client.ask(Method::POST, &format!("{path}/deliveries/{delivery}/resend")).await;
    assert_eq!(resent.status, 202, "{}", resent.text());
    testkit::eventually(PATIENCE, || std::future::ready(receiver.verified(&secret).len() == 3)).await;
    let replayed = client.try_post(&format!("{path}/replays"), &json!({ "from": 1 })).await.unwrap();
    assert_eq!(replayed.status, 202, "{}", replayed.text());
    testkit::eventually(PATIENCE, || std::future::ready(receiver.verified(&secret).len() == 5)).await;
    let replays = client.get(&format!("{path}/replays")).await.json();
    assert_eq!(replays["items"][0]["deliveries"], 2);
    let replay = format!("{path}/replays/{}", replays["items"][0]["id"].as_str().unwrap());
    assert_eq!(client.ask(Method::DELETE, &replay).await.status, 204);
    let unknown = format!("{path}/replays/00000000-0000-0000-0000-000000000000");
    assert_eq!(client.ask(Method::DELETE, &unknown).await.problem(404)["code"], "not-found");

    // No other answer has the secret.
    let listed = client.get("/webhooks").await;
    assert!(!listed.text().contains("whsec_"), "{}", listed.text());
    let rotated = client.ask(Method::POST, &format!("{path}/rotate-secret")).await.json();
    assert_ne!(rotated["secret"], secret.as_str());
    assert_eq!(client.ask(Method::POST, &format!("{path}/disable")).await.json()["enabled"], false);
    let enabled = client.ask(Method::POST, &format!("{path}/enable")).await.json();
    assert_eq!((&enabled["enabled"], &enabled["missedFrom"]), (&json!(true), &Value::Null));
    assert_eq!(client.ask(Method::DELETE, &path).await.status, 204);
    assert_eq!(client.get(&path).await.status, 404);
    let metrics = client.get("/metrics").await;
    assert!(metrics.text().contains(r#"ordo_webhook_attempts_total{outcome="delivered"} 5"#), "{}", metrics.text());
}

#[tokio::test]
async fn what_makes_no_webhook_is_refused_by_its_field() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    for (body, pointers) in [
        (json!({ "url": "http://shop.example/" }), vec!["/url"]),
        (json!({ "url": "https://10.0.0.1/" }), vec!["/url"]),
        (json!({ "url": "https://169.254.169.254/latest" }), vec!["/url"]),
        (json!({ "url": "https://shop.example/", "eventTypes": ["OrderPainted"] }), vec!["/eventTypes"]),
        (json!({ "url": "https://shop.example/", "role": "customer" }), vec!["/role"]),
        (json!({ "url": "https://shop.example/", "role": "" }), vec!["/role"]),
        (json!({ "url": "", "description": "a".repeat(600) }), vec!["/url", "/description"]),
        (json!({ "url": 7 }), vec![""]),
        (json!({ "url": "https://shop.example/", "colour": "red" }), vec![""]),
        (json!({}), vec![""]),
    ] {
        let refused = client.try_post("/webhooks", &body).await.unwrap();
        assert_eq!(refused.status, 422, "{body}: {}", refused.text());
        let errors = refused.json()["errors"].as_array().unwrap().clone();
        let named: Vec<_> = errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect();
        assert_eq!(named, pointers, "{body}");
    }
    let none = "/webhooks/00000000-0000-0000-0000-000000000000";
    for path in ["", "/deliveries", "/replays"] {
        assert_eq!(client.get(&format!("{none}{path}")).await.status, 404, "{path}");
    }
    let made = client.try_post("/webhooks", &json!({ "url": "https://shop.example/" })).await.unwrap();
    let path = made.header("location").to_owned();
    for query in ["?limit=0", "?limit=201", "?state=lost", "?cursor=x", "?colour=red"] {
        assert_eq!(client.get(&format!("{path}/deliveries{query}")).await.status, 422, "{query}");
    }
    for from in [0, 1_000_000] {
        let refused = client.try_post(&format!("{path}/replays"), &json!({ "from": from })).await.unwrap();
        assert_eq!(refused.json()["errors"][0]["pointer"], "/from", "{}", refused.text());
    }
    assert_eq!(client.get("/webhooks").await.json()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn auditors_see_webhooks_without_their_addresses_and_change_none() {
    let ordo = asking().await;
    let (operator, auditor) = (as_role(&ordo, Role::Operator), as_role(&ordo, Role::Auditor));
    let body = json!({ "url": "https://hooks.example/secret-path" });
    let made = operator.try_post("/webhooks", &body).await.unwrap();
    assert_eq!(made.status, 201, "{}", made.text());

    let seen = auditor.get("/webhooks").await;
    assert_eq!((seen.status, &seen.json()["items"][0]["url"]), (200, &json!("***")));
    assert!(!seen.text().contains("secret-path"), "{}", seen.text());
    assert_eq!(auditor.try_post("/webhooks", &body).await.unwrap().status, 403);
    assert_eq!(as_role(&ordo, Role::Shop).get("/webhooks").await.status, 403);
}

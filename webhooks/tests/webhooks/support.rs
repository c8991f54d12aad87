//! A log with events of orders, receivers that answer as they are told to, and copies that deliver.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use access_control::Role;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use event_store::{EventStore, StoreSettings};
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use sqlx::PgPool;
use standardwebhooks::Webhook;
use testkit::Database;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use webhooks::{
    AllowedNetworks, EndpointUrl, NewEndpoint, WebhookDelivery, WebhookEndpoint, WebhookMetrics, WebhookNetwork,
    WebhookSecret, WebhookSettings,
};

/// Far above what it takes: a test that hangs is to fail.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Fixture {
    pub(crate) database: Database,
    pub(crate) store: EventStore,
}

/// A process that delivers. It stops when it is dropped, without a chance to do anything about it.
pub(crate) struct Copy {
    stop: CancellationToken,
    running: AbortOnDropHandle<()>,
}

pub(crate) fn this_machine() -> AllowedNetworks {
    AllowedNetworks::new(vec!["127.0.0.1/32".parse().unwrap()])
}

pub(crate) fn settings() -> WebhookSettings {
    WebhookSettings { allowed_networks: this_machine(), timeout: Duration::from_secs(2), ..WebhookSettings::default() }
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let database = testkit::database().await;
        let store = EventStore::start(database.pool().clone(), StoreSettings::default());
        Self { database, store }
    }

    pub(crate) fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    /// A copy that delivers as a process does.
    pub(crate) fn deliver(&self) -> Copy {
        self.deliver_by(settings(), WebhookNetwork::default())
    }

    pub(crate) fn deliver_by(&self, settings: WebhookSettings, network: WebhookNetwork) -> Copy {
        let stop = CancellationToken::new();
        let running = webhooks::run(self.store.clone(), settings, network, WebhookMetrics::default(), stop.clone());
        let running = tokio::spawn(async move { running.await.unwrap() });
        Copy { stop, running: AbortOnDropHandle::new(running) }
    }

    pub(crate) async fn endpoint(&self, receiver: &Receiver) -> (WebhookEndpoint, WebhookSecret) {
        self.endpoint_at(&receiver.url, &[], Role::Auditor).await
    }

    pub(crate) async fn endpoint_at(&self, url: &str, types: &[&str], role: Role) -> (WebhookEndpoint, WebhookSecret) {
        let url = EndpointUrl::parse(url, &this_machine());
        let types = types.iter().map(|name| (*name).to_owned()).collect();
        let new = NewEndpoint::new(url, String::new(), types, role).unwrap();
        WebhookEndpoint::create(self.pool(), &new).await.unwrap()
    }

    pub(crate) async fn look_at(&self, endpoint: &WebhookEndpoint) -> WebhookEndpoint {
        WebhookEndpoint::find(self.pool(), endpoint.id).await.unwrap()
    }

    /// The deliveries to an endpoint, the earliest event first.
    pub(crate) async fn deliveries(&self, endpoint: &WebhookEndpoint) -> Vec<WebhookDelivery> {
        let mut found = WebhookDelivery::list(self.pool(), endpoint.id, None, None, 100_000).await.unwrap();
        found.reverse();
        found
    }

    /// Waits until so many deliveries to an endpoint have a state.
    pub(crate) async fn until(&self, endpoint: &WebhookEndpoint, state: &str, count: usize) {
        testkit::eventually(PATIENCE, || async {
            let query = "select count(*) from webhook_deliveries where endpoint_id = $1 and state = $2";
            let counted = sqlx::query_scalar(query).bind(endpoint.id).bind(state).fetch_one(self.pool()).await;
            usize::try_from(counted.unwrap_or(-1_i64)).is_ok_and(|counted| counted == count)
        })
        .await;
    }

    /// Waits until the first delivery of an order has failed so often and is not in work.
    pub(crate) async fn until_tried(&self, endpoint: &WebhookEndpoint, order: &str, attempts: i32) {
        testkit::eventually(PATIENCE, || async {
            let query = "select attempts from webhook_deliveries join webhook_queues using (endpoint_id, order_id)
                          where endpoint_id = $1 and order_id = $2 and state = 'pending' and claim is null order by position limit 1";
            let tried = sqlx::query_scalar(query).bind(endpoint.id).bind(order).fetch_optional(self.pool()).await;
            tried.unwrap_or_default() == Some(attempts)
        })
        .await;
    }

    /// Has time pass, as far as deliveries and endpoints are concerned.
    pub(crate) async fn pass(&self, time: &str) {
        for statement in [
            "update webhook_queues set due_at = due_at - $1::text::interval where claim is null",
            "update webhook_endpoints set failing_since = failing_since - $1::text::interval, failed_at = failed_at - $1::text::interval,
                                         not_before = not_before - $1::text::interval",
            "update webhook_deliveries set ended_at = ended_at - $1::text::interval",
        ] {
            sqlx::query(statement).bind(time).execute(self.pool()).await.unwrap();
        }
    }

    /// Appends the order's next event.
    pub(crate) async fn append(&self, order: &str, event_type: &str, payload: &str) -> i64 {
        let insert =
            "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                      select 'order', $1, count(*) + 1, $2, '1.0', $3::json, '{\"actor\":\"shop:web\"}'
                        from events where aggregate_type = 'order' and aggregate_id = $1 returning global_position";
        let insert = sqlx::query_scalar(insert).bind(order).bind(event_type).bind(payload);
        insert.fetch_one(self.pool()).await.unwrap()
    }

    /// A note, which is an event like any other.
    pub(crate) async fn note(&self, order: &str, text: &str) -> i64 {
        let payload = format!(r#"{{"NoteAdded":{{"noteId":"n-1","text":"{text}","author":"Ann"}}}}"#);
        self.append(order, "NoteAdded", &payload).await
    }

    /// Has an endpoint wait for the events of a version and of later ones, as if it had been down when they came.
    pub(crate) async fn backlog(&self, endpoint: &WebhookEndpoint, from_version: i64) {
        for statement in [
            "insert into webhook_queues (endpoint_id, order_id, due_at)
             select distinct $1, aggregate_id, now() from events where sequence >= $2",
            "insert into webhook_deliveries (endpoint_id, position, order_id, event_id, event_type)
             select $1, global_position, aggregate_id, event_id, event_type from events where sequence >= $2",
        ] {
            sqlx::query(statement).bind(endpoint.id).bind(from_version).execute(self.pool()).await.unwrap();
        }
    }

    pub(crate) async fn first_position(&self) -> i64 {
        sqlx::query_scalar("select min(global_position) from events").fetch_one(self.pool()).await.unwrap()
    }

    /// So many notes on each of so many orders, in turn.
    pub(crate) async fn notes(&self, orders: i32, each: i32) {
        let insert = "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                      select 'order', 'o-' || nth, version, 'NoteAdded', '1.0',
                             json_build_object('NoteAdded', json_build_object('noteId', 'n-' || version, 'text', 't', 'author', null)), '{}'
                        from generate_series(1, $2) as version, generate_series(1, $1) as nth order by version, nth";
        sqlx::query(insert).bind(orders).bind(each).execute(self.pool()).await.unwrap();
    }
}

impl Copy {
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.running).await.unwrap().unwrap();
    }
}

/// A request that a receiver got.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    pub(crate) fn order(&self) -> String {
        self.json()["subject"].as_str().unwrap().to_owned()
    }

    pub(crate) fn version(&self) -> i64 {
        self.json()["data"]["version"].as_i64().unwrap()
    }

    /// As the official library of receivers verifies it.
    pub(crate) fn verify(&self, secret: &WebhookSecret) {
        Webhook::new(&secret.expose()).unwrap().verify(self.body.as_bytes(), &self.headers).unwrap();
    }
}

/// How a receiver answers.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Status(u16),
    With(u16, &'static str, String),
    Hang,
    /// 200, and a body that never ends.
    Endless,
    /// 200, and a body that never comes.
    Stalled,
}

type Answering = Box<dyn FnMut(&Received) -> Reply + Send>;

/// Somebody who is told of events.
pub(crate) struct Receiver {
    pub(crate) url: String,
    pub(crate) address: SocketAddr,
    state: Arc<ReceiverState>,
    _serving: AbortOnDropHandle<()>,
}

struct ReceiverState {
    received: Mutex<Vec<Received>>,
    answering: Mutex<Answering>,
}

impl Receiver {
    pub(crate) async fn new(answering: impl FnMut(&Received) -> Reply + Send + 'static) -> Self {
        Self::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), answering).await
    }

    pub(crate) async fn at(address: SocketAddr, answering: impl FnMut(&Received) -> Reply + Send + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(ReceiverState { received: Mutex::default(), answering: Mutex::new(Box::new(answering)) });
        let routes = Router::new().fallback(receive).with_state(Arc::clone(&state));
        let serving: JoinHandle<()> = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        let url = format!("http://{address}/hooks");
        Self { url, address, state, _serving: AbortOnDropHandle::new(serving) }
    }

    pub(crate) fn answer_by(&self, answering: impl FnMut(&Received) -> Reply + Send + 'static) {
        *self.state.answering.lock().unwrap() = Box::new(answering);
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.state.received.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.state.received.lock().unwrap().len()
    }

    /// The versions that came of each order, in the order in which they came.
    pub(crate) fn versions(&self) -> BTreeMap<String, Vec<i64>> {
        let mut versions: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for received in self.received() {
            versions.entry(received.order()).or_default().push(received.version());
        }
        versions
    }
}

async fn receive(State(state): State<Arc<ReceiverState>>, headers: HeaderMap, body: Bytes) -> Response {
    let received = Received { headers, body: String::from_utf8(body.into()).unwrap() };
    let reply = state.answering.lock().unwrap()(&received);
    state.received.lock().unwrap().push(received);
    let endless = |byte: u8| {
        futures_util::stream::unfold((), move |()| async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from(vec![byte; 4096])), ()))
        })
    };
    match reply {
        Reply::Status(status) => answer(status, Body::from("noted")),
        Reply::With(status, name, value) => {
            let mut answer = answer(status, Body::empty());
            answer.headers_mut().insert(name, value.parse().unwrap());
            answer
        }
        Reply::Hang => std::future::pending().await,
        Reply::Endless => answer(200, Body::from_stream(endless(b'a'))),
        Reply::Stalled => {
            answer(200, Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>()))
        }
    }
}

fn answer(status: u16, body: Body) -> Response {
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    answer
}

/// Whether each order's versions came in order: none before one that comes first, but for repeats.
pub(crate) fn in_order(versions: &[i64]) -> bool {
    let mut highest = 0;
    versions.iter().all(|version| {
        let follows = *version <= highest + 1;
        highest = highest.max(*version);
        follows
    })
}

pub(crate) fn loopback() -> IpAddr {
    IpAddr::V4(Ipv4Addr::LOCALHOST)
}

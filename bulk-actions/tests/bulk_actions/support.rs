//! A database with stuck sagas, and an operator at the routes.

use std::time::Duration;

use access_control::{Principal, Role, RoutePermission};
use axum::Router;
use axum::body::Body;
use bulk_actions::BulkActionDependencies;
use domain::order::parse::PostedOrder;
use domain::order::{Order, OrderCommand, decide};
use event_store::{AppendQueueSettings, EventStore, Metadata, StreamLocks, Versioned};
use futures_util::future::join_all;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use messaging::DeadLetterQueue;
use serde_json::{Value, json};
use testkit::Database;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Far longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Fixture {
    pub(crate) database: Database,
    pub(crate) store: EventStore,
    pub(crate) deps: BulkActionDependencies,
    routes: Router,
}

/// A process that carries bulk actions on.
pub(crate) struct Worker {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Fixture {
    pub(crate) async fn new(dead_letters: Vec<DeadLetterQueue>) -> Self {
        let database = testkit::database().await;
        let store = EventStore::start(database.pool().clone(), AppendQueueSettings::default());
        let stock = StreamLocks::new(store.clone(), 100);
        let keys = testkit::MESSAGE_KEYS.parse().unwrap();
        let deps = BulkActionDependencies { store: store.clone(), stock, dead_letters, keys };
        let operator = Principal::new(Role::Operator, "ada", None);
        let routes = testkit::called_by(bulk_actions::routes(deps.clone()), operator, RoutePermission::All);
        Self { database, store, deps, routes }
    }

    /// Orders with these ids whose sagas are stuck at a step, the first the longest.
    pub(crate) async fn stuck(&self, ids: &[String], step: &str) {
        join_all(ids.iter().map(|id| async move {
            let posted = PostedOrder::parse(testkit::demo_order(id).to_string().as_bytes()).unwrap();
            let create = |order: &Order| decide(order, OrderCommand::CreateOrder(posted.content.clone()));
            self.store.execute(id, Versioned::default(), &Metadata::default(), create).await.unwrap();
        }))
        .await;
        let stuck = "insert into saga_work (saga, order_id, step, sent, failures, due_at, stuck, since, last_error)
                     select 'order_fulfilment', id, $2, 0, 5, 'infinity', true,
                            '2026-11-20T00:00:00Z'::timestamptz + n * interval '1 second', 'no answer'
                       from unnest($1::text[]) with ordinality as it(id, n)";
        sqlx::query(stuck).bind(ids).bind(step).execute(self.database.pool()).await.unwrap();
    }

    pub(crate) fn work(&self) -> Worker {
        let stop = CancellationToken::new();
        Worker { task: tokio::spawn(bulk_actions::run(self.deps.clone(), stop.clone())), stop }
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, key: Option<&str>, body: &Value) -> (StatusCode, Value) {
        let request = Request::post(path).header("content-type", "application/json");
        let request = key.into_iter().fold(request, |request, key| request.header("idempotency-key", key));
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let answer = self.routes.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// Begins a bulk action, and returns its id.
    pub(crate) async fn begin(&self, kind: &str, filter: Value, rate: u32) -> String {
        let body = json!({ "kind": kind, "filter": filter, "reason": "mended", "rate": rate });
        let (status, begun) = self.post("/bulk-actions", None, &body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{begun}");
        begun["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn action(&self, id: &str) -> Value {
        self.get(&format!("/bulk-actions/{id}")).await.1
    }

    /// The action, once it has ended.
    pub(crate) async fn ended(&self, id: &str) -> Value {
        testkit::eventually(PATIENCE, || async { !self.action(id).await["endedAt"].is_null() }).await;
        self.action(id).await
    }

    /// How many decisions there are on how many orders.
    pub(crate) async fn decisions(&self) -> (i64, i64) {
        let count = "select count(*), count(distinct aggregate_id) from events where event_type = 'OperatorIntervened'";
        sqlx::query_as(count).fetch_one(self.database.pool()).await.unwrap()
    }

    pub(crate) async fn execute(&self, statement: &str) {
        sqlx::query(statement).execute(self.database.pool()).await.unwrap();
    }
}

impl Worker {
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// Nothing of it is left, and it has given nothing back.
    pub(crate) async fn crash(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

pub(crate) fn ids(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}-{n}")).collect()
}

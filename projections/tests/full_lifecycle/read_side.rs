//! The read side over a database, with a projector that follows the log.

use axum::Router;
use axum::body::Body;
use domain::order::{Order, OrderError, OrderEvent};
use event_store::{EventStore, Handled, Metadata, StoreSettings, Versioned};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use projections::{ReplayError, ReplayOperations, ReplayOptions, ReplaySummary, SlowReads};
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::Database;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// The read side of a database, kept up to date.
pub(crate) struct ReadSide {
    pub(crate) database: Database,
    pub(crate) store: EventStore,
    pub(crate) routes: Router,
    pub(crate) stop: CancellationToken,
    pub(crate) running: JoinHandle<()>,
}

impl ReadSide {
    pub(crate) async fn running() -> Self {
        let database = testkit::database().await;
        projections::create_tables(&*testkit::read_models(database.pool()), &[]).await.unwrap();
        let store = EventStore::start(database.pool().clone(), StoreSettings::default());
        let stop = CancellationToken::new();
        let running = tokio::spawn(projections::run(store.clone(), testkit::read_models(store.pool()), stop.clone()));
        Self {
            routes: testkit::called_by_shop(projections::routes(
                store.clone(),
                &*testkit::read_models(store.pool()),
                None,
                SlowReads::default(),
            )),
            database,
            store,
            stop,
            running,
        }
    }

    /// Puts an event into the log of order `a`, whatever the rules say to it, and returns the view of it.
    pub(crate) async fn after(&self, event: OrderEvent) -> Value {
        let known: Versioned<Order> = self.store.load("a").await.unwrap();
        let decide = |_: &Order| Ok::<_, OrderError>(vec![event.clone()]);
        let executed = self.store.execute("a", known, &Metadata::default(), decide).await.unwrap();
        let Handled::Appended(appended) = executed else { panic!("nothing happened") };
        self.get(&format!("/orders/a?minPosition={}", appended.position)).await
    }

    pub(crate) async fn after_all(&self, events: impl IntoIterator<Item = OrderEvent>) -> Value {
        let mut view = Value::Null;
        for event in events {
            view = self.after(event).await;
        }
        view
    }

    pub(crate) async fn get(&self, uri: &str) -> Value {
        let request = Request::get(uri).body(Body::empty()).unwrap();
        let answer = self.routes.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(status, StatusCode::OK, "{uri}: {body:?}");
        serde_json::from_slice(&body).unwrap()
    }

    pub(crate) async fn rows(&self) -> Vec<String> {
        let rows = sqlx::query_scalar("select row_to_json(t)::text from read_model_orders t order by pk, sk");
        rows.fetch_all(self.database.pool()).await.unwrap()
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.running.await.unwrap();
        self.store.close().await;
    }
}

pub(crate) fn usd(amount: &str) -> Value {
    json!({ "amount": amount, "currency": "USD" })
}

/// How far the order is: itself, its payment, its goods, its returns.
pub(crate) fn statuses(view: &Value) -> [&str; 4] {
    ["status", "paymentStatus", "fulfilmentStatus", "returnsStatus"].map(|name| view[name].as_str().unwrap())
}

/// A whole replay of one projection.
pub(crate) async fn replay(pool: &PgPool, projection: &str) -> Result<ReplaySummary, ReplayError> {
    let replays = ReplayOperations::new(pool.clone(), testkit::read_models(pool));
    let replay = replays.open(&ReplayOptions { projections: vec![projection.to_owned()], compare: false }).await?;
    replay.run(&CancellationToken::new(), |_| ()).await
}

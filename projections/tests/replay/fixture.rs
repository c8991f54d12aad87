//! A database with orders and SKUs, its live read models, and its replays.

use std::sync::Arc;

use cqrs_es::Aggregate;
use domain::ids::LocationId;
use domain::order::event::OrderConfirmed;
use domain::order::parse::PostedOrder;
use domain::order::{Order, OrderEvent};
use domain::stock::{Stock, StockEvent, StockReceived};
use event_store::{EventStore, Metadata, NewEvent, StoreSettings, StreamAppend};
use projections::{REGISTRY, ReplayError, ReplayOperations, ReplayOptions, ReplaySummary};
use read_models::GenerationStore;
use sqlx::PgPool;
use testkit::Database;
use tokio_util::sync::CancellationToken;

pub(crate) struct Fixture {
    pub(crate) database: Database,
    pub(crate) store: EventStore,
    pub(crate) replays: ReplayOperations,
    pub(crate) read_models: Arc<dyn GenerationStore>,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let database = testkit::database().await;
        let read_models = testkit::read_models(database.pool());
        projections::create_tables(&*read_models, &[]).await.unwrap();
        let store = EventStore::start(database.pool().clone(), StoreSettings::default());
        let replays = ReplayOperations::new(database.pool().clone(), Arc::clone(&read_models));
        Self { database, store, replays, read_models }
    }

    pub(crate) fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    pub(crate) async fn append(&self, kind: &'static str, id: &str, from: i64, events: Vec<NewEvent>) -> i64 {
        let stream = StreamAppend { stream_type: kind, stream_id: id.to_owned(), expected_version: from, events };
        self.store.append(vec![stream]).await.unwrap().position
    }

    /// An order that is confirmed, and a SKU that is received.
    pub(crate) async fn happens(&self, nth: usize) -> i64 {
        let id = format!("o-{nth}");
        let created = PostedOrder::parse(testkit::demo_order(&id).to_string().as_bytes()).unwrap().content;
        let event = |event: OrderEvent| NewEvent::new(&event, &Metadata::default()).unwrap();
        let events = vec![
            event(OrderEvent::OrderCreated(created)),
            event(OrderEvent::OrderConfirmed(OrderConfirmed::default())),
        ];
        self.append(Order::TYPE, &id, 0, events).await;
        let received =
            StockEvent::StockReceived(StockReceived { unit: None, quantity: 5, location: LocationId::default() });
        let received = NewEvent::new(&received, &Metadata::default()).unwrap();
        self.append(Stock::TYPE, &format!("sku-{nth}"), 0, vec![received]).await
    }

    pub(crate) async fn open(
        &self,
        projections: &[&str],
        compare: bool,
    ) -> Result<projections::ExclusiveReplay, ReplayError> {
        let projections = projections.iter().map(|name| (*name).to_owned()).collect();
        self.replays.open(&ReplayOptions { projections, compare }).await
    }

    pub(crate) async fn replay(&self, projections: &[&str], compare: bool) -> Result<ReplaySummary, ReplayError> {
        self.open(projections, compare).await?.run(&CancellationToken::new(), |_| ()).await
    }

    /// Has the live read models follow the log up to a position.
    pub(crate) async fn follow(&self, position: i64) {
        let stop = CancellationToken::new();
        let running = tokio::spawn(projections::run(self.store.clone(), Arc::clone(&self.read_models), stop.clone()));
        for projection in REGISTRY {
            self.store.until_passed(projection.name, position).await.unwrap();
        }
        stop.cancel();
        running.await.unwrap();
    }

    pub(crate) async fn rows(&self, table: &str) -> Vec<String> {
        let rows = format!("select row_to_json(t)::text from {table} t order by pk, sk");
        sqlx::query_scalar(&rows).fetch_all(self.pool()).await.unwrap()
    }

    /// Everything that a replay may leave behind.
    pub(crate) async fn traces(&self) -> Vec<String> {
        let traces = "select tablename::text from pg_tables where tablename like 'read\\_model\\_%\\_next'
                      union all select 'tally of ' || read_model from read_model_tallies
                      union all select 'replay ' || phase from replays";
        sqlx::query_scalar(traces).fetch_all(self.pool()).await.unwrap()
    }
}

pub(crate) fn all() -> Vec<&'static str> {
    REGISTRY.iter().map(|projection| projection.name).collect()
}

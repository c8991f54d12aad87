//! Read models compared with a fresh fold of the events: whatever is not what it should be is found, and what is under
//! way is not held against anybody.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use std::time::Duration;

use bounds::Budget;
use cqrs_es::Aggregate;
use domain::ids::LocationId;
use domain::order::event::OrderConfirmed;
use domain::order::parse::PostedOrder;
use domain::order::{Order, OrderEvent};
use domain::stock::{Stock, StockCommand, StockReceived, decide};
use event_store::operations::parked_events;
use event_store::read::read_by_stream;
use event_store::{AppendQueueSettings, EventStore, Metadata, NewEvent, StreamAppend};
use projections::{REGISTRY, ReadModelVerifier, VerificationReport};
use sqlx::{Executor, PgPool};
use testkit::Database;
use tokio_util::sync::CancellationToken;

/// Far longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Shop {
    database: Database,
    store: EventStore,
}

impl Shop {
    async fn new() -> Self {
        let database = testkit::database().await;
        projections::create_tables(&*testkit::read_models(database.pool()), &[]).await.unwrap();
        let store = EventStore::start(database.pool().clone(), AppendQueueSettings::default());
        Self { database, store }
    }

    /// A shop with three confirmed orders and two SKUs, all of it in the read models.
    async fn busy() -> Self {
        let shop = Self::new().await;
        for order_id in ["a", "b", "c"] {
            shop.create(order_id).await;
            shop.happens(order_id, 1, OrderEvent::OrderConfirmed(OrderConfirmed::default())).await;
        }
        for sku in ["sku-1", "sku-2"] {
            let received = StockReceived { unit: None, quantity: 10, location: LocationId::default() };
            let events = decide(&Stock::default(), StockCommand::Receive(received)).unwrap();
            let events = events.iter().map(|event| NewEvent::new(event, &Metadata::default()).unwrap()).collect();
            shop.append(Stock::TYPE, sku, 0, events).await;
        }
        shop.project().await;
        shop
    }

    fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    async fn create(&self, order_id: &str) {
        let content = PostedOrder::parse(testkit::demo_order(order_id).to_string().as_bytes()).unwrap().content;
        self.happens(order_id, 0, OrderEvent::OrderCreated(content)).await;
    }

    async fn happens(&self, order_id: &str, version: i64, event: OrderEvent) {
        let event = NewEvent::new(&event, &Metadata::default()).unwrap();
        self.append(Order::TYPE, order_id, version, vec![event]).await;
    }

    async fn append(&self, stream_type: &'static str, id: &str, expected_version: i64, events: Vec<NewEvent>) {
        let append = StreamAppend { stream_type, stream_id: id.to_owned(), expected_version, events };
        self.store.append(vec![append]).await.unwrap();
    }

    /// Runs the projections until they have passed everything.
    async fn project(&self) {
        let stop = CancellationToken::new();
        let read_models = testkit::read_models(self.pool());
        let running = tokio::spawn(projections::run(self.store.clone(), read_models, stop.clone()));
        let last: i64 =
            sqlx::query_scalar("select max(global_position) from events").fetch_one(self.pool()).await.unwrap();
        for projection in REGISTRY {
            tokio::time::timeout(PATIENCE, self.store.until_passed(projection.name, last)).await.unwrap().unwrap();
        }
        stop.cancel();
        running.await.unwrap();
    }

    /// So many events are read at once.
    async fn verify(&self, at_once: usize) -> VerificationReport {
        let mut transaction = self.pool().begin().await.unwrap();
        transaction.execute("set transaction isolation level repeatable read, read only").await.unwrap();
        let read_models = testkit::read_models(self.pool());
        let mut verification = ReadModelVerifier::begin(&mut transaction, &*read_models).await.unwrap();
        let mut after = (String::new(), String::new(), 0);
        loop {
            let events = read_by_stream(&mut transaction, (&after.0, &after.1, after.2), Budget::of(at_once))
                .await
                .unwrap()
                .events;
            let Some(last) = events.last() else { break };
            after = (last.stream_type.clone(), last.stream_id.clone(), last.version);
            verification.read(&mut transaction, &events).await.unwrap();
        }
        let found = verification.end(&mut transaction).await.unwrap();
        transaction.rollback().await.unwrap();
        found
    }

    async fn spoil(&self, statement: &str) {
        assert!(self.pool().execute(statement).await.unwrap().rows_affected() > 0, "{statement}");
    }
}

#[tokio::test]
async fn what_the_events_make_is_what_is_stored_however_they_are_read() {
    let shop = Shop::busy().await;
    let whole = shop.verify(1_000).await;
    assert_eq!((&whole.discrepancies, whole.discrepancy_count, whole.skipped), (&vec![], 0, 0));
    // Each order has at least itself and a line.
    assert!(whole.matching >= 8, "{whole:?}");
    for at_once in [1, 2, 3] {
        assert_eq!(shop.verify(at_once).await, whole);
    }
}

#[tokio::test]
async fn whatever_differs_is_found() {
    let shop = Shop::busy().await;
    let fine = shop.verify(1_000).await;
    for (spoil, projection, pk, what) in [
        (
            "update read_model_orders set item = (jsonb_set(item::jsonb, '{currency}', '\"EUR\"'))::json
              where pk = 'ORDER#b' and sk = '#META'",
            "orders",
            "ORDER#b",
            "it differs in currency",
        ),
        (
            "update read_model_orders set item = '[]' where pk = 'ORDER#b' and sk = '#META'",
            "orders",
            "ORDER#b",
            "it is another",
        ),
        (
            "delete from read_model_orders where pk = 'ORDER#a' and sk like 'LINE#%'",
            "orders",
            "ORDER#a",
            "it is missing",
        ),
        (
            "update read_model_orders set gsi1pk = 'CUSTOMER#thief' where pk = 'ORDER#c' and sk = '#META'",
            "orders",
            "ORDER#c",
            "its key in gsi1 is another",
        ),
        (
            "update read_model_orders set version = version - 1 where pk = 'ORDER#c' and sk = '#META'",
            "orders",
            "ORDER#c",
            "it is as of position 5, and should be as of 6",
        ),
        (
            "update read_model_orders set version = 1000 where pk = 'ORDER#c' and sk = '#META'",
            "orders",
            "ORDER#c",
            "it is as of position 1000, and the log ends at 8",
        ),
        (
            "insert into read_model_orders (pk, sk, version, item) values ('ORDER#a', 'LINE#999', 1, '{}')",
            "orders",
            "ORDER#a",
            "no event makes such an item",
        ),
        (
            "update read_model_stock set pk = 'STOCK#sku-3' where pk = 'STOCK#sku-2'",
            "stock",
            "STOCK#sku-3",
            "no event makes such an item",
        ),
        (
            "update read_model_stock set item = (jsonb_set(item::jsonb, '{onHand}', '99'))::json where pk = 'STOCK#sku-1'",
            "stock",
            "STOCK#sku-1",
            "it differs in onHand",
        ),
    ] {
        shop.pool().execute("create table kept_orders as table read_model_orders").await.unwrap();
        shop.pool().execute("create table kept_stock as table read_model_stock").await.unwrap();
        shop.spoil(spoil).await;

        let found = shop.verify(1_000).await;
        let is_it = |it: &projections::Discrepancy| (it.projection, &*it.key.pk, &*it.what) == (projection, pk, what);
        assert!(found.discrepancies.iter().any(is_it), "{spoil}: {found:#?}");
        assert!(found.discrepancy_count <= 2, "{spoil}: {found:#?}");

        for table in ["orders", "stock"] {
            let back = format!(
                "truncate read_model_{table}; insert into read_model_{table} table kept_{table}; drop table kept_{table}"
            );
            shop.pool().execute(&*back).await.unwrap();
        }
    }
    assert_eq!(shop.verify(1_000).await, fine);
}

#[tokio::test]
async fn what_a_projection_has_not_come_to_yet_is_not_held_against_it() {
    // Given
    let shop = Shop::busy().await;
    shop.create("new").await;
    shop.create("d").await;
    shop.project().await;
    // It stands still from here.
    shop.happens("a", 2, OrderEvent::OrderDelivered(domain::order::event::OrderDelivered {})).await;
    shop.create("e").await;

    // Then
    let found = shop.verify(2).await;
    assert_eq!((&found.discrepancies, found.discrepancy_count), (&vec![], 0));
    assert!(found.skipped >= 2, "{found:?}");
    // But what it has come to, it has to have got right.
    shop.spoil("delete from read_model_orders where pk = 'ORDER#a' and sk like 'LINE#%'").await;
    assert_eq!(shop.verify(2).await.discrepancy_count, 1);
}

#[tokio::test]
async fn streams_with_parked_events_are_left_out() {
    let shop = Shop::busy().await;
    shop.spoil("update read_model_orders set item = '{}' where pk = 'ORDER#a' and sk = '#META'").await;
    assert_eq!(shop.verify(1_000).await.discrepancy_count, 1);
    shop.happens("a", 2, OrderEvent::OrderConfirmed(OrderConfirmed::default())).await;
    shop.project().await;
    assert_eq!(parked_events(shop.pool(), Some("orders")).await.unwrap().len(), 1);
    let found = shop.verify(1_000).await;
    assert_eq!(found.discrepancies, []);
    assert!(found.skipped >= 2, "{found:?}");
}

#[tokio::test]
async fn events_that_nobody_can_fold_are_told_of() {
    let shop = Shop::busy().await;
    let mut transaction = shop.pool().begin().await.unwrap();
    transaction.execute("set local session_replication_role = replica").await.unwrap();
    let eaten = "update events set payload = '{\"OrderEaten\": {}}' where aggregate_id = 'b' and sequence = 2";
    transaction.execute(eaten).await.unwrap();
    transaction.commit().await.unwrap();
    let found = shop.verify(1_000).await;
    let told = |it: &projections::Discrepancy| {
        it.key.sk == "b" && it.what.starts_with("its events can't be folded: ") && it.what.contains("OrderEaten")
    };
    assert!(found.discrepancies.iter().any(told), "{found:#?}");
}

#[tokio::test]
async fn of_many_discrepancies_the_first_are_listed_and_all_are_counted() {
    let shop = Shop::new().await;
    shop.spoil(
        "insert into read_model_stock (pk, sk, version, item) select 'SKU#' || n, '#META', 0, '{}' from generate_series(1, 2500) n",
    )
    .await;
    let found = shop.verify(1_000).await;
    assert_eq!((found.discrepancies.len(), found.discrepancy_count), (100, 2_500));
}

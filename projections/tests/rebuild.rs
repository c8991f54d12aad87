//! Rebuilding the orders read model beside several copies of the projection, and what it does to parked streams.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::order::event::OrderConfirmed;
use domain::order::parse::PostedOrder;
use domain::order::{Order, OrderError, OrderEvent};
use event_store::operations::{checkpoints, lease_holders, parked_events};
use event_store::{EventStore, ExclusiveLease, Handled, LeaseSettings, Metadata, StoreSettings, Versioned};
use projections::{ReplayError, ReplayOperations, ReplayOptions, ReplaySummary};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use testkit::Database;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Far longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A copy of the projections, as a process of its own would run it.
struct Copy {
    store: EventStore,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Copy {
    /// With connections of its own, as a process has them.
    fn start(database: &Database) -> Self {
        let pool = PgPoolOptions::new().max_connections(10).connect_lazy(database.url()).unwrap();
        let (store, stop) = (EventStore::start(pool, StoreSettings::default()), CancellationToken::new());
        let running = tokio::spawn(projections::run(store.clone(), testkit::read_models(store.pool()), stop.clone()));
        Self { store, stop, running }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap();
        self.store.close().await;
    }
}

async fn database() -> Database {
    let database = testkit::database().await;
    projections::create_tables(&*testkit::read_models(database.pool()), &[]).await.unwrap();
    database
}

async fn happens(store: &EventStore, order_id: &str, event: OrderEvent) -> i64 {
    let known: Versioned<Order> = store.load(order_id).await.unwrap();
    let decide = |_: &Order| Ok::<_, OrderError>(vec![event.clone()]);
    match store.execute(order_id, known, &Metadata::default(), decide).await.unwrap() {
        Handled::Appended(appended) => appended.position,
        Handled::Unchanged(_) | Handled::Replayed(_) => panic!("{order_id}: nothing happened"),
    }
}

async fn create(store: &EventStore, order_id: &str) -> i64 {
    let content = PostedOrder::parse(testkit::demo_order(order_id).to_string().as_bytes()).unwrap().content;
    happens(store, order_id, OrderEvent::OrderCreated(content)).await
}

/// Every row of the read model, in order.
async fn rows(pool: &PgPool) -> Vec<String> {
    let rows = sqlx::query_scalar("select row_to_json(t)::text from read_model_orders t order by pk, sk");
    rows.fetch_all(pool).await.unwrap()
}

async fn eventually_shared_by_two(pool: &PgPool) {
    testkit::eventually(PATIENCE, || async {
        let mut holders = lease_holders(pool).await.unwrap();
        holders.retain(|holder| holder.subscription == "orders");
        holders.len() == 2 && holders.iter().all(|holder| holder.alive && holder.partitions.len() == 8)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_while_two_copies_share_the_work_ends_right() {
    // Given
    let database = database().await;
    let pool = database.pool();
    let (one, other) = (Copy::start(&database), Copy::start(&database));
    eventually_shared_by_two(pool).await;

    // When: it is rebuilt again and again while orders come in.
    let over = AtomicBool::new(false);
    let coming_in = async {
        let mut orders = 0;
        let mut position = 0;
        while !over.load(Ordering::SeqCst) {
            let order_id = format!("o-{orders}");
            create(&one.store, &order_id).await;
            position = happens(&one.store, &order_id, OrderEvent::OrderConfirmed(OrderConfirmed::default())).await;
            orders += 1;
        }
        (orders, position)
    };
    let rebuilding = async {
        for _ in 0..5 {
            replay(pool, "orders").await.unwrap();
        }
        over.store(true, Ordering::SeqCst);
    };
    let ((orders, position), ()) = tokio::join!(coming_in, rebuilding);

    // Then
    tokio::time::timeout(PATIENCE, other.store.until_passed("orders", position)).await.unwrap().unwrap();
    let live = rows(pool).await;
    // The order and its line.
    assert_eq!(live.len(), 2 * orders);
    assert!(live.iter().filter(|row| row.contains("#META")).all(|row| row.contains("confirmed")));
    eventually_shared_by_two(pool).await;
    one.stop().await;
    other.stop().await;
    replay(pool, "orders").await.unwrap();
    assert_eq!(rows(pool).await, live);
}

#[tokio::test]
async fn a_rebuild_mends_a_view_that_streams_were_parked_for() {
    // Given: an item that can't be read, so that what happens to its order is parked.
    let database = database().await;
    let pool = database.pool();
    let copy = Copy::start(&database);
    create(&copy.store, "spoilt").await;
    let position = create(&copy.store, "sound").await;
    copy.store.until_passed("orders", position).await.unwrap();
    let spoil = "update read_model_orders set item = '{}' where pk = 'ORDER#spoilt'";
    sqlx::query(spoil).execute(pool).await.unwrap();
    happens(&copy.store, "spoilt", OrderEvent::OrderConfirmed(OrderConfirmed::default())).await;
    let position = happens(&copy.store, "sound", OrderEvent::OrderConfirmed(OrderConfirmed::default())).await;
    copy.store.until_passed("orders", position).await.unwrap();
    let parked_streams = || async {
        parked_events(pool, Some("orders")).await.unwrap().into_iter().map(|event| event.stream_id).collect::<Vec<_>>()
    };
    assert_eq!(parked_streams().await, ["spoilt"]);

    // When
    replay(pool, "orders").await.unwrap();

    // Then
    assert!(parked_streams().await.is_empty());
    let view = rows(pool).await;
    assert_eq!(view.iter().filter(|row| row.contains("confirmed")).count(), 2, "{view:?}");
    assert_eq!(checkpoints(pool).await.unwrap()["orders"], position);
    // It goes on from there.
    let position = create(&copy.store, "next").await;
    copy.store.until_passed("orders", position).await.unwrap();
    assert_eq!(rows(pool).await.len(), view.len() + 2);
    copy.stop().await;
}

#[tokio::test]
async fn a_rebuild_whose_lease_was_lost_does_not_change_places() {
    let database = database().await;
    let pool = database.pool();
    let copy = Copy::start(&database);
    let position = create(&copy.store, "a").await;
    copy.store.until_passed("orders", position).await.unwrap();
    let settings = LeaseSettings { lease: Duration::from_secs(1) };
    let mut connection = pool.acquire().await.unwrap();
    let frozen = ExclusiveLease::acquire(&mut connection, "orders", settings).await.unwrap();

    // Nothing renews it, and the copy goes on.
    let position = create(&copy.store, "b").await;
    copy.store.until_passed("orders", position).await.unwrap();

    let mut transaction = pool.begin().await.unwrap();
    let finished = frozen.release_at(&mut transaction, position + 100).await.unwrap_err();
    assert!(finished.to_string().contains("has changed hands"), "{finished}");
    transaction.rollback().await.unwrap();
    assert_eq!(checkpoints(pool).await.unwrap()["orders"], position);
    copy.stop().await;
}

/// A whole replay of one projection.
async fn replay(pool: &PgPool, projection: &str) -> Result<ReplaySummary, ReplayError> {
    let replays = ReplayOperations::new(pool.clone(), testkit::read_models(pool));
    let replay = replays.open(&ReplayOptions { projections: vec![projection.to_owned()], compare: false }).await?;
    replay.run(&CancellationToken::new(), |_| ()).await
}

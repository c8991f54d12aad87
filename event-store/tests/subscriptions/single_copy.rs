//! Subscriptions: the checkpoint moves with what was written, a failure is met again, a lost wake-up does no harm.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use cqrs_es::Aggregate;
use domain::order::event::OrderConfirmed;
use domain::order::{Order, OrderEvent};
use event_store::operations::checkpoints;
use event_store::{
    AppendQueueSettings, EventStore, Metadata, NewEvent, StoredEvent, StreamAppend, Subscriber, SubscriberError,
};
use sqlx::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;

/// Far longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Counts events of orders in a table, and fails the first time it is given anything, after it has counted.
struct Counter {
    failures_left: u32,
}

#[async_trait]
impl Subscriber for Counter {
    fn name(&self) -> &str {
        "counter"
    }

    fn follows(&self) -> Option<&'static str> {
        Some(Order::TYPE)
    }

    async fn handle(&mut self, events: &[StoredEvent], transaction: &mut PgConnection) -> Result<(), SubscriberError> {
        for event in events {
            event.decode::<Order>()?;
            sqlx::query("insert into counted values ($1)").bind(event.position).execute(&mut *transaction).await?;
        }
        if self.failures_left > 0 {
            self.failures_left -= 1;
            return Err(SubscriberError::unavailable("failing as asked"));
        }
        Ok(())
    }
}

async fn append(store: &EventStore, id: &str) -> i64 {
    let event = NewEvent::new(&OrderEvent::OrderConfirmed(OrderConfirmed::default()), &Metadata::default()).unwrap();
    let append =
        StreamAppend { stream_type: Order::TYPE, stream_id: id.into(), expected_version: 0, events: vec![event] };
    store.append(vec![append]).await.unwrap().position
}

async fn counted(pool: &PgPool) -> Vec<i64> {
    sqlx::query_scalar("select * from counted order by 1").fetch_all(pool).await.unwrap()
}

async fn set_up() -> (testkit::Database, EventStore) {
    let database = testkit::database().await;
    // No primary key: counting twice would show.
    sqlx::query("create table counted (position bigint)").execute(database.pool()).await.unwrap();
    let store = EventStore::start(database.pool().clone(), AppendQueueSettings::default());
    (database, store)
}

#[tokio::test]
async fn a_batch_that_failed_comes_again_and_counts_once() {
    let (database, store) = set_up().await;
    let positions = [append(&store, "a").await, append(&store, "b").await];
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let (store, stop) = (store.clone(), stop.clone());
        async move { store.subscribe(Counter { failures_left: 2 }, stop).await }
    });

    testkit::eventually(PATIENCE, || async { counted(database.pool()).await == positions }).await;
    assert_eq!(checkpoints(database.pool()).await.unwrap()["counter"], positions[1]);

    stop.cancel();
    running.await.unwrap();
    // Another start goes on where that one stopped.
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let (store, stop) = (store.clone(), stop.clone());
        async move { store.subscribe(Counter { failures_left: 0 }, stop).await }
    });
    let third = append(&store, "c").await;
    let expected = [positions[0], positions[1], third];
    testkit::eventually(PATIENCE, || async { counted(database.pool()).await == expected }).await;
    stop.cancel();
    running.await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn an_event_of_another_process_is_seen_at_once_and_one_without_a_wake_up_within_the_poll() {
    let (database, store) = set_up().await;
    let elsewhere = EventStore::start(database.pool().clone(), AppendQueueSettings::default());
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let (store, stop) = (store.clone(), stop.clone());
        async move { store.subscribe(Counter { failures_left: 0 }, stop).await }
    });
    let first = append(&elsewhere, "a").await;
    testkit::eventually(PATIENCE, || async { counted(database.pool()).await == [first] }).await;

    // As if the notification got lost: the trigger that sends it does not run.
    let mut quiet = database.pool().begin().await.unwrap();
    sqlx::query("set local session_replication_role = replica").execute(&mut *quiet).await.unwrap();
    let second: i64 = sqlx::query_scalar(
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
         values ('order', 'b', 1, 'OrderConfirmed', '1.0', '{\"OrderConfirmed\":{}}', '{}') returning global_position",
    )
    .fetch_one(&mut *quiet)
    .await
    .unwrap();
    quiet.commit().await.unwrap();
    let asked = Instant::now();
    testkit::eventually(PATIENCE, || async { counted(database.pool()).await == [first, second] }).await;
    assert!(asked.elapsed() < Duration::from_secs(10));
    stop.cancel();
    running.await.unwrap();
    elsewhere.close().await;
    store.close().await;
}

#[tokio::test]
async fn an_unknown_event_stops_its_subscriber_and_is_not_skipped() {
    let (database, store) = set_up().await;
    let first = append(&store, "a").await;
    sqlx::query(
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
         values ('order', 'b', 1, 'OrderTeleported', '1.0', '{\"OrderTeleported\":{}}', '{}')",
    )
    .execute(database.pool())
    .await
    .unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let (store, stop) = (store.clone(), stop.clone());
        async move { store.subscribe(Counter { failures_left: 0 }, stop).await }
    });
    // What comes after the unknown one waits behind it; the batch counts nothing.
    append(&store, "c").await;
    let error = store.load::<Order>("b").await.unwrap_err().to_string();
    assert!(error.contains("OrderTeleported"), "{error}");
    let at = checkpoints(database.pool()).await.unwrap().get("counter").copied().unwrap_or(0);
    assert!(at == 0 || at == first, "skipped: {at}");
    stop.cancel();
    running.await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn streams_of_a_kind_that_is_not_followed_are_passed_without_being_handed_over() {
    let (database, store) = set_up().await;
    let first = append(&store, "a").await;
    // Whatever it says: it could not be decoded as an order's event.
    let other = "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                 values ('parcel', 'a', 1, 'ParcelWeighed', '1.0', '{\"ParcelWeighed\":{}}', '{}') returning global_position";
    let passed: i64 = sqlx::query_scalar(other).fetch_one(database.pool()).await.unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let (store, stop) = (store.clone(), stop.clone());
        async move { store.subscribe(Counter { failures_left: 0 }, stop).await }
    });

    testkit::eventually(PATIENCE, || async {
        checkpoints(database.pool()).await.unwrap().get("counter") == Some(&passed)
    })
    .await;
    assert_eq!(counted(database.pool()).await, [first]);
    let last = append(&store, "b").await;
    testkit::eventually(PATIENCE, || async { counted(database.pool()).await == [first, last] }).await;
    stop.cancel();
    running.await.unwrap();
    store.close().await;
}

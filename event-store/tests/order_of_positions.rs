//! No subscriber ever skips an event, whatever the writers do.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cqrs_es::Aggregate;
use cqrs_es::persist::{PersistedEventRepository, SerializedEvent};
use domain::{Order, OrderConfirmed, OrderEvent};
use event_store::{
    AppendSettings, EventStore, Metadata, NewEvent, StoredEvent, StreamAppend, Subscriber, SubscriberError,
};
use postgres_es::PostgresEventRepository;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sqlx::{Connection, PgConnection, PgPool};
use tokio_util::sync::CancellationToken;

/// Far longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

type Seen = Arc<Mutex<Vec<(i64, String, i64)>>>;

/// Notes what it is given, where the test can see it.
struct Notes(Seen);

#[async_trait]
impl Subscriber for Notes {
    fn name(&self) -> &str {
        "notes"
    }

    async fn handle(&mut self, events: &[StoredEvent], _: &mut PgConnection) -> Result<(), SubscriberError> {
        let mut seen = self.0.lock().unwrap();
        seen.extend(events.iter().map(|event| (event.position, event.stream_id.clone(), event.version)));
        Ok(())
    }
}

fn confirmed() -> NewEvent {
    NewEvent::new(&OrderEvent::OrderConfirmed(OrderConfirmed {}), &Metadata::default()).unwrap()
}

/// Appends through the library, many commands at once.
async fn write_with_library(store: EventStore, writer: usize, events: i64) -> usize {
    for version in 0..events {
        let append = StreamAppend {
            stream_type: Order::TYPE,
            stream_id: format!("library-{writer}"),
            expected_version: version,
            events: vec![confirmed()],
        };
        store.append(vec![append]).await.unwrap();
    }
    usize::try_from(events).unwrap()
}

/// Inserts by hand in transactions of several statements, pauses before commit, and rolls some back.
async fn write_by_hand(pool: PgPool, writer: usize, events: i64) -> usize {
    let mut rng = StdRng::seed_from_u64(u64::try_from(writer).unwrap());
    let (mut version, mut stored) = (0, 0);
    while version < events {
        let mut transaction = pool.begin().await.unwrap();
        for step in 1..=2 {
            sqlx::query(
                "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                 values ('order', $1, $2, 'OrderConfirmed', '1.0', '{\"OrderConfirmed\":{}}', '{}')",
            )
            .bind(format!("by-hand-{writer}"))
            .bind(version + step)
            .execute(&mut *transaction)
            .await
            .unwrap();
            tokio::time::sleep(Duration::from_micros(rng.random_range(0..2_000))).await;
        }
        if rng.random_bool(0.3) {
            transaction.rollback().await.unwrap();
        } else {
            transaction.commit().await.unwrap();
            version += 2;
            stored += 2;
        }
    }
    stored
}

/// Writes with postgres-es as it is.
async fn write_with_postgres_es(pool: PgPool, events: usize) -> usize {
    let repository = PostgresEventRepository::new(pool);
    for sequence in 1..=events {
        let event = SerializedEvent::new(
            "postgres-es".into(),
            sequence,
            Order::TYPE.into(),
            "OrderConfirmed".into(),
            "1.0".into(),
            serde_json::json!({ "OrderConfirmed": {} }),
            serde_json::json!({ "actor": "postgres-es" }),
        );
        repository.persist::<Order>(&[event], None).await.unwrap();
    }
    events
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_skipped_nothing_comes_twice_and_each_stream_is_in_order() {
    let database = testkit::database().await;
    let elsewhere = testkit::database().await;
    let store = EventStore::start(database.pool().clone(), AppendSettings::default());

    // A transaction that stays open in another database of the server, with a transaction id taken early.
    let mut open = PgConnection::connect(elsewhere.url()).await.unwrap();
    let mut open = open.begin().await.unwrap();
    sqlx::query("create table held_open (n int)").execute(&mut *open).await.unwrap();

    let seen = Seen::default();
    let stop = CancellationToken::new();
    // Two copies of the subscriber, which take turns.
    let subscribers: Vec<_> = (0..2)
        .map(|_| {
            let (store, seen, stop) = (store.clone(), Arc::clone(&seen), stop.clone());
            tokio::spawn(async move { store.subscribe(Notes(seen), stop).await })
        })
        .collect();

    let mut writers = Vec::new();
    for writer in 0..8 {
        writers.push(tokio::spawn(write_with_library(store.clone(), writer, 60)));
    }
    let by_hand = sqlx::postgres::PgPoolOptions::new().max_connections(6).connect(database.url()).await.unwrap();
    for writer in 0..6 {
        writers.push(tokio::spawn(write_by_hand(by_hand.clone(), writer, 40)));
    }
    writers.push(tokio::spawn(write_with_postgres_es(by_hand.clone(), 100)));
    let mut written = 0;
    for writer in writers {
        written += writer.await.unwrap();
    }

    let all = Arc::clone(&seen);
    testkit::eventually(PATIENCE, || async { all.lock().unwrap().len() >= written }).await;
    stop.cancel();
    for subscriber in subscribers {
        subscriber.await.unwrap();
    }
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen.len(), written);
    assert_eq!(seen.iter().map(|(position, _, _)| *position).collect::<HashSet<_>>().len(), written, "twice");
    assert!(seen.is_sorted_by_key(|(position, _, _)| *position), "out of order");
    let mut versions: HashMap<&str, i64> = HashMap::new();
    for (position, stream, version) in &seen {
        let last = versions.entry(stream).or_default();
        assert_eq!(*version, *last + 1, "{stream} at {position}");
        *last = *version;
    }
    open.rollback().await.unwrap();
    store.close().await;
}

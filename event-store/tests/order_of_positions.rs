//! No subscriber ever skips an event, whatever the writers do.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use cqrs_es::Aggregate;
use cqrs_es::persist::{PersistedEventRepository, SerializedEvent};
use domain::order::event::OrderConfirmed;
use domain::order::{Order, OrderEvent};
use event_store::{
    AppendQueueSettings, EventStore, Metadata, NewEvent, PARTITIONS, StoredEvent, StreamAppend, Subscriber,
    SubscriberError, partition_of,
};
use postgres_es::PostgresEventRepository;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sqlx::{Connection, PgConnection, PgPool};
use tokio_util::sync::CancellationToken;

/// Far longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Notes what it is given in a table, in the order in which it is given it.
struct Notes;

#[async_trait]
impl Subscriber for Notes {
    fn name(&self) -> &str {
        "notes"
    }

    async fn handle(&mut self, events: &[StoredEvent], transaction: &mut PgConnection) -> Result<(), SubscriberError> {
        sqlx::query(
            "insert into seen (position, stream, version) select * from unnest($1::bigint[], $2::text[], $3::bigint[])",
        )
        .bind(events.iter().map(|event| event.position).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.stream_id.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.version).collect::<Vec<_>>())
        .execute(transaction)
        .await?;
        Ok(())
    }
}

async fn seen(pool: &PgPool) -> Vec<(i64, String, i64)> {
    sqlx::query_as("select position, stream, version from seen order by nth").fetch_all(pool).await.unwrap()
}

fn confirmed() -> NewEvent {
    NewEvent::new(&OrderEvent::OrderConfirmed(OrderConfirmed::default()), &Metadata::default()).unwrap()
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
    let store = EventStore::start(database.pool().clone(), AppendQueueSettings::default());

    // A transaction that stays open in another database of the server, with a transaction id taken early.
    let mut open = PgConnection::connect(elsewhere.url()).await.unwrap();
    let mut open = open.begin().await.unwrap();
    sqlx::query("create table held_open (n int)").execute(&mut *open).await.unwrap();

    sqlx::query("create table seen (nth bigserial, position bigint, stream text, version bigint)")
        .execute(database.pool())
        .await
        .unwrap();
    let stop = CancellationToken::new();
    // Two copies of the subscriber, which share the work.
    let subscribers: Vec<_> = (0..2)
        .map(|_| {
            let (store, stop) = (store.clone(), stop.clone());
            tokio::spawn(async move { store.subscribe(Notes, stop).await })
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

    testkit::eventually(PATIENCE, || async { seen(database.pool()).await.len() >= written }).await;
    stop.cancel();
    for subscriber in subscribers {
        subscriber.await.unwrap();
    }
    let seen = seen(database.pool()).await;
    assert_eq!(seen.len(), written);
    assert_eq!(seen.iter().map(|(position, _, _)| *position).collect::<HashSet<_>>().len(), written, "twice");
    let mut positions: [i64; PARTITIONS] = [0; PARTITIONS];
    for (position, stream, _) in &seen {
        let last = &mut positions[partition_of(stream)];
        assert!(position > last, "{stream} at {position}: out of order");
        *last = *position;
    }
    let mut versions: HashMap<&str, i64> = HashMap::new();
    for (position, stream, version) in &seen {
        let last = versions.entry(stream).or_default();
        assert_eq!(*version, *last + 1, "{stream} at {position}");
        *last = *version;
    }
    open.rollback().await.unwrap();
    store.close().await;
}

//! Copies of a subscriber that write down what they handle.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cqrs_es::Aggregate;
use domain::order::event::OrderConfirmed;
use domain::order::{Order, OrderEvent};
use event_store::operations::{lease_holders, parked_events};
use event_store::{
    EventStore, LeaseSettings, Metadata, NewEvent, PARTITIONS, StoreSettings, StoredEvent, StreamAppend, Subscriber,
    SubscriberError,
};
use sqlx::postgres::PgPoolOptions;
use sqlx::{PgConnection, PgPool};
use testkit::Database;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Far longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// A lease that no test waits for.
pub(crate) const LONG: Duration = Duration::from_secs(3_600);
pub(crate) const SHORT: Duration = Duration::from_secs(1);

pub(crate) const NAME: &str = "recorder";

/// What a test wants to happen with an event.
pub(crate) type Check = Arc<dyn Fn(&StoredEvent) -> Result<(), SubscriberError> + Send + Sync>;

/// Writes down what it handles, in the order in which it does, unless the test objects.
pub(crate) struct Recorder {
    pub(crate) name: &'static str,
    pub(crate) copy: &'static str,
    pub(crate) check: Check,
}

#[async_trait]
impl Subscriber for Recorder {
    fn name(&self) -> &str {
        self.name
    }

    async fn handle(&mut self, events: &[StoredEvent], transaction: &mut PgConnection) -> Result<(), SubscriberError> {
        for event in events {
            sqlx::query("insert into handled (position, stream, version, copy) values ($1, $2, $3, $4)")
                .bind(event.position)
                .bind(&event.stream_id)
                .bind(event.version)
                .bind(self.copy)
                .execute(&mut *transaction)
                .await?;
            (self.check)(event)?;
        }
        Ok(())
    }
}

/// A row that a copy wrote.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Handled {
    pub(crate) position: i64,
    pub(crate) stream: String,
    pub(crate) version: i64,
    pub(crate) copy: String,
}

pub(crate) async fn database() -> Database {
    recorded_in(testkit::database().await).await
}

/// One whose server the test may crash.
pub(crate) async fn durable_database() -> Database {
    recorded_in(testkit::durable_database().await).await
}

async fn recorded_in(database: Database) -> Database {
    // No unique key: handling twice would show.
    let table = "create table handled (nth bigserial, position bigint, stream text, version bigint, copy text)";
    sqlx::query(table).execute(database.pool()).await.unwrap();
    database
}

pub(crate) fn store(pool: &PgPool, lease: Duration) -> EventStore {
    let subscriptions = LeaseSettings { lease };
    EventStore::start(pool.clone(), StoreSettings { subscriptions, ..StoreSettings::default() })
}

pub(crate) async fn handled(pool: &PgPool) -> Vec<Handled> {
    let rows = sqlx::query_as("select position, stream, version, copy from handled order by nth");
    rows.fetch_all(pool).await.unwrap()
}

pub(crate) async fn versions(pool: &PgPool, stream: &str) -> Vec<i64> {
    handled(pool).await.iter().filter(|row| row.stream == stream).map(|row| row.version).collect()
}

pub(crate) async fn eventually_handled(pool: &PgPool, stream: &str, expected: &[i64]) {
    testkit::eventually(PATIENCE, || async { versions(pool, stream).await == expected }).await;
}

/// What is parked: stream, version, whether it is what failed.
pub(crate) async fn parked_versions(pool: &PgPool) -> Vec<(String, i64, bool)> {
    let parked = parked_events(pool, Some(NAME)).await.unwrap();
    parked.into_iter().map(|event| (event.stream_id, event.version, event.error.is_some())).collect()
}

/// How many partitions each copy that is alive has, fewest first.
pub(crate) async fn shares(pool: &PgPool) -> Vec<usize> {
    let holders = lease_holders(pool).await.unwrap();
    let alive = holders.iter().filter(|holder| holder.alive && holder.subscription == NAME);
    let mut shares: Vec<usize> = alive.map(|holder| holder.partitions.len()).collect();
    shares.sort_unstable();
    shares
}

pub(crate) async fn eventually_shared(pool: &PgPool, expected: &[usize]) {
    assert_eq!(expected.iter().sum::<usize>(), PARTITIONS);
    testkit::eventually(PATIENCE, || async { shares(pool).await == expected }).await;
}

/// Appends the next event of a stream that is at this version.
pub(crate) async fn append(store: &EventStore, stream: &str, version: i64) -> i64 {
    let event = NewEvent::new(&OrderEvent::OrderConfirmed(OrderConfirmed::default()), &Metadata::default()).unwrap();
    let stream = StreamAppend {
        stream_type: Order::TYPE,
        stream_id: stream.into(),
        expected_version: version,
        events: vec![event],
    };
    store.append(vec![stream]).await.unwrap().position
}

/// An event of a future build.
pub(crate) async fn append_unknown(pool: &PgPool, stream: &str) {
    let insert = "insert into events
        (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
        values ('order', $1, 1, 'OrderTeleported', '1.0', '{\"OrderTeleported\":{}}', '{}')";
    sqlx::query(insert).bind(stream).execute(pool).await.unwrap();
}

/// A copy as a process of its own would be: with its own store and connections.
pub(crate) struct Copy {
    store: EventStore,
    stop: CancellationToken,
    running: JoinHandle<()>,
    pool: PgPool,
}

impl Copy {
    pub(crate) fn start(pool: &PgPool, copy: &'static str, lease: Duration) -> Self {
        Self::checking(pool, copy, lease, Arc::new(|_| Ok(())))
    }

    pub(crate) fn checking(pool: &PgPool, copy: &'static str, lease: Duration, check: Check) -> Self {
        Self::of(pool, Recorder { name: NAME, copy, check }, lease)
    }

    pub(crate) fn of(pool: &PgPool, recorder: impl Subscriber + Sync + 'static, lease: Duration) -> Self {
        let pool = PgPoolOptions::new().max_connections(4).connect_lazy_with((*pool.connect_options()).clone());
        let (store, stop) = (store(&pool, lease), CancellationToken::new());
        let running = tokio::spawn({
            let (store, stop) = (store.clone(), stop.clone());
            async move { store.subscribe(recorder, stop).await }
        });
        Self { store, stop, running, pool }
    }

    /// Returns once it has handled everything up to a position, as far as its process knows.
    pub(crate) async fn until_passed(&self, position: i64) {
        let passed = self.store.until_passed(NAME, position);
        tokio::time::timeout(PATIENCE, passed).await.unwrap().unwrap();
    }

    /// Ends it as it should.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap();
        self.store.close().await;
    }

    /// Ends it as a crash does, after which the server finds its connections closed.
    pub(crate) async fn crash(self) {
        let pool = self.pool.clone();
        self.fall_silent().await;
        pool.close().await;
    }

    /// Ends it as when its machine is cut off: it gives nothing back, and its connections seem to be there.
    pub(crate) async fn fall_silent(self) {
        self.running.abort();
        let _ = self.running.await;
        self.store.close().await;
    }
}

//! What the batches of a subscription wait for: for more events while many come, and not for the disk.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use event_store::{StoredEvent, Subscriber, SubscriberError};
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use crate::support::{Copy, LONG, NAME, PATIENCE, append, store};

const PATIENT: &str = "patient";

/// Notes how the server is to commit, and which events it gets. It lets events gather for longer than a test runs.
#[derive(Default)]
struct PatientSubscriber {
    commits: Arc<Mutex<Vec<String>>>,
    positions: Arc<Mutex<Vec<i64>>>,
}

#[async_trait]
impl Subscriber for PatientSubscriber {
    fn name(&self) -> &str {
        PATIENT
    }

    fn gathers_for(&self) -> Duration {
        LONG
    }

    async fn begins_after(&mut self, transaction: &mut PgConnection) -> Result<i64, sqlx::Error> {
        let synchronous: String = sqlx::query_scalar("show synchronous_commit").fetch_one(transaction).await?;
        self.commits.lock().unwrap().push(format!("leases: {synchronous}"));
        Ok(0)
    }

    async fn handle(&mut self, events: &[StoredEvent], transaction: &mut PgConnection) -> Result<(), SubscriberError> {
        let synchronous: String = sqlx::query_scalar("show synchronous_commit").fetch_one(transaction).await?;
        self.commits.lock().unwrap().push(format!("batch: {synchronous}"));
        self.positions.lock().unwrap().extend(events.iter().map(|event| event.position));
        Ok(())
    }
}

#[tokio::test]
async fn events_gather_until_somebody_waits_for_them() {
    // Given: one that follows at once, and one that has handled its first batch and lets events gather.
    let database = crate::support::database().await;
    let pool = database.pool();
    let (writer, stop, patient) = (store(pool, LONG), CancellationToken::new(), PatientSubscriber::default());
    let seen = Arc::clone(&patient.positions);
    let positions = || seen.lock().unwrap().clone();
    let running = tokio::spawn({
        let (store, stop) = (writer.clone(), stop.clone());
        async move { store.subscribe(patient, stop).await }
    });
    let eager = Copy::start(pool, "eager", LONG);
    let first = append(&writer, "a", 0).await;
    let in_database = "select min(position) from subscription_partitions where subscription = $1";
    let passed = || async {
        sqlx::query_scalar::<_, Option<i64>>(in_database).bind(PATIENT).fetch_one(pool).await.unwrap() == Some(first)
    };
    testkit::eventually(PATIENCE, passed).await;
    let second = append(&writer, "a", 1).await;
    writer.until_passed(NAME, second).await.unwrap();
    assert_eq!(positions(), [first], "it did not let events gather");

    // When
    let waited = tokio::time::timeout(PATIENCE, writer.until_passed(PATIENT, second)).await;

    // Then
    waited.unwrap().unwrap();
    assert_eq!(positions(), [first, second]);
    stop.cancel();
    running.await.unwrap();
    eager.stop().await;
}

#[tokio::test]
async fn a_batch_does_not_wait_for_the_disk_and_a_lease_does() {
    let database = testkit::durable_database().await;
    let pool = database.pool();
    let (writer, stop, subscriber) = (store(pool, LONG), CancellationToken::new(), PatientSubscriber::default());
    let seen = Arc::clone(&subscriber.commits);
    let running = tokio::spawn({
        let (store, stop) = (writer.clone(), stop.clone());
        async move { store.subscribe(subscriber, stop).await }
    });

    let position = append(&writer, "a", 0).await;
    writer.until_passed(PATIENT, position).await.unwrap();

    assert_eq!(*seen.lock().unwrap(), ["leases: on", "batch: off"]);
    stop.cancel();
    running.await.unwrap();
}

//! Events gather before a batch while many come, until a request waits for a position.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use event_store::{StoredEvent, Subscriber, SubscriberError};
use sqlx::PgConnection;

use crate::support::{Copy, LONG, NAME, Recorder, append, database, store, versions};

/// Takes its time whatever comes.
struct Patient(Recorder);

#[async_trait]
impl Subscriber for Patient {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn gathers_for(&self) -> Duration {
        LONG
    }

    async fn handle(&mut self, events: &[StoredEvent], transaction: &mut PgConnection) -> Result<(), SubscriberError> {
        self.0.handle(events, transaction).await
    }
}

#[tokio::test]
async fn a_request_that_waits_for_a_position_ends_the_gathering() {
    let database = database().await;
    let pool = database.pool();
    let recorder = Recorder { name: NAME, copy: "one", check: Arc::new(|_| Ok(())) };
    let copy = Copy::of(pool, Patient(recorder), LONG);
    let writer = store(pool, LONG);

    for version in 0..3 {
        let position = append(&writer, "a", version).await;
        copy.until_passed(position).await;
        assert_eq!(versions(pool, "a").await, (1..=version + 1).collect::<Vec<_>>());
    }

    // Nor does the end of the copy wait.
    copy.stop().await;
    writer.close().await;
}

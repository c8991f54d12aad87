//! Where a subscription begins that has no checkpoints.

use async_trait::async_trait;
use event_store::operations::checkpoints;
use event_store::read::last_position;
use event_store::{StoredEvent, Subscriber, SubscriberError};
use sqlx::{PgConnection, PgPool};
use testkit::Database;
use tokio_util::sync::CancellationToken;

use crate::support::{NAME, PATIENCE, SHORT, append, database, handled, store};

/// Begins at the end of the log, once the table `may_begin` is there.
struct FromTheEnd;

#[async_trait]
impl Subscriber for FromTheEnd {
    fn name(&self) -> &str {
        NAME
    }

    async fn begins_after(&mut self, transaction: &mut PgConnection) -> Result<i64, sqlx::Error> {
        sqlx::query("select from may_begin").execute(&mut *transaction).await?;
        last_position(transaction).await
    }

    async fn handle(&mut self, events: &[StoredEvent], transaction: &mut PgConnection) -> Result<(), SubscriberError> {
        for event in events {
            let insert = "insert into handled (position, stream, version, copy) values ($1, $2, $3, 'copy')";
            let insert = sqlx::query(insert).bind(event.position).bind(&event.stream_id).bind(event.version);
            insert.execute(&mut *transaction).await?;
        }
        Ok(())
    }
}

async fn eventually_at(pool: &PgPool, position: i64) {
    testkit::eventually(PATIENCE, || async { checkpoints(pool).await.unwrap().get(NAME) == Some(&position) }).await;
}

async fn handled_positions(database: &Database) -> Vec<i64> {
    handled(database.pool()).await.iter().map(|row| row.position).collect()
}

#[tokio::test]
async fn a_subscription_begins_where_its_subscriber_says_however_often_that_fails_at_first() {
    // Given
    let database = database().await;
    let pool = database.pool();
    let store = store(pool, SHORT);
    append(&store, "a", 0).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let (store, stop) = (store.clone(), stop.clone());
        async move { store.subscribe(FromTheEnd, stop).await }
    });
    // It has failed: nothing is made with another position meanwhile.
    let failed =
        "select exists (select from pg_stat_database where datname = current_database() and xact_rollback > 0)";
    testkit::eventually(PATIENCE, || async { sqlx::query_scalar::<_, bool>(failed).fetch_one(pool).await.unwrap() })
        .await;
    assert!(checkpoints(pool).await.unwrap().is_empty());
    let before = append(&store, "a", 1).await;

    // When
    sqlx::query("create table may_begin ()").execute(pool).await.unwrap();
    eventually_at(pool, before).await;
    let after = append(&store, "a", 2).await;

    // Then
    eventually_at(pool, after).await;
    assert_eq!(handled_positions(&database).await, [after]);
    stop.cancel();
    running.await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn checkpoints_that_the_database_has_lost_begin_there_again() {
    // Given
    let database = database().await;
    let pool = database.pool();
    sqlx::query("create table may_begin ()").execute(pool).await.unwrap();
    let store = store(pool, SHORT);
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let (store, stop) = (store.clone(), stop.clone());
        async move { store.subscribe(FromTheEnd, stop).await }
    });
    eventually_at(pool, 0).await;
    let first = append(&store, "a", 0).await;
    eventually_at(pool, first).await;

    // When
    sqlx::query("delete from subscription_partitions").execute(pool).await.unwrap();

    // Then
    eventually_at(pool, first).await;
    let second = append(&store, "a", 1).await;
    eventually_at(pool, second).await;
    assert_eq!(handled_positions(&database).await, [first, second]);
    stop.cancel();
    running.await.unwrap();
    store.close().await;
}

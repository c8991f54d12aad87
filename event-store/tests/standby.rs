//! With synchronous replication, what is acknowledged is on the standby. A server of its own: it waits for one that never comes.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use std::time::Duration;

use cqrs_es::Aggregate;
use domain::order::event::OrderConfirmed;
use domain::order::{Order, OrderEvent};
use event_store::{AppendQueueSettings, EventStore, Metadata, NewEvent, StreamAppend};
use sqlx::PgPool;

const PATIENCE: Duration = Duration::from_secs(30);

/// Who waits for the standby.
async fn waiting(pool: &PgPool) -> Vec<i32> {
    let waiting = "select pid from pg_stat_activity where wait_event = 'SyncRep'";
    sqlx::query_scalar(waiting).fetch_all(pool).await.unwrap()
}

async fn set_standby(pool: &PgPool, name: &str) {
    let set = format!("alter system set synchronous_standby_names = '{name}'");
    sqlx::query(&set).execute(pool).await.unwrap();
    sqlx::query("select pg_reload_conf()").execute(pool).await.unwrap();
    // The session has read it.
    let is_set = "select current_setting('synchronous_standby_names') = $1";
    testkit::eventually(PATIENCE, || async { sqlx::query_scalar(is_set).bind(name).fetch_one(pool).await.unwrap() })
        .await;
}

#[tokio::test]
async fn events_that_are_found_stored_are_acknowledged_when_the_standby_has_them() {
    let database = testkit::durable_database().await;
    let pool = database.pool();
    let store = EventStore::start(pool.clone(), AppendQueueSettings::default());
    let event = NewEvent::new(&OrderEvent::OrderConfirmed(OrderConfirmed::default()), &Metadata::default()).unwrap();
    let append =
        StreamAppend { stream_type: Order::TYPE, stream_id: "a".to_owned(), expected_version: 0, events: vec![event] };

    // Given: a commit that waited for the standby until its session was ended.
    set_standby(pool, "nobody").await;
    let asked = tokio::spawn({
        let (store, append) = (store.clone(), append.clone());
        async move { store.append(vec![append]).await }
    });
    testkit::eventually(PATIENCE, || async { waiting(pool).await.len() == 1 }).await;
    let cut = waiting(pool).await.remove(0);
    sqlx::query("select pg_terminate_backend($1)").bind(cut).execute(pool).await.unwrap();

    // Then: the next attempt finds the events and waits as the first one did.
    testkit::eventually(PATIENCE, || async { waiting(pool).await.iter().any(|pid| *pid != cut) }).await;
    assert!(!asked.is_finished());
    set_standby(pool, "").await;
    let stored = asked.await.unwrap().unwrap();
    assert_eq!(store.load::<Order>("a").await.unwrap().last_position, stored.position);
    let events: i64 = sqlx::query_scalar("select count(*) from events").fetch_one(pool).await.unwrap();
    assert_eq!(events, 1);
    store.close().await;
}

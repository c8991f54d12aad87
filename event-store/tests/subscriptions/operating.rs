//! What operators see, and what they are told when they ask for something that is not there.

use std::collections::HashMap;

use event_store::{PARTITIONS, ParkedRequest, checkpoints, holders, lag, request, tail_holder};
use sqlx::migrate::Migrator;

use crate::support::{Copy, LONG, NAME, append, database, eventually_handled, store};

#[tokio::test]
async fn the_lag_is_how_many_events_wait_and_how_long_the_first_has() {
    let database = database().await;
    let pool = database.pool();
    assert!(lag(pool).await.unwrap().is_empty());
    let writer = store(pool, LONG);
    let copy = Copy::start(pool, "copy", LONG);
    let first = append(&writer, "a", 0).await;
    eventually_handled(pool, "a", &[1]).await;
    copy.stop().await;

    let kept_up = lag(pool).await.unwrap().remove(0);
    assert_eq!((kept_up.name.as_str(), kept_up.position, kept_up.head), (NAME, first, first));
    assert_eq!((kept_up.lag_events, kept_up.lag_seconds, kept_up.parked), (0, 0.0, 0));

    append(&writer, "a", 1).await;
    let last = append(&writer, "a", 2).await;
    let behind = lag(pool).await.unwrap().remove(0);
    assert_eq!((behind.position, behind.head, behind.lag_events), (first, last, 2));
    assert!(behind.lag_seconds > 0.0 && behind.lag_seconds < 60.0, "{behind:?}");
    writer.close().await;
}

#[tokio::test]
async fn a_database_of_an_earlier_version_goes_on_from_its_checkpoints() {
    // Given
    let database = testkit::empty_database().await;
    let pool = database.pool();
    let all = &migrations::MIGRATIONS;
    let before = all.iter().filter(|migration| migration.version < 5).cloned().collect::<Vec<_>>();
    Migrator { migrations: before.into(), ..Migrator::DEFAULT }.run(pool).await.unwrap();
    sqlx::query("insert into subscriptions (name, position) values ('orders', 7)").execute(pool).await.unwrap();

    // When
    all.run(pool).await.unwrap();

    // Then
    assert_eq!(checkpoints(pool).await.unwrap(), HashMap::from([("orders".to_owned(), 7)]));
    let holders = holders(pool).await.unwrap();
    assert_eq!(holders.len(), 1);
    assert_eq!((holders[0].owner, holders[0].partitions.len()), (None, PARTITIONS));
}

#[tokio::test]
async fn whoever_holds_the_tail_of_the_log_is_named() {
    let database = database().await;
    let pool = database.pool();
    assert_eq!(tail_holder(pool).await.unwrap(), None);
    let mut stalls = pool.begin().await.unwrap();
    sqlx::query("set local application_name = 'a script'").execute(&mut *stalls).await.unwrap();
    sqlx::query("select events_lock()").execute(&mut *stalls).await.unwrap();
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *stalls).await.unwrap();

    let holder = tail_holder(pool).await.unwrap().unwrap();

    assert_eq!((holder.pid, holder.application.as_str()), (pid, "a script"));
    assert_eq!((holder.state.as_str(), holder.query.as_str()), ("idle in transaction", "select pg_backend_pid()"));
    stalls.rollback().await.unwrap();
    assert_eq!(tail_holder(pool).await.unwrap(), None);
}

#[tokio::test]
async fn what_is_asked_of_nothing_is_answered_with_what_there_is() {
    let database = database().await;
    let pool = database.pool();
    let copy = Copy::start(pool, "copy", LONG);
    let writer = store(pool, LONG);
    append(&writer, "a", 0).await;
    eventually_handled(pool, "a", &[1]).await;
    let unknown = request(pool, "recroder", "a", ParkedRequest::Retry).await.unwrap_err().to_string();
    assert_eq!(unknown, "there is no subscription recroder; there are: recorder");
    let nothing = request(pool, NAME, "a", ParkedRequest::Skip).await.unwrap_err().to_string();
    assert_eq!(nothing, "nothing of stream a is parked in recorder");
    copy.stop().await;
    writer.close().await;
}

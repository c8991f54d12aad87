//! Databases that keep no promises are told from those that do.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use event_store::database_checks::{DatabaseSessionCheckError, check_durability, check_sessions};
use sqlx::{Executor, PgPool};

/// A database in which a function of the server's is replaced, as by an engine that is called Postgres, or something in between.
async fn where_instead(function: &str) -> PgPool {
    let database = testkit::empty_database().await;
    let pool = database.pool();
    pool.execute("create schema instead").await.unwrap();
    pool.execute(format!("create function instead.{function}").as_str()).await.unwrap();
    let found_first = "do $$ begin
        execute format('alter database %I set search_path = instead, pg_catalog, public', current_database()); end $$";
    pool.execute(found_first).await.unwrap();
    PgPool::connect(database.url()).await.unwrap()
}

#[tokio::test]
async fn sessions_of_postgres_are_what_they_are_taken_for() {
    let database = testkit::empty_database().await;
    check_sessions(database.pool()).await.unwrap();
    // Side by side, as when several copies start, and with one connection.
    let (one, other) = tokio::join!(check_sessions(database.pool()), check_sessions(database.pool()));
    one.and(other).unwrap();
    let narrow = sqlx::postgres::PgPoolOptions::new().max_connections(1).connect(database.url()).await.unwrap();
    check_sessions(&narrow).await.unwrap();
}

#[tokio::test]
async fn sessions_that_do_not_stay_are_refused() {
    let pool = where_instead("current_setting(text, boolean) returns text language sql as 'select null::text'").await;
    let refused = check_sessions(&pool).await.unwrap_err();
    assert!(matches!(refused, DatabaseSessionCheckError::NotKept), "{refused}");
}

#[tokio::test]
async fn a_standby_is_refused() {
    let pool = where_instead("pg_is_in_recovery() returns boolean language sql as 'select true'").await;
    let refused = check_sessions(&pool).await.unwrap_err();
    assert!(matches!(refused, DatabaseSessionCheckError::Standby), "{refused}");
}

#[tokio::test]
async fn locks_that_hold_nobody_up_are_refused() {
    let pool = where_instead("pg_try_advisory_xact_lock(bigint) returns boolean language sql as 'select true'").await;
    let refused = check_sessions(&pool).await.unwrap_err();
    assert!(matches!(refused, DatabaseSessionCheckError::NoLocks), "{refused}");
}

#[tokio::test]
async fn notifications_that_do_not_come_are_refused() {
    let pool = where_instead("pg_notify(text, text) returns void language sql as 'select null::void'").await;
    let refused = check_sessions(&pool).await.unwrap_err();
    assert!(matches!(refused, DatabaseSessionCheckError::NotHeard), "{refused}");
}

#[tokio::test]
async fn a_commit_that_waits_for_no_standby_although_there_are_some_is_refused() {
    let database = testkit::durable_database().await;
    check_durability(database.pool()).await.unwrap();
    database
        .pool()
        .execute(
            "do $$ begin
        execute format('alter database %I set synchronous_commit = local', current_database()); end $$",
        )
        .await
        .unwrap();
    let pool = PgPool::connect(database.url()).await.unwrap();
    // There are none.
    check_durability(&pool).await.unwrap();
    pool.execute("alter system set synchronous_standby_names = 'one'").await.unwrap();
    pool.execute("select pg_reload_conf()").await.unwrap();
    testkit::eventually(std::time::Duration::from_secs(20), || async { check_durability(&pool).await.is_err() }).await;
    let refused = check_durability(&pool).await.unwrap_err().to_string();
    assert!(refused.contains("synchronous_commit = local"), "{refused}");
}

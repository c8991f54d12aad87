//! Who seals, when, and how it ends.

use std::time::Duration;

use event_store::hash_chain::{SealingThrottle, seal_regularly};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use testkit::{Database, eventually};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{check, write};

const BOUND: Duration = Duration::from_secs(60);
const EAGER: SealingThrottle = SealingThrottle { percent: 100 };

/// A copy with connections of its own.
async fn copy(database: &Database) -> (JoinHandle<()>, CancellationToken, PgPool) {
    let (stop, pool) = (CancellationToken::new(), PgPoolOptions::new().connect(database.url()).await.unwrap());
    (tokio::spawn(seal_regularly(pool.clone(), EAGER, stop.clone())), stop, pool)
}

async fn all_is_sealed(database: &Database, events: u64) -> bool {
    let checked = check(&mut database.pool().acquire().await.unwrap(), None).await;
    assert_eq!(checked.faults, []);
    checked.events == events && checked.not_sealed == 0
}

#[tokio::test]
async fn what_is_appended_gets_sealed() {
    let database = testkit::database().await;
    write(database.pool(), 3_000).await;
    let (sealing, stop, _) = copy(&database).await;
    eventually(BOUND, || all_is_sealed(&database, 3_000)).await;
    write(database.pool(), 1).await;
    eventually(BOUND, || all_is_sealed(&database, 3_001)).await;
    stop.cancel();
    sealing.await.unwrap();
}

#[tokio::test]
async fn of_two_copies_one_seals_and_the_other_goes_on_when_that_ends() {
    let database = testkit::database().await;
    let copies = [copy(&database).await, copy(&database).await];
    write(database.pool(), 100).await;
    eventually(BOUND, || all_is_sealed(&database, 100)).await;
    let holder = "select a.pid from pg_locks l join pg_stat_activity a using (pid)
                   where l.locktype = 'advisory' and l.classid = 7311 and l.objid = 5 and l.granted and a.datname = current_database()";
    let pid: i32 = sqlx::query_scalar(holder).fetch_one(database.pool()).await.unwrap();

    // When its session ends, as that of a process that died does.
    sqlx::query("select pg_terminate_backend($1)").bind(pid).execute(database.pool()).await.unwrap();
    write(database.pool(), 100).await;

    eventually(BOUND, || all_is_sealed(&database, 200)).await;
    let pids: Vec<i32> = sqlx::query_scalar(holder).fetch_all(database.pool()).await.unwrap();
    assert!(pids.len() == 1 && pids[0] != pid, "{pids:?}");
    for (sealing, stop, _) in copies {
        stop.cancel();
        sealing.await.unwrap();
    }
    // Whoever has stopped holds nothing.
    let free = || async { sqlx::query(holder).fetch_optional(database.pool()).await.unwrap().is_none() };
    eventually(BOUND, free).await;
}

#[tokio::test]
async fn what_two_seal_at_once_is_sealed_once() {
    let database = testkit::database().await;
    write(database.pool(), 5_000).await;
    let seal = || async { event_store::hash_chain::seal_all(&mut database.pool().acquire().await.unwrap()).await };
    let (one, other) = tokio::join!(seal(), seal());
    assert_eq!(one.unwrap() + other.unwrap(), 5_000);
    assert!(all_is_sealed(&database, 5_000).await);
    let sealed: i64 =
        sqlx::query_scalar("select sum(events) from event_seals").fetch_one(database.pool()).await.unwrap();
    assert_eq!(sealed, 5_000);
}

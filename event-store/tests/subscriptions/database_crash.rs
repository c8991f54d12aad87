//! The database crashes after it has committed a batch and before that is on disk: the batch comes again, and nobody is told of the
//! positions that were lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use sqlx::PgPool;

use crate::support::{Copy, LONG, PATIENCE, append, durable_database, store, versions};

/// Far above what it takes until a batch is lost.
const CRASHES: i64 = 20;

/// Kills a session's process: the server ends all others, and recovers from what is on disk.
async fn crash(pool: &PgPool) {
    let (mut killed, mut other) = (pool.acquire().await.unwrap(), pool.acquire().await.unwrap());
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *killed).await.unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    assert!(sqlx::query("select pg_sleep(3600)").execute(&mut *other).await.is_err());
    drop((killed.detach(), other.detach()));
    let answers = || async { sqlx::query("select 1").execute(pool).await.is_ok() };
    testkit::eventually(PATIENCE, answers).await;
}

/// How many processes would notice a crash.
async fn listening(pool: &PgPool) -> i64 {
    let listening = "select count(*) from pg_stat_activity where query ilike 'listen %'";
    sqlx::query_scalar(listening).fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn a_batch_that_a_crash_of_the_database_loses_comes_again_and_once() {
    let database = durable_database().await;
    let pool = database.pool();
    // What nobody waits for stays in memory for as long as possible.
    for set in ["alter system set wal_writer_delay = '10s'", "select pg_reload_conf()"] {
        sqlx::query(set).execute(pool).await.unwrap();
    }
    let handled = Arc::new(AtomicI64::new(0));
    let copy = Copy::checking(pool, "one", LONG, {
        let handled = Arc::clone(&handled);
        Arc::new(move |_| {
            handled.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })
    });

    let mut came_again = 0;
    for version in 0..CRASHES {
        // Given: a batch that was committed, and of which a process knows that.
        let writer = store(pool, LONG);
        testkit::eventually(PATIENCE, || async { listening(pool).await == 2 }).await;
        let position = append(&writer, "a", version).await;
        copy.until_passed(position).await;
        writer.close().await;

        // When
        crash(pool).await;

        // Then
        copy.until_passed(position).await;
        assert_eq!(versions(pool, "a").await, (1..=version + 1).collect::<Vec<_>>());
        came_again = handled.load(Ordering::Relaxed) - (version + 1);
        if came_again > 1 {
            break;
        }
    }

    assert!(came_again > 0, "no crash lost a batch: nothing was tested");
    copy.stop().await;
}

//! A failover, a restore or a crash lost the last commits: what is known of them is forgotten.

use futures_util::FutureExt;

use crate::support::{Copy, LONG, NAME, PATIENCE, append, database, store};

#[tokio::test]
async fn nobody_goes_by_positions_that_the_log_has_lost() {
    // Given
    let database = database().await;
    let pool = database.pool();
    let copy = Copy::start(pool, "one", LONG);
    let writer = store(pool, LONG);
    let kept = append(&writer, "a", 0).await;
    let lost = append(&writer, "a", 1).await;
    writer.until_passed(NAME, lost).await.unwrap();
    copy.stop().await;
    assert_eq!(writer.end_up_to(lost).await.unwrap(), lost);

    // When
    let mut transaction = pool.begin().await.unwrap();
    for undo in [
        "set local session_replication_role = replica".to_owned(),
        format!("delete from events where global_position > {kept}"),
        format!("update subscription_partitions set position = least(position, {kept})"),
    ] {
        sqlx::query(&undo).execute(&mut *transaction).await.unwrap();
    }
    transaction.commit().await.unwrap();

    // Then
    testkit::eventually(PATIENCE, || async { writer.end_up_to(lost).await.unwrap() == kept }).await;
    assert!(writer.until_passed(NAME, lost).now_or_never().is_none(), "it was taken to have passed what is lost");
    writer.until_passed(NAME, kept).await.unwrap();
}

#[tokio::test]
async fn nobody_goes_by_positions_that_a_crash_of_the_database_has_lost() {
    // Given: a subscription that this process knows to have passed an event. Its last commit was not on disk yet.
    let database = database().await;
    let pool = database.pool();
    let writer = store(pool, LONG);
    let position = append(&writer, "a", 0).await;
    let copy = Copy::start(pool, "one", LONG);
    writer.until_passed(NAME, position).await.unwrap();
    copy.stop().await;
    assert!(writer.until_passed(NAME, position).now_or_never().is_some());

    // When
    sqlx::query("update subscription_partitions set position = 0").execute(pool).await.unwrap();
    let crash = "select pg_terminate_backend(pid) from pg_stat_activity
                  where datname = current_database() and pid <> pg_backend_pid()";
    sqlx::query(crash).execute(pool).await.unwrap();

    // Then
    let is_forgotten = || async { writer.until_passed(NAME, position).now_or_never().is_none() };
    testkit::eventually(PATIENCE, is_forgotten).await;
    let copy = Copy::start(pool, "again", LONG);
    writer.until_passed(NAME, position).await.unwrap();
    copy.stop().await;
}

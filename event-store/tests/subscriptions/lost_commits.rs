//! A failover or a restore lost the last commits: what is known of them is forgotten.

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

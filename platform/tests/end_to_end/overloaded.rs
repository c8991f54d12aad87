//! More orders than the event store takes.

use sqlx::{Connection, PgConnection};
use testkit::demo_order;

use crate::support::{Ordo, event_count};

#[tokio::test]
async fn what_does_not_fit_the_queue_is_refused_at_once_and_what_was_taken_is_stored() {
    // Given: one command being written, and one waiting behind it.
    let ordo = Ordo::up(&[("ORDO_ROLES", "command-api"), ("ORDO_APPEND_QUEUE", "1")]).await;
    let mut holder = PgConnection::connect(&ordo.database).await.unwrap();
    let mut held = holder.begin().await.unwrap();
    sqlx::query("select events_lock(), set_config('idle_in_transaction_session_timeout', '0', true)")
        .execute(&mut *held)
        .await
        .unwrap();

    // When: orders come until one is refused. None of the others can be answered before the log is free.
    let (mut taken, mut refused) = (Vec::new(), None);
    for nth in 0..3 {
        let client = ordo.client();
        let mut post = tokio::spawn(async move { client.order(&demo_order(&format!("o-{nth}"))).await });
        tokio::select! {
            answer = &mut post => refused = Some(answer.unwrap()),
            () = tokio::time::sleep(std::time::Duration::from_secs(1)) => taken.push(post),
        }
    }

    // Then
    let refused = refused.unwrap();
    assert_eq!(refused.problem(503)["code"], "overloaded");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(taken.len(), 2);
    held.rollback().await.unwrap();
    for post in taken {
        assert_eq!(post.await.unwrap().status, 201);
    }
    assert_eq!(event_count(&ordo.database).await, 2);
    assert_eq!(ordo.client().order(&demo_order("later")).await.status, 201);
}

//! More orders than the event store can take.

use sqlx::{Connection, PgConnection};
use testkit::{demo_order, eventually};

use crate::support::{Ordo, PATIENCE, event_count, run};

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

#[tokio::test]
async fn new_orders_are_refused_while_others_are_too_far_behind_and_everything_else_goes_on() {
    // Given: mails that have been waited for longer than is allowed.
    let ordo = Ordo::up(&[("ORDO_ROLES", "command-api"), ("ORDO_MAX_LAG", "60")]).await;
    let client = ordo.client();
    assert_eq!(client.order(&demo_order("before")).await.status, 201);
    let mut database = PgConnection::connect(&ordo.database).await.unwrap();
    let waits = "insert into saga_work (saga, order_id, step, sent, due_at, since)
        select 'order_fulfilment', 'o-' || n, 'notify_customer', 1, 'infinity', now() - interval '5 minutes'
          from generate_series(1, 17) as n";
    sqlx::query(waits).execute(&mut database).await.unwrap();

    // Then
    let posted = || async { client.order(&demo_order("late")).await };
    eventually(PATIENCE, || async { posted().await.status == 503 }).await;
    let refused = posted().await;
    assert_eq!(refused.problem(503)["code"], "overloaded");
    assert_eq!(refused.header("retry-after"), "5");
    assert_eq!(client.post("/v1/orders", "application/json", demo_order("late").to_string()).await.status, 503);
    assert_eq!(client.post("/orders/before/cancel", "application/json", "{}").await.status, 202);
    let lag = client.get("/metrics").await.text();
    let lag = lag.lines().find_map(|line| line.strip_prefix("ordo_lag_seconds ")).unwrap().parse::<f64>().unwrap();
    assert!((300.0..3_000.0).contains(&lag), "{lag}");
    let list = run(&["subscriptions", "list"], &[("DATABASE_URL", &ordo.database)]).await.out;
    assert!(list.contains("orders have been waiting for the sagas, or for their mails, for 30"), "{list}");

    // When one of them has gone, the others are being tried again, each for a reason of its own.
    sqlx::query("delete from saga_work where order_id = 'o-1'").execute(&mut database).await.unwrap();
    eventually(PATIENCE, || async { posted().await.status == 201 }).await;
}

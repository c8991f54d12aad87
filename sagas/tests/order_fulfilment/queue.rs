//! The queue of requests is away, is silent, or still holds requests.

use std::time::Duration;

use embedded::sqs::Sqs;
use messaging::{QueueProvisioningSettings, queues};
use sagas::SagaSettings;

use crate::fixture::{Fixture, NEVER, PATIENCE, answering_within, run};

#[tokio::test]
async fn while_the_queue_is_away_orders_are_confirmed_and_their_mails_asked_for_later() {
    let mut saga = Fixture::start(NEVER).await;
    let address = saga.sqs.url().trim_start_matches("http://").parse().unwrap();
    let sqs = std::mem::replace(&mut saga.sqs, testkit::sqs().await);
    sqs.stop().await;
    saga.take("a").await;

    saga.eventually_has("a", &["OrderCreated", "StockReserved", "PaymentAuthorized", "OrderConfirmed"]).await;
    let reason = "select last_error from saga_work where order_id = 'a' and failures > 0";
    testkit::eventually(PATIENCE, || async {
        sqlx::query_scalar::<_, String>(reason).fetch_optional(saga.database.pool()).await.unwrap().is_some()
    })
    .await;

    saga.sqs = Sqs::start(address).await.unwrap();
    queues::ensure(&saga.client, &QueueProvisioningSettings::default()).await.unwrap();
    let request = saga.request().await;
    assert_eq!(request.data.attempt, 1);
    saga.end().await;
}

#[tokio::test]
async fn a_queue_that_is_away_for_longer_than_a_step_may_take_leaves_no_mail_stuck() {
    let patience = SagaSettings { reply_deadline: NEVER, step_deadline: Duration::ZERO, ..SagaSettings::default() };
    let mut saga = Fixture::with(patience).await;
    let address = saga.sqs.url().trim_start_matches("http://").parse().unwrap();
    let sqs = std::mem::replace(&mut saga.sqs, testkit::sqs().await);
    sqs.stop().await;
    saga.take("a").await;

    // It has failed again after its deadline, and is tried all the same.
    let hurry = "update saga_work set due_at = now() where due_at > now() and not stuck
                    and (saga, order_id) in (select saga, order_id from saga_work for update skip locked)";
    testkit::eventually(PATIENCE, || async {
        sqlx::query(hurry).execute(saga.database.pool()).await.unwrap();
        let failures = "select coalesce(max(failures), 0)::bigint from saga_work where step = 'notify_customer'";
        sqlx::query_scalar::<_, i64>(failures).fetch_one(saga.database.pool()).await.unwrap() >= 3
    })
    .await;

    saga.sqs = Sqs::start(address).await.unwrap();
    queues::ensure(&saga.client, &QueueProvisioningSettings::default()).await.unwrap();
    assert_eq!(saga.request().await.data.attempt, 1);
    saga.end().await;
}

#[tokio::test]
async fn a_queue_that_says_nothing_does_not_hold_up_orders() {
    let mut saga = Fixture::start(NEVER).await;
    saga.stop_saga().await;
    // It takes every connection and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let accepting = tokio::spawn(async move {
        let mut connections = Vec::new();
        while let Ok((connection, _)) = silent.accept().await {
            connections.push(connection);
        }
    });
    let client = testkit::sqs_client(&format!("http://{address}"));
    (saga.stop, saga.saga) = run(&saga.store, &client, &saga.queues, answering_within(NEVER));
    saga.take("a").await;
    saga.eventually_has("a", &["OrderCreated", "StockReserved", "PaymentAuthorized", "OrderConfirmed"]).await;
    saga.take("b").await;

    saga.eventually_has("b", &["OrderCreated", "StockReserved", "PaymentAuthorized", "OrderConfirmed"]).await;
    let noted = "select count(*) from saga_work where failures > 0 and last_error is not null";
    testkit::eventually(PATIENCE, || async {
        sqlx::query_scalar::<_, i64>(noted).fetch_one(saga.database.pool()).await.unwrap() == 2
    })
    .await;
    saga.end().await;
    accepting.abort();
}

#[tokio::test]
async fn a_row_is_not_locked_while_a_queue_is_asked() {
    let mut saga = Fixture::start(NEVER).await;
    saga.take("a").await;
    saga.request().await;
    saga.stop_saga().await;
    let pool = saga.database.pool();
    sqlx::query("update saga_work set sent = 0, due_at = now()").execute(pool).await.unwrap();
    // It takes a connection, says that it was asked, and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let (asks, asked) = tokio::sync::oneshot::channel();
    let accepting = tokio::spawn(async move {
        let (mut asks, mut connections) = (Some(asks), Vec::new());
        while let Ok((mut connection, _)) = silent.accept().await {
            let heard = tokio::io::AsyncReadExt::read_u8(&mut connection).await;
            heard.unwrap();
            // The consumer of the answers asks for some, the producer sends.
            connections.push(connection);
            if let Some(asks) = (connections.len() == 2).then(|| asks.take()).flatten() {
                let _ = asks.send(());
            }
        }
    });
    let client = testkit::sqs_client(&format!("http://{address}"));
    (saga.stop, saga.saga) = run(&saga.store, &client, &saga.queues, answering_within(NEVER));
    tokio::time::timeout(PATIENCE, asked).await.unwrap().unwrap();

    let row = "select step from saga_work where order_id = 'a' for update nowait";
    assert_eq!(sqlx::query_scalar::<_, String>(row).fetch_one(pool).await.unwrap(), "notify_customer");
    saga.end().await;
    accepting.abort();
}

#[tokio::test]
async fn a_request_that_still_waits_in_the_queue_is_not_made_again_and_one_that_is_lost_is() {
    let saga = Fixture::start(Duration::from_secs(1)).await;
    saga.take("queued").await;
    testkit::eventually(PATIENCE, || async { saga.requests_waiting().await == 1 }).await;
    let pool = saga.database.pool();
    let looked_at =
        "select count(*) from saga_work where order_id = 'queued' and due_at - since > interval '3 seconds'";
    testkit::eventually(PATIENCE, || async {
        sqlx::query_scalar::<_, i64>(looked_at).fetch_one(pool).await.unwrap() == 1
    })
    .await;
    assert_eq!(saga.requests_waiting().await, 1, "its deadline has passed again and again");

    let first = saga.request().await;
    let second = saga.request().await;
    assert_eq!((first.data.attempt, second.data.attempt), (1, 2));
    assert_eq!(first.data.notification_id, second.data.notification_id);
    saga.end().await;
}

#[tokio::test]
async fn of_many_requests_those_that_the_queue_does_not_have_are_made_again() {
    let saga = Fixture::start(NEVER).await;
    saga.take("lost").await;
    assert_eq!(saga.request().await.data.order_id, "lost");
    let pool = saga.database.pool();
    let ids: Vec<String> = (0..5).map(|n| format!("queued-{n}")).collect();
    for id in &ids {
        saga.take(id).await;
    }
    testkit::eventually(PATIENCE, || async { saga.requests_waiting().await == 5 && saga.waiting_rows().await == 6 })
        .await;
    sqlx::query("update saga_work set due_at = now()").execute(pool).await.unwrap();

    testkit::eventually(PATIENCE, || async { saga.requests_waiting().await == 6 }).await;
    let not_due = "select count(*) from saga_work where due_at > now()";
    testkit::eventually(PATIENCE, || async {
        sqlx::query_scalar::<_, i64>(not_due).fetch_one(pool).await.unwrap() == 6
    })
    .await;
    let again: Vec<String> =
        sqlx::query_scalar("select order_id from saga_work where sent = 2").fetch_all(pool).await.unwrap();
    assert_eq!((again, saga.requests_waiting().await), (vec!["lost".to_owned()], 6));
    saga.end().await;
}

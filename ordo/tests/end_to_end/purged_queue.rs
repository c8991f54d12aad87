//! A purged queue loses no order and no mail.

use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName::ApproximateNumberOfMessages;
use testkit::{demo_order, eventually, sqs_client};

use crate::support::{Ordo, PATIENCE, mails_by_order, run, until_mailed};

const ORDERS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mails_whose_requests_were_lost_from_the_queue_go_out_all_the_same() {
    // Given: orders taken while nobody sends mails.
    let (database, sqs, inbox) = tokio::join!(testkit::durable_database(), testkit::sqs(), testkit::inbox());
    let (sqs_url, inbox_url) = (sqs.url(), inbox.url());
    let settings = [
        ("DATABASE_URL", database.url()),
        ("AWS_ENDPOINT_URL_SQS", &sqs_url),
        ("AWS_ENDPOINT_URL_SESV2", &inbox_url),
        ("ORDO_NOTIFICATION_DEADLINE", "1"),
    ];
    let migrated = run(&["migrate", "--queues"], &settings).await;
    assert_eq!(migrated.code, 0, "{}", migrated.err);
    let ordo = Ordo::serve("command-api,projections,sagas", &settings).await;
    for nth in 0..ORDERS {
        assert_eq!(ordo.client().order(&demo_order(&order_id(nth))).await.status, 201);
    }
    let queues = sqs_client(&sqs_url);
    let url = queues.get_queue_url().queue_name("ordo-notifications.fifo").send().await.unwrap().queue_url.unwrap();
    let waiting = || async {
        let asked = queues.get_queue_attributes().queue_url(&url).attribute_names(ApproximateNumberOfMessages);
        let answer = asked.send().await.unwrap();
        answer.attributes.unwrap()[&ApproximateNumberOfMessages].parse::<usize>().unwrap()
    };
    eventually(PATIENCE, || async { waiting().await >= ORDERS }).await;

    // When
    queues.purge_queue().queue_url(&url).send().await.unwrap();
    assert!(waiting().await < ORDERS, "the queue is as full as before");
    let _notification = Ordo::serve("notification", &settings).await;

    // Then
    let orders = i64::try_from(ORDERS).unwrap();
    until_mailed(database.url(), orders).await;
    // Longer than the deadline: nobody asks for what is done.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(mails_by_order(&inbox.messages()), (0..ORDERS).map(|nth| (order_id(nth), 1)).collect());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_that_were_deleted_are_made_again_and_nobody_has_to_look() {
    // Given
    let (database, sqs, inbox) = tokio::join!(testkit::durable_database(), testkit::sqs(), testkit::inbox());
    let (sqs_url, inbox_url) = (sqs.url(), inbox.url());
    let settings = [
        ("DATABASE_URL", database.url()),
        ("AWS_ENDPOINT_URL_SQS", &sqs_url),
        ("AWS_ENDPOINT_URL_SESV2", &inbox_url),
        ("ORDO_NOTIFICATION_DEADLINE", "1"),
        ("ORDO_NOTIFICATIONS_ERROR_BACKOFF", "1"),
        ("ORDO_REPLIES_ERROR_BACKOFF", "1"),
    ];
    let migrated = run(&["migrate"], &settings).await;
    assert_eq!(migrated.code, 0, "{}", migrated.err);
    let ordo = Ordo::serve("command-api,projections,sagas,notification", &settings).await;
    let queues = sqs_client(&sqs_url);

    // When
    for name in queues.list_queues().send().await.unwrap().queue_urls() {
        queues.delete_queue().queue_url(name).send().await.unwrap();
    }
    assert_eq!(ordo.client().order(&demo_order("after")).await.status, 201);

    // Then
    until_mailed(database.url(), 1).await;
    eventually(PATIENCE, || async { ordo.client().get("/health/ready").await.json()["status"] == "ready" }).await;
    let dead = || async { ordo.client().get("/metrics").await.text() };
    eventually(PATIENCE, || async { dead().await.contains("ordo_dead_letters{queue=\"notifications\"} 0") }).await;
    assert_eq!(mails_by_order(&inbox.messages()), [("after".to_owned(), 1)].into());
}

fn order_id(nth: usize) -> String {
    format!("purged-{nth}")
}

//! Each role as processes of its own, two copies of each.

use std::time::Duration;

use futures_util::future::join_all;
use rustix::process::Signal;
use testkit::demo_order;

use crate::support::{LogSummary, Ordo, log_summary, mails_by_order, run, settled, until_mailed};

const ORDERS: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_copies_of_each_role_do_everything_once() {
    // Given
    let (database, sqs, inbox) = tokio::join!(testkit::durable_database(), testkit::sqs(), testkit::inbox());
    let (sqs_url, inbox_url) = (sqs.url(), inbox.url());
    let settings = [
        ("DATABASE_URL", database.url()),
        ("AWS_ENDPOINT_URL_SQS", &sqs_url),
        ("AWS_ENDPOINT_URL_SESV2", &inbox_url),
        // Eight processes share the hundred connections of one Postgres.
        ("ORDO_DATABASE_CONNECTIONS", "12"),
        ("ORDO_READ_CONNECTIONS", "4"),
        ("ORDO_NOTIFICATIONS_CONCURRENCY", "8"),
    ];
    let migrated = run(&["migrate", "--queues"], &settings).await;
    assert_eq!(migrated.code, 0, "{}", migrated.err);
    let roles = ["command-api", "projections", "sagas", "notification"];
    let mut copies =
        join_all(roles.iter().flat_map(|role| [role, role]).map(|role| Ordo::serve(role, &settings))).await;
    let client = |nth: usize| copies[nth].client();
    let (writers, readers) = ([client(0), client(1)], [client(2), client(3)]);

    // When
    let posts = (0..ORDERS).map(|nth| {
        let writer = &writers[nth % 2];
        async move { writer.order(&demo_order(&order_id(nth))).await }
    });
    for answer in join_all(posts).await {
        assert_eq!(answer.status, 201, "{}", answer.text());
    }

    // Then
    let orders = i64::try_from(ORDERS).unwrap();
    until_mailed(database.url(), orders).await;
    for nth in 0..ORDERS {
        let path = format!("/orders/{}", order_id(nth));
        assert_eq!(settled(&readers[0], &order_id(nth)).await["status"], "confirmed");
        assert_eq!(readers[0].get(&path).await.body, readers[1].get(&path).await.body);
    }
    let mails = mails_by_order(&inbox.messages());
    assert_eq!(mails, (0..ORDERS).map(|nth| (order_id(nth), 1)).collect());

    // A post that reaches the other copy is the same post.
    for (nth, writer) in (0..ORDERS).map(|nth| (nth, &writers[(nth + 1) % 2])) {
        assert_eq!(writer.order(&demo_order(&order_id(nth))).await.status, 201);
    }
    assert_eq!(log_summary(database.url()).await, LogSummary { orders, complete: orders, events: 5 * orders });
    assert_eq!(inbox.accepted(), ORDERS as u64);

    // A process answers for its own roles only.
    writers[0].get("/orders/apart-0").await.problem(404);
    readers[0].order(&demo_order("nobody")).await.problem(405);

    // Each ends when it is asked to, whatever it waits for.
    copies.iter().for_each(|copy| copy.signal(Signal::TERM));
    for copy in &mut copies {
        let status = copy.ended(Duration::from_secs(10)).await.expect("it still runs ten seconds later");
        assert_eq!(status.code(), Some(0), "{}", copy.log());
    }
}

fn order_id(nth: usize) -> String {
    format!("apart-{nth}")
}

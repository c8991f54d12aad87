//! A queue that is away, takes batches in part, or refuses a message.

use std::collections::BTreeMap;
use std::time::Duration;

use embedded::sqs::Sqs;

use crate::support::{FailingTarget, Fate, Fixture, PATIENCE, body, settings, take};

#[tokio::test]
async fn a_batch_that_is_taken_in_part_keeps_the_order_of_each_order() {
    // Given a queue that fails on every third of the first entries.
    let (fixture, mut nth) = (Fixture::new().await, 0);
    let failing = move |_: &_| {
        nth += 1;
        if nth < 12 && nth % 3 == 0 { Fate::Failed } else { Fate::Accepted }
    };
    let queue = FailingTarget::start(failing).await;
    let copy = fixture.publish_to(queue.queue(), settings()).await;

    // When
    fixture.notes(5, 6).await;

    // Then
    testkit::eventually(PATIENCE, || std::future::ready(queue.accepted().len() == 30)).await;
    let expected: BTreeMap<_, Vec<i64>> = (1..=5).map(|nth| (format!("o-{nth}"), (1..=6).collect())).collect();
    assert_eq!(queue.versions(), expected);
    assert!(fixture.parked().await.is_empty());
    copy.stop().await;
}

#[tokio::test]
async fn a_message_that_is_refused_for_good_holds_up_its_order_alone() {
    let fixture = Fixture::new().await;
    let refusing = |entry: &serde_json::Value| {
        if entry["MessageGroupId"] == "o-2" { Fate::Refused } else { Fate::Accepted }
    };
    let queue = FailingTarget::start(refusing).await;
    let copy = fixture.publish_to(queue.queue(), settings()).await;

    fixture.notes(3, 2).await;

    testkit::eventually(PATIENCE, || std::future::ready(queue.accepted().len() == 4)).await;
    testkit::eventually(PATIENCE, || async { fixture.parked().await == ["o-2"] }).await;
    assert_eq!(queue.versions().into_keys().collect::<Vec<_>>(), ["o-1", "o-3"]);
    copy.stop().await;
}

#[tokio::test]
async fn a_stream_that_is_no_orders_is_parked_and_no_batch_fails_for_it() {
    let fixture = Fixture::new().await;
    let queue = FailingTarget::start(|_| Fate::Accepted).await;
    let copy = fixture.publish_to(queue.queue(), settings()).await;

    fixture.note("an order of another program", "x").await;
    fixture.note("o-1", "x").await;

    testkit::eventually(PATIENCE, || std::future::ready(queue.versions().contains_key("o-1"))).await;
    testkit::eventually(PATIENCE, || async { fixture.parked().await == ["an order of another program"] }).await;
    copy.stop().await;
}

#[tokio::test]
async fn while_the_queue_is_away_events_wait_and_health_says_so() {
    // Given
    let (fixture, sqs) = tokio::join!(Fixture::new(), testkit::sqs());
    let url = sqs.url();
    let copy = fixture.publish(&url, settings()).await;
    fixture.note("o-1", "before").await;
    take(&url, 1).await;

    // When
    sqs.stop().await;
    fixture.note("o-1", "meanwhile").await;

    // Then
    testkit::eventually(PATIENCE, || std::future::ready(copy.health.problem().is_some())).await;
    let problem = copy.health.problem().unwrap();
    assert!(problem.starts_with("events wait for the queue shop-events.fifo: "), "{problem}");

    // And when it is back, without its queues.
    let address = url.strip_prefix("http://").unwrap().parse().unwrap();
    let again = async {
        loop {
            match Sqs::start(address).await {
                Ok(again) => break again,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    };
    let again = tokio::time::timeout(PATIENCE, again).await.unwrap();
    let event = body(&take(&url, 1).await[0]);
    assert_eq!(event["data"]["version"], 2);
    testkit::eventually(PATIENCE, || std::future::ready(copy.health.problem().is_none())).await;
    copy.stop().await;
    again.stop().await;
}

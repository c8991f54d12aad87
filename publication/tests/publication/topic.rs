//! A topic of SNS.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use access_control::Role;
use publication::{PublicationSettings, PublicationTarget};
use serde_json::{Value, json};

use crate::support::{FailingTarget, Fate, Fixture, PATIENCE, TOPIC, settings};

#[tokio::test]
async fn an_event_is_a_message_of_its_order_that_subscribers_can_filter_by_its_type() {
    // Given
    let (fixture, target) = (Fixture::new().await, FailingTarget::start(|_| Fate::Accepted).await);
    fixture.note("o-1", "before anybody wanted to know").await;
    let copy = fixture.publish_to(target.topic(), settings()).await;

    // When
    let position = fixture.note("o-1", "hello").await;

    // Then
    testkit::eventually(PATIENCE, || std::future::ready(!target.accepted().is_empty())).await;
    let [entry] = <[Value; 1]>::try_from(target.accepted()).unwrap();
    let event: Value = serde_json::from_str(entry["MessageBody"].as_str().unwrap()).unwrap();
    assert_eq!((&event["type"], &event["subject"]), (&json!("NoteAdded"), &json!("o-1")));
    assert_eq!((&event["data"]["position"], &event["data"]["version"]), (&json!(position), &json!(2)));
    assert_eq!((&entry["MessageGroupId"], &entry["MessageDeduplicationId"]), (&json!("o-1"), &event["id"]));
    let attributes = json!({ "ce-type": "NoteAdded", "ce-id": event["id"], "content-type": "application/cloudevents+json; charset=utf-8" });
    assert_eq!(entry["attributes"], attributes);
    assert_eq!(copy.health.problem(), None);
    copy.stop().await;
}

#[tokio::test]
async fn a_batch_that_is_taken_in_part_keeps_the_order_of_each_order() {
    let (fixture, mut nth) = (Fixture::new().await, 0);
    let failing = move |_: &_| {
        nth += 1;
        if nth < 12 && nth % 3 == 0 { Fate::Failed } else { Fate::Accepted }
    };
    let target = FailingTarget::start(failing).await;
    let copy = fixture.publish_to(target.topic(), settings()).await;

    fixture.notes(5, 6).await;

    testkit::eventually(PATIENCE, || std::future::ready(target.accepted().len() == 30)).await;
    let expected: BTreeMap<_, Vec<i64>> = (1..=5).map(|nth| (format!("o-{nth}"), (1..=6).collect())).collect();
    assert_eq!(target.versions(), expected);
    assert!(fixture.parked().await.is_empty());
    copy.stop().await;
}

#[tokio::test]
async fn a_message_that_is_refused_for_good_holds_up_its_order_alone() {
    let fixture = Fixture::new().await;
    let refusing = |entry: &Value| if entry["MessageGroupId"] == "o-2" { Fate::Refused } else { Fate::Accepted };
    let target = FailingTarget::start(refusing).await;
    let copy = fixture.publish_to(target.topic(), settings()).await;

    fixture.notes(3, 2).await;

    testkit::eventually(PATIENCE, || std::future::ready(target.accepted().len() == 4)).await;
    testkit::eventually(PATIENCE, || async { fixture.parked().await == ["o-2"] }).await;
    assert_eq!(target.versions().into_keys().collect::<Vec<_>>(), ["o-1", "o-3"]);
    copy.stop().await;
}

#[tokio::test]
async fn what_is_too_large_for_sns_says_where_it_can_be_read() {
    let (fixture, target) = (Fixture::new().await, FailingTarget::start(|_| Fate::Accepted).await);
    let settings = PublicationSettings { role: Role::Shop, ..settings() };
    let copy = fixture.publish_to(target.topic(), settings).await;

    fixture.note("o-1", &"x".repeat(300_000)).await;
    fixture.note("o-1", "small").await;

    testkit::eventually(PATIENCE, || std::future::ready(target.accepted().len() == 2)).await;
    let events = target.accepted();
    let events: Vec<Value> =
        events.iter().map(|entry| serde_json::from_str(entry["MessageBody"].as_str().unwrap()).unwrap()).collect();
    assert_eq!((&events[0]["dataref"], &events[0]["sequence"]), (&json!("/orders/o-1/events"), &json!("1")));
    assert_eq!(events[1]["data"]["version"], 2);
    copy.stop().await;
}

#[tokio::test]
async fn a_topic_that_takes_less_gets_less_at_once_and_larger_events_by_reference() {
    let (fixture, target) = (Fixture::new().await, FailingTarget::taking(Some(64 << 10), |_| Fate::Accepted).await);
    let settings = PublicationSettings { role: Role::Shop, ..settings() };
    let copy = fixture.publish_to(target.topic(), settings).await;

    for nth in 1..=9 {
        fixture.note(&format!("o-{nth}"), &"x".repeat(10_000)).await;
    }
    fixture.note("o-10", &"x".repeat(100_000)).await;

    testkit::eventually(PATIENCE, || std::future::ready(target.accepted().len() == 10)).await;
    let large = target.accepted().into_iter().find(|entry| entry["MessageGroupId"] == "o-10").unwrap();
    let large: Value = serde_json::from_str(large["MessageBody"].as_str().unwrap()).unwrap();
    assert_eq!(large["dataref"], "/orders/o-10/events");
    assert_eq!(target.refused_calls(), 0);
    copy.stop().await;
}

#[tokio::test]
async fn a_topic_that_takes_more_gets_larger_events_whole() {
    let (fixture, target) = (Fixture::new().await, FailingTarget::taking(Some(1 << 20), |_| Fate::Accepted).await);
    let settings = PublicationSettings { role: Role::Shop, ..settings() };
    let copy = fixture.publish_to(target.topic(), settings).await;

    fixture.note("o-1", &"x".repeat(300_000)).await;

    testkit::eventually(PATIENCE, || std::future::ready(target.accepted().len() == 1)).await;
    let event: Value = serde_json::from_str(target.accepted()[0]["MessageBody"].as_str().unwrap()).unwrap();
    assert_eq!((&event["dataref"], &event["data"]["version"]), (&Value::Null, &json!(1)));
    copy.stop().await;
}

#[tokio::test]
async fn a_policy_that_forbids_parks_nothing_and_health_says_so() {
    // Given
    let (fixture, is_mended) = (Fixture::new().await, Arc::new(AtomicBool::new(false)));
    let forbidding = {
        let is_mended = Arc::clone(&is_mended);
        move |_: &_| if is_mended.load(Ordering::SeqCst) { Fate::Accepted } else { Fate::Forbidden }
    };
    let target = FailingTarget::start(forbidding).await;
    let copy = fixture.publish_to(target.topic(), settings()).await;

    // When
    fixture.notes(3, 2).await;

    // Then
    testkit::eventually(PATIENCE, || std::future::ready(copy.health.problem().is_some())).await;
    let problem = copy.health.problem().unwrap();
    assert!(problem.contains("AuthorizationError"), "{problem}");
    is_mended.store(true, Ordering::SeqCst);
    testkit::eventually(PATIENCE, || std::future::ready(target.accepted().len() == 6)).await;
    assert!(fixture.parked().await.is_empty());
    copy.stop().await;
}

#[tokio::test]
async fn a_message_because_of_which_calls_are_refused_holds_up_its_order_alone() {
    let fixture = Fixture::new().await;
    let refusing = |entry: &Value| if entry["MessageGroupId"] == "o-2" { Fate::CallRefused } else { Fate::Accepted };
    let target = FailingTarget::start(refusing).await;
    let copy = fixture.publish_to(target.topic(), settings()).await;

    fixture.notes(3, 2).await;

    testkit::eventually(PATIENCE, || std::future::ready(target.accepted().len() == 4)).await;
    testkit::eventually(PATIENCE, || async { fixture.parked().await == ["o-2"] }).await;
    assert_eq!(target.versions().into_keys().collect::<Vec<_>>(), ["o-1", "o-3"]);
    copy.stop().await;
}

#[tokio::test]
async fn a_topic_that_is_away_holds_up_no_queue_and_health_names_it() {
    // Given
    let (fixture, target) = (Fixture::new().await, FailingTarget::start(|_| Fate::Accepted).await);
    // Nobody listens at the discard port.
    let away = testkit::sns_client("http://127.0.0.1:9");
    let away = PublicationTarget::Topic { sns: away, arn: TOPIC.to_owned() };
    let to_topic = fixture.publish_to(away, settings()).await;
    let to_queue = fixture.publish_to(target.queue(), settings()).await;

    // When
    fixture.notes(2, 2).await;

    // Then
    testkit::eventually(PATIENCE, || std::future::ready(target.accepted().len() == 4)).await;
    testkit::eventually(PATIENCE, || std::future::ready(to_topic.health.problem().is_some())).await;
    let problem = to_topic.health.problem().unwrap();
    assert!(problem.contains(TOPIC) && problem.contains("SNS was not reached"), "{problem}");
    assert_eq!(to_queue.health.problem(), None);
    tokio::join!(to_topic.stop(), to_queue.stop());
}

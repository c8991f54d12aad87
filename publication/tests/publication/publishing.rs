//! What is published, and in which order.

use access_control::Role;
use aws_sdk_sqs::types::MessageSystemAttributeName;
use publication::PublicationSettings;
use serde_json::{Value, json};

use crate::support::{Fixture, body, settings, take};

const CREATED: &str = include_str!("../../../domain/golden/events/OrderCreated-1.0.json");

#[tokio::test]
async fn an_event_is_a_message_of_its_order() {
    // Given
    let (fixture, sqs) = tokio::join!(Fixture::new(), testkit::sqs());
    fixture.note("earlier", "before anybody wanted to know").await;
    let copy = fixture.publish(&sqs.url(), settings()).await;

    // When
    let position = fixture.append("o-1", "OrderCreated", CREATED).await;

    // Then
    let [message] = <[_; 1]>::try_from(take(&sqs.url(), 1).await).unwrap();
    let event = body(&message);
    assert_eq!(
        (&event["specversion"], &event["type"], &event["subject"], &event["source"]),
        (&json!("1.0"), &json!("OrderCreated"), &json!("o-1"), &json!("/ordo/orders"))
    );
    assert_eq!((&event["data"]["position"], &event["data"]["version"]), (&json!(position), &json!(1)));
    // As an auditor sees it.
    assert_eq!(event["data"]["data"]["customerId"], "***");
    let system = |name| message.attributes().unwrap()[&name].as_str();
    assert_eq!(system(MessageSystemAttributeName::MessageGroupId), "o-1");
    assert_eq!(system(MessageSystemAttributeName::MessageDeduplicationId), event["id"].as_str().unwrap());
    let attribute = |name: &str| message.message_attributes().unwrap()[name].string_value().unwrap();
    assert_eq!(attribute("ce-type"), "OrderCreated");
    assert_eq!(attribute("ce-id"), event["id"].as_str().unwrap());
    assert_eq!(attribute("content-type"), "application/cloudevents+json; charset=utf-8");
    assert_eq!(copy.health.problem(), None);
    copy.stop().await;
}

#[tokio::test]
async fn only_the_types_that_are_named_come_as_the_role_sees_them() {
    let (fixture, sqs) = tokio::join!(Fixture::new(), testkit::sqs());
    let types = vec!["OrderCreated".to_owned()];
    let settings = PublicationSettings { event_types: types, role: Role::Shop };
    let copy = fixture.publish(&sqs.url(), settings).await;

    fixture.append("o-1", "OrderCreated", CREATED).await;
    fixture.note("o-1", "not wanted").await;
    fixture.append("o-2", "OrderCreated", CREATED).await;

    let events: Vec<Value> = take(&sqs.url(), 2).await.iter().map(body).collect();
    assert!(events.iter().all(|event| event["type"] == "OrderCreated"), "{events:?}");
    assert_eq!(events[0]["data"]["data"]["customerId"], "customer-42");
    copy.stop().await;
}

#[tokio::test]
async fn an_event_that_is_too_large_says_where_it_can_be_read_and_holds_up_nothing() {
    let (fixture, sqs) = tokio::join!(Fixture::new(), testkit::sqs());
    let settings = PublicationSettings { role: Role::Shop, ..settings() };
    let copy = fixture.publish(&sqs.url(), settings).await;

    fixture.note("o-1", &"x".repeat(100)).await;
    fixture.note("o-1", &"x".repeat(300_000)).await;
    fixture.note("o-1", "small again").await;

    let events: Vec<Value> = take(&sqs.url(), 3).await.iter().map(body).collect();
    assert_eq!((&events[0]["data"]["version"], &events[2]["data"]["version"]), (&json!(1), &json!(3)));
    let large = &events[1];
    assert_eq!((&large["type"], &large["subject"]), (&json!("NoteAdded"), &json!("o-1")));
    assert_eq!((&large["dataref"], &large["data"]), (&json!("/orders/o-1/events"), &Value::Null));
    assert!(fixture.parked().await.is_empty());
    copy.stop().await;
}

#[tokio::test]
async fn copies_share_the_orders_and_each_keeps_their_order() {
    let (fixture, sqs) = tokio::join!(Fixture::new(), testkit::sqs());
    let one = fixture.publish(&sqs.url(), settings()).await;
    let other = fixture.publish(&sqs.url(), settings()).await;

    fixture.notes(40, 10).await;

    let mut next = std::collections::BTreeMap::new();
    for event in take(&sqs.url(), 400).await.iter().map(body) {
        let version = next.entry(event["subject"].as_str().unwrap().to_owned()).or_insert(1);
        assert_eq!(event["data"]["version"], json!(*version), "{event}");
        *version += 1;
    }
    assert_eq!(next.len(), 40);
    tokio::join!(one.stop(), other.stop());
}

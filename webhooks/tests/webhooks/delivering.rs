//! What is delivered, how it is signed, and in which order.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use access_control::Role;
use serde_json::{Value, json};
use webhooks::{EndpointError, EndpointUrl, NewEndpoint, WebhookEndpoint};

use crate::support::{Fixture, PATIENCE, Receiver, Reply, in_order, this_machine};

const CREATED: &str = include_str!("../../../domain/golden/events/OrderCreated-1.0.json");

#[tokio::test]
async fn an_event_is_posted_and_the_official_library_verifies_it() {
    // Given
    let fixture = Fixture::new().await;
    let receiver = Receiver::new(|_| Reply::Status(200)).await;
    fixture.note("earlier", "before the endpoint was made").await;
    let (endpoint, secret) = fixture.endpoint(&receiver).await;
    let _copy = fixture.deliver();

    // When
    let position = fixture.append("o-1", "OrderCreated", CREATED).await;

    // Then
    fixture.until(&endpoint, "delivered", 1).await;
    let [received] = <[_; 1]>::try_from(receiver.received()).unwrap();
    received.verify(&secret);
    assert_eq!(received.header("content-type"), "application/cloudevents+json; charset=utf-8");
    assert!(received.header("user-agent").starts_with("ordo/"));
    let event = received.json();
    assert_eq!(received.header("webhook-id"), event["id"].as_str().unwrap());
    assert_eq!(
        (&event["specversion"], &event["type"], &event["subject"], &event["source"]),
        (&json!("1.0"), &json!("OrderCreated"), &json!("o-1"), &json!("/ordo/orders"))
    );
    assert_eq!((&event["data"]["position"], &event["data"]["version"]), (&json!(position), &json!(1)));
    assert_eq!(event["data"]["metadata"], json!({ "actor": "shop:web" }));
    // As an auditor sees it.
    assert_eq!(event["data"]["data"]["customerId"], "***");
    assert!(!received.body.contains("paymentToken"), "{}", received.body);
    let [delivery] = <[_; 1]>::try_from(fixture.deliveries(&endpoint).await).unwrap();
    assert_eq!((delivery.attempts, delivery.status, delivery.answer.as_deref()), (1, Some(200), Some("noted")));
    // A byte more or less is no longer what was signed.
    let mut forged = received.clone();
    forged.body.push(' ');
    assert!(std::panic::catch_unwind(|| forged.verify(&secret)).is_err());
}

#[tokio::test]
async fn each_endpoint_gets_what_it_asked_for_as_its_role_sees_it() {
    let fixture = Fixture::new().await;
    let (shop, warehouse) = tokio::join!(Receiver::new(|_| Reply::Status(204)), Receiver::new(|_| Reply::Status(204)));
    let (all, _) = fixture.endpoint_at(&shop.url, &[], Role::Shop).await;
    let (some, _) = fixture.endpoint_at(&warehouse.url, &["OrderCreated", "PaymentDeclined"], Role::Warehouse).await;
    let _copy = fixture.deliver();

    let with_token = CREATED.replacen("{\"customerId\"", "{\"paymentToken\":\"tok_visa\",\"customerId\"", 1);
    assert_ne!(with_token, CREATED);
    fixture.append("o-1", "OrderCreated", &with_token).await;
    let declined = r#"{"PaymentDeclined":{"code":"stolen_card","message":"no"}}"#;
    fixture.append("o-1", "PaymentDeclined", declined).await;
    fixture.note("o-1", "call first").await;

    fixture.until(&all, "delivered", 3).await;
    fixture.until(&some, "delivered", 2).await;
    let of = |receiver: &Receiver| -> Vec<(String, Value)> {
        let event = |event: Value| (event["type"].as_str().unwrap().to_owned(), event["data"]["data"].clone());
        receiver.received().iter().map(|received| event(received.json())).collect()
    };
    let (seen, unpaid) = (of(&shop), of(&warehouse));
    assert!(shop.received().iter().all(|received| !received.body.contains("tok_visa")));
    assert_eq!(seen[0].1["customerId"], "customer-42");
    assert_eq!(seen[1].1, json!({ "code": "stolen_card", "message": "no" }));
    assert_eq!(seen[2].1["text"], "call first");
    let names: Vec<_> = unpaid.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["OrderCreated", "PaymentDeclined"]);
    assert_eq!((&unpaid[0].1["customerId"], &unpaid[1].1), (&json!("customer-42"), &json!({})));
}

#[tokio::test]
async fn events_of_before_the_first_endpoint_are_not_read() {
    // Given events that this build can't read, so it would stop before them
    for is_made_first in [false, true] {
        let fixture = Fixture::new().await;
        fixture.append("old", "OrderPainted", r#"{"OrderPainted":{}}"#).await;
        let receiver = Receiver::new(|_| Reply::Status(200)).await;
        let mut made = None;
        if is_made_first {
            made = Some(fixture.endpoint(&receiver).await.0);
        }
        let _copy = fixture.deliver();
        let begun = "select count(*) from subscription_partitions where subscription = 'webhooks' and position > 0";
        testkit::eventually(PATIENCE, || async {
            sqlx::query_scalar(begun).fetch_one(fixture.pool()).await.is_ok_and(|begun: i64| begun > 0)
        })
        .await;
        let endpoint = match made {
            Some(endpoint) => endpoint,
            None => fixture.endpoint(&receiver).await.0,
        };

        fixture.note("new", "hello").await;

        fixture.until(&endpoint, "delivered", 1).await;
        assert_eq!(receiver.received()[0].order(), "new");
    }
}

#[tokio::test]
async fn for_a_day_after_a_rotation_both_secrets_verify() {
    let fixture = Fixture::new().await;
    let receiver = Receiver::new(|_| Reply::Status(200)).await;
    let (endpoint, first) = fixture.endpoint(&receiver).await;
    let (_, second) = WebhookEndpoint::rotate_secret(fixture.pool(), endpoint.id).await.unwrap();
    let _copy = fixture.deliver();

    fixture.note("o-1", "both").await;
    fixture.until(&endpoint, "delivered", 1).await;
    let received = receiver.received().pop().unwrap();
    received.verify(&first);
    received.verify(&second);

    let over = "update webhook_endpoints set previous_secret_until = now()";
    sqlx::query(over).execute(fixture.pool()).await.unwrap();
    fixture.note("o-1", "the new one alone").await;
    fixture.until(&endpoint, "delivered", 2).await;
    let received = receiver.received().pop().unwrap();
    received.verify(&second);
    assert!(std::panic::catch_unwind(|| received.verify(&first)).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_share_the_work_and_each_order_is_told_in_order() {
    let fixture = Fixture::new().await;
    let receiver = Receiver::new(|_| Reply::Status(200)).await;
    let (endpoint, secret) = fixture.endpoint(&receiver).await;
    let _copies = [fixture.deliver(), fixture.deliver(), fixture.deliver()];

    fixture.notes(20, 10).await;

    fixture.until(&endpoint, "delivered", 200).await;
    let versions = receiver.versions();
    assert_eq!(versions.len(), 20);
    for (order, versions) in versions {
        assert_eq!(versions, (1..=10).collect::<Vec<_>>(), "{order}");
    }
    receiver.received().iter().for_each(|received| received.verify(&secret));
    let left: i64 = sqlx::query_scalar("select count(*) from webhook_queues").fetch_one(fixture.pool()).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_copies_end_in_the_middle() {
    // Given deliveries that are claimed for a while only
    let fixture = Fixture::new().await;
    let receiver = Receiver::new(|_| Reply::Status(200)).await;
    let (endpoint, _) = fixture.endpoint(&receiver).await;
    fixture.notes(20, 10).await;

    // When
    for _ in 0..10 {
        let copy = fixture.deliver();
        let so_far = receiver.count();
        testkit::eventually(PATIENCE, || std::future::ready(receiver.count() > so_far || receiver.count() >= 200))
            .await;
        drop(copy);
        // Their claims run out.
        sqlx::query("update webhook_queues set due_at = now()").execute(fixture.pool()).await.unwrap();
    }
    let _copy = fixture.deliver();

    // Then
    fixture.until(&endpoint, "delivered", 200).await;
    let versions = receiver.versions();
    assert_eq!(versions.len(), 20);
    for (order, versions) in versions {
        assert!(in_order(&versions) && versions.last() == Some(&10), "{order}: {versions:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_with_much_to_do_holds_up_no_other() {
    let fixture = Fixture::new().await;
    fixture.notes(500, 1).await;
    let by_busy = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&by_busy);
    let busy = Receiver::new(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        Reply::Status(200)
    })
    .await;
    let before_other = Arc::new(AtomicUsize::new(usize::MAX));
    let seen = Arc::clone(&before_other);
    let other = Receiver::new(move |_| {
        seen.fetch_min(by_busy.load(Ordering::Relaxed), Ordering::Relaxed);
        Reply::Status(200)
    })
    .await;
    // The busy one has the smaller id, and may have all places there are.
    let (first, _) = fixture.endpoint(&busy).await;
    let (second, _) = fixture.endpoint(&other).await;
    fixture.backlog(&first, 1).await;
    fixture.backlog(&second, 1).await;
    let settings = webhooks::WebhookSettings { per_endpoint: 2, in_all: 2, ..crate::support::settings() };
    let _copy = fixture.deliver_by(settings, webhooks::WebhookNetwork::default());

    testkit::eventually(PATIENCE, || std::future::ready(other.count() > 0)).await;
    let ahead = before_other.load(Ordering::Relaxed);
    assert!(ahead < 100, "the other one waited for {ahead} deliveries");
}

#[tokio::test]
async fn what_waits_is_given_back_when_a_copy_stops() {
    let fixture = Fixture::new().await;
    let receiver = Receiver::new(|_| Reply::Hang).await;
    let (endpoint, _) = fixture.endpoint(&receiver).await;
    let settings = webhooks::WebhookSettings { timeout: Duration::from_secs(60), ..crate::support::settings() };
    let copy = fixture.deliver_by(settings, webhooks::WebhookNetwork::default());
    fixture.note("o-1", "hello").await;
    testkit::eventually(PATIENCE, || std::future::ready(receiver.count() == 1)).await;

    copy.stop().await;
    receiver.answer_by(|_| Reply::Status(200));
    let _copy = fixture.deliver();

    fixture.until(&endpoint, "delivered", 1).await;
    assert_eq!(receiver.count(), 2);
}

#[tokio::test]
async fn there_are_fifty_endpoints_at_the_most() {
    let fixture = Fixture::new().await;
    let url = || EndpointUrl::parse("https://shop.example/", &this_machine());
    let new = NewEndpoint::new(url(), String::new(), Vec::new(), Role::Auditor).unwrap();
    let (made, _) = WebhookEndpoint::create(fixture.pool(), &new).await.unwrap();
    let made_at_once = futures_util::future::join_all((0..60).map(|_| WebhookEndpoint::create(fixture.pool(), &new)));
    let refused = made_at_once.await.into_iter().filter(|made| matches!(made, Err(EndpointError::TooMany))).count();
    assert_eq!(refused, 11);
    WebhookEndpoint::delete(fixture.pool(), made.id).await.unwrap();
    assert!(WebhookEndpoint::create(fixture.pool(), &new).await.is_ok());

    let mistakes = NewEndpoint::new(
        EndpointUrl::parse("http://shop.example/", &this_machine()),
        "a".repeat(513),
        vec!["OrderPainted".to_owned()],
        Role::Customer,
    );
    let fields: Vec<_> = mistakes.unwrap_err().into_iter().map(|mistake| mistake.field).collect();
    assert_eq!(fields, ["url", "description", "eventTypes", "role"]);
}

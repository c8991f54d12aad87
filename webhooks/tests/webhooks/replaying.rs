//! Replays while live deliveries go on, and what is removed after a time.

use std::time::Duration;

use webhooks::{WebhookNetwork, WebhookReplay, WebhookReplayError, WebhookSettings};

use crate::support::{Fixture, PATIENCE, Receiver, Reply, in_order, settings};

const ORDERS: i32 = 1_000;
const EACH: i32 = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_events_are_replayed_in_order_while_others_come() {
    // Given
    let fixture = Fixture::new().await;
    fixture.notes(ORDERS, EACH).await;
    let first = fixture.first_position().await;
    let receiver = Receiver::new(|_| Reply::Status(200)).await;
    let (endpoint, _) = fixture.endpoint(&receiver).await;
    let settings = WebhookSettings { per_endpoint: 32, ..settings() };
    let _copy = fixture.deliver_by(settings, WebhookNetwork::default());

    // When
    let replay = WebhookReplay::begin(fixture.pool(), endpoint.id, first, None).await.unwrap();
    for nth in 1..=ORDERS {
        if nth % 10 == 0 {
            fixture.note(&format!("o-{nth}"), "live").await;
        }
    }
    fixture.note("live alone", "it waits for no replay").await;

    // Then
    let all = usize::try_from(ORDERS * EACH + ORDERS / 10 + 1).unwrap();
    testkit::eventually(PATIENCE * 3, || std::future::ready(receiver.count() >= all)).await;
    fixture.until(&endpoint, "delivered", all).await;
    let versions = receiver.versions();
    assert_eq!(versions.len(), usize::try_from(ORDERS).unwrap() + 1);
    for nth in 1..=ORDERS {
        let last = if nth % 10 == 0 { EACH + 1 } else { EACH };
        assert_eq!(versions[&format!("o-{nth}")], (1..=i64::from(last)).collect::<Vec<_>>(), "o-{nth}");
    }
    let [ended] = <[_; 1]>::try_from(WebhookReplay::list(fixture.pool(), endpoint.id).await.unwrap()).unwrap();
    assert_eq!((ended.id, ended.reached), (replay.id, replay.to_position));
    assert!(ended.ended_at.is_some());
    assert_eq!(ended.deliveries, i64::from(ORDERS * EACH));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_goes_on_although_thousands_of_deliveries_wait_behind_it() {
    // Given more than a replay may be ahead of, also once the first of each order is delivered
    let fixture = Fixture::new().await;
    fixture.notes(100, 60).await;
    let receiver = Receiver::new(|_| Reply::Status(200)).await;
    let (endpoint, _) = fixture.endpoint(&receiver).await;
    fixture.backlog(&endpoint, 1).await;

    // When
    WebhookReplay::begin(fixture.pool(), endpoint.id, fixture.first_position().await, None).await.unwrap();
    let settings = WebhookSettings { per_endpoint: 32, ..settings() };
    let _copy = fixture.deliver_by(settings, WebhookNetwork::default());

    // Then
    testkit::eventually(PATIENCE, || async {
        WebhookReplay::list(fixture.pool(), endpoint.id).await.unwrap()[0].ended_at.is_some()
    })
    .await;
    testkit::eventually(PATIENCE, || async {
        receiver.versions().values().all(|versions| in_order(versions) && versions.len() > 1)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_that_wait_for_a_replay_hold_up_no_other() {
    // Given thousands of orders that wait for a replay, which can't go on
    let fixture = Fixture::new().await;
    fixture.notes(4_000, 2).await;
    let receiver = Receiver::new(|_| Reply::Status(200)).await;
    let (endpoint, _) = fixture.endpoint(&receiver).await;
    fixture.backlog(&endpoint, 2).await;
    WebhookReplay::begin(fixture.pool(), endpoint.id, fixture.first_position().await, None).await.unwrap();
    let long_ago = "update webhook_replays set created_at = now() - interval '1 hour'";
    sqlx::query(long_ago).execute(fixture.pool()).await.unwrap();
    let mut stuck = fixture.pool().begin().await.unwrap();
    sqlx::query("select from webhook_replays for update").execute(&mut *stuck).await.unwrap();

    // When
    let _copy = fixture.deliver();
    fixture.note("ready", "it waits for no replay").await;

    // Then: with a pause after each eight of them it would take longer
    testkit::eventually(PATIENCE, || std::future::ready(receiver.count() == 1)).await;
    assert_eq!(receiver.received()[0].order(), "ready");
    // They are looked at the less often, the longer the replay goes on.
    let later =
        "select exists (select from webhook_queues where due_at > now() + interval '30 seconds' and claim is null)";
    let later: bool = sqlx::query_scalar(later).fetch_one(fixture.pool()).await.unwrap();
    assert!(later);
}

#[tokio::test]
async fn many_events_of_one_order_are_replayed_at_once() {
    let fixture = Fixture::new().await;
    fixture.notes(1, 50).await;
    let receiver = Receiver::new(|_| Reply::Status(200)).await;
    let (endpoint, _) = fixture.endpoint(&receiver).await;
    WebhookReplay::begin(fixture.pool(), endpoint.id, fixture.first_position().await, None).await.unwrap();
    let _copy = fixture.deliver();

    fixture.until(&endpoint, "delivered", 50).await;
    assert_eq!(receiver.versions()["o-1"], (1..=50).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_replay_that_is_cancelled_makes_no_more_deliveries() {
    // Given a replay that has come to its second event of four
    let fixture = Fixture::new().await;
    fixture.notes(1, 4).await;
    let receiver = Receiver::new(|_| Reply::Status(200)).await;
    let (endpoint, _) = fixture.endpoint(&receiver).await;
    let first = fixture.first_position().await;
    let missed = "update webhook_endpoints set missed_from = $1";
    sqlx::query(missed).bind(first).execute(fixture.pool()).await.unwrap();
    let replay = WebhookReplay::begin(fixture.pool(), endpoint.id, first, None).await.unwrap();
    assert_eq!(fixture.look_at(&endpoint).await.missed_from, None);
    let reached = "update webhook_replays set reached = $1";
    sqlx::query(reached).bind(first + 1).execute(fixture.pool()).await.unwrap();

    // When
    let other = WebhookReplay::cancel(fixture.pool(), Some(uuid::Uuid::nil()), replay.id).await;
    assert!(matches!(other, Err(WebhookReplayError::Unknown(_))));
    WebhookReplay::cancel(fixture.pool(), Some(endpoint.id), replay.id).await.unwrap();
    let [ended] = <[_; 1]>::try_from(WebhookReplay::list(fixture.pool(), endpoint.id).await.unwrap()).unwrap();

    // Then
    assert_eq!(fixture.look_at(&endpoint).await.missed_from, Some(first + 2));
    WebhookReplay::cancel(fixture.pool(), None, replay.id).await.unwrap();
    let again = WebhookReplay::list(fixture.pool(), endpoint.id).await.unwrap().remove(0);
    assert_eq!((again.ended_at, ended.ended_at.is_some()), (ended.ended_at, true));
    let _copy = fixture.deliver();
    fixture.note("o-2", "it waits for no replay").await;
    fixture.until(&endpoint, "delivered", 1).await;
    assert_eq!(fixture.deliveries(&endpoint).await.len(), 1);
}

#[tokio::test]
async fn events_that_were_delivered_are_delivered_again() {
    let fixture = Fixture::new().await;
    let receiver = Receiver::new(|_| Reply::Status(200)).await;
    let (endpoint, _) = fixture.endpoint_at(&receiver.url, &["NoteAdded"], access_control::Role::Shop).await;
    let _copy = fixture.deliver();
    let from = fixture.note("o-1", "first").await;
    let to = fixture.note("o-1", "second").await;
    fixture.append("o-1", "OrderConfirmed", r#"{"OrderConfirmed":{}}"#).await;
    fixture.note("o-1", "third").await;
    fixture.until(&endpoint, "delivered", 3).await;

    WebhookReplay::begin(fixture.pool(), endpoint.id, from, Some(to)).await.unwrap();

    testkit::eventually(PATIENCE, || std::future::ready(receiver.count() == 5)).await;
    assert_eq!(receiver.versions()["o-1"], [1, 2, 4, 1, 2]);
    let received = receiver.received();
    assert_eq!(received[0].header("webhook-id"), received[3].header("webhook-id"));
}

#[tokio::test]
async fn a_replay_that_makes_no_sense_is_refused() {
    let fixture = Fixture::new().await;
    let receiver = Receiver::new(|_| Reply::Status(200)).await;
    let (endpoint, _) = fixture.endpoint(&receiver).await;
    let last = fixture.note("o-1", "first").await;
    let begin = async |from, to| WebhookReplay::begin(fixture.pool(), endpoint.id, from, to).await;
    for from in [i64::MIN, 0, last + 1, i64::MAX] {
        assert!(matches!(begin(from, None).await, Err(WebhookReplayError::From { .. })), "{from}");
    }
    assert!(matches!(begin(last, Some(last - 1)).await, Err(WebhookReplayError::To)));
    let unknown = WebhookReplay::begin(fixture.pool(), uuid::Uuid::nil(), 1, None).await;
    assert!(matches!(unknown, Err(WebhookReplayError::Endpoint(_))));
    for _ in 0..5 {
        begin(last, None).await.unwrap();
    }
    assert!(matches!(begin(last, None).await, Err(WebhookReplayError::TooMany)));
}

#[tokio::test]
async fn deliveries_that_were_made_are_removed_after_a_time_and_no_others() {
    let fixture = Fixture::new().await;
    let fails = |version: i64| if version == 2 { Reply::Status(500) } else { Reply::Status(200) };
    let receiver = Receiver::new(move |received| fails(received.version())).await;
    let (endpoint, _) = fixture.endpoint(&receiver).await;
    let copy = fixture.deliver();
    fixture.notes(1, 3).await;
    fixture.until_tried(&endpoint, "o-1", 1).await;
    copy.stop().await;
    let give_up = "update webhook_deliveries set state = 'failed', ended_at = now() where attempts = 0";
    sqlx::query(give_up).execute(fixture.pool()).await.unwrap();
    fixture.pass("60 days").await;

    // It looks at the start, and every minute from then on.
    let settings = WebhookSettings { retention: Duration::from_secs(30 * 86_400), ..settings() };
    let _copy = fixture.deliver_by(settings, WebhookNetwork::default());
    fixture.until(&endpoint, "delivered", 0).await;
    let left: Vec<_> = fixture.deliveries(&endpoint).await.into_iter().map(|delivery| delivery.state).collect();
    assert_eq!(left, ["pending", "failed"]);
}

//! Endpoints that are down, answer with errors, hang, are slow, or ask for time.

use std::collections::BTreeMap;
use std::time::Duration;

use webhooks::{RETRY_PAUSES, WebhookDelivery, WebhookEndpoint, WebhookNetwork, WebhookSettings};

use crate::support::{Fixture, PATIENCE, Receiver, Reply, in_order, settings};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_is_down_for_an_hour_gets_everything_in_order() {
    // Given
    let fixture = Fixture::new().await;
    let receiver = Receiver::new(|_| Reply::Status(500)).await;
    let (endpoint, secret) = fixture.endpoint(&receiver).await;
    let _copy = fixture.deliver();
    fixture.notes(5, 4).await;

    // When it is down for an hour, in which each order's first delivery is tried four times.
    for (attempts, pause) in [(1, "6 seconds"), (2, "6 minutes"), (3, "36 minutes"), (4, "18 minutes")] {
        for nth in 1..=5 {
            fixture.until_tried(&endpoint, &format!("o-{nth}"), attempts).await;
        }
        fixture.pass(pause).await;
    }
    assert_eq!(receiver.count(), 20);
    let down = fixture.look_at(&endpoint).await;
    assert_eq!((down.failures, down.disabled_at), (20, None));
    assert!(down.failing_since.is_some());
    receiver.answer_by(|_| Reply::Status(200));
    fixture.pass("3 hours").await;

    // Then
    fixture.until(&endpoint, "delivered", 20).await;
    let versions = receiver.versions();
    for nth in 1..=5 {
        assert_eq!(versions[&format!("o-{nth}")], [1, 1, 1, 1, 1, 2, 3, 4]);
    }
    let mut ids: BTreeMap<(String, i64), Vec<String>> = BTreeMap::new();
    for received in receiver.received() {
        received.verify(&secret);
        let id = received.header("webhook-id").to_owned();
        ids.entry((received.order(), received.version())).or_default().push(id);
    }
    assert!(ids.values().all(|ids| ids.iter().all(|id| *id == ids[0])), "the id of a delivery has changed: {ids:?}");
    let up = fixture.look_at(&endpoint).await;
    assert_eq!((up.failures, up.failing_since), (0, None));
}

#[tokio::test]
async fn one_order_that_fails_holds_up_no_other() {
    let fixture = Fixture::new().await;
    let bad = |order: String| if order == "o-1" { Reply::Status(422) } else { Reply::Status(200) };
    let receiver = Receiver::new(move |received| bad(received.order())).await;
    let (endpoint, _) = fixture.endpoint(&receiver).await;
    let _copy = fixture.deliver();

    fixture.notes(3, 3).await;

    fixture.until(&endpoint, "delivered", 6).await;
    fixture.until_tried(&endpoint, "o-1", 1).await;
    assert_eq!(receiver.versions()["o-1"], [1]);
    let waiting: Vec<WebhookDelivery> =
        fixture.deliveries(&endpoint).await.into_iter().filter(|delivery| delivery.order_id == "o-1").collect();
    assert_eq!(waiting.iter().map(|delivery| delivery.attempts).collect::<Vec<_>>(), [1, 0, 0]);
    assert!(waiting[0].next_attempt_at.is_some() && waiting[1].next_attempt_at.is_none());
    assert_eq!(waiting[0].error.as_deref(), Some("answered 422"));
}

#[tokio::test]
async fn a_delivery_is_given_up_after_ten_attempts_and_the_next_one_goes() {
    let fixture = Fixture::new().await;
    let fails = |version: i64| if version == 1 { Reply::Status(500) } else { Reply::Status(200) };
    let receiver = Receiver::new(move |received| fails(received.version())).await;
    let (endpoint, _) = fixture.endpoint(&receiver).await;
    let settings = WebhookSettings { disable_after: Duration::from_secs(365 * 86_400), ..settings() };
    let _copy = fixture.deliver_by(settings, WebhookNetwork::default());
    fixture.notes(1, 2).await;

    for attempts in 1..=RETRY_PAUSES.len() {
        fixture.until_tried(&endpoint, "o-1", i32::try_from(attempts).unwrap()).await;
        fixture.pass("29 hours").await;
    }

    fixture.until(&endpoint, "failed", 1).await;
    fixture.until(&endpoint, "delivered", 1).await;
    assert_eq!(receiver.count(), 11);
    let given_up = fixture.deliveries(&endpoint).await.remove(0);
    assert_eq!((given_up.attempts, given_up.state.as_str()), (10, "failed"));

    // An operator has it made again.
    receiver.answer_by(|_| Reply::Status(200));
    WebhookDelivery::resend(fixture.pool(), Some(endpoint.id), given_up.id).await.unwrap();
    fixture.until(&endpoint, "delivered", 2).await;
    assert_eq!(receiver.versions()["o-1"][10..], [2, 1]);
    assert!(WebhookDelivery::resend(fixture.pool(), Some(uuid::Uuid::nil()), given_up.id).await.is_err());
    assert!(WebhookDelivery::resend(fixture.pool(), None, given_up.id + 1_000).await.is_err());
}

#[tokio::test]
async fn a_resend_counts_also_while_an_attempt_is_in_work() {
    // Given an attempt that failed and one that hangs
    let fixture = Fixture::new().await;
    let mut answers = [Reply::Status(500), Reply::Hang].into_iter();
    let receiver = Receiver::new(move |_| answers.next().unwrap_or(Reply::Status(200))).await;
    let (endpoint, _) = fixture.endpoint(&receiver).await;
    let _copy = fixture.deliver();
    fixture.notes(1, 1).await;
    fixture.until_tried(&endpoint, "o-1", 1).await;
    fixture.pass("29 hours").await;
    testkit::eventually(PATIENCE, || async { receiver.count() == 2 }).await;

    // When
    let delivery = fixture.deliveries(&endpoint).await.remove(0);
    WebhookDelivery::resend(fixture.pool(), Some(endpoint.id), delivery.id).await.unwrap();

    // Then it is made again without the pause of a second failure
    fixture.until(&endpoint, "delivered", 1).await;
    assert_eq!((receiver.count(), fixture.deliveries(&endpoint).await[0].attempts), (3, 1));
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_disabled_and_what_it_missed_can_be_replayed() {
    let fixture = Fixture::new().await;
    let receiver = Receiver::new(|_| Reply::Status(410)).await;
    let (endpoint, _) = fixture.endpoint(&receiver).await;
    let _copy = fixture.deliver();
    fixture.notes(1, 2).await;
    testkit::eventually(PATIENCE, || async { fixture.look_at(&endpoint).await.disabled_at.is_some() }).await;
    assert_eq!(webhooks::disabled_endpoints(fixture.pool()).await.unwrap(), 1);

    // What comes meanwhile is not recorded for it.
    let missed = fixture.note("o-2", "missed").await;
    fixture.note("o-2", "missed as well").await;
    testkit::eventually(PATIENCE, || async { fixture.look_at(&endpoint).await.missed_from == Some(missed) }).await;
    fixture.pass("1 day").await;
    assert_eq!(receiver.count(), 1);

    // Then
    receiver.answer_by(|_| Reply::Status(200));
    let enabled = WebhookEndpoint::enable(fixture.pool(), endpoint.id).await.unwrap();
    assert_eq!((enabled.missed_from, enabled.disabled_at, enabled.failures), (Some(missed), None, 0));
    fixture.until(&endpoint, "delivered", 2).await;
    webhooks::WebhookReplay::begin(fixture.pool(), endpoint.id, missed, None).await.unwrap();
    fixture.until(&endpoint, "delivered", 4).await;
    assert_eq!(receiver.versions()["o-1"], [1, 1, 2]);
    assert_eq!(receiver.versions()["o-2"], [1, 2]);
}

#[tokio::test]
async fn what_was_missed_is_known_until_a_replay_makes_up_for_it() {
    let fixture = Fixture::new().await;
    fixture.notes(1, 4).await;
    let receiver = Receiver::new(|_| Reply::Status(200)).await;
    let (endpoint, _) = fixture.endpoint(&receiver).await;
    WebhookEndpoint::disable(fixture.pool(), endpoint.id).await.unwrap();
    let missed = fixture.first_position().await + 1;
    let note = "update webhook_endpoints set missed_from = $1";
    sqlx::query(note).bind(missed).execute(fixture.pool()).await.unwrap();

    // The answer may get lost, so it is the same again.
    for _ in 0..2 {
        let enabled = WebhookEndpoint::enable(fixture.pool(), endpoint.id).await.unwrap();
        assert_eq!((enabled.missed_from, enabled.disabled_at), (Some(missed), None));
    }
    for (from, to, still_missed) in [
        (missed + 1, None, Some(missed)),
        (1, Some(missed - 1), Some(missed)),
        (1, Some(missed), Some(missed + 1)),
        (missed, None, None),
    ] {
        webhooks::WebhookReplay::begin(fixture.pool(), endpoint.id, from, to).await.unwrap();
        assert_eq!(fixture.look_at(&endpoint).await.missed_from, still_missed, "{from} {to:?}");
    }
}

#[tokio::test]
async fn an_endpoint_that_has_failed_for_days_is_disabled() {
    let fixture = Fixture::new().await;
    let receiver = Receiver::new(|_| Reply::Status(500)).await;
    let (endpoint, _) = fixture.endpoint(&receiver).await;
    let _copy = fixture.deliver();
    fixture.note("o-1", "hello").await;
    for attempts in 1..=5 {
        fixture.until_tried(&endpoint, "o-1", attempts).await;
        assert_eq!(fixture.look_at(&endpoint).await.disabled_at, None);
        fixture.pass("25 hours").await;
    }

    testkit::eventually(PATIENCE, || async { fixture.look_at(&endpoint).await.disabled_at.is_some() }).await;
    assert_eq!(fixture.look_at(&endpoint).await.disabled_because.as_deref(), Some("failing"));
}

#[tokio::test]
async fn a_failure_makes_nobody_wait_who_records_events() {
    let fixture = Fixture::new().await;
    let receiver = Receiver::new(|_| Reply::Status(500)).await;
    let (endpoint, _) = fixture.endpoint(&receiver).await;
    // Somebody who records for a long time. Whoever wants to change endpoints waits for them, and all others behind.
    let mut records = fixture.pool().begin().await.unwrap();
    let lock = "select pg_advisory_xact_lock_shared(x'6f72646f5f776862'::bigint)";
    sqlx::query(lock).execute(&mut *records).await.unwrap();
    let _copy = fixture.deliver();

    for order in ["o-1", "o-2", "o-3"] {
        fixture.note(order, "hello").await;
        fixture.until_tried(&endpoint, order, 1).await;
    }
}

#[tokio::test]
async fn an_endpoint_that_nobody_called_for_days_has_not_failed_for_days() {
    let fixture = Fixture::new().await;
    let receiver = Receiver::new(|_| Reply::Status(500)).await;
    let (endpoint, _) = fixture.endpoint(&receiver).await;
    let _copy = fixture.deliver();
    fixture.note("o-1", "it is given up").await;
    fixture.until_tried(&endpoint, "o-1", 1).await;
    let give_up = "with given_up as (delete from webhook_queues)
                   update webhook_deliveries set state = 'failed', ended_at = now()";
    sqlx::query(give_up).execute(fixture.pool()).await.unwrap();
    fixture.pass("6 days").await;

    fixture.note("o-2", "the next one").await;
    fixture.until_tried(&endpoint, "o-2", 1).await;
    fixture.pass("1 minute").await;
    fixture.until_tried(&endpoint, "o-2", 2).await;
    let failing = fixture.look_at(&endpoint).await;
    assert_eq!((failing.disabled_at, failing.failures), (None, 3));
    assert!(failing.failing_since.unwrap() > chrono::Utc::now() - chrono::TimeDelta::hours(1));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let fixture = Fixture::new().await;
    let elsewhere = Receiver::new(|_| Reply::Status(200)).await;
    let to = elsewhere.url.clone();
    let receiver = Receiver::new(move |_| Reply::With(307, "location", to.clone())).await;
    let (endpoint, _) = fixture.endpoint(&receiver).await;
    let _copy = fixture.deliver();

    fixture.note("o-1", "hello").await;

    fixture.until_tried(&endpoint, "o-1", 1).await;
    let delivery = fixture.deliveries(&endpoint).await.remove(0);
    assert_eq!(delivery.error.as_deref(), Some("answered 307: redirects are not followed"));
    assert_eq!((receiver.count(), elsewhere.count()), (1, 0));
}

#[tokio::test]
async fn an_endpoint_that_hangs_holds_up_no_other() {
    let fixture = Fixture::new().await;
    let (hangs, works) = tokio::join!(Receiver::new(|_| Reply::Hang), Receiver::new(|_| Reply::Status(200)));
    let (hanging, _) = fixture.endpoint(&hangs).await;
    let (working, _) = fixture.endpoint(&works).await;
    // There is room for three deliveries in all.
    let settings = WebhookSettings { timeout: Duration::from_secs(1), per_endpoint: 2, in_all: 3, ..settings() };
    let _copy = fixture.deliver_by(settings, WebhookNetwork::default());

    fixture.notes(30, 2).await;

    fixture.until(&working, "delivered", 60).await;
    for nth in 1..=3 {
        fixture.until_tried(&hanging, &format!("o-{nth}"), 1).await;
    }
    let tried = fixture.deliveries(&hanging).await.into_iter().find(|delivery| delivery.attempts > 0).unwrap();
    assert_eq!((tried.error.as_deref(), tried.status), (Some("no answer within 1 s"), None));
    assert!(works.versions().values().all(|versions| in_order(versions)));
}

#[tokio::test]
async fn a_body_that_is_slow_or_never_ends_is_not_waited_for() {
    let fixture = Fixture::new().await;
    let replies = |version: i64| if version == 1 { Reply::Endless } else { Reply::Stalled };
    let receiver = Receiver::new(move |received| replies(received.version())).await;
    let (endpoint, _) = fixture.endpoint(&receiver).await;
    let _copy = fixture.deliver();

    fixture.notes(1, 2).await;

    fixture.until(&endpoint, "delivered", 2).await;
    let answers: Vec<_> = fixture.deliveries(&endpoint).await.into_iter().map(|delivery| delivery.answer).collect();
    assert_eq!(answers, [Some("a".repeat(1024)), Some(String::new())]);
}

#[tokio::test]
async fn an_endpoint_that_asks_for_time_gets_it() {
    let fixture = Fixture::new().await;
    let receiver = Receiver::new(|_| Reply::With(429, "retry-after", "1800".to_owned())).await;
    let (endpoint, _) = fixture.endpoint(&receiver).await;
    let _copy = fixture.deliver();
    fixture.note("o-1", "hello").await;
    fixture.until_tried(&endpoint, "o-1", 1).await;
    receiver.answer_by(|_| Reply::Status(200));

    // Other orders wait as well, and longer than the usual pause.
    fixture.note("o-2", "hello").await;
    fixture.pass("20 minutes").await;
    fixture.until(&endpoint, "pending", 2).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(receiver.count(), 1);

    fixture.pass("11 minutes").await;
    fixture.until(&endpoint, "delivered", 2).await;
    // No endpoint gets more than an hour.
    receiver.answer_by(|_| Reply::With(503, "retry-after", "999999999".to_owned()));
    fixture.note("o-3", "hello").await;
    fixture.until_tried(&endpoint, "o-3", 1).await;
    let asked = fixture.look_at(&endpoint).await.not_before.unwrap();
    assert!(asked <= chrono::Utc::now() + chrono::TimeDelta::hours(1), "{asked}");
}

#[tokio::test]
async fn nobody_listens_and_the_error_says_so() {
    let fixture = Fixture::new().await;
    let gone = {
        let receiver = Receiver::new(|_| Reply::Status(200)).await;
        receiver.url.clone()
    };
    let (endpoint, _) = fixture.endpoint_at(&gone, &[], access_control::Role::Shop).await;
    let _copy = fixture.deliver();
    fixture.note("o-1", "hello").await;
    fixture.until_tried(&endpoint, "o-1", 1).await;
    let error = fixture.deliveries(&endpoint).await.remove(0).error.unwrap();
    assert!(error.contains("refused"), "{error}");
}

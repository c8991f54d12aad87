//! A request becomes one mail, one record and one answer, however often it comes.

use std::time::Duration;

use chrono::DateTime;
use messaging::{
    CloudEvent, NotificationAnswer, NotificationRequested, NotificationSent, NotificationTemplate, OutgoingMessage,
};
use notification::{NOTIFICATION_ID_HEADER, NotificationSettings};
use testkit::Response;
use uuid::Uuid;

use crate::stage::{NOTIFICATION, PATIENCE, Stage, error_of, quick, request};

#[tokio::test]
async fn a_request_becomes_one_mail_one_record_and_one_answer() {
    let stage = Stage::new().await;
    let worker = stage.worker(quick());

    stage.ask(&request(1)).await;
    let answer = stage.answers(1).await.remove(0);

    let mail = stage.ses.messages().remove(0);
    assert_eq!(mail.to, ["ada@example.com"]);
    assert_eq!(mail.from, "Ordo <orders@ordo.example>");
    assert_eq!(mail.subject, "Order o-1 confirmed");
    assert!(mail.text.as_ref().unwrap().contains("Wireless Headphones"));
    assert!(mail.html.as_ref().unwrap().contains("$129.99"));
    assert_eq!(mail.headers[NOTIFICATION_ID_HEADER], NOTIFICATION.to_string());
    let sent = NotificationSent {
        notification_id: NOTIFICATION,
        template: NotificationTemplate::OrderConfirmed,
        recipient: "ada@example.com".into(),
        provider_message_id: mail.id.clone(),
    };
    assert_eq!(answer.data, NotificationAnswer::Sent(sent));
    assert_eq!(answer.subject, "o-1");
    assert_eq!(answer.traceparent.as_deref(), Some("00-trace"));
    assert_eq!(stage.record().await, ("sent".into(), Some("ada@example.com".into()), None, 1));
    worker.stop().await;
    assert!(stage.dead_letters().await.is_empty());
}

#[tokio::test]
async fn without_a_recipient_the_mail_goes_to_the_default_one() {
    let stage = Stage::new().await;
    let _worker = stage.worker(NotificationSettings { default_recipient: "shop@example.com".into(), ..quick() });

    stage.ask(&NotificationRequested { recipient: None, ..request(1) }).await;
    stage.answers(1).await;

    assert_eq!(stage.ses.messages().remove(0).to, ["shop@example.com"]);
}

#[tokio::test]
async fn a_mail_asked_for_twice_is_sent_once_and_answered_twice() {
    let stage = Stage::new().await;
    let _worker = stage.worker(quick());

    stage.ask(&request(1)).await;
    stage.ask(&request(2)).await;
    let answers = stage.answers(2).await;

    assert_eq!(stage.ses.accepted(), 1);
    assert_eq!(answers[0].data, answers[1].data);
    assert_eq!(answers[0].id, answers[1].id);
}

#[tokio::test]
async fn two_consumers_with_the_same_request_at_the_same_time_send_one_mail() {
    let stage = Stage::new().await;
    stage.ses.always(Response::AcceptAfter(Duration::from_millis(500)));
    let _workers = [stage.worker(quick()), stage.worker(quick())];

    // Groups of their own, so that the queue lets both out at once.
    stage.ask_in_group("one", &request(1)).await;
    stage.ask_in_group("other", &request(2)).await;
    let answers = stage.answers(2).await;

    assert_eq!(stage.ses.requests(), 1);
    assert_eq!(answers[0].data, answers[1].data);
}

#[tokio::test]
async fn a_mail_that_is_withdrawn_is_never_sent_and_one_that_was_sent_is_answered_as_that() {
    let stage = Stage::new().await;
    let worker = stage.worker(quick());
    let withdraw = |attempt, nth: u128| {
        let notification_id = Uuid::from_u128(nth << 64);
        let recipient = Some(NotificationRequested::NOBODY.to_owned());
        NotificationRequested { notification_id, withdraw: true, recipient, ..request(attempt) }
    };
    let ask_for =
        |attempt, nth: u128| NotificationRequested { notification_id: Uuid::from_u128(nth << 64), ..request(attempt) };

    stage.ask(&ask_for(1, 1)).await;
    let sent = stage.answers(1).await.remove(0);
    stage.ask(&withdraw(2, 1)).await;
    let known = stage.answers(1).await.remove(0);
    assert_eq!((stage.ses.requests(), &known.data), (1, &sent.data));

    stage.ask(&withdraw(1, 2)).await;
    let never = stage.answers(1).await.remove(0);
    let NotificationAnswer::Failed(failed) = &never.data else { panic!("{never:?}") };
    assert_eq!(failed.reason, "withdrawn before it was sent");
    stage.ask(&withdraw(2, 2)).await;
    assert_eq!(stage.answers(1).await.remove(0).data, never.data);
    testkit::eventually(PATIENCE, || async { stage.is_drained().await }).await;
    assert!(stage.dead_letters().await.is_empty(), "that is what was asked for");

    // Should the request for it come after all.
    for (attempt, retry_failed) in [(3, false), (4, true)] {
        stage.ask(&NotificationRequested { retry_failed, ..ask_for(attempt, 2) }).await;
        assert_eq!(stage.answers(1).await.remove(0).data, never.data);
    }
    testkit::eventually(PATIENCE, || async { stage.is_drained().await }).await;
    assert!(stage.dead_letters().await.is_empty(), "it is not wanted any more");

    // To a build that does not know of withdrawals it is a mail that can't be sent.
    stage.ask(&NotificationRequested { withdraw: false, ..withdraw(1, 3) }).await;
    let failed = stage.answers(1).await.remove(0);
    assert!(matches!(failed.data, NotificationAnswer::Failed(_)), "{failed:?}");
    assert_eq!(stage.ses.requests(), 1);
    worker.stop().await;
}

#[tokio::test]
async fn a_message_that_is_no_request_lies_in_the_dead_letter_queue_with_the_reason_and_others_go_on() {
    let stage = Stage::new().await;
    let worker = stage.worker(quick());
    let event = CloudEvent::new("o-2", DateTime::UNIX_EPOCH, request(1));
    let garbage =
        OutgoingMessage { body: "{\"specversion\":\"1.0\"}".into(), ..OutgoingMessage::event(&event, 9).unwrap() };

    stage.send(garbage).await;
    stage.ask(&request(1)).await;
    stage.answers(1).await;
    testkit::eventually(PATIENCE, || async { stage.is_drained().await }).await;
    worker.stop().await;

    let dead = stage.dead_letters().await.remove(0);
    assert_eq!(dead.body(), Some("{\"specversion\":\"1.0\"}"));
    assert_eq!(error_of(&dead), "the attribute `source` is missing");
}

#[tokio::test]
async fn many_requests_at_once_each_of_them_doubled_are_one_mail_each_and_answered_twice() {
    const MAILS: usize = 60;
    let stage = Stage::new().await;
    let _workers = [stage.worker(quick()), stage.worker(quick())];

    for nth in 0..MAILS {
        let notification_id = Uuid::from_u128(1 + nth as u128);
        for attempt in [1, 2] {
            let request = NotificationRequested { notification_id, ..request(attempt) };
            stage.ask_in_group(&format!("{nth}-{attempt}"), &request).await;
        }
    }
    let answers = stage.answers(2 * MAILS).await;

    assert_eq!(stage.ses.requests(), MAILS as u64);
    let mut answered = std::collections::BTreeMap::new();
    for answer in answers {
        *answered.entry(answer.id).or_insert(0) += 1;
    }
    assert!(answered.len() == MAILS && answered.values().all(|times| *times == 2), "{answered:?}");
}

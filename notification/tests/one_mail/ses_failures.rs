//! What becomes of a mail that SES does not take, or that has to wait.

use std::time::Duration;

use messaging::{ConsumerSettings, NotificationAnswer, NotificationRequested};
use notification::NotificationSettings;
use testkit::Response;
use uuid::Uuid;

use crate::stage::{PATIENCE, Stage, error_of, failed, quick, request};

#[tokio::test]
async fn a_throttled_mail_is_sent_once_and_costs_no_attempt() {
    let stage = Stage::new().await;
    stage.ses.next(3, Response::Throttle);
    let last_chance = ConsumerSettings { max_attempts: 1, ..quick().consumer };
    let _worker = stage.worker(NotificationSettings { consumer: last_chance, ..quick() });

    stage.ask(&request(1)).await;
    let answer = stage.answers(1).await.remove(0);

    assert!(matches!(answer.data, NotificationAnswer::Sent(_)), "{answer:?}");
    assert_eq!((stage.ses.requests(), stage.ses.accepted()), (4, 1));
    assert_eq!(stage.record().await.3, 1);
}

#[tokio::test]
async fn a_paused_account_holds_mails_back_until_it_may_send_again() {
    let stage = Stage::new().await;
    stage.ses.next(1, Response::Pause);
    let _worker = stage.worker(quick());

    stage.ask(&request(1)).await;
    let answer = stage.answers(1).await.remove(0);

    assert!(matches!(answer.data, NotificationAnswer::Sent(_)), "{answer:?}");
    assert_eq!((stage.ses.requests(), stage.ses.accepted()), (2, 1));
}

#[tokio::test]
async fn a_refused_mail_is_recorded_and_answered_as_failed_and_lies_in_the_dead_letter_queue() {
    let stage = Stage::new().await;
    stage.ses.always(Response::Reject);
    let worker = stage.worker(quick());

    stage.ask(&request(1)).await;
    let answer = stage.answers(1).await.remove(0);
    worker.stop().await;

    let reason = "SES answered MessageRejected: Email address is not verified.";
    assert_eq!(answer.data, failed(reason));
    let recorded = ("failed".into(), Some("ada@example.com".into()), Some(reason.into()), 1);
    assert_eq!(stage.record().await, recorded);
    assert_eq!(stage.ses.requests(), 1);
    assert_eq!(error_of(&stage.dead_letters().await.remove(0)), reason);
}

#[tokio::test]
async fn a_mail_that_failed_is_not_tried_again_when_asked_for_again() {
    let stage = Stage::new().await;
    stage.ses.next(1, Response::Reject);
    let _worker = stage.worker(quick());

    stage.ask(&request(1)).await;
    stage.answers(1).await;
    stage.ask(&request(2)).await;
    let again = stage.answers(1).await.remove(0);

    assert!(matches!(again.data, NotificationAnswer::Failed(_)), "{again:?}");
    assert_eq!(stage.ses.requests(), 1);
}

#[tokio::test]
async fn a_mail_that_failed_is_tried_again_when_an_operator_asks_for_it_and_one_that_was_sent_never() {
    let stage = Stage::new().await;
    stage.ses.next(1, Response::Reject);
    let _worker = stage.worker(quick());
    let once_more = |attempt| NotificationRequested {
        retry_failed: true,
        recipient: Some("bob@example.com".into()),
        ..request(attempt)
    };

    stage.ask(&request(1)).await;
    stage.answers(1).await;
    stage.ask(&once_more(2)).await;
    let again = stage.answers(1).await.remove(0);
    stage.ask(&once_more(3)).await;
    let never = stage.answers(1).await.remove(0);

    assert!(matches!(again.data, NotificationAnswer::Sent(_)), "{again:?}");
    assert_eq!(never.data, again.data);
    assert_eq!((stage.ses.requests(), stage.ses.accepted()), (2, 1));
    assert_eq!(stage.record().await, ("sent".into(), Some("bob@example.com".into()), None, 1));
}

#[tokio::test]
async fn a_broken_mail_service_is_asked_once_per_attempt_and_again_later() {
    let stage = Stage::new().await;
    stage.ses.next(2, Response::Break);
    let _worker = stage.worker(quick());

    stage.ask(&request(1)).await;
    let answer = stage.answers(1).await.remove(0);

    assert!(matches!(answer.data, NotificationAnswer::Sent(_)), "{answer:?}");
    assert_eq!((stage.ses.requests(), stage.ses.accepted()), (3, 1), "the SDK must not retry by itself");
    assert_eq!(stage.record().await.3, 3);
}

#[tokio::test]
async fn after_the_last_attempt_a_mail_has_failed_for_good() {
    let stage = Stage::new().await;
    stage.ses.always(Response::Break);
    let consumer = ConsumerSettings { max_attempts: 2, ..quick().consumer };
    let worker = stage.worker(NotificationSettings { consumer, ..quick() });

    stage.ask(&request(1)).await;
    let answer = stage.answers(1).await.remove(0);
    worker.stop().await;

    let reason = "given up after 2 attempts: SES answered InternalFailure: \
                  The request processing has failed because of an unknown error.";
    assert_eq!(answer.data, failed(reason));
    assert_eq!(stage.ses.requests(), 2);
    assert_eq!(error_of(&stage.dead_letters().await.remove(0)), reason);
}

#[tokio::test]
async fn an_address_that_would_break_a_header_fails_for_good() {
    let stage = Stage::new().await;
    let worker = stage.worker(quick());
    let recipient = Some("ada@example.com\r\nBcc: eve@example.com".to_owned());

    stage.ask(&NotificationRequested { recipient, ..request(1) }).await;
    let answer = stage.answers(1).await.remove(0);
    worker.stop().await;

    let reason = "the recipient is no address: \"ada@example.com\\r\\nBcc: eve@example.com\" is no e-mail address: \
                  must have a domain name after the @";
    assert_eq!(answer.data, failed(reason));
    assert_eq!(stage.record().await, ("failed".into(), None, Some(reason.into()), 1));
    assert_eq!(stage.ses.requests(), 0);
}

#[tokio::test]
async fn nobody_is_flooded_and_nobody_waits_for_those_who_would_be() {
    let stage = Stage::new().await;
    let hour = Duration::from_secs(3_600);
    let few = NotificationSettings { recipient_burst: 2, recipient_spacing: hour, ..quick() };
    let _worker = stage.worker(few);
    for nth in 0..40 {
        let request = NotificationRequested { notification_id: Uuid::from_u128(1 + nth), ..request(1) };
        stage.ask_in_group(&format!("flood-{nth}"), &request).await;
    }
    let others = ["bob@example.com", "eve@example.com"];
    for (nth, other) in (1_000..).zip(others) {
        let notification_id = Uuid::from_u128(nth);
        let request = NotificationRequested { notification_id, recipient: Some(other.into()), ..request(1) };
        stage.ask_in_group(other, &request).await;
    }

    stage.answers(4).await;

    let mails = stage.ses.messages();
    let to = |recipient: &str| mails.iter().filter(|mail| mail.to == [recipient]).count();
    assert_eq!(["ada@example.com", others[0], others[1]].map(to), [2, 1, 1]);
}

#[tokio::test]
async fn of_many_mails_to_one_recipient_each_waits_for_its_turn_and_none_is_lost() {
    const MAILS: usize = 24;
    let stage = Stage::new().await;
    let consumer = ConsumerSettings { max_attempts: 1, ..quick().consumer };
    let spacing = Duration::from_millis(300);
    let worker =
        stage.worker(NotificationSettings { recipient_burst: 2, recipient_spacing: spacing, consumer, ..quick() });
    for nth in 0..MAILS {
        let request = NotificationRequested { notification_id: Uuid::from_u128(1 + nth as u128), ..request(1) };
        stage.ask_in_group(&format!("o-{nth}"), &request).await;
    }

    let answers = stage.answers(MAILS).await;
    testkit::eventually(PATIENCE, || async { stage.is_drained().await }).await;
    worker.stop().await;

    assert!(answers.iter().all(|it| matches!(it.data, NotificationAnswer::Sent(_))), "{answers:?}");
    assert_eq!(stage.ses.accepted(), MAILS as u64);
    assert!(stage.dead_letters().await.is_empty());
}

#[tokio::test]
async fn a_mail_that_needs_smtputf8_fails_for_good_with_its_reason_while_others_go_out() {
    let stage = Stage::new().await;
    let worker = stage.worker(quick());
    let to = |recipient: &str| NotificationRequested { recipient: Some(recipient.into()), ..request(1) };
    let other = NotificationRequested { notification_id: Uuid::from_u128(7), ..to("ann@müller.example") };

    stage.ask(&to("jörg@müller.example")).await;
    stage.ask(&other).await;
    let answers = stage.answers(2).await;
    worker.stop().await;

    let reason = "the mail service takes only ASCII before the @ of an address (SES has no SMTPUTF8)";
    assert_eq!(answers[0].data, failed(reason));
    assert_eq!(stage.record().await, ("failed".into(), Some("jörg@müller.example".into()), Some(reason.into()), 1));
    assert_eq!(error_of(&stage.dead_letters().await.remove(0)), reason);
    let NotificationAnswer::Sent(sent) = &answers[1].data else { panic!("{answers:?}") };
    // The order's own spelling in what is told, the one of DNS in what SES is given.
    assert_eq!(sent.recipient, "ann@müller.example");
    assert_eq!(stage.ses.messages()[0].to, ["ann@xn--mller-kva.example"]);
    assert_eq!(stage.ses.requests(), 1);
}

#[tokio::test]
async fn a_mail_service_with_smtputf8_is_given_the_address_as_it_is_before_the_at_sign() {
    let stage = Stage::new().await;
    let _worker = stage.worker(NotificationSettings { smtputf8: true, ..quick() });

    stage.ask(&NotificationRequested { recipient: Some("jörg@müller.example".into()), ..request(1) }).await;
    let answer = stage.answers(1).await.remove(0);

    assert!(matches!(answer.data, NotificationAnswer::Sent(_)), "{answer:?}");
    assert_eq!(stage.ses.messages()[0].to, ["jörg@xn--mller-kva.example"]);
}

//! A mail service that does not take every mail.

use aws_sdk_sqs::types::Message;
use serde_json::Value;
use testkit::{FaultyMailer, Response, demo_order, eventually, sqs_client};

use crate::support::{Ordo, PATIENCE, run, settled};

const REASON: &str = "SES answered MessageRejected: Email address is not verified.";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_whose_mail_is_refused_for_good_stands_and_says_so() {
    // Given
    let mailer = FaultyMailer::start().await;
    mailer.next(1, Response::Reject);
    let ordo = Ordo::up(&[("AWS_ENDPOINT_URL_SESV2", &mailer.url()), ("ORDO_NOTIFICATION_DEADLINE", "1")]).await;
    let client = ordo.client();

    // When
    assert_eq!(client.order(&demo_order("refused")).await.status, 201);

    // Then
    let order = settled(&client, "refused").await;
    assert_eq!((order["status"].as_str(), order["version"].as_i64()), (Some("confirmed"), Some(5)));
    let mail = &order["mails"][0];
    assert_eq!((mail["status"].as_str(), mail["reason"].as_str()), (Some("failed"), Some(REASON)), "{order}");
    let timeline = client.get("/orders/refused/events").await.json();
    assert_eq!(timeline["items"][4]["type"], "NotificationFailed");
    assert_eq!(timeline["items"][4]["data"]["reason"], REASON);

    let letter = dead_letter(&ordo.sqs).await;
    assert!(letter.body().unwrap().contains(r#""orderId":"refused""#), "{letter:?}");
    let attribute = letter.message_attributes.as_ref().and_then(|attributes| attributes["ordo-error"].string_value());
    assert_eq!(attribute, Some(REASON));

    // The next mail is none the worse for it, and by then nobody has asked for the refused one again.
    client.order(&demo_order("taken")).await;
    assert_eq!(settled(&client, "taken").await["mails"][0]["status"], "sent");
    assert_eq!((mailer.requests(), mailer.accepted()), (2, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_that_was_given_up_is_seen_everywhere_and_sent_again() {
    // Given
    let mailer = FaultyMailer::start().await;
    mailer.next(1, Response::Reject);
    let ordo = Ordo::up(&[("AWS_ENDPOINT_URL_SESV2", &mailer.url())]).await;
    let client = ordo.client();
    client.order(&demo_order("refused")).await;
    settled(&client, "refused").await;
    let ask = |line: &'static str| {
        let settings = [("DATABASE_URL", ordo.database.clone())];
        async move {
            let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
            run(&line.split(' ').collect::<Vec<_>>(), &settings).await
        }
    };

    // Then it is seen, without a queue.
    let listed = ask("saga list --state failed").await;
    let (one, all) = (format!("1 × order-confirmed: {REASON}\n1 mail given up\n"), listed.out);
    assert!(all.starts_with("refused  mail order-confirmed  failed ") && all.ends_with(&one), "{all}");
    assert!(ask("saga list").await.out.ends_with("\n1 mail given up: --state failed\n"));
    assert!(ask("saga show refused").await.out.starts_with("refused  failed: a mail was given up\n"));
    let verified = ask("verify").await.out;
    assert!(verified.contains("mails: 0 sent, 1 given up\n"), "{verified}");
    let metrics = client.get("/metrics").await.text();
    for line in [
        r#"ordo_mails_total{template="order-confirmed",outcome="failed"} 1"#,
        r#"ordo_mails_given_up{template="order-confirmed"} 1"#,
        r#"ordo_mails_given_up{template="order-shipped"} 0"#,
    ] {
        assert!(metrics.contains(line), "no {line}: {metrics}");
    }

    // When
    let dry = ask("saga retry --failed --error verified --reason mended --dry-run").await;
    assert!(dry.out.ends_with("\n1 saga would be retried\n"), "{dry:?}");
    let none = ask("saga retry --failed --error elsewhere --reason mended").await;
    assert_eq!((none.code, none.out.as_str()), (0, "0 sagas retried\n"), "{none:?}");
    let sent = ask("saga retry --failed --error verified --reason mended").await;
    assert_eq!((sent.code, sent.out.as_str()), (0, "1 saga retried\n"), "{sent:?}");

    // Then
    // It is another mail, beside the one that failed.
    let was_sent = |order: Value| order["mails"].as_array().unwrap().iter().any(|mail| mail["status"] == "sent");
    eventually(PATIENCE, || async { was_sent(client.get("/orders/refused").await.json()) }).await;
    assert_eq!(ask("saga list --state failed").await.out, "0 mails given up\n");
    assert_eq!((mailer.requests(), mailer.accepted()), (2, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_that_is_throttled_goes_out_once_when_its_time_comes() {
    // Given
    let mailer = FaultyMailer::start().await;
    mailer.next(2, Response::Throttle);
    let ordo = Ordo::up(&[("AWS_ENDPOINT_URL_SESV2", &mailer.url())]).await;
    let client = ordo.client();

    // When
    assert_eq!(client.order(&demo_order("throttled")).await.status, 201);

    // Then
    let order = settled(&client, "throttled").await;
    assert_eq!(order["mails"][0]["status"], "sent", "{order}");
    assert_eq!((mailer.requests(), mailer.accepted()), (3, 1));
}

/// The one message in the dead-letter queue of requests for mails.
async fn dead_letter(sqs: &str) -> Message {
    let queues = sqs_client(sqs);
    let url = queues.get_queue_url().queue_name("ordo-notifications-dlq.fifo").send().await.unwrap().queue_url.unwrap();
    let received =
        queues.receive_message().queue_url(&url).message_attribute_names("All").wait_time_seconds(20).send().await;
    let mut letters = received.unwrap().messages.unwrap_or_default();
    assert_eq!(letters.len(), 1, "{letters:?}");
    letters.remove(0)
}

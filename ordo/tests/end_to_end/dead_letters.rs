//! `ordo dlq`: an operator finds dead letters and repairs them.

use std::fs;

use messaging::{OutgoingMessage, Producer, ProducerSettings, Queue};
use serde_json::{Value, json};
use testkit::{FaultyMailer, MESSAGE_KEYS, Response, demo_order, eventually, sqs_client};

use crate::support::{Client, Finished, Ordo, PATIENCE, folder, run, settled};

/// A request for a mail to ada@example.com about [`ORDER`].
const REQUEST: &str = include_str!("../../../lib/messaging/golden/ordo.notification.requested.v1.json");
const ORDER: &str = "demo-1759035874968";
/// How many messages the poison is among.
const OTHERS: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poison_message_is_found_and_mended_while_the_others_are_done() {
    // Given
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    send(&ordo, &[(ORDER, "poison\u{1b}[2J")]).await;
    let orders: Vec<String> = (1..OTHERS).map(|nth| format!("other-{nth}")).chain([ORDER.to_owned()]).collect();
    for order in &orders {
        client.order(&demo_order(order)).await;
    }
    for order in &orders {
        assert_eq!(settled(&client, order).await["mails"][0]["status"], "sent");
    }

    // Then it is told what is amiss, as often as it is asked.
    let letters = dead_letters(&ordo, 1).await;
    let letter = &letters[0];
    let id = letter["id"].as_str().unwrap();
    assert_eq!((&letter["queue"], &letter["orderId"]), (&json!("notifications"), &json!(ORDER)));
    let error = "the body is not a JSON object: expected value at line 1 column 1";
    assert_eq!((&letter["error"], &letter["type"]), (&json!(error), &Value::Null));
    let list = ask(&ordo, &["list"]).await.out;
    assert!(
        list.contains(&format!("\n1 × {error}\nnotifications: 1 dead letter\nreplies: 0 dead letters\n")),
        "{list}"
    );
    let shown = ask(&ordo, &["show", letter["originalId"].as_str().unwrap()]).await.out;
    assert!(shown.contains(id) && shown.ends_with("\n\npoison\u{fffd}[2J\n"), "{shown}");
    let shown: Value = serde_json::from_str(&ask(&ordo, &["show", id, "--json"]).await.out).unwrap();
    assert_eq!((&shown["body"], &shown["attributes"]["ordo-error"]), (&json!("poison\u{1b}[2J"), &json!(error)));

    // When it is changed to something that could not be handled either, then nothing is.
    let folder = folder();
    let body = folder.path().join("body.json");
    let body_file = body.to_str().unwrap();
    fs::write(&body, "still no JSON").unwrap();
    let refused = ask(&ordo, &["edit", id, "--body-file", body_file]).await;
    let said = "ordo: nothing is changed: the new body can't be sent to notifications: the body is not a JSON object";
    assert!(refused.code == 1 && refused.err.starts_with(said), "{refused:?}");
    let refused = ask(&ordo, &["edit", id, "--set", "/data/recipient=bob@example.com"]).await;
    assert!(refused.code == 1 && refused.err.contains("can only be replaced as a whole"), "{refused:?}");
    assert_eq!(dead_letters(&ordo, 1).await, letters);

    // When it is mended, then it is done like any other.
    fs::write(&body, REQUEST).unwrap();
    let mended = ask(&ordo, &["edit", id, "--body-file", body_file]).await;
    let said = format!("{id} is changed and sent to ordo-notifications.fifo again\n");
    assert_eq!((mended.code, mended.out), (0, said), "{}", mended.err);
    let inbox = Client::new(&ordo.inbox);
    eventually(PATIENCE, || async { inbox.get("/messages").await.text().contains("ada@example.com") }).await;
    // The order never asked for that mail: only its answer is left.
    let left = dead_letters(&ordo, 1).await.remove(0);
    assert_eq!(left["queue"], "replies");
    assert!(left["error"].as_str().unwrap().starts_with("the order did not ask for a mail order-confirmed "), "{left}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_that_are_asked_for_are_sent_again_and_the_others_stay() {
    // Given two that die whenever they are sent, of one kind each.
    let ordo = Ordo::up(&[]).await;
    let foreign = REQUEST.replace(&format!("\"orderId\":\"{ORDER}\""), "\"orderId\":\"another\"");
    send(&ordo, &[("o-1", "poison"), (ORDER, &foreign)]).await;
    let letters = dead_letters(&ordo, 2).await;
    let of_order = |letters: &[Value], order: &str| letters.iter().find(|it| it["orderId"] == order).unwrap().clone();

    // When it is only asked what would be sent, then nothing is.
    let asked = ask(&ordo, &["redrive", "--type", "ordo.notification.requested.v1", "--dry-run"]).await.out;
    let expected = "\n1 dead letter would be sent again\n1 dead letter left alone\n";
    assert!(asked.contains("attempt 1, since") && asked.ends_with(expected), "{asked}");
    assert_eq!(dead_letters(&ordo, 2).await, letters);

    // When one is sent, then it comes back and says so; the other is where it was.
    let sent = ask(&ordo, &["redrive", "--error", "is not the event's subject", "--rate", "10", "--json"]).await;
    let told: Value = serde_json::from_str(&sent.out).unwrap();
    assert_eq!((&told["sent"], &told["others"]), (&json!(1), &json!(1)), "{sent:?}");
    // It may be dead once more before the redrive is over.
    assert_eq!(sent.code, i32::from(told["back"] != 0), "{sent:?}");
    eventually(PATIENCE, || async {
        let letters = dead_letters(&ordo, 2).await;
        of_order(&letters, ORDER)["redriven"] == 1
    })
    .await;
    let after = dead_letters(&ordo, 2).await;
    assert_eq!(of_order(&after, "o-1"), of_order(&letters, "o-1"));
    assert_eq!(of_order(&after, ORDER)["attempt"], 2);

    // When one value of it is mended, then it is done.
    let id = of_order(&after, ORDER)["id"].as_str().unwrap().to_owned();
    let mended = ask(&ordo, &["edit", &id, "--set", &format!("/data/orderId={ORDER}")]).await;
    assert_eq!(mended.code, 0, "{}", mended.err);
    let inbox = Client::new(&ordo.inbox);
    eventually(PATIENCE, || async { inbox.get("/messages").await.text().contains("ada@example.com") }).await;

    // When one is discarded, then it is gone, and what is gone or can't be asked is said to be so.
    let id = of_order(&after, "o-1")["id"].as_str().unwrap().to_owned();
    let discarded = ask(&ordo, &["discard", &id, "--reason", "a test"]).await;
    assert_eq!((discarded.code, discarded.out), (0, format!("{id} is discarded\n")));
    assert!(discarded.err.contains("dead letter discarded") && discarded.err.contains("a test"), "{}", discarded.err);
    for line in [vec!["show", &id], vec!["discard", &id, "--reason", "again"], vec!["redrive", "--id", &id]] {
        let refused = ask(&ordo, &line).await;
        assert!(refused.code == 1 && refused.err.contains(&format!("no dead letter {id}")), "{refused:?}");
    }
    assert_eq!(ask(&ordo, &["edit", &id]).await.code, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_that_failed_for_good_is_really_tried_again() {
    // Given
    let mailer = FaultyMailer::start().await;
    mailer.next(1, Response::Reject);
    let ordo = Ordo::up(&[("AWS_ENDPOINT_URL_SESV2", &mailer.url())]).await;
    let client = ordo.client();
    client.order(&demo_order("refused")).await;
    assert_eq!(settled(&client, "refused").await["mails"][0]["status"], "failed");
    dead_letters(&ordo, 1).await;

    // When
    let sent = ask(&ordo, &["redrive", "--order", "refused"]).await;

    // Then
    assert_eq!((sent.code, sent.out.as_str()), (0, "1 dead letter sent again\n"), "{}", sent.err);
    eventually(PATIENCE, || async { client.get("/orders/refused").await.json()["mails"][0]["status"] == "sent" }).await;
    assert_eq!((mailer.requests(), mailer.accepted()), (2, 1));
    dead_letters(&ordo, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redrive_by_an_operator_does_not_sign_a_forged_message() {
    // Given
    let ordo = Ordo::up(&[]).await;
    let sqs = sqs_client(&ordo.sqs);
    let url = sqs.get_queue_url().queue_name("ordo-notifications.fifo").send().await.unwrap().queue_url.unwrap();
    let forged = sqs.send_message().queue_url(url).message_body(REQUEST).message_group_id(ORDER);
    forged.message_deduplication_id("forged").send().await.unwrap();
    let letters = dead_letters(&ordo, 1).await;
    assert_eq!(letters[0]["error"], "the message is not signed");
    let id = letters[0]["id"].as_str().unwrap();

    // When
    let all = ask(&ordo, &["redrive", "--json"]).await;
    let one = ask(&ordo, &["redrive", "--id", id]).await;
    let part = ask(&ordo, &["edit", id, "--set", "/data/recipient=eve@example.com"]).await;

    // Then
    let told: Value = serde_json::from_str(&all.out).unwrap();
    assert_eq!((&told["sent"], &told["forged"]), (&json!(0), &json!(1)), "{all:?}");
    assert!(one.code == 1 && one.err.contains("is not signed by a known key"), "{one:?}");
    assert!(part.code == 1 && part.err.contains("it can only be replaced as a whole"), "{part:?}");
    assert_eq!(dead_letters(&ordo, 1).await, letters);
    let inbox = Client::new(&ordo.inbox);
    assert_eq!(inbox.get("/messages").await.json(), json!([]));
}

async fn ask(ordo: &Ordo, arguments: &[&str]) -> Finished {
    let settings = [("AWS_ENDPOINT_URL_SQS", ordo.sqs.as_str())];
    run(&[&["dlq"], arguments].concat(), &settings).await
}

/// The dead letters, once there are so many.
async fn dead_letters(ordo: &Ordo, count: usize) -> Vec<Value> {
    let letters = || async {
        let told = ask(ordo, &["list", "--json"]).await;
        let answer: Value = serde_json::from_str(&told.out).unwrap_or_else(|_| panic!("{told:?}"));
        answer["deadLetters"].as_array().unwrap().clone()
    };
    eventually(PATIENCE, || async { letters().await.len() == count }).await;
    letters().await
}

/// Sends requests to notification, by their orders and bodies, as somebody who has the key.
async fn send(ordo: &Ordo, messages: &[(&str, &str)]) {
    let sqs = sqs_client(&ordo.sqs);
    let name = "ordo-notifications.fifo".to_owned();
    let url = sqs.get_queue_url().queue_name(&name).send().await.unwrap().queue_url.unwrap();
    let queue = Queue { name, dead_letter_url: url.clone(), url };
    let producer = Producer::new(sqs, queue, MESSAGE_KEYS.parse().unwrap(), ProducerSettings::default());
    let message = |(group, body): &(&str, &str)| OutgoingMessage {
        group_id: (*group).into(),
        dedup_id: format!("{group}-by-hand"),
        body: (*body).into(),
        attributes: Vec::new(),
    };
    let sent = producer.send(messages.iter().map(message).collect()).await;
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
}

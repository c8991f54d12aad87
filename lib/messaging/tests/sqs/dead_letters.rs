//! Dead letters are looked at without being lost, and go back where they belong.

use messaging::{
    ConsumerSettings, DeadLetter, DeadLetterError, DeadLetterOrigin, DeadLetterQueue, DeadLetterScan,
    MessageSigningKeys, OutgoingMessage, Producer, ProducerSettings, Queue, Queues,
};
use serde_json::json;

use crate::faulty::{Answer, FaultySqs, messages};
use crate::stage::{Act, PATIENCE, Script, Stage, outgoing, quick, receive};

#[tokio::test]
async fn a_look_at_dead_letters_leaves_them_where_they_are() {
    let stage = Stage::new().await;
    move_to_dead_letters(&stage, &[("o-1", "first"), ("o-1", "second"), ("o-2", "other")]).await;

    for _ in 0..2 {
        let mut sweep = letters(&stage).sweep();
        let seen = all(&mut sweep).await;
        let unseen = sweep.unseen().await.unwrap();
        sweep.release().await;

        // Servers that hand out one message of a group at a time show "second" to nobody.
        assert_eq!(seen.len() + usize::try_from(unseen).unwrap(), 3);
        let of_order = |order: &str| seen.iter().find(|it| it.order_id == order).unwrap().body.clone();
        assert_eq!((of_order("o-1").as_str(), of_order("o-2").as_str()), ("first", "other"));
    }

    let mut bodies: Vec<_> = stage.dead_letters().await.iter().map(|it| it.body().unwrap().to_owned()).collect();
    bodies.sort();
    assert_eq!(bodies.first().map(String::as_str), Some("first"));
    assert_eq!(letters(&stage).count().await.unwrap(), 3);
}

#[tokio::test]
async fn a_dead_letter_is_found_by_the_id_that_it_had_and_says_what_is_known() {
    let stage = Stage::new().await;
    let event = r#"{"type": "test.v2", "subject": "order-7", "data": {"attempt": 3}}"#;
    stage.send(&[("o-1", "poison"), ("o-2", event)]).await;
    let script = Script::new(|_| Act::Die("can't be read"));
    let consumer = stage.consume(quick(), &script);
    script.saw(2).await;
    consumer.stop().await;
    let had = script.seen().into_iter().find(|it| it.body == event).unwrap().message_id;

    let mut sweep = letters(&stage).sweep();
    let event = sweep.find(&had, 100, PATIENCE).await.unwrap().unwrap();
    sweep.release().await;
    let mut sweep = letters(&stage).sweep();
    let same = sweep.find(&event.id, 100, PATIENCE).await.unwrap().unwrap();
    sweep.release().await;
    let mut sweep = letters(&stage).sweep();
    let nobody = sweep.find("nobody", 100, PATIENCE).await.unwrap();
    sweep.release().await;
    let mut sweep = letters(&stage).sweep();
    let poison = all(&mut sweep).await.into_iter().find(|it| it.group_id == "o-1").unwrap();
    sweep.release().await;

    assert_eq!((same.original_id.as_ref(), nobody), (Some(&had), None));
    assert_eq!((event.order_id.as_str(), event.group_id.as_str()), ("order-7", "o-2"));
    assert_eq!((event.kind.as_deref(), event.attempt), (Some("test.v2"), Some(3)));
    assert_eq!((event.error.as_deref(), event.redriven), (Some("can't be read"), 0));
    assert!(event.since.timestamp() > 1_600_000_000, "{:?}", event.since);
    // Of nonsense only what stands beside it is known.
    assert_eq!((poison.order_id.as_str(), poison.kind.as_deref(), poison.attempt), ("o-1", Some("test.v1"), None));
}

#[tokio::test]
async fn the_dead_letters_of_an_order_go_back_one_after_the_other_and_in_order() {
    let stage = Stage::new().await;
    move_to_dead_letters(&stage, &[("o-1", "first"), ("o-1", "second"), ("o-2", "other"), ("o-1", "third")]).await;

    let mut sweep = letters(&stage).sweep();
    let mut sent = 0;
    loop {
        let some = sweep.next(10).await.unwrap();
        if some.is_empty() {
            break;
        }
        sent += some.len();
        let results =
            sweep.redrive(some.iter().map(|it| (it, it.redriven("run", &keys()).unwrap())).collect(), &keys()).await;
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    }
    let unseen = sweep.unseen().await.unwrap();
    sweep.release().await;

    assert_eq!((sent, unseen, letters(&stage).count().await.unwrap()), (4, 0, 0));
    let script = Script::new(|_| Act::Done);
    let consumer = stage.consume(quick(), &script);
    script.saw(4).await;
    consumer.stop().await;
    let of_order: Vec<_> = script.seen().into_iter().filter(|it| it.group_id == "o-1").map(|it| it.body).collect();
    assert_eq!(of_order, ["first", "second", "third"]);
}

#[tokio::test]
async fn a_redrive_that_crashes_between_send_and_delete_delivers_once() {
    let stage = Stage::new().await;
    move_to_dead_letters(&stage, &[("o-1", "hello")]).await;
    let mut sweep = letters(&stage).sweep();
    let letter = sweep.next(10).await.unwrap().remove(0);
    send(&stage, &stage.queue.url, vec![letter.redriven("crashed", &keys()).unwrap()]).await;

    let sent = sweep.redrive(vec![(&letter, letter.redriven("run", &keys()).unwrap())], &keys()).await;
    sweep.release().await;

    assert!(sent[0].is_ok(), "{sent:?}");
    assert_eq!(receive(&stage.client, &stage.queue.url).await.len(), 1);
    assert!(receive(&stage.client, &stage.queue.url).await.is_empty());
    assert_eq!(letters(&stage).count().await.unwrap(), 0);
}

#[tokio::test]
async fn a_redriven_message_that_fails_again_keeps_its_producer() {
    let stage = Stage::new().await;
    move_to_dead_letters(&stage, &[("o-1", "hello")]).await;
    let mut sweep = letters(&stage).sweep();
    let letter = sweep.next(10).await.unwrap().remove(0);
    let sent = sweep.redrive(vec![(&letter, letter.redriven("run", &keys()).unwrap())], &keys()).await;
    assert!(sent[0].is_ok(), "{sent:?}");
    let script = Script::new(|_| Act::Die("still can't be read"));
    let consumer = stage.consume(ConsumerSettings { max_attempts: 1, ..quick() }, &script);
    script.saw(1).await;
    consumer.stop().await;

    let back = sweep.next(10).await.unwrap().remove(0);
    sweep.release().await;

    assert!(back.was_redriven_by("run") && !letter.was_redriven_by("run"));
    assert_eq!((back.error.as_deref(), back.redriven), (Some("still can't be read"), 1));
}

#[tokio::test]
async fn a_discarded_dead_letter_is_deleted_and_the_next_of_its_order_is_shown() {
    let stage = Stage::new().await;
    move_to_dead_letters(&stage, &[("o-1", "first"), ("o-1", "second")]).await;

    let mut sweep = letters(&stage).sweep();
    let first = sweep.next(1).await.unwrap().remove(0);
    assert!(sweep.discard(&[&first]).await[0].is_ok());
    sweep.release().await;

    let left = stage.dead_letters().await;
    assert_eq!(left.iter().map(|it| it.body().unwrap()).collect::<Vec<_>>(), ["second"]);
}

#[tokio::test]
async fn a_redriven_message_that_could_not_be_deleted_is_reported_as_being_in_both_queues() {
    let sqs = FaultySqs::start(|call, nth| match (call, nth) {
        ("ReceiveMessage", 1) => Answer::Json(messages(&["a", "b", "c"])),
        ("SendMessageBatch", _) => Answer::Json(json!({
            "Successful": [{"Id": "0", "MessageId": "m", "MD5OfMessageBody": "0"}, {"Id": "2", "MessageId": "n", "MD5OfMessageBody": "0"}],
            "Failed": [{"Id": "1", "Code": "InternalError", "Message": "sorry", "SenderFault": false}],
        })),
        ("DeleteMessageBatch", _) => Answer::Json(json!({
            "Successful": [{"Id": "0"}],
            "Failed": [{"Id": "1", "Code": "InternalError", "SenderFault": false}],
        })),
        _ => Answer::Nothing,
    })
    .await;
    let queues = Queues { notifications: sqs.queue(), replies: sqs.queue() };
    let letters = DeadLetterQueue::of(testkit::sqs_client(&sqs.url), DeadLetterOrigin::Notifications, &queues);

    let mut sweep = letters.sweep();
    let some = all(&mut sweep).await;
    let sent = sweep.redrive(some.iter().map(|it| (it, it.redriven("run", &keys()).unwrap())).collect(), &keys()).await;
    sweep.release().await;

    assert!(sent[0].is_ok(), "{sent:?}");
    assert!(matches!(&sent[1], Err(DeadLetterError::Send { id, .. }) if id == "message-1"), "{sent:?}");
    assert!(matches!(&sent[2], Err(DeadLetterError::SentOnly { id, .. }) if id == "message-2"), "{sent:?}");
    // What is still there is handed back, and nothing else.
    let entries = sqs.calls("ChangeMessageVisibilityBatch")[0]["Entries"].as_array().unwrap().clone();
    let mut handed_back: Vec<_> = entries.iter().map(|it| it["ReceiptHandle"].as_str().unwrap()).collect();
    handed_back.sort_unstable();
    assert_eq!(handed_back, ["receipt-1", "receipt-2"]);
}

#[tokio::test]
async fn a_message_received_twice_in_a_sweep_is_handed_out_once() {
    let sqs = FaultySqs::start(|call, nth| match (call, nth) {
        ("ReceiveMessage", 1) => Answer::Json(messages(&["a"])),
        ("ReceiveMessage", 2) => Answer::Json(messages(&["a", "b"])),
        _ => Answer::Nothing,
    })
    .await;
    let queues = Queues { notifications: sqs.queue(), replies: sqs.queue() };

    let mut sweep = DeadLetterQueue::of(testkit::sqs_client(&sqs.url), DeadLetterOrigin::Replies, &queues).sweep();
    let ids: Vec<_> = all(&mut sweep).await.into_iter().map(|it| it.id).collect();
    sweep.release().await;

    assert_eq!(ids, ["message-0", "message-1"]);
}

#[tokio::test]
async fn an_empty_receive_is_not_the_end_while_there_are_dead_letters() {
    let sqs = FaultySqs::start(|call, nth| match (call, nth) {
        ("ReceiveMessage", 2) => Answer::Json(messages(&["a", "b"])),
        ("ReceiveMessage", 5) => Answer::Json(json!({ "Messages": [third()] })),
        ("GetQueueAttributes", 1..=3) => Answer::Json(json!({ "Attributes": { "ApproximateNumberOfMessages": "1" } })),
        _ => Answer::Nothing,
    })
    .await;
    let queues = Queues { notifications: sqs.queue(), replies: sqs.queue() };

    let mut sweep = DeadLetterQueue::of(testkit::sqs_client(&sqs.url), DeadLetterOrigin::Replies, &queues).sweep();
    let ids: Vec<_> = all(&mut sweep).await.into_iter().map(|it| it.id).collect();
    sweep.release().await;

    assert_eq!(ids, ["message-0", "message-1", "message-2"]);
}

#[tokio::test]
async fn those_that_never_come_do_not_hold_up_the_end() {
    let sqs = FaultySqs::start(|call, nth| match (call, nth) {
        ("ReceiveMessage", 1) => Answer::Json(messages(&["a"])),
        ("GetQueueAttributes", _) => Answer::Json(json!({ "Attributes": { "ApproximateNumberOfMessages": "7" } })),
        _ => Answer::Nothing,
    })
    .await;
    let queues = Queues { notifications: sqs.queue(), replies: sqs.queue() };

    let mut sweep = DeadLetterQueue::of(testkit::sqs_client(&sqs.url), DeadLetterOrigin::Replies, &queues).sweep();
    let letters = all(&mut sweep).await;
    let unseen = sweep.unseen().await.unwrap();
    sweep.release().await;

    assert_eq!((letters.len(), unseen, sqs.calls("ReceiveMessage").len()), (1, 6, 4));
}

/// The third of [`messages`] alone.
fn third() -> serde_json::Value {
    messages(&["a", "b", "c"])["Messages"][2].take()
}

fn keys() -> MessageSigningKeys {
    testkit::MESSAGE_KEYS.parse().unwrap()
}

fn letters(stage: &Stage) -> DeadLetterQueue {
    let queues = Queues { notifications: stage.queue.clone(), replies: stage.queue.clone() };
    DeadLetterQueue::of(stage.client.clone(), DeadLetterOrigin::Notifications, &queues)
}

/// Puts messages where dead letters are.
async fn move_to_dead_letters(stage: &Stage, messages: &[(&str, &str)]) {
    let messages = messages.iter().map(|(group, body)| outgoing(group, body)).collect();
    send(stage, &stage.queue.dead_letter_url, messages).await;
}

/// Signed for the queue, wherever it is put.
async fn send(stage: &Stage, url: &str, messages: Vec<OutgoingMessage>) {
    let queue = Queue { url: url.into(), ..stage.queue.clone() };
    let sent = Producer::new(stage.client.clone(), queue, keys(), ProducerSettings::default()).send(messages).await;
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
}

async fn all(sweep: &mut DeadLetterScan) -> Vec<DeadLetter> {
    let mut all = Vec::new();
    loop {
        let some = sweep.next(10).await.unwrap();
        if some.is_empty() {
            return all;
        }
        all.extend(some);
    }
}

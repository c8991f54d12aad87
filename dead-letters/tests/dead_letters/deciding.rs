//! One is sent again, changed or discarded, by somebody, for a reason, once.

use http::StatusCode;
use messaging::MessageSigningKeys;
use serde_json::{Value, json};

use crate::support::{Desk, ORDER, REQUEST, TestQueues, because, keys};

fn event(name: &str, actor: &str, what: &str) -> (String, String, String) {
    (name.to_owned(), actor.to_owned(), what.to_owned())
}

#[tokio::test]
async fn one_is_sent_again_once_and_the_log_says_who_did_it_and_why() {
    let queues = TestQueues::new().await;
    queues.put(&[(ORDER, REQUEST), ("o-2", "poison")], keys()).await;
    let desk = Desk::new(queues.dead()).await;
    let path = desk.path_of(ORDER).await;
    let redrive = format!("{path}/redrive");

    let sent = desk.post(&redrive, Some("key-1"), &because("it is back")).await;
    assert_eq!((sent.status, &sent.json["outcome"]), (StatusCode::OK, &json!("sent")), "{}", sent.json);
    let again = desk.post(&redrive, Some("key-1"), &because("it is back")).await;
    assert_eq!((again.status, &again.json), (StatusCode::OK, &sent.json));
    assert!(again.headers.contains_key("idempotent-replayed") && !sent.headers.contains_key("idempotent-replayed"));
    let other = desk.post(&redrive, Some("key-1"), &because("another reason")).await;
    assert_eq!(other.json["code"], "idempotency-key-reused", "{}", other.json);
    assert_eq!(desk.post(&redrive, Some("key-2"), &because("it is back")).await.status, StatusCode::NOT_FOUND);

    assert_eq!((queues.count().await, queues.sent().await.len()), (1, 1));
    let decided = event("DeadLetterDecided", "operator:ada", "redrive it is back");
    assert_eq!(desk.events().await, [decided, event("DeadLetterSettled", "dead_letters", "redrive ")]);
    // What is gone is not shown any more.
    assert_eq!(desk.get("/dead-letters").await.json["items"].as_array().unwrap().len(), 1);
    assert_eq!(desk.get(&path).await.status, StatusCode::NOT_FOUND);
    desk.store.close().await;
}

#[tokio::test]
async fn another_body_is_sent_only_if_its_consumer_can_read_it() {
    let queues = TestQueues::new().await;
    queues.put(&[(ORDER, "poison")], keys()).await;
    let desk = Desk::new(queues.dead()).await;
    let redrive = format!("{}/redrive", desk.path_of(ORDER).await);
    for (body, place) in [
        ("still no JSON".to_owned(), "line 1 column 1"),
        (REQUEST.replacen("\"attempt\":1", "\"attempt\":\"often\"", 1), "/data/attempt"),
        (REQUEST.replacen("ada@example.com", "ada", 1), "/data/recipient"),
    ] {
        let refused = desk.post(&redrive, None, &json!({ "reason": "mended", "body": body })).await;
        let error = &refused.json["errors"][0];
        assert_eq!((refused.status, &error["pointer"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("/body")));
        assert!(error["message"].as_str().unwrap().contains(place), "{error}");
    }
    assert_eq!((queues.count().await, desk.events().await.len()), (1, 0));

    let mended = desk.post(&redrive, Some("key-1"), &json!({ "reason": "mended", "body": REQUEST })).await;
    assert_eq!(mended.status, StatusCode::OK, "{}", mended.json);
    let sent = queues.sent().await;
    assert!(sent.len() == 1 && sent.first().unwrap().contains("ada@example.com"), "{sent:?}");
    assert_eq!(desk.events().await[0], event("DeadLetterDecided", "operator:ada", "edit mended"));
    desk.store.close().await;
}

#[tokio::test]
async fn nobodys_message_is_signed_and_it_can_be_discarded() {
    let queues = TestQueues::new().await;
    queues.put(&[(ORDER, REQUEST)], MessageSigningKeys::random("test").unwrap()).await;
    let desk = Desk::new(queues.dead()).await;
    let path = desk.path_of(ORDER).await;
    let refused = desk.post(&format!("{path}/redrive"), None, &because("why not")).await;
    assert_eq!(
        (refused.status, &refused.json["errors"][0]["pointer"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("/body"))
    );
    assert_eq!((queues.count().await, desk.events().await.len()), (1, 0));
    let discarded = desk.post(&format!("{path}/discard"), None, &because("forged")).await;
    assert_eq!((discarded.status, &discarded.json["outcome"]), (StatusCode::OK, &json!("discarded")));
    assert_eq!((queues.count().await, queues.sent().await.len()), (0, 0));
    desk.store.close().await;
}

#[tokio::test]
async fn what_is_not_said_as_it_has_to_be_changes_nothing() {
    let queues = TestQueues::new().await;
    queues.put(&[(ORDER, REQUEST)], keys()).await;
    let desk = Desk::new(queues.dead()).await;
    let path = desk.path_of(ORDER).await;
    for body in [
        json!({}),
        because(" "),
        because("a\u{0}"),
        because(&"x".repeat(1_001)),
        json!(["why"]),
        json!([null, "why"]),
        json!({ "reason": "why", "force": true }),
        json!({ "reason": "why", "body": {} }),
        Value::Null,
    ] {
        for verb in ["redrive", "discard"] {
            let refused = desk.post(&format!("{path}/{verb}"), None, &body).await;
            assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{verb} {body}: {}", refused.json);
        }
    }
    assert_eq!((queues.count().await, desk.events().await.len()), (1, 0));
    desk.store.close().await;
}

#[tokio::test]
async fn of_two_that_decide_at_the_same_time_one_does_it() {
    let queues = TestQueues::new().await;
    queues.put(&[(ORDER, REQUEST)], keys()).await;
    let desk = Desk::new(queues.dead()).await;
    let path = desk.path_of(ORDER).await;
    let (redrive, discard) = (format!("{path}/redrive"), format!("{path}/discard"));
    let why = because("both");
    let (one, other) = tokio::join!(desk.post(&redrive, Some("a"), &why), desk.post(&discard, Some("b"), &why));
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 404], "{} {}", one.json, other.json);
    // A second click is answered as the first.
    let again = if one.status == StatusCode::OK { (&redrive, "a") } else { (&discard, "b") };
    let (first, second) =
        tokio::join!(desk.post(again.0, Some(again.1), &why), desk.post(again.0, Some(again.1), &why));
    assert_eq!((first.status, second.status), (StatusCode::OK, StatusCode::OK));
    assert_eq!(desk.events().await.len(), 2);
    desk.store.close().await;
}

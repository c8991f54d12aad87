//! The queue took what it was asked for, or not, and did not say so.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use http::{HeaderMap, StatusCode};
use messaging::{DeadLetterOrigin, DeadLetterQueue, Queue, Queues};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{Desk, ORDER, REQUEST, because, keys};

const NAME: &str = "q.fifo";

/// A queue with one dead letter, whose next deletions fail.
struct OneLetter {
    is_there: bool,
    failing_deletions: usize,
    sent: Vec<Value>,
}

async fn serve(failing_deletions: usize) -> (Arc<Mutex<OneLetter>>, Vec<DeadLetterQueue>) {
    let letter = Arc::new(Mutex::new(OneLetter { is_there: true, failing_deletions, sent: Vec::new() }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let routes = Router::new().fallback(answer).with_state(Arc::clone(&letter));
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    let url = |name: &str| format!("{server}/000000000000/{name}");
    let queue = Queue { name: NAME.into(), url: url(NAME), dead_letter_url: url("dead.fifo") };
    let queues = Queues { notifications: queue.clone(), replies: queue };
    let dead = DeadLetterQueue::of(testkit::sqs_client(&server), DeadLetterOrigin::Notifications, &queues);
    (letter, vec![dead])
}

async fn answer(State(letter): State<Arc<Mutex<OneLetter>>>, headers: HeaderMap, body: String) -> impl IntoResponse {
    let input: Value = serde_json::from_str(&body).unwrap();
    let mut letter = letter.lock().unwrap();
    let all = json!({ "Successful": [{ "Id": "0", "MessageId": "n", "MD5OfMessageBody": "0" }], "Failed": [] });
    let answer = match headers["x-amz-target"].to_str().unwrap() {
        "AmazonSQS.ReceiveMessage" if letter.is_there => json!({ "Messages": [message()] }),
        "AmazonSQS.GetQueueAttributes" => {
            json!({ "Attributes": { "ApproximateNumberOfMessages": u8::from(letter.is_there).to_string() } })
        }
        "AmazonSQS.SendMessageBatch" => {
            letter.sent.extend(input["Entries"].as_array().unwrap().clone());
            all
        }
        "AmazonSQS.DeleteMessageBatch" if letter.failing_deletions > 0 => {
            letter.failing_deletions -= 1;
            json!({ "Successful": [], "Failed": [{ "Id": "0", "Code": "InternalError", "SenderFault": false }] })
        }
        "AmazonSQS.DeleteMessageBatch" => {
            letter.is_there = false;
            all
        }
        _ => json!({}),
    };
    (StatusCode::OK, answer.to_string())
}

fn message() -> Value {
    let signature = json!({ "DataType": "String", "StringValue": keys().sign(NAME, REQUEST) });
    json!({
        "MessageId": "m-1", "ReceiptHandle": "r-1", "Body": REQUEST,
        "Attributes": { "MessageGroupId": ORDER, "SentTimestamp": "1700000000000" },
        "MessageAttributes": { "ordo-signature": signature },
    })
}

#[tokio::test]
async fn what_was_sent_and_not_deleted_is_not_told_as_not_done_and_the_same_request_ends_it() {
    let (letter, dead) = serve(1).await;
    let desk = Desk::new(dead).await;
    let redrive = "/dead-letters/notifications/m-1/redrive";
    let unknown = desk.post(redrive, Some("key-1"), &because("it is back")).await;
    assert_eq!((unknown.status, &unknown.json["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("outcome-unknown")));
    assert!(unknown.json["detail"].as_str().unwrap().contains("was sent"), "{}", unknown.json);

    let done = desk.post(redrive, Some("key-1"), &because("it is back")).await;
    assert_eq!((done.status, &done.json["outcome"]), (StatusCode::OK, &json!("sent")), "{}", done.json);
    // The queue drops the second one, because it has the id of the first.
    let sent = letter.lock().unwrap().sent.clone();
    assert_eq!((sent.len(), &sent[0]["MessageDeduplicationId"]), (2, &sent[1]["MessageDeduplicationId"]));
    // It was decided once.
    assert_eq!(desk.events().await.len(), 2);
    desk.store.close().await;
}

#[tokio::test]
async fn what_is_gone_although_nobody_said_so_was_done() {
    let (letter, dead) = serve(1).await;
    let desk = Desk::new(dead).await;
    let discard = "/dead-letters/notifications/m-1/discard";
    let unknown = desk.post(discard, Some("key-1"), &because("old")).await;
    assert_eq!(unknown.json["code"], "outcome-unknown", "{}", unknown.json);
    letter.lock().unwrap().is_there = false;

    let done = desk.post(discard, Some("key-1"), &because("old")).await;
    assert_eq!((done.status, &done.json["outcome"]), (StatusCode::OK, &json!("discarded")), "{}", done.json);
    assert!(done.headers.contains_key("idempotent-replayed"));
    assert_eq!(desk.events().await.len(), 2);
    desk.store.close().await;
}

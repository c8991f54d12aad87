//! An SQS endpoint that answers as told: what the consumer does when SQS fails in part or altogether.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use messaging::{ConsumerSettings, MessageSigningKeys, Producer, ProducerSettings, Queue, ReceivedMessage, SendError};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::stage::{Act, PATIENCE, Script, outgoing, quick, run};

#[tokio::test]
async fn a_deletion_that_failed_in_part_is_tried_again_for_that_part() {
    let sqs = FaultySqs::start(|call, nth| match (call, nth) {
        ("ReceiveMessage", 1) => Answer::Json(messages(&["a", "b"])),
        ("DeleteMessageBatch", 1) => Answer::Json(json!({
            "Successful": [{"Id": "1"}],
            "Failed": [{"Id": "0", "Code": "InternalError", "SenderFault": false}],
        })),
        ("DeleteMessageBatch", _) => Answer::Json(json!({"Successful": [{"Id": "0"}], "Failed": []})),
        _ => Answer::Nothing,
    })
    .await;
    let script = Script::new(|_| Act::Done);
    let deleted = || -> Vec<Value> {
        let entries = |call: Value| call["Entries"].as_array().unwrap().clone();
        let calls = sqs.calls("DeleteMessageBatch").into_iter();
        calls.flat_map(entries).map(|entry| entry["ReceiptHandle"].clone()).collect()
    };

    let consumer = run(testkit::sqs_client(&sqs.url), sqs.queue(), quick(), &script, testkit::database().await.pool());
    testkit::eventually(PATIENCE, || std::future::ready(deleted().len() == 3)).await;
    consumer.stop().await;

    // The two may or may not have been deleted in one batch; the first of the first batch failed.
    let deleted = deleted();
    let failed = &deleted[0];
    assert_eq!(deleted.iter().filter(|&it| it == failed).count(), 2, "{deleted:?}");
    assert_eq!(deleted.iter().filter(|&it| it != failed).count(), 1, "{deleted:?}");
}

#[tokio::test]
async fn each_message_of_a_batch_that_fails_in_part_has_its_own_result() {
    let sqs = FaultySqs::start(|_, _| {
        Answer::Json(json!({
            "Successful": [{"Id": "0", "MessageId": "m", "MD5OfMessageBody": "0"}],
            "Failed": [{"Id": "2", "Code": "InternalError", "Message": "sorry", "SenderFault": false}],
        }))
    })
    .await;
    let producer = Producer::new(
        testkit::sqs_client(&sqs.url),
        sqs.queue(),
        testkit::MESSAGE_KEYS.parse().unwrap(),
        ProducerSettings::default(),
    );

    let sent = producer.send(vec![outgoing("o-1", "0"), outgoing("o-2", "1"), outgoing("o-3", "2")]).await;

    assert!(sent[0].is_ok(), "{sent:?}");
    assert!(matches!(sent[1], Err(SendError::Unanswered)), "{sent:?}");
    assert_eq!(sent[2].as_ref().unwrap_err().to_string(), "SQS refused the message: InternalError: sorry");
}

#[tokio::test]
async fn when_receiving_fails_the_consumer_backs_off_and_stays() {
    let sqs = FaultySqs::start(|call, nth| match (call, nth) {
        // The SDK tries each receive three times itself.
        ("ReceiveMessage", 1..=6) => Answer::Broken,
        ("ReceiveMessage", 7) => Answer::Json(messages(&["a"])),
        _ => Answer::Nothing,
    })
    .await;
    let script = Script::new(|_: &ReceivedMessage| Act::Done);
    let settings = ConsumerSettings { pollers: 1, ..quick() };

    let consumer = run(testkit::sqs_client(&sqs.url), sqs.queue(), settings, &script, testkit::database().await.pool());
    script.saw(1).await;
    consumer.stop().await;

    assert!(sqs.calls("ReceiveMessage").len() <= 9, "no hot loop");
}

#[tokio::test]
async fn messages_of_one_group_in_one_receive_go_in_order_and_come_back_together() {
    let sqs = FaultySqs::start(|call, nth| match (call, nth) {
        ("ReceiveMessage", 1) => Answer::Json(messages(&["same", "same", "same"])),
        _ => Answer::Nothing,
    })
    .await;
    let script = Script::new(|message| if message.body == "1" { Act::Fail("later") } else { Act::Done });

    let consumer = run(testkit::sqs_client(&sqs.url), sqs.queue(), quick(), &script, testkit::database().await.pool());
    let changes = || sqs.calls("ChangeMessageVisibilityBatch");
    testkit::eventually(PATIENCE, || std::future::ready(changes().len() == 1)).await;
    consumer.stop().await;

    assert_eq!(script.bodies(), ["0", "1"]);
    let handed_back: Vec<_> =
        changes()[0]["Entries"].as_array().unwrap().iter().map(|it| it["ReceiptHandle"].clone()).collect();
    assert_eq!(handed_back, ["receipt-2", "receipt-1"]);
    assert_eq!(sqs.calls("DeleteMessageBatch")[0]["Entries"][0]["ReceiptHandle"], "receipt-0");
}

#[tokio::test]
async fn a_message_that_was_handed_out_often_and_failed_once_is_tried_again() {
    let sqs = FaultySqs::start(|call, nth| match (call, nth) {
        ("ReceiveMessage", 1) => {
            let mut handed_out = messages(&["a"]);
            handed_out["Messages"][0]["Attributes"]["ApproximateReceiveCount"] = json!("9");
            Answer::Json(handed_out)
        }
        _ => Answer::Nothing,
    })
    .await;
    let script = Script::new(|_| Act::Fail("the first time"));
    let database = testkit::database().await;

    let consumer = run(testkit::sqs_client(&sqs.url), sqs.queue(), quick(), &script, database.pool());
    testkit::eventually(PATIENCE, || std::future::ready(sqs.calls("ChangeMessageVisibilityBatch").len() == 1)).await;
    consumer.stop().await;

    let seen = script.seen().remove(0);
    assert_eq!((seen.receive_count, seen.attempt, seen.is_last_attempt), (9, 1, false));
    assert!(sqs.calls("SendMessage").is_empty(), "it is no dead letter");
    let noted = sqlx::query_as::<_, (String, i32)>("select message_id, failures from message_failures");
    assert_eq!(noted.fetch_all(database.pool()).await.unwrap(), [("message-0".to_owned(), 1)]);
}

#[tokio::test]
async fn a_message_stays_when_the_dead_letter_queue_does_not_take_it() {
    let sqs = FaultySqs::start(|call, nth| match (call, nth) {
        ("ReceiveMessage", 1) => Answer::Json(messages(&["a"])),
        ("SendMessage", _) => Answer::Broken,
        _ => Answer::Nothing,
    })
    .await;
    let script = Script::new(|_| Act::Die("hopeless"));

    let consumer = run(testkit::sqs_client(&sqs.url), sqs.queue(), quick(), &script, testkit::database().await.pool());
    testkit::eventually(PATIENCE, || std::future::ready(sqs.calls("ChangeMessageVisibilityBatch").len() == 1)).await;
    consumer.stop().await;

    assert!(sqs.calls("DeleteMessageBatch").is_empty());
}

#[tokio::test]
async fn a_genuine_message_is_handled_while_the_dead_letter_queue_takes_no_forged_one() {
    let sqs = FaultySqs::start(|call, nth| match (call, nth) {
        // More than are moved at once.
        ("ReceiveMessage", 1..=5) => {
            let mut forged = messages(&["a"]);
            forged["Messages"][0]["Body"] = json!("forged");
            Answer::Json(forged)
        }
        ("ReceiveMessage", 6) => Answer::Json(messages(&["b"])),
        ("SendMessage" | "SendMessageBatch", _) => Answer::Never,
        _ => Answer::Nothing,
    })
    .await;
    let script = Script::new(|_| Act::Done);
    let settings = ConsumerSettings { concurrency: 4, shutdown_grace: Duration::ZERO, ..quick() };

    let consumer = run(testkit::sqs_client(&sqs.url), sqs.queue(), settings, &script, testkit::database().await.pool());
    script.saw(1).await;

    // None of the forged ones has been given up meanwhile.
    assert_eq!(sqs.calls("SendMessage").len(), 4);
    assert!(sqs.calls("ChangeMessageVisibilityBatch").is_empty());
    assert_eq!(script.bodies(), ["0"]);
    consumer.stop().await;
}

#[tokio::test]
async fn a_send_that_is_never_answered_fails_when_its_time_is_over() {
    let sqs = FaultySqs::start(|_, _| Answer::Never).await;
    let settings = ProducerSettings { timeout: Duration::from_secs(1), ..ProducerSettings::default() };
    let producer =
        Producer::new(testkit::sqs_client(&sqs.url), sqs.queue(), testkit::MESSAGE_KEYS.parse().unwrap(), settings);
    let began = Instant::now();

    let sent = producer.send(vec![outgoing("o-1", "0"), outgoing("o-2", "1")]).await;

    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(sent.len(), 2);
    let timed_out =
        |it: &Result<(), SendError>| matches!(it, Err(SendError::TimedOut { timeout, .. }) if timeout.as_secs() == 1);
    assert!(sent.iter().all(timed_out), "{sent:?}");
}

#[tokio::test]
async fn a_deletion_that_is_never_answered_is_tried_again() {
    let sqs = FaultySqs::start(|call, nth| match (call, nth) {
        ("ReceiveMessage", 1) => Answer::Json(messages(&["a"])),
        ("DeleteMessageBatch", 1) => Answer::Never,
        ("DeleteMessageBatch", _) => Answer::Json(json!({"Successful": [{"Id": "0"}], "Failed": []})),
        _ => Answer::Nothing,
    })
    .await;
    let script = Script::new(|_| Act::Done);

    let consumer = run(testkit::sqs_client(&sqs.url), sqs.queue(), quick(), &script, testkit::database().await.pool());
    testkit::eventually(PATIENCE, || std::future::ready(sqs.calls("DeleteMessageBatch").len() == 2)).await;
    consumer.stop().await;
}

#[tokio::test]
async fn a_stop_is_not_held_up_by_an_sqs_that_answers_nothing() {
    let sqs = FaultySqs::start(|call, nth| match (call, nth) {
        ("ReceiveMessage", 1) => Answer::Json(messages(&["done", "endless"])),
        _ => Answer::Never,
    })
    .await;
    let script = Script::new(|it| if it.body == "0" { Act::Done } else { Act::DoneAfter(Duration::from_secs(600)) });
    let settings = ConsumerSettings { shutdown_grace: Duration::ZERO, ..quick() };

    let consumer = run(testkit::sqs_client(&sqs.url), sqs.queue(), settings, &script, testkit::database().await.pool());
    testkit::eventually(PATIENCE, || std::future::ready(sqs.calls("DeleteMessageBatch").len() == 1)).await;
    let began = Instant::now();
    consumer.stop().await;

    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(sqs.calls("ChangeMessageVisibilityBatch").len(), 1, "it was tried to hand the message back");
}

/// One message per group, numbered.
/// They are signed.
pub(crate) fn messages(groups: &[&str]) -> Value {
    let keys: MessageSigningKeys = testkit::MESSAGE_KEYS.parse().unwrap();
    let signature = |body: &str| keys.sign("q.fifo", body);
    let message = |(nth, group): (usize, &&str)| {
        json!({
            "MessageId": format!("message-{nth}"),
            "ReceiptHandle": format!("receipt-{nth}"),
            "Body": nth.to_string(),
            "Attributes": {"MessageGroupId": group, "ApproximateReceiveCount": "1"},
            "MessageAttributes": {"ordo-signature": {"DataType": "String", "StringValue": signature(&nth.to_string())}},
        })
    };
    json!({"Messages": groups.iter().enumerate().map(message).collect::<Vec<_>>()})
}

pub(crate) enum Answer {
    Json(Value),
    /// An internal error.
    Broken,
    /// There is no such queue.
    NoQueue,
    /// An answer that says nothing; a receive waits a little first.
    Nothing,
    /// None, while the connection stays open.
    Never,
}

/// Decides by the call's name and its number among calls of that name, from 1.
pub(crate) type Plan = fn(&str, usize) -> Answer;

pub(crate) struct FaultySqs {
    pub(crate) url: String,
    calls: Arc<Mutex<Vec<(String, Value)>>>,
}

impl FaultySqs {
    pub(crate) async fn start(plan: Plan) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let calls = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&calls);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(connection, plan, Arc::clone(&heard)));
            }
        });
        Self { url, calls }
    }

    pub(crate) fn queue(&self) -> Queue {
        let url = |name: &str| format!("{}/000000000000/{name}", self.url);
        Queue { name: "q.fifo".into(), url: url("q.fifo"), dead_letter_url: url("q-dlq.fifo") }
    }

    pub(crate) fn calls(&self, name: &str) -> VecDeque<Value> {
        self.calls.lock().unwrap().iter().filter(|(it, _)| it == name).map(|(_, input)| input.clone()).collect()
    }
}

async fn serve(connection: TcpStream, plan: Plan, calls: Arc<Mutex<Vec<(String, Value)>>>) {
    let mut connection = BufReader::new(connection);
    while let Some((call, input)) = read_call(&mut connection).await {
        let nth = {
            let mut calls = calls.lock().unwrap();
            calls.push((call.clone(), input));
            calls.iter().filter(|(it, _)| *it == call).count()
        };
        let (status, body) = match plan(&call, nth) {
            Answer::Json(body) => ("200 OK", body),
            Answer::Broken => ("500 Internal Server Error", json!({"__type": "InternalError"})),
            Answer::NoQueue => ("400 Bad Request", json!({"__type": "com.amazonaws.sqs#QueueDoesNotExist"})),
            Answer::Nothing => {
                if call == "ReceiveMessage" {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                ("200 OK", json!({}))
            }
            Answer::Never => std::future::pending().await,
        };
        let body = body.to_string();
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        if connection.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The name of the call and its input.
async fn read_call(connection: &mut BufReader<TcpStream>) -> Option<(String, Value)> {
    let (mut call, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        connection.read_line(&mut line).await.ok().filter(|&read| read > 0)?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(": ").unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "x-amz-target" => call = value.trim_start_matches("AmazonSQS.").to_owned(),
            "content-length" => length = value.parse().unwrap(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).await.ok()?;
    Some((call, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

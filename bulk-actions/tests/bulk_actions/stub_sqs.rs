//! An SQS endpoint that answers as a test says.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use http::HeaderMap;
use messaging::{DeadLetterOrigin, DeadLetterQueue, MessageSigningKeys, Queue, Queues};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

const NAME: &str = "q.fifo";

pub(crate) struct StubSqs {
    stub: Arc<Stub>,
    url: String,
    _server: AbortOnDropHandle<()>,
}

struct Stub {
    /// A receive takes one.
    receives: Semaphore,
    letters: Mutex<Vec<Letter>>,
    calls: Mutex<Vec<(String, Value)>>,
}

struct Letter {
    message: Value,
    is_hidden: bool,
}

impl StubSqs {
    /// It has so many dead letters. Each receive has all that are not hidden, once [`Self::let_receive`] says so.
    pub(crate) async fn start(letters: usize) -> Self {
        let keys: MessageSigningKeys = testkit::MESSAGE_KEYS.parse().unwrap();
        let letter = |n: usize| {
            let signature = json!({ "DataType": "String", "StringValue": keys.sign(NAME, "poison") });
            let message = json!({
                "MessageId": format!("m-{n}"), "ReceiptHandle": format!("r-{n}"), "Body": "poison",
                "Attributes": { "MessageGroupId": format!("o-{n}"), "SentTimestamp": "1700000000000" },
                "MessageAttributes": { "ordo-signature": signature },
            });
            Letter { message, is_hidden: false }
        };
        let letters = Mutex::new((0..letters).map(letter).collect());
        let stub = Arc::new(Stub { receives: Semaphore::new(0), letters, calls: Mutex::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new().fallback(answer).with_state(Arc::clone(&stub));
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { stub, url, _server: AbortOnDropHandle::new(server) }
    }

    /// Answers so many receives.
    pub(crate) fn let_receive(&self, receives: usize) {
        self.stub.receives.add_permits(receives);
    }

    pub(crate) fn dead_letters(&self) -> Vec<DeadLetterQueue> {
        let url = |name: &str| format!("{}/000000000000/{name}", self.url);
        let queue = Queue { name: NAME.into(), url: url(NAME), dead_letter_url: url("dead.fifo") };
        let queues = Queues { notifications: queue.clone(), replies: queue };
        vec![DeadLetterQueue::of(testkit::sqs_client(&self.url), DeadLetterOrigin::Notifications, &queues)]
    }

    /// The inputs of the calls with this name.
    pub(crate) fn calls(&self, name: &str) -> Vec<Value> {
        let calls = self.stub.calls.lock().unwrap();
        calls.iter().filter(|(called, _)| called == name).map(|(_, input)| input.clone()).collect()
    }
}

async fn answer(State(stub): State<Arc<Stub>>, headers: HeaderMap, body: String) -> String {
    let call = headers["x-amz-target"].to_str().unwrap().trim_start_matches("AmazonSQS.").to_owned();
    let input: Value = serde_json::from_str(&body).unwrap();
    stub.calls.lock().unwrap().push((call.clone(), input.clone()));
    let entries = input["Entries"].as_array().cloned().unwrap_or_default();
    let receipts = || entries.iter().map(|entry| &entry["ReceiptHandle"]).collect::<Vec<_>>();
    let successful = || entries.iter().map(|it| json!({ "Id": it["Id"], "MessageId": "n", "MD5OfMessageBody": "0" }));
    if call == "ReceiveMessage" {
        stub.receives.acquire().await.unwrap().forget();
    }
    let mut letters = stub.letters.lock().unwrap();
    match call.as_str() {
        "ReceiveMessage" => {
            let visible = letters.iter_mut().filter(|letter| !letter.is_hidden).map(|letter| {
                letter.is_hidden = true;
                letter.message.clone()
            });
            return json!({ "Messages": visible.collect::<Vec<_>>() }).to_string();
        }
        "ChangeMessageVisibilityBatch" => {
            let is_hidden = entries.iter().any(|entry| entry["VisibilityTimeout"] != 0);
            let named = letters.iter_mut().filter(|it| receipts().contains(&&it.message["ReceiptHandle"]));
            named.for_each(|letter| letter.is_hidden = is_hidden);
        }
        "DeleteMessageBatch" => letters.retain(|it| !receipts().contains(&&it.message["ReceiptHandle"])),
        _ => {}
    }
    json!({ "Successful": successful().collect::<Vec<_>>(), "Failed": [] }).to_string()
}

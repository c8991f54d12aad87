//! A log with events of orders, copies that publish, readers of queues, and a target that fails as it is told to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use access_control::Role;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use event_store::{EventStore, LeaseSettings, StoreSettings};
use publication::{PublicationHealth, PublicationMetrics, PublicationSettings, PublicationTarget};
use serde_json::{Map, Value, json};
use sqlx::PgPool;
use testkit::Database;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Far above what it takes: a test that hangs is to fail.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const QUEUE: &str = "shop-events.fifo";
pub(crate) const TOPIC: &str = "arn:aws:sns:eu-central-1:123456789012:shop-events.fifo";

pub(crate) struct Fixture {
    pub(crate) database: Database,
    store: EventStore,
}

/// A process that publishes. It stops when it is dropped, without a chance to do anything about it.
pub(crate) struct Copy {
    pub(crate) health: PublicationHealth,
    stop: CancellationToken,
    running: AbortOnDropHandle<()>,
}

pub(crate) fn settings() -> PublicationSettings {
    PublicationSettings { event_types: Vec::new(), role: Role::Auditor }
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let database = testkit::database().await;
        let subscriptions = LeaseSettings { lease: Duration::from_secs(1) };
        let store =
            EventStore::start(database.pool().clone(), StoreSettings { subscriptions, ..StoreSettings::default() });
        Self { database, store }
    }

    pub(crate) fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    /// A copy that has begun to follow the log and publishes on the queue.
    pub(crate) async fn publish(&self, sqs: &str, settings: PublicationSettings) -> Copy {
        let target = PublicationTarget::Queue { sqs: testkit::sqs_client(sqs), name: QUEUE.to_owned() };
        self.publish_to(target, settings).await
    }

    /// A copy that has begun to follow the log.
    pub(crate) async fn publish_to(&self, target: PublicationTarget, settings: PublicationSettings) -> Copy {
        let subscription = match &target {
            PublicationTarget::Queue { .. } => "events-queue",
            PublicationTarget::Topic { .. } => "events-topic",
        };
        let (stop, health) = (CancellationToken::new(), PublicationHealth::default());
        let (store, metrics) = (self.store.clone(), PublicationMetrics::default());
        let running = publication::follow(store, target, settings, health.clone(), metrics, stop.clone());
        let copy = Copy { health, stop, running: AbortOnDropHandle::new(tokio::spawn(running)) };
        testkit::eventually(PATIENCE, || async {
            let begun = "select exists (select from subscription_partitions where subscription = $1)";
            sqlx::query_scalar::<_, bool>(begun).bind(subscription).fetch_one(self.pool()).await.unwrap()
        })
        .await;
        copy
    }

    /// Appends the order's next event.
    pub(crate) async fn append(&self, order: &str, event_type: &str, payload: &str) -> i64 {
        let insert =
            "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                      select 'order', $1, count(*) + 1, $2, '1.0', $3::json, '{\"actor\":\"shop:web\"}'
                        from events where aggregate_type = 'order' and aggregate_id = $1 returning global_position";
        let insert = sqlx::query_scalar(insert).bind(order).bind(event_type).bind(payload);
        insert.fetch_one(self.pool()).await.unwrap()
    }

    /// A note, which is an event like any other.
    pub(crate) async fn note(&self, order: &str, text: &str) -> i64 {
        let payload = format!(r#"{{"NoteAdded":{{"noteId":"n-1","text":"{text}","author":"Ann"}}}}"#);
        self.append(order, "NoteAdded", &payload).await
    }

    /// So many notes on each of so many orders, in turn.
    pub(crate) async fn notes(&self, orders: i32, each: i32) {
        let insert = "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                      select 'order', 'o-' || nth, version, 'NoteAdded', '1.0',
                             json_build_object('NoteAdded', json_build_object('noteId', 'n-' || version, 'text', 't', 'author', null)), '{}'
                        from generate_series(1, $2) as version, generate_series(1, $1) as nth order by version, nth";
        sqlx::query(insert).bind(orders).bind(each).execute(self.pool()).await.unwrap();
    }

    /// The streams that are parked.
    pub(crate) async fn parked(&self) -> Vec<String> {
        let parked = "select distinct stream_id from parked_events order by 1";
        sqlx::query_scalar(parked).fetch_all(self.pool()).await.unwrap()
    }
}

impl Copy {
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.running).await.unwrap().unwrap();
    }
}

/// Takes messages from the queue until there are so many.
pub(crate) async fn take(sqs: &str, count: usize) -> Vec<Message> {
    let client = testkit::sqs_client(sqs);
    let (mut taken, until) = (Vec::new(), tokio::time::Instant::now() + PATIENCE);
    while taken.len() < count {
        assert!(tokio::time::Instant::now() < until, "{} of {count} messages", taken.len());
        let Ok(queue) = client.get_queue_url().queue_name(QUEUE).send().await else { continue };
        let url = queue.queue_url.unwrap();
        let receive = client.receive_message().queue_url(&url).max_number_of_messages(10).wait_time_seconds(1);
        let receive = receive.message_attribute_names("All");
        let received = receive.message_system_attribute_names(MessageSystemAttributeName::All).send().await.unwrap();
        for message in received.messages.unwrap_or_default() {
            let receipt = message.receipt_handle.clone().unwrap();
            client.delete_message().queue_url(&url).receipt_handle(receipt).send().await.unwrap();
            taken.push(message);
        }
    }
    taken
}

pub(crate) fn body(message: &Message) -> Value {
    serde_json::from_str(message.body().unwrap()).unwrap()
}

/// What becomes of an entry of a batch.
pub(crate) enum Fate {
    Accepted,
    /// As if something at SQS failed.
    Failed,
    /// As if the message were at fault.
    Refused,
    /// As if a policy forbade it: SNS calls that the sender's fault as well.
    Forbidden,
    /// As if the message were so much at fault that the whole call is refused.
    CallRefused,
}

type Deciding = Box<dyn FnMut(&Value) -> Fate + Send>;

/// A queue of SQS and a topic of SNS that accept of each batch what they are told to.
pub(crate) struct FailingTarget {
    pub(crate) url: String,
    state: Arc<FailingState>,
    _serving: AbortOnDropHandle<()>,
}

struct FailingState {
    url: String,
    /// `MaximumMessageSize`, if it was set.
    most_bytes: Option<usize>,
    deciding: Mutex<Deciding>,
    accepted: Mutex<Vec<Value>>,
    refused_calls: Mutex<usize>,
}

/// What a target says to a call.
enum BatchAnswer {
    Taken {
        successful: Vec<String>,
        failed: Vec<(String, Fate)>,
    },
    /// With the code.
    Refused(&'static str),
}

impl FailingTarget {
    pub(crate) async fn start(deciding: impl FnMut(&Value) -> Fate + Send + 'static) -> Self {
        Self::taking(None, deciding).await
    }

    /// One that was told how many bytes it takes as a message and as a batch.
    pub(crate) async fn taking(
        most_bytes: Option<usize>,
        deciding: impl FnMut(&Value) -> Fate + Send + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (deciding, accepted) = (Mutex::new(Box::new(deciding) as Deciding), Mutex::default());
        let refused_calls = Mutex::default();
        let state = Arc::new(FailingState { url: url.clone(), most_bytes, deciding, accepted, refused_calls });
        let routes = Router::new().fallback(answer).with_state(Arc::clone(&state));
        let serving: JoinHandle<()> = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { url, state, _serving: AbortOnDropHandle::new(serving) }
    }

    /// The queue.
    pub(crate) fn queue(&self) -> PublicationTarget {
        PublicationTarget::Queue { sqs: testkit::sqs_client(&self.url), name: QUEUE.to_owned() }
    }

    /// The topic.
    pub(crate) fn topic(&self) -> PublicationTarget {
        PublicationTarget::Topic { sns: testkit::sns_client(&self.url), arn: TOPIC.to_owned() }
    }

    /// The entries that it accepted, but for those that would have been dropped as repeats.
    pub(crate) fn accepted(&self) -> Vec<Value> {
        let mut seen = std::collections::BTreeSet::new();
        let accepted = self.state.accepted.lock().unwrap();
        let new = |entry: &&Value| seen.insert(entry["MessageDeduplicationId"].as_str().unwrap().to_owned());
        accepted.iter().filter(new).cloned().collect()
    }

    /// The calls that it refused.
    pub(crate) fn refused_calls(&self) -> usize {
        *self.state.refused_calls.lock().unwrap()
    }

    /// The versions that it accepted of each order, in their order.
    pub(crate) fn versions(&self) -> BTreeMap<String, Vec<i64>> {
        let mut versions: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for entry in self.accepted() {
            let event: Value = serde_json::from_str(entry["MessageBody"].as_str().unwrap()).unwrap();
            let order = entry["MessageGroupId"].as_str().unwrap().to_owned();
            versions.entry(order).or_default().push(event["data"]["version"].as_i64().unwrap());
        }
        versions
    }
}

async fn answer(State(state): State<Arc<FailingState>>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(call) = headers.get("x-amz-target") else { return answer_of_topic(&state, &body) };
    let call = call.to_str().unwrap();
    axum::Json(match call.rsplit('.').next().unwrap() {
        "GetQueueUrl" => json!({ "QueueUrl": format!("{}/000000000000/{QUEUE}", state.url) }),
        "GetQueueAttributes" => json!({ "Attributes": { "MaximumMessageSize": "1048576" } }),
        "SendMessageBatch" => {
            let request: Value = serde_json::from_slice(&body).unwrap();
            match state.take(request["Entries"].as_array().unwrap(), 1 << 20) {
                BatchAnswer::Refused(code) => {
                    let refusal = json!({ "__type": format!("com.amazonaws.sqs#{code}"), "message": "told" });
                    return (StatusCode::BAD_REQUEST, axum::Json(refusal)).into_response();
                }
                BatchAnswer::Taken { successful, failed } => {
                    let failed = failed.iter().map(|(id, fate)| {
                        let (code, fault) = fate.refusal("InvalidMessageContents");
                        json!({ "Id": id, "Code": code, "SenderFault": fault })
                    });
                    let successful =
                        successful.iter().map(|id| json!({ "Id": id, "MessageId": "m", "MD5OfMessageBody": "0" }));
                    json!({ "Successful": successful.collect::<Vec<_>>(), "Failed": failed.collect::<Vec<_>>() })
                }
            }
        }
        other => panic!("{other} is not needed"),
    })
    .into_response()
}

/// SNS takes forms, and answers in XML.
fn answer_of_topic(state: &FailingState, body: &[u8]) -> Response {
    let form: BTreeMap<String, String> = url::form_urlencoded::parse(body).into_owned().collect();
    assert_eq!(form["TopicArn"], TOPIC);
    let (call, result) = match form["Action"].as_str() {
        "GetTopicAttributes" => {
            let is_fifo = "<entry><key>FifoTopic</key><value>true</value></entry>".to_owned();
            let most_bytes = state.most_bytes.map_or_else(String::new, |bytes| {
                format!("<entry><key>MaximumMessageSize</key><value>{bytes}</value></entry>")
            });
            ("GetTopicAttributes", format!("<Attributes>{is_fifo}{most_bytes}</Attributes>"))
        }
        "PublishBatch" => {
            let of = |nth: usize, name: &str| {
                let value = form.get(&format!("PublishBatchRequestEntries.member.{nth}.{name}"));
                value.map_or(Value::Null, |value| json!(value))
            };
            let entry = |nth: usize| {
                let attribute = |other: usize| {
                    let of = |name: &str| of(nth, &format!("MessageAttributes.entry.{other}.{name}"));
                    Some((of("Name").as_str()?.to_owned(), of("Value.StringValue")))
                };
                let attributes: Map<String, Value> = (1..).map_while(attribute).collect();
                let (id, group, dedup) = (of(nth, "Id"), of(nth, "MessageGroupId"), of(nth, "MessageDeduplicationId"));
                let entry = json!({ "Id": id, "MessageGroupId": group, "MessageDeduplicationId": dedup,
                                    "MessageBody": of(nth, "Message"), "attributes": attributes });
                (!id.is_null()).then_some(entry)
            };
            let entries: Vec<Value> = (1..).map_while(entry).collect();
            let (successful, failed) = match state.take(&entries, state.most_bytes.unwrap_or(256 << 10)) {
                BatchAnswer::Taken { successful, failed } => (successful, failed),
                BatchAnswer::Refused(code) => {
                    let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>told</Message></Error>");
                    let xml = format!("<ErrorResponse>{error}</ErrorResponse>");
                    return (StatusCode::BAD_REQUEST, [("content-type", "text/xml")], xml).into_response();
                }
            };
            let failed = failed.iter().map(|(id, fate)| {
                let (code, fault) = fate.refusal("InvalidParameter");
                format!("<member><Id>{id}</Id><Code>{code}</Code><SenderFault>{fault}</SenderFault></member>")
            });
            let successful =
                successful.iter().map(|id| format!("<member><Id>{id}</Id><MessageId>m</MessageId></member>"));
            let (successful, failed) = (successful.collect::<String>(), failed.collect::<String>());
            ("PublishBatch", format!("<Successful>{successful}</Successful><Failed>{failed}</Failed>"))
        }
        other => panic!("{other} is not needed"),
    };
    let xml = format!("<{call}Response><{call}Result>{result}</{call}Result></{call}Response>");
    ([("content-type", "text/xml")], xml).into_response()
}

impl Fate {
    /// The code of a refusal, and whether the sender is said to be at fault.
    fn refusal(&self, about_the_message: &'static str) -> (&'static str, bool) {
        match self {
            Self::Accepted | Self::Failed => ("InternalError", false),
            Self::Refused | Self::CallRefused => (about_the_message, true),
            Self::Forbidden => ("AuthorizationError", true),
        }
    }
}

impl FailingState {
    /// Decides about a batch and each of its entries.
    fn take(&self, entries: &[Value], most_bytes: usize) -> BatchAnswer {
        assert!(entries.len() <= 10, "{} entries", entries.len());
        let refused = |code| {
            *self.refused_calls.lock().unwrap() += 1;
            BatchAnswer::Refused(code)
        };
        if entries.iter().map(bytes_of).sum::<usize>() > most_bytes {
            return refused("BatchRequestTooLong");
        }
        let decided: Vec<Fate> = entries.iter().map(|entry| (self.deciding.lock().unwrap())(entry)).collect();
        if decided.iter().any(|fate| matches!(fate, Fate::CallRefused)) {
            return refused("InvalidParameter");
        }
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for (entry, fate) in entries.iter().zip(decided) {
            let id = entry["Id"].as_str().unwrap().to_owned();
            if let Fate::Accepted = fate {
                self.accepted.lock().unwrap().push(entry.clone());
                successful.push(id);
            } else {
                failed.push((id, fate));
            }
        }
        BatchAnswer::Taken { successful, failed }
    }
}

/// What counts of an entry: the body, and of each attribute the name, the type and the value.
fn bytes_of(entry: &Value) -> usize {
    let text = |value: &Value| value.as_str().map_or(0, str::len);
    let of_topic = entry["attributes"].as_object().into_iter().flatten();
    let of_queue = entry["MessageAttributes"].as_object().into_iter().flatten();
    let values = of_topic.chain(of_queue.map(|(name, value)| (name, &value["StringValue"])));
    text(&entry["MessageBody"]) + values.map(|(name, value)| name.len() + "String".len() + text(value)).sum::<usize>()
}

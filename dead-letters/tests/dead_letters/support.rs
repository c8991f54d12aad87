//! Queues with dead letters, and an operator at the routes.

use std::collections::BTreeSet;

use access_control::{Principal, Role, RoutePermission};
use axum::Router;
use axum::body::Body;
use dead_letters::DeadLetters;
use embedded::sqs::Sqs;
use event_store::{AppendQueueSettings, EventStore};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use messaging::{
    DeadLetterOrigin, DeadLetterQueue, MessageSigningKeys, OutgoingMessage, Producer, ProducerSettings, Queue,
    QueueProvisioningSettings, Queues, queues,
};
use serde_json::{Value, json};
use testkit::Database;
use tower::ServiceExt;

/// A request for a mail about this order.
pub(crate) const REQUEST: &str = include_str!("../../../lib/messaging/golden/ordo.notification.requested.v1.json");
pub(crate) const ORDER: &str = "demo-1759035874968";

/// The queues of a test.
pub(crate) struct TestQueues {
    _sqs: Sqs,
    pub(crate) client: aws_sdk_sqs::Client,
    pub(crate) queues: Queues,
}

/// An operator, and an auditor.
pub(crate) struct Desk {
    pub(crate) database: Database,
    pub(crate) store: EventStore,
    operator: Router,
    auditor: Router,
}

/// What was answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) json: Value,
}

impl TestQueues {
    pub(crate) async fn new() -> Self {
        let sqs = testkit::sqs().await;
        let client = testkit::sqs_client(&sqs.url());
        let queues = queues::ensure(&client, &QueueProvisioningSettings::default()).await.unwrap();
        Self { _sqs: sqs, client, queues }
    }

    pub(crate) fn dead(&self) -> Vec<DeadLetterQueue> {
        let of = |origin| DeadLetterQueue::of(self.client.clone(), origin, &self.queues);
        DeadLetterOrigin::ALL.map(of).into()
    }

    /// Puts messages among the dead letters of notifications, by their groups and bodies.
    pub(crate) async fn put(&self, letters: &[(&str, &str)], keys: MessageSigningKeys) {
        let notifications = &self.queues.notifications;
        let dead = Queue { url: notifications.dead_letter_url.clone(), ..notifications.clone() };
        let message = |(nth, (group, body)): (usize, &(&str, &str))| OutgoingMessage {
            group_id: (*group).to_owned(),
            dedup_id: format!("m-{nth}-{group}"),
            body: (*body).to_owned(),
            attributes: vec![("ordo-error".to_owned(), format!("no use: {body}").chars().take(40).collect())],
        };
        let producer = Producer::new(self.client.clone(), dead, keys, ProducerSettings::default());
        for sent in producer.send(letters.iter().enumerate().map(message).collect()).await {
            sent.unwrap();
        }
    }

    /// How many dead letters of notifications there are.
    pub(crate) async fn count(&self) -> u64 {
        self.dead()[0].count().await.unwrap()
    }

    /// The bodies of what is in the queue of notifications.
    pub(crate) async fn sent(&self) -> BTreeSet<String> {
        let url = &self.queues.notifications.url;
        let receive = self.client.receive_message().queue_url(url).max_number_of_messages(10).send().await.unwrap();
        receive.messages.unwrap_or_default().into_iter().filter_map(|message| message.body).collect()
    }
}

impl Desk {
    pub(crate) async fn new(dead: Vec<DeadLetterQueue>) -> Self {
        let database = testkit::database().await;
        let store = EventStore::start(database.pool().clone(), AppendQueueSettings::default());
        let letters = DeadLetters::new(store.clone(), dead, keys());
        let routes = |role, grant| {
            testkit::called_by(dead_letters::routes(letters.clone()), Principal::new(role, "ada", None), grant)
        };
        let operator = routes(Role::Operator, RoutePermission::All);
        let auditor = routes(Role::Auditor, RoutePermission::Masked);
        Self { database, store, operator, auditor }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(&self.operator, Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn get_as_auditor(&self, path: &str) -> Answer {
        send(&self.auditor, Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, key: Option<&str>, body: &Value) -> Answer {
        let request = Request::post(path).header("content-type", "application/json");
        let request = key.into_iter().fold(request, |request, key| request.header("idempotency-key", key));
        send(&self.operator, request.body(Body::from(body.to_string())).unwrap()).await
    }

    /// The path of the only dead letter of an order.
    pub(crate) async fn path_of(&self, order: &str) -> String {
        let list = self.get("/dead-letters").await.json;
        let found = list["items"].as_array().unwrap().iter().find(|letter| letter["orderId"] == order);
        let letter = found.unwrap_or_else(|| panic!("no letter of {order}: {list}"));
        format!("/dead-letters/{}/{}", letter["queue"].as_str().unwrap(), letter["id"].as_str().unwrap())
    }

    /// The events of dead letters: who, which, and what for.
    pub(crate) async fn events(&self) -> Vec<(String, String, String)> {
        let events = "select event_type, metadata ->> 'actor',
                             coalesce(payload -> event_type ->> 'verb', '') || ' ' || coalesce(payload -> event_type ->> 'reason', '')
                        from events where aggregate_type = 'dead_letter' order by global_position";
        sqlx::query_as(events).fetch_all(self.database.pool()).await.unwrap()
    }
}

async fn send(routes: &Router, request: Request<Body>) -> Answer {
    let (head, body) = routes.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let json = serde_json::from_slice(&body).unwrap_or_default();
    Answer { status: head.status, headers: head.headers, json }
}

pub(crate) fn keys() -> MessageSigningKeys {
    testkit::MESSAGE_KEYS.parse().unwrap()
}

pub(crate) fn because(reason: &str) -> Value {
    json!({ "reason": reason })
}

//! What the tests stand on: queues of their own, a handler that follows a script, and looks into the queues.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{Message, MessageAttributeValue};
use messaging::{
    Consumer, ConsumerSettings, ExponentialBackoff, MessageFailureCounts, MessageHandler, MessageHandlerError,
    MessageSigningKeys, OutgoingMessage, Producer, ProducerSettings, Queue, QueueProvisioningSettings, ReceivedMessage,
    queues,
};
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Long enough for any wait that ends by itself.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Stage {
    pub(crate) client: Client,
    pub(crate) queue: Queue,
    /// Where failures are counted.
    pub(crate) database: PgPool,
    /// Keeps the endpoint alive.
    _endpoint: Option<embedded::sqs::Sqs>,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let (client, endpoint) = client().await;
        let settings = QueueProvisioningSettings { prefix: prefix(), ..QueueProvisioningSettings::default() };
        let queue = queues::ensure(&client, &settings).await.unwrap().notifications;
        Self { client, queue, database: testkit::database().await.pool().clone(), _endpoint: endpoint }
    }

    pub(crate) async fn send(&self, messages: &[(&str, &str)]) {
        let producer = Producer::new(
            self.client.clone(),
            self.queue.clone(),
            testkit::MESSAGE_KEYS.parse().unwrap(),
            ProducerSettings::default(),
        );
        let sent = producer.send(messages.iter().map(|(group, body)| outgoing(group, body)).collect()).await;
        assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    }

    /// The keys of the producer and the consumer.
    pub(crate) fn keys(&self) -> MessageSigningKeys {
        testkit::MESSAGE_KEYS.parse().unwrap()
    }

    /// Sends as somebody who has no producer of ours.
    pub(crate) async fn send_raw(&self, group: &str, body: &str, signature: Option<String>) {
        assert!(self.try_send_raw(group, body, signature).await);
    }

    /// Whether the server takes the message.
    pub(crate) async fn try_send_raw(&self, group: &str, body: &str, signature: Option<String>) -> bool {
        let attribute = |text| MessageAttributeValue::builder().data_type("String").string_value(text).build().unwrap();
        let message = self.client.send_message().queue_url(&self.queue.url).message_group_id(group).message_body(body);
        let message = message.message_deduplication_id(uuid::Uuid::now_v7().to_string());
        let message =
            message.set_message_attributes(signature.map(|it| [("ordo-signature".into(), attribute(it))].into()));
        message.send().await.is_ok()
    }

    pub(crate) fn consume(&self, settings: ConsumerSettings, script: &Arc<Script>) -> Running {
        run(self.client.clone(), self.queue.clone(), settings, script, &self.database)
    }

    /// Nothing is there, hidden or not.
    pub(crate) async fn is_empty(&self) -> bool {
        let described = self
            .client
            .get_queue_attributes()
            .queue_url(&self.queue.url)
            .attribute_names("ApproximateNumberOfMessages".into())
            .attribute_names("ApproximateNumberOfMessagesNotVisible".into())
            .send()
            .await
            .unwrap();
        described.attributes.unwrap().values().all(|count| count == "0")
    }

    pub(crate) async fn dead_letters(&self) -> Vec<Message> {
        receive(&self.client, &self.queue.dead_letter_url).await
    }
}

/// Takes what is visible now.
pub(crate) async fn receive(client: &Client, url: &str) -> Vec<Message> {
    let received = client
        .receive_message()
        .queue_url(url)
        .max_number_of_messages(10)
        .message_attribute_names("All")
        .send()
        .await
        .unwrap();
    received.messages.unwrap_or_default()
}

pub(crate) async fn client() -> (Client, Option<embedded::sqs::Sqs>) {
    match std::env::var("TEST_SQS_ENDPOINT") {
        Ok(url) => (testkit::sqs_client(&url), None),
        Err(_) => {
            let endpoint = testkit::sqs().await;
            (testkit::sqs_client(&endpoint.url()), Some(endpoint))
        }
    }
}

pub(crate) fn prefix() -> String {
    format!("test-{}", uuid::Uuid::now_v7().simple())
}

pub(crate) fn outgoing(group: &str, body: &str) -> OutgoingMessage {
    OutgoingMessage {
        group_id: group.into(),
        dedup_id: format!("{body}-1"),
        body: body.into(),
        attributes: vec![("ce-type".into(), "test.v1".into())],
    }
}

/// A consumer with short waits, whose failed messages come again at once.
pub(crate) fn quick() -> ConsumerSettings {
    let at_once = ExponentialBackoff { first: Duration::ZERO, most: Duration::ZERO };
    ConsumerSettings { wait_seconds: 1, retry_backoff: at_once, ..ConsumerSettings::default() }
}

/// A running consumer, cancelled when dropped.
pub(crate) struct Running {
    cancel: DropGuard,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn stop(self) {
        drop(self.cancel);
        tokio::time::timeout(PATIENCE, self.task).await.expect("the consumer stops").unwrap();
    }
}

pub(crate) fn run(
    client: Client,
    queue: Queue,
    settings: ConsumerSettings,
    script: &Arc<Script>,
    database: &PgPool,
) -> Running {
    let cancel = CancellationToken::new();
    let consumer = Consumer::new(client, queue, testkit::MESSAGE_KEYS.parse().unwrap(), settings).unwrap();
    let task = tokio::spawn(consumer.run(
        Actor(Arc::clone(script)),
        MessageFailureCounts::new(database.clone()),
        cancel.clone(),
    ));
    Running { cancel: cancel.drop_guard(), task }
}

/// What the handler does with a message, after a while.
#[derive(Clone)]
pub(crate) enum Act {
    Done,
    Fail(&'static str),
    Wait,
    Die(&'static str),
    Panic(&'static str),
    DoneAfter(Duration),
}

/// Decides by message, and remembers each one it was given: its body and how often it had been received.
pub(crate) struct Script {
    act: fn(&ReceivedMessage) -> Act,
    seen: Mutex<Vec<ReceivedMessage>>,
}

impl Script {
    pub(crate) fn new(act: fn(&ReceivedMessage) -> Act) -> Arc<Self> {
        Arc::new(Self { act, seen: Mutex::default() })
    }

    pub(crate) fn seen(&self) -> Vec<ReceivedMessage> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn bodies(&self) -> Vec<String> {
        self.seen().into_iter().map(|message| message.body).collect()
    }

    pub(crate) async fn saw(&self, count: usize) {
        testkit::eventually(PATIENCE, || std::future::ready(self.seen().len() >= count)).await;
    }
}

struct Actor(Arc<Script>);

impl MessageHandler for Actor {
    async fn handle(&self, message: &ReceivedMessage) -> Result<(), MessageHandlerError> {
        self.0.seen.lock().unwrap().push(message.clone());
        match (self.0.act)(message) {
            Act::Done => Ok(()),
            Act::Fail(reason) => Err(MessageHandlerError::retry(reason)),
            Act::Wait => Err(MessageHandlerError::Later { after: Duration::ZERO }),
            Act::Die(reason) => Err(MessageHandlerError::dead(reason)),
            Act::Panic(reason) => panic!("{reason}"),
            Act::DoneAfter(time) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
        }
    }
}

//! Queues, a database and an SES endpoint, with workers between them.

use std::time::Duration;

use aws_sdk_sqs::types::Message;
use chrono::DateTime;
use messaging::{
    CloudEvent, ConsumerSettings, ExponentialBackoff, NotificationAnswer, NotificationFailed, NotificationRequested,
    NotificationTemplate, OrderedLine, OutgoingMessage, Producer, ProducerSettings, QueueProvisioningSettings, Queues,
    queues,
};
use notification::{NotificationDependencies, NotificationSettings};
use testkit::FaultyMailer;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const NOTIFICATION: Uuid = Uuid::from_u128(0x019a_a0b1_c2d3_7e4f_8a5b_6c7d_8e9f_a0b1);

pub(crate) fn request(attempt: u32) -> NotificationRequested {
    NotificationRequested {
        notification_id: NOTIFICATION,
        attempt,
        template: NotificationTemplate::OrderConfirmed,
        recipient: Some("ada@example.com".into()),
        order_id: "o-1".into(),
        order_number: None,
        locale: None,
        customer_id: Some("customer-42".into()),
        currency: "USD".into(),
        total_amount: "129.99".into(),
        lines: vec![OrderedLine {
            sku: "sku-123".into(),
            title: "Wireless Headphones".into(),
            quantity: 1,
            measure: None,
            unit_price: "129.99".into(),
            line_total: "129.99".into(),
            waiting: None,
        }],
        omitted_lines: 0,
        details: messaging::OrderDetails::default(),
        reason: None,
        rejection: None,
        shipment: None,
        refund_amount: None,
        paid_elsewhere: false,
        retry_failed: false,
        withdraw: false,
    }
}

pub(crate) fn failed(reason: &str) -> NotificationAnswer {
    NotificationAnswer::Failed(NotificationFailed {
        notification_id: NOTIFICATION,
        template: NotificationTemplate::OrderConfirmed,
        reason: reason.into(),
    })
}

/// What failed comes again at once; pauses are as short as can be.
pub(crate) fn quick() -> NotificationSettings {
    let none = ExponentialBackoff { first: Duration::ZERO, most: Duration::ZERO };
    let short = Duration::from_millis(20);
    NotificationSettings {
        throttle_backoff: ExponentialBackoff { first: short, most: short },
        paused_wait: Duration::from_secs(1),
        recipient_burst: 1_000,
        consumer: ConsumerSettings {
            wait_seconds: 1,
            retry_backoff: none,
            max_attempts: 100,
            ..ConsumerSettings::default()
        },
        ..NotificationSettings::default()
    }
}

pub(crate) fn error_of(dead: &Message) -> &str {
    dead.message_attributes.as_ref().unwrap()["ordo-error"].string_value().unwrap()
}

pub(crate) struct Stage {
    pub(crate) database: testkit::Database,
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) queues: Queues,
    pub(crate) ses: FaultyMailer,
    pub(crate) _endpoint: embedded::sqs::Sqs,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let endpoint = testkit::sqs().await;
        let sqs = testkit::sqs_client(&endpoint.url());
        // Tests that try often must not meet SQS's own limit.
        let settings = QueueProvisioningSettings { max_receive_count: 1000, ..QueueProvisioningSettings::default() };
        let queues = queues::ensure(&sqs, &settings).await.unwrap();
        let (database, ses) = tokio::join!(testkit::database(), FaultyMailer::start());
        Self { database, sqs, queues, ses, _endpoint: endpoint }
    }

    pub(crate) fn worker(&self, settings: NotificationSettings) -> Worker {
        let deps = NotificationDependencies {
            pool: self.database.pool().clone(),
            sqs: self.sqs.clone(),
            queues: self.queues.clone(),
            keys: testkit::MESSAGE_KEYS.parse().unwrap(),
            ses: retrying_ses_client(&self.ses.url()),
        };
        let cancel = CancellationToken::new();
        let task = tokio::spawn(notification::run(deps, settings, cancel.clone()));
        Worker { cancel: cancel.drop_guard(), task }
    }

    pub(crate) async fn ask(&self, request: &NotificationRequested) {
        self.ask_in_group("o-1", request).await;
    }

    pub(crate) async fn ask_in_group(&self, group: &str, request: &NotificationRequested) {
        let event = CloudEvent::new("o-1", DateTime::UNIX_EPOCH, request.clone()).traced(Some("00-trace".into()));
        let message = OutgoingMessage::event(&event, request.attempt).unwrap();
        self.send(OutgoingMessage { group_id: group.into(), ..message }).await;
    }

    pub(crate) async fn send(&self, message: OutgoingMessage) {
        let producer = Producer::new(
            self.sqs.clone(),
            self.queues.notifications.clone(),
            testkit::MESSAGE_KEYS.parse().unwrap(),
            ProducerSettings::default(),
        );
        producer.send(vec![message]).await.remove(0).unwrap();
    }

    /// The next answers, taken from the queue.
    pub(crate) async fn answers(&self, count: usize) -> Vec<CloudEvent<NotificationAnswer>> {
        let mut answers = Vec::new();
        let taking = async {
            while answers.len() < count {
                for message in self.take(&self.queues.replies.url, 5).await {
                    answers.push(NotificationAnswer::parse(message.body().unwrap()).unwrap());
                }
            }
        };
        tokio::time::timeout(PATIENCE, taking).await.expect("an answer");
        answers
    }

    pub(crate) async fn dead_letters(&self) -> Vec<Message> {
        self.take(&self.queues.notifications.dead_letter_url, 0).await
    }

    pub(crate) async fn take(&self, url: &str, wait: i32) -> Vec<Message> {
        let receive = self.sqs.receive_message().queue_url(url).wait_time_seconds(wait).max_number_of_messages(10);
        let messages = receive.message_attribute_names("All").send().await.unwrap().messages.unwrap_or_default();
        for message in &messages {
            let receipt = message.receipt_handle().unwrap();
            self.sqs.delete_message().queue_url(url).receipt_handle(receipt).send().await.unwrap();
        }
        messages
    }

    /// No request is left, hidden or not.
    pub(crate) async fn is_drained(&self) -> bool {
        let described = self.sqs.get_queue_attributes().queue_url(&self.queues.notifications.url);
        let described = described.attribute_names("All".into()).send().await.unwrap().attributes.unwrap();
        ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
            .iter()
            .all(|&name| described[&name.into()] == "0")
    }

    /// Outcome, recipient, reason, attempts.
    pub(crate) async fn record(&self) -> (String, Option<String>, Option<String>, i32) {
        sqlx::query_as(
            "select outcome, recipient, reason, attempts from notification_deliveries where notification_id = $1",
        )
        .bind(NOTIFICATION)
        .fetch_one(self.database.pool())
        .await
        .unwrap()
    }

    pub(crate) async fn sql(&self, statement: &str) {
        sqlx::query(statement).execute(self.database.pool()).await.unwrap();
    }
}

/// A client with the SDK's usual retries, as a platform might pass in: none of them may happen.
pub(crate) fn retrying_ses_client(url: &str) -> aws_sdk_sesv2::Client {
    let retries = aws_sdk_sesv2::config::retry::RetryConfig::standard().with_initial_backoff(Duration::from_millis(1));
    let config = testkit::ses_client(url).config().to_builder().retry_config(retries).build();
    aws_sdk_sesv2::Client::from_conf(config)
}

/// A running worker, cancelled when dropped.
pub(crate) struct Worker {
    pub(crate) cancel: DropGuard,
    pub(crate) task: JoinHandle<Result<(), messaging::InvalidSettings>>,
}

impl Worker {
    pub(crate) async fn stop(self) {
        drop(self.cancel);
        tokio::time::timeout(PATIENCE, self.task).await.expect("the worker stops").unwrap().unwrap();
    }
}

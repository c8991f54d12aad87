//! A saga at work, and the ends of its queues that notification has.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use chrono::{TimeZone, Utc};
use domain::order::parse::PostedOrder;
use domain::order::{Order, OrderCommand, OrderEvent, decide};
use embedded::sqs::Sqs;
use event_store::{AppendQueueSettings, EventStore, Metadata, StreamLocks, Versioned};
use messaging::{
    CloudEvent, Consumer, ConsumerSettings, MessageContract, NotificationFailed, NotificationRequested,
    NotificationSent, OutgoingMessage, Producer, ProducerSettings, QueueProvisioningSettings, Queues, queues,
};
use sagas::{SagaDependencies, SagaSettings};
use testkit::{Database, FaultyGateway};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Far longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// A deadline that no test waits for.
pub(crate) const NEVER: Duration = Duration::from_secs(3_600);

/// A saga at work, and the ends of its queues that notification has.
pub(crate) struct Fixture {
    pub(crate) database: Database,
    pub(crate) store: EventStore,
    pub(crate) sqs: Sqs,
    pub(crate) client: Client,
    pub(crate) queues: Queues,
    pub(crate) stop: CancellationToken,
    pub(crate) saga: JoinHandle<()>,
}

impl Fixture {
    pub(crate) async fn start(reply_deadline: Duration) -> Self {
        Self::with(answering_within(reply_deadline)).await
    }

    pub(crate) async fn with(settings: SagaSettings) -> Self {
        let database = testkit::database().await;
        let sqs = testkit::sqs().await;
        let client = testkit::sqs_client(&sqs.url());
        let queues = queues::ensure(&client, &QueueProvisioningSettings::default()).await.unwrap();
        let store = EventStore::start(database.pool().clone(), AppendQueueSettings::default());
        let (stop, saga) = run(&store, &client, &queues, settings);
        Self { database, store, sqs, client, queues, stop, saga }
    }

    /// Takes an order as the API does.
    pub(crate) async fn take(&self, order_id: &str) {
        let content = PostedOrder::parse(testkit::demo_order(order_id).to_string().as_bytes()).unwrap().content;
        let create = |order: &Order| decide(order, OrderCommand::CreateOrder(content.clone()));
        self.store.execute(order_id, Versioned::default(), &Metadata::default(), create).await.unwrap();
    }

    pub(crate) async fn events(&self, order_id: &str) -> Vec<&'static str> {
        let events = self.store.read_stream::<Order>(order_id).await.unwrap();
        events.iter().map(|event| event.decode::<Order>().unwrap()).map(|event: OrderEvent| event.name()).collect()
    }

    pub(crate) async fn eventually_has(&self, order_id: &str, events: &[&str]) {
        testkit::eventually(PATIENCE, || async { self.events(order_id).await == events }).await;
    }

    pub(crate) async fn waiting_rows(&self) -> i64 {
        sqlx::query_scalar("select count(*) from saga_work").fetch_one(self.database.pool()).await.unwrap()
    }

    /// The next request for a mail, taken from the queue.
    pub(crate) async fn request(&self) -> CloudEvent<NotificationRequested> {
        let url = &self.queues.notifications.url;
        for _ in 0..30 {
            let received = self.client.receive_message().queue_url(url).wait_time_seconds(2).send().await.unwrap();
            if let Some(message) = received.messages().first() {
                let receipt = message.receipt_handle().unwrap();
                self.client.delete_message().queue_url(url).receipt_handle(receipt).send().await.unwrap();
                return CloudEvent::parse(message.body().unwrap()).unwrap();
            }
        }
        panic!("no request came");
    }

    pub(crate) async fn requests_waiting(&self) -> u32 {
        messages_in(&self.client, &self.queues.notifications.url).await
    }

    pub(crate) async fn answer<T: MessageContract>(&self, order_id: &str, data: T) {
        let event = CloudEvent::new(order_id, Utc.timestamp_opt(0, 0).unwrap(), data);
        let replies = Producer::new(
            self.client.clone(),
            self.queues.replies.clone(),
            testkit::MESSAGE_KEYS.parse().unwrap(),
            ProducerSettings::default(),
        );
        replies.send(vec![OutgoingMessage::event(&event, 1).unwrap()]).await.remove(0).unwrap();
    }

    pub(crate) async fn stop_saga(&mut self) {
        self.stop.cancel();
        (&mut self.saga).await.unwrap();
    }

    pub(crate) async fn end(mut self) {
        self.stop_saga().await;
        self.store.close().await;
        self.sqs.stop().await;
    }
}

pub(crate) fn answering_within(reply_deadline: Duration) -> SagaSettings {
    SagaSettings { reply_deadline, ..SagaSettings::default() }
}

pub(crate) fn run(
    store: &EventStore,
    client: &Client,
    queues: &Queues,
    settings: SagaSettings,
) -> (CancellationToken, JoinHandle<()>) {
    let stop = CancellationToken::new();
    let saga = SagaDependencies {
        store: store.clone(),
        stock: StreamLocks::new(store.clone(), 100),
        payments: std::sync::Arc::new(FaultyGateway::default()),
        notifications: Producer::new(
            client.clone(),
            queues.notifications.clone(),
            testkit::MESSAGE_KEYS.parse().unwrap(),
            ProducerSettings::default(),
        ),
        replies: Consumer::new(
            client.clone(),
            queues.replies.clone(),
            testkit::MESSAGE_KEYS.parse().unwrap(),
            ConsumerSettings::default(),
        )
        .unwrap(),
        settings,
    };
    (stop.clone(), tokio::spawn(sagas::run(saga, sagas::SagaMetrics::default(), stop)))
}

pub(crate) async fn messages_in(client: &Client, url: &str) -> u32 {
    let name = QueueAttributeName::ApproximateNumberOfMessages;
    let attributes = client.get_queue_attributes().queue_url(url).attribute_names(name.clone()).send().await.unwrap();
    attributes.attributes().unwrap()[&name].parse().unwrap()
}

pub(crate) fn sent(request: &NotificationRequested) -> NotificationSent {
    NotificationSent {
        notification_id: request.notification_id,
        template: request.template,
        recipient: "customer@example.com".into(),
        provider_message_id: "m-1".into(),
    }
}

pub(crate) fn failed(request: &NotificationRequested) -> NotificationFailed {
    NotificationFailed {
        notification_id: request.notification_id,
        template: request.template,
        reason: "no such mailbox".into(),
    }
}

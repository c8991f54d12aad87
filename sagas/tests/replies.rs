//! What comes on the queue of answers that nobody was asked for, against a real database and real queues.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use std::time::Duration;

use aws_sdk_sqs::types::Message;
use chrono::DateTime;
use domain::order::event::OperatorIntervened;
use domain::order::parse::PostedOrder;
use domain::order::saga::{OperatorDecision, SagaStep};
use domain::order::{Order, OrderCommand, OrderEvent, decide};
use domain::stock::Stock;
use embedded::sqs::Sqs;
use event_store::{AppendQueueSettings, EventStore, Metadata, StreamLocks, Versioned};
use messaging::{
    CloudEvent, Consumer, ConsumerSettings, MessageContract, NotificationFailed, NotificationRequested,
    NotificationSent, NotificationTemplate, OutgoingMessage, Producer, ProducerSettings, QueueProvisioningSettings,
    Queues, queues,
};
use sagas::operator::intervene;
use sagas::report::{self, GivenUpMailFilter, SagaState};
use sagas::{SagaDependencies, SagaSettings};
use testkit::{Database, FaultyGateway};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Far longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sagas at work; the test plays notification, and whoever else can write to the queue of answers.
struct Fixture {
    _database: Database,
    store: EventStore,
    sqs: Sqs,
    client: aws_sdk_sqs::Client,
    queues: Queues,
    stop: CancellationToken,
    sagas: JoinHandle<()>,
}

impl Fixture {
    async fn start() -> Self {
        let (database, sqs) = (testkit::database().await, testkit::sqs().await);
        let client = testkit::sqs_client(&sqs.url());
        let queues = queues::ensure(&client, &QueueProvisioningSettings::default()).await.unwrap();
        let store = EventStore::start(database.pool().clone(), AppendQueueSettings::default());
        let stop = CancellationToken::new();
        let sagas = SagaDependencies {
            store: store.clone(),
            stock: StreamLocks::<Stock>::new(store.clone(), 100),
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
            settings: SagaSettings { reply_deadline: Duration::from_secs(3_600), ..SagaSettings::default() },
        };
        let sagas = tokio::spawn(sagas::run(sagas, sagas::SagaMetrics::default(), stop.clone()));
        Self { _database: database, store, sqs, client, queues, stop, sagas }
    }

    /// Takes an order, and the request for its mail from the queue.
    async fn asked(&self, order_id: &str) -> NotificationRequested {
        let content = PostedOrder::parse(testkit::demo_order(order_id).to_string().as_bytes()).unwrap().content;
        let create = |order: &Order| decide(order, OrderCommand::CreateOrder(content.clone()));
        self.store.execute(order_id, Versioned::default(), &Metadata::default(), create).await.unwrap();
        let mut request = Vec::new();
        while request.is_empty() {
            request = self.take(&self.queues.notifications.url).await;
        }
        CloudEvent::parse(request[0].body().unwrap()).unwrap().data
    }

    async fn take(&self, url: &str) -> Vec<Message> {
        let receiving =
            self.client.receive_message().queue_url(url).wait_time_seconds(2).message_attribute_names("All");
        let taken = receiving.max_number_of_messages(10).send().await.unwrap().messages.unwrap_or_default();
        for message in &taken {
            let receipt = message.receipt_handle().unwrap();
            self.client.delete_message().queue_url(url).receipt_handle(receipt).send().await.unwrap();
        }
        taken
    }

    /// Puts bodies on the queue of answers, each in a group of its own.
    async fn answer(&self, bodies: Vec<String>) {
        let outgoing = |body| {
            let id = Uuid::now_v7().to_string();
            OutgoingMessage { group_id: id.clone(), dedup_id: id, body, attributes: Vec::new() }
        };
        let replies = Producer::new(
            self.client.clone(),
            self.queues.replies.clone(),
            testkit::MESSAGE_KEYS.parse().unwrap(),
            ProducerSettings::default(),
        );
        let sent = replies.send(bodies.into_iter().map(outgoing).collect()).await;
        assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    }

    /// Why so many answers are dead letters, once they are, in alphabetical order.
    async fn refused(&self, count: usize) -> Vec<String> {
        let mut reasons = Vec::new();
        while reasons.len() < count {
            let letters = self.take(&self.queues.replies.dead_letter_url).await;
            let reason = |it: &Message| it.message_attributes()?["ordo-error"].string_value().map(str::to_owned);
            reasons.extend(letters.iter().filter_map(reason));
        }
        reasons.sort();
        reasons
    }

    /// The orders of the mails that were given up, for a reason that contains this.
    async fn given_up(&self, error: Option<&str>) -> Vec<String> {
        let filter = GivenUpMailFilter { error, until: None };
        let mails = report::given_up(self.store.pool(), filter, 0, 10).await.unwrap();
        mails.into_iter().map(|mail| mail.order_id).collect()
    }

    async fn decide(&self, order_id: &str, decision: OperatorDecision) {
        let stock = StreamLocks::<Stock>::new(self.store.clone(), 100);
        let (actor, reason, step) = ("ann".to_owned(), "a test".to_owned(), SagaStep::NotifyCustomer);
        let intervention = OperatorIntervened {
            payment_number: None,
            decision,
            step,
            actor,
            reason,
            customer_message: None,
            notification_id: None,
        };
        intervene(&self.store, &stock, order_id, intervention, None).await.unwrap();
    }

    async fn state(&self, order_id: &str) -> SagaState {
        report::read(&self.store, order_id).await.unwrap().unwrap().state
    }

    async fn events(&self, order_id: &str) -> Vec<String> {
        let events = self.store.read_stream::<Order>(order_id).await.unwrap();
        events.into_iter().map(|event| event.event_type).collect()
    }

    async fn eventually_told(&self, order_id: &str) {
        testkit::eventually(PATIENCE, || async {
            self.events(order_id).await.contains(&"NotificationSent".to_owned())
        })
        .await;
    }

    async fn end(self) {
        self.stop.cancel();
        self.sagas.await.unwrap();
        self.store.close().await;
        self.sqs.stop().await;
    }
}

fn sent(request: &NotificationRequested) -> NotificationSent {
    NotificationSent {
        notification_id: request.notification_id,
        template: request.template,
        recipient: "customer@example.com".into(),
        provider_message_id: "m-1".into(),
    }
}

fn failed(request: &NotificationRequested, reason: &str) -> NotificationFailed {
    let NotificationRequested { notification_id, template, .. } = *request;
    NotificationFailed { notification_id, template, reason: reason.into() }
}

fn body<T: MessageContract>(order_id: &str, data: T) -> String {
    CloudEvent::new(order_id, DateTime::UNIX_EPOCH, data).to_json().unwrap()
}

#[tokio::test]
async fn an_answer_that_no_database_could_take_is_a_dead_letter_and_those_beside_it_are_recorded() {
    let saga = Fixture::start().await;
    let (a, b) = (saga.asked("a").await, saga.asked("b").await);

    let no_id = body("\0", sent(&a));
    let no_text = body("a", failed(&a, "half\0half"));
    saga.answer(vec![no_id, no_text, body("a", sent(&a)), body("b", sent(&b))]).await;

    saga.eventually_told("a").await;
    saga.eventually_told("b").await;
    let expected = [
        "the attribute `data` must be without the character U+0000",
        "the attribute `subject` must be a string that is not empty and has no control characters",
    ];
    assert_eq!(saga.refused(2).await, expected);
    assert_eq!(saga.events("a").await.len(), 5);
    saga.end().await;
}

#[tokio::test]
async fn an_answer_about_a_mail_that_the_order_never_asked_for_is_refused() {
    let saga = Fixture::start().await;
    let (a, b) = (saga.asked("a").await, saga.asked("b").await);

    let made_up = NotificationSent { notification_id: Uuid::from_u128(7), ..sent(&a) };
    let of_another_kind = NotificationSent { template: NotificationTemplate::OrderShipped, ..sent(&a) };
    let forged = [made_up, of_another_kind, sent(&b)];
    saga.answer(forged.into_iter().map(|answer| body("a", answer)).collect()).await;

    let mut expected = [
        format!("the order did not ask for a mail order-confirmed {}", Uuid::from_u128(7)),
        format!("the order did not ask for a mail order-shipped {}", a.notification_id),
        format!("the order did not ask for a mail order-confirmed {}", b.notification_id),
    ];
    expected.sort();
    assert_eq!(saga.refused(3).await, expected);
    assert_eq!(saga.events("a").await.len(), 4, "nothing is recorded");

    saga.answer(vec![body("a", sent(&a))]).await;
    saga.eventually_told("a").await;
    saga.end().await;
}

#[tokio::test]
async fn a_mail_that_was_given_up_is_listed_until_somebody_decides_or_it_went_out_after_all() {
    let saga = Fixture::start().await;
    let requests = [saga.asked("late").await, saga.asked("again").await, saga.asked("without").await];
    let gave_up = |nth: usize, reason: &str| body(&requests[nth].order_id, failed(&requests[nth], reason));
    saga.answer(vec![gave_up(0, "no mailbox"), gave_up(1, "no mailbox"), gave_up(2, "not verified")]).await;
    testkit::eventually(PATIENCE, || async { saga.given_up(None).await.len() == 3 }).await;

    assert_eq!(saga.given_up(Some("not verified")).await, ["without"]);
    let groups = report::given_up_groups(saga.store.pool(), GivenUpMailFilter::default()).await.unwrap();
    assert_eq!((groups[0].count, groups[0].reason.as_str(), groups[1].count), (2, "no mailbox", 1));
    assert_eq!(saga.state("late").await, SagaState::Failed);

    saga.answer(vec![body("late", sent(&requests[0]))]).await;
    saga.eventually_told("late").await;
    saga.decide("without", OperatorDecision::Skip).await;
    saga.decide("again", OperatorDecision::Retry { payment_token: None }).await;
    assert_eq!(saga.given_up(None).await, Vec::<String>::new());
    assert_eq!(saga.state("without").await, SagaState::Completed);

    // It is another mail, and can be given up like the first.
    let mut request = Vec::new();
    while request.is_empty() {
        request = saga.take(&saga.queues.notifications.url).await;
    }
    let second: NotificationRequested = CloudEvent::parse(request[0].body().unwrap()).unwrap().data;
    saga.answer(vec![body("again", failed(&second, "still no mailbox"))]).await;
    testkit::eventually(PATIENCE, || async { saga.given_up(None).await == ["again"] }).await;
    saga.end().await;
}

#[tokio::test]
async fn the_late_answer_to_a_mail_that_was_skipped_stands_for_no_other() {
    let saga = Fixture::start().await;
    let request = saga.asked("a").await;
    saga.decide("a", OperatorDecision::Skip).await;
    let skipped = saga.store.read_stream::<Order>("a").await.unwrap().pop().unwrap().decode::<Order>().unwrap();
    let OrderEvent::OperatorIntervened(skipped) = skipped else { panic!("{skipped:?}") };
    assert_eq!(skipped.notification_id, Some(request.notification_id));

    saga.answer(vec![body("a", sent(&request))]).await;
    saga.eventually_told("a").await;
    let Order::Placed(order) = saga.store.load::<Order>("a").await.unwrap().state else { panic!("there is no order") };
    let mails = &order.mails[&domain::order::event::MailTemplate::OrderConfirmed];
    assert_eq!(mails.len(), 1, "{mails:?}");
    assert_eq!(
        (mails[0].notification_id, mails[0].outcome),
        (request.notification_id, domain::order::MailOutcome::Sent)
    );
    saga.end().await;
}

//! What operators see of sagas, and what comes of their decisions, against a real database and real queues.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use std::time::Duration;

use domain::order::event::OperatorIntervened;
use domain::order::parse::PostedOrder;
use domain::order::saga::{OperatorDecision, SagaStep};
use domain::order::{Order, OrderCommand, decide};
use domain::stock::Stock;
use embedded::sqs::Sqs;
use event_store::{AppendQueueSettings, EventStore, Metadata, StreamLocks, Versioned};
use messaging::{
    CloudEvent, Consumer, ConsumerSettings, NotificationFailed, NotificationRequested, OutgoingMessage, Producer,
    ProducerSettings, QueueProvisioningSettings, Queues, queues,
};
use sagas::operator::{InterventionError, intervene};
use sagas::report::{self, OrderSagasReport, SagaEnd, SagaState, StepState, WaitingSagaCursor, WaitingSagaFilter};
use sagas::{SagaDependencies, SagaSettings};
use testkit::{Database, FaultyGateway, PaymentCall, PaymentFault};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Far longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sagas at work with a payment provider that misbehaves, and an operator.
struct Fixture {
    _database: Database,
    store: EventStore,
    stock: StreamLocks<Stock>,
    payments: FaultyGateway,
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
        let (stock, payments) = (StreamLocks::new(store.clone(), 100), FaultyGateway::default());
        let stop = CancellationToken::new();
        let sagas = SagaDependencies {
            store: store.clone(),
            stock: stock.clone(),
            payments: std::sync::Arc::new(payments.clone()),
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
        Self { _database: database, store, stock, payments, sqs, client, queues, stop, sagas }
    }

    async fn take(&self, order_id: &str) {
        let content = PostedOrder::parse(testkit::demo_order(order_id).to_string().as_bytes()).unwrap().content;
        let create = |order: &Order| decide(order, OrderCommand::CreateOrder(content.clone()));
        self.store.execute(order_id, Versioned::default(), &Metadata::default(), create).await.unwrap();
    }

    async fn decide(
        &self,
        id: &str,
        decision: OperatorDecision,
        step: SagaStep,
    ) -> Result<Vec<&'static str>, InterventionError> {
        let (actor, reason) = ("ada".to_owned(), "a test".to_owned());
        let intervention = OperatorIntervened {
            payment_number: None,
            decision,
            step,
            actor,
            reason,
            customer_message: None,
            notification_id: None,
        };
        intervene(&self.store, &self.stock, id, intervention, None).await
    }

    async fn report(&self, order_id: &str) -> OrderSagasReport {
        report::read(&self.store, order_id).await.unwrap().unwrap()
    }

    async fn eventually_at(&self, order_id: &str, step: SagaStep, state: StepState) {
        testkit::eventually(PATIENCE, || async {
            let report = self.report(order_id).await;
            report.waits_for == Some(step) && report.progress(step).unwrap().state == state
        })
        .await;
    }

    /// The next request for a mail, taken from the queue.
    async fn request(&self) -> CloudEvent<NotificationRequested> {
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

    /// Says that a mail can't be sent.
    async fn give_up(&self, order_id: &str, request: &NotificationRequested) {
        let failed = NotificationFailed {
            notification_id: request.notification_id,
            template: request.template,
            reason: "no such mailbox".into(),
        };
        let event = CloudEvent::new(order_id, chrono::DateTime::UNIX_EPOCH, failed);
        let replies = Producer::new(
            self.client.clone(),
            self.queues.replies.clone(),
            testkit::MESSAGE_KEYS.parse().unwrap(),
            ProducerSettings::default(),
        );
        replies.send(vec![OutgoingMessage::event(&event, 1).unwrap()]).await.remove(0).unwrap();
    }

    async fn end(self) {
        self.stop.cancel();
        self.sagas.await.unwrap();
        self.store.close().await;
        self.sqs.stop().await;
    }
}

#[tokio::test]
async fn what_is_stuck_is_listed_counted_by_reason_and_goes_on_when_it_is_retried() {
    let fixture = Fixture::start().await;
    fixture.payments.always(PaymentCall::Authorize, Some(PaymentFault::Refused));
    for order in ["a", "b"] {
        fixture.take(order).await;
        fixture.eventually_at(order, SagaStep::AuthorizePayment, StepState::Stuck).await;
    }

    let pool = fixture.store.pool();
    let stuck = WaitingSagaFilter { stuck: Some(true), error: Some("no such token"), ..WaitingSagaFilter::default() };
    assert_eq!(report::count(pool, WaitingSagaFilter::default()).await.unwrap(), (0, 2));
    let groups = report::groups(pool, stuck).await.unwrap();
    assert_eq!((groups.len(), groups[0].count, groups[0].step.as_str()), (1, 2, "authorize_payment"));
    let first = report::waiting(pool, stuck, None, 1).await.unwrap();
    let second = report::waiting(pool, stuck, first.first().map(WaitingSagaCursor::of).as_ref(), 1).await.unwrap();
    assert_eq!((first[0].order_id.as_str(), second[0].order_id.as_str()), ("a", "b"));
    assert_eq!((first[0].stuck, first[0].attempts, first[0].next_try_at.is_some()), (true, 1, true));
    let others = WaitingSagaFilter { error: Some("something else"), ..WaitingSagaFilter::default() };
    assert!(report::waiting(pool, others, None, 10).await.unwrap().is_empty());
    let others = WaitingSagaFilter { step: Some(SagaStep::VoidPayment), ..WaitingSagaFilter::default() };
    assert!(report::waiting(pool, others, None, 10).await.unwrap().is_empty());

    fixture.payments.always(PaymentCall::Authorize, None);
    let retry = OperatorDecision::Retry { payment_token: None };
    let events = fixture.decide("a", retry, SagaStep::AuthorizePayment).await.unwrap();
    assert_eq!(events, ["OperatorIntervened"]);
    fixture.eventually_at("a", SagaStep::NotifyCustomer, StepState::Waiting).await;
    fixture.eventually_at("b", SagaStep::AuthorizePayment, StepState::Stuck).await;
    fixture.end().await;
}

#[tokio::test]
async fn an_undoing_that_is_stuck_is_done_when_an_operator_says_so_and_the_order_ends() {
    let fixture = Fixture::start().await;
    fixture.payments.always(PaymentCall::Authorize, Some(PaymentFault::Refused));
    fixture.payments.always(PaymentCall::Void, Some(PaymentFault::Declined));
    fixture.take("a").await;
    fixture.eventually_at("a", SagaStep::AuthorizePayment, StepState::Stuck).await;

    fixture.decide("a", OperatorDecision::Compensate, SagaStep::AuthorizePayment).await.unwrap();
    fixture.eventually_at("a", SagaStep::VoidPayment, StepState::Stuck).await;
    // It is so already.
    assert!(fixture.decide("a", OperatorDecision::Compensate, SagaStep::VoidPayment).await.unwrap().is_empty());
    // It may be held, without anybody knowing.
    let skipped = fixture.decide("a", OperatorDecision::Skip, SagaStep::VoidPayment).await;
    assert!(matches!(skipped, Err(InterventionError::Refused(_))), "{skipped:?}");
    let let_go = OperatorDecision::MarkSucceeded { reference: "nothing is held".into() };
    fixture.decide("a", let_go, SagaStep::VoidPayment).await.unwrap();
    fixture.eventually_at("a", SagaStep::NotifyCustomer, StepState::Waiting).await;
    let request = fixture.request().await;
    fixture.give_up("a", &request.data).await;
    testkit::eventually(PATIENCE, || async { fixture.report("a").await.state == SagaState::Failed }).await;

    // Its row is forgotten a moment after its last event.
    testkit::eventually(PATIENCE, || async {
        let ended = report::ended(fixture.store.pool(), SagaEnd::Compensated, 10).await.unwrap();
        ended.iter().map(|it| it.order_id.as_str()).collect::<Vec<_>>() == ["a"]
    })
    .await;
    assert!(report::ended(fixture.store.pool(), SagaEnd::Completed, 10).await.unwrap().is_empty());
    fixture.end().await;
}

#[tokio::test]
async fn a_mail_that_was_given_up_is_sent_again_as_another_when_an_operator_wants_it() {
    let fixture = Fixture::start().await;
    fixture.take("a").await;
    let first = fixture.request().await.data;
    fixture.give_up("a", &first).await;
    testkit::eventually(PATIENCE, || async { fixture.report("a").await.state == SagaState::Failed }).await;
    let progress = fixture.report("a").await.progress(SagaStep::NotifyCustomer).unwrap().clone();
    assert_eq!(progress.state, StepState::Failed);

    fixture.decide("a", OperatorDecision::Retry { payment_token: None }, SagaStep::NotifyCustomer).await.unwrap();
    let second = fixture.request().await.data;
    assert_eq!(first.template, second.template);
    assert_ne!(first.notification_id, second.notification_id);
    fixture.end().await;
}

#[tokio::test]
async fn what_the_order_does_not_allow_is_refused_and_changes_nothing() {
    let fixture = Fixture::start().await;
    let skip = |order| fixture.decide(order, OperatorDecision::Skip, SagaStep::CapturePayment);
    assert!(matches!(skip("a").await, Err(InterventionError::NoSuchOrder(_))));
    assert!(report::read(&fixture.store, "a").await.unwrap().is_none());
    fixture.take("a").await;
    fixture.eventually_at("a", SagaStep::NotifyCustomer, StepState::Waiting).await;
    let before = fixture.store.read_stream::<Order>("a").await.unwrap().len();

    let refused = skip("a").await.unwrap_err();
    assert_eq!(refused.to_string(), "capture_payment is not what the order waits for");
    assert_eq!(fixture.store.read_stream::<Order>("a").await.unwrap().len(), before);
    fixture.end().await;
}

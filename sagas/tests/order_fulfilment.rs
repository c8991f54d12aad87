//! The fulfilment saga against a real database and real queues; the test plays notification.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use chrono::{TimeZone, Utc};
use domain::order::parse::PostedOrder;
use domain::order::{Order, OrderCommand, OrderEvent, decide};
use embedded::sqs::Sqs;
use event_store::{AppendSettings, EventStore, Metadata, StreamLocks, Versioned};
use messaging::{
    CloudEvent, Consumer, ConsumerSettings, Contract, NotificationFailed, NotificationRequested, NotificationSent,
    Outgoing, Producer, ProducerSettings, QueueSettings, Queues, queues,
};
use sagas::{SagaSettings, Sagas};
use testkit::{Database, FaultyGateway};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Far longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// A deadline that no test waits for.
const NEVER: Duration = Duration::from_secs(3_600);

/// A saga at work, and the ends of its queues that notification has.
struct Fixture {
    database: Database,
    store: EventStore,
    sqs: Sqs,
    client: Client,
    queues: Queues,
    stop: CancellationToken,
    saga: JoinHandle<()>,
}

impl Fixture {
    async fn start(answer_deadline: Duration) -> Self {
        Self::with(answering_within(answer_deadline)).await
    }

    async fn with(settings: SagaSettings) -> Self {
        let database = testkit::database().await;
        let sqs = testkit::sqs().await;
        let client = testkit::sqs_client(&sqs.url());
        let queues = queues::ensure(&client, &QueueSettings::default()).await.unwrap();
        let store = EventStore::start(database.pool().clone(), AppendSettings::default());
        let (stop, saga) = run(&store, &client, &queues, settings);
        Self { database, store, sqs, client, queues, stop, saga }
    }

    /// Takes an order as the API does.
    async fn take(&self, order_id: &str) {
        let content = PostedOrder::parse(testkit::demo_order(order_id).to_string().as_bytes()).unwrap().content;
        let create = |order: &Order| decide(order, OrderCommand::CreateOrder(content.clone()));
        self.store.execute(order_id, Versioned::default(), &Metadata::default(), create).await.unwrap();
    }

    async fn events(&self, order_id: &str) -> Vec<&'static str> {
        let events = self.store.read_stream::<Order>(order_id).await.unwrap();
        events.iter().map(|event| event.decode::<Order>().unwrap()).map(|event: OrderEvent| event.name()).collect()
    }

    async fn eventually_has(&self, order_id: &str, events: &[&str]) {
        testkit::eventually(PATIENCE, || async { self.events(order_id).await == events }).await;
    }

    async fn waiting_rows(&self) -> i64 {
        sqlx::query_scalar("select count(*) from saga_work").fetch_one(self.database.pool()).await.unwrap()
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

    async fn requests_waiting(&self) -> u32 {
        messages_in(&self.client, &self.queues.notifications.url).await
    }

    async fn answer<T: Contract>(&self, order_id: &str, data: T) {
        let event = CloudEvent::new(order_id, Utc.timestamp_opt(0, 0).unwrap(), data);
        let replies = Producer::new(self.client.clone(), &self.queues.replies.url, ProducerSettings::default());
        replies.send(vec![Outgoing::event(&event, 1).unwrap()]).await.remove(0).unwrap();
    }

    async fn stop_saga(&mut self) {
        self.stop.cancel();
        (&mut self.saga).await.unwrap();
    }

    async fn end(mut self) {
        self.stop_saga().await;
        self.store.close().await;
        self.sqs.stop().await;
    }
}

fn answering_within(answer_deadline: Duration) -> SagaSettings {
    SagaSettings { answer_deadline, ..SagaSettings::default() }
}

fn run(
    store: &EventStore,
    client: &Client,
    queues: &Queues,
    settings: SagaSettings,
) -> (CancellationToken, JoinHandle<()>) {
    let stop = CancellationToken::new();
    let saga = Sagas {
        store: store.clone(),
        stock: StreamLocks::new(store.clone(), 100),
        payments: std::sync::Arc::new(FaultyGateway::default()),
        notifications: Producer::new(client.clone(), &queues.notifications.url, ProducerSettings::default()),
        answers: Consumer::new(client.clone(), queues.replies.clone(), ConsumerSettings::default()).unwrap(),
        settings,
    };
    (stop.clone(), tokio::spawn(sagas::run(saga, stop)))
}

async fn messages_in(client: &Client, url: &str) -> u32 {
    let name = QueueAttributeName::ApproximateNumberOfMessages;
    let attributes = client.get_queue_attributes().queue_url(url).attribute_names(name.clone()).send().await.unwrap();
    attributes.attributes().unwrap()[&name].parse().unwrap()
}

fn sent(request: &NotificationRequested) -> NotificationSent {
    NotificationSent {
        notification_id: request.notification_id,
        template: request.template,
        recipient: "customer@example.com".into(),
        provider_message_id: "m-1".into(),
    }
}

fn failed(request: &NotificationRequested) -> NotificationFailed {
    NotificationFailed {
        notification_id: request.notification_id,
        template: request.template,
        reason: "no such mailbox".into(),
    }
}

#[tokio::test]
async fn an_order_is_confirmed_its_mail_asked_for_and_the_answer_recorded() {
    let saga = Fixture::start(NEVER).await;
    saga.take("a").await;

    let request = saga.request().await;
    assert_eq!((request.subject.as_str(), request.data.attempt), ("a", 1));
    assert_eq!((request.data.total_amount.as_str(), request.data.lines.len()), ("129.99", 1));
    assert_eq!(saga.events("a").await, ["OrderCreated", "StockReserved", "PaymentAuthorized", "OrderConfirmed"]);
    testkit::eventually(PATIENCE, || async { saga.waiting_rows().await == 1 }).await;

    saga.answer("a", sent(&request.data)).await;
    saga.eventually_has(
        "a",
        &["OrderCreated", "StockReserved", "PaymentAuthorized", "OrderConfirmed", "NotificationSent"],
    )
    .await;
    testkit::eventually(PATIENCE, || async { saga.waiting_rows().await == 0 }).await;
    assert_eq!(saga.requests_waiting().await, 0);
    saga.end().await;
}

#[tokio::test]
async fn a_mail_that_failed_for_good_is_on_the_order_and_so_is_its_late_success() {
    let saga = Fixture::start(NEVER).await;
    saga.take("a").await;
    let request = saga.request().await;

    saga.answer("a", failed(&request.data)).await;
    saga.eventually_has(
        "a",
        &["OrderCreated", "StockReserved", "PaymentAuthorized", "OrderConfirmed", "NotificationFailed"],
    )
    .await;
    saga.answer("a", sent(&request.data)).await;
    saga.eventually_has(
        "a",
        &[
            "OrderCreated",
            "StockReserved",
            "PaymentAuthorized",
            "OrderConfirmed",
            "NotificationFailed",
            "NotificationSent",
        ],
    )
    .await;
    saga.end().await;
}

#[tokio::test]
async fn a_request_that_got_lost_is_sent_again_as_the_same_mail() {
    let saga = Fixture::start(Duration::from_secs(1)).await;
    saga.take("a").await;
    // Taken from the queue and never answered: as good as purged.
    let first = saga.request().await;

    let second = saga.request().await;
    assert_eq!((first.data.attempt, second.data.attempt), (1, 2));
    assert_eq!(first.data.notification_id, second.data.notification_id);
    saga.answer("a", sent(&second.data)).await;
    saga.eventually_has(
        "a",
        &["OrderCreated", "StockReserved", "PaymentAuthorized", "OrderConfirmed", "NotificationSent"],
    )
    .await;
    saga.end().await;
}

#[tokio::test]
async fn everything_done_twice_changes_nothing_the_second_time() {
    let mut saga = Fixture::start(NEVER).await;
    saga.take("a").await;
    let request = saga.request().await;

    // As after a crash between every effect and its record: the log is read from the start again.
    saga.stop_saga().await;
    sqlx::query("delete from subscription_partitions").execute(saga.database.pool()).await.unwrap();
    sqlx::query("delete from saga_work").execute(saga.database.pool()).await.unwrap();
    (saga.stop, saga.saga) = run(&saga.store, &saga.client, &saga.queues, answering_within(NEVER));
    testkit::eventually(PATIENCE, || async { saga.waiting_rows().await == 1 }).await;
    assert_eq!(saga.events("a").await, ["OrderCreated", "StockReserved", "PaymentAuthorized", "OrderConfirmed"]);
    // The request went out again under the same deduplication id, which the queue drops.
    assert_eq!(saga.requests_waiting().await, 0);

    saga.answer("a", sent(&request.data)).await;
    saga.answer("a", sent(&request.data)).await;
    saga.eventually_has(
        "a",
        &["OrderCreated", "StockReserved", "PaymentAuthorized", "OrderConfirmed", "NotificationSent"],
    )
    .await;
    testkit::eventually(PATIENCE, || async { messages_in(&saga.client, &saga.queues.replies.url).await == 0 }).await;
    assert_eq!(saga.events("a").await.len(), 5);
    saga.end().await;
}

#[tokio::test]
async fn while_the_queue_is_away_orders_are_confirmed_and_their_mails_asked_for_later() {
    let mut saga = Fixture::start(NEVER).await;
    let address = saga.sqs.url().trim_start_matches("http://").parse().unwrap();
    let sqs = std::mem::replace(&mut saga.sqs, testkit::sqs().await);
    sqs.stop().await;
    saga.take("a").await;

    saga.eventually_has("a", &["OrderCreated", "StockReserved", "PaymentAuthorized", "OrderConfirmed"]).await;
    let reason = "select last_error from saga_work where order_id = 'a' and failures > 0";
    testkit::eventually(PATIENCE, || async {
        sqlx::query_scalar::<_, String>(reason).fetch_optional(saga.database.pool()).await.unwrap().is_some()
    })
    .await;

    saga.sqs = Sqs::start(address).await.unwrap();
    queues::ensure(&saga.client, &QueueSettings::default()).await.unwrap();
    let request = saga.request().await;
    assert_eq!(request.data.attempt, 1);
    saga.end().await;
}

#[tokio::test]
async fn a_queue_that_is_away_for_longer_than_a_step_may_take_leaves_no_mail_stuck() {
    let patience = SagaSettings { answer_deadline: NEVER, step_deadline: Duration::ZERO, ..SagaSettings::default() };
    let mut saga = Fixture::with(patience).await;
    let address = saga.sqs.url().trim_start_matches("http://").parse().unwrap();
    let sqs = std::mem::replace(&mut saga.sqs, testkit::sqs().await);
    sqs.stop().await;
    saga.take("a").await;

    // It has failed again after its deadline, and is tried all the same.
    let hurry = "update saga_work set due_at = now() where due_at > now() and not stuck
                    and (saga, order_id) in (select saga, order_id from saga_work for update skip locked)";
    testkit::eventually(PATIENCE, || async {
        sqlx::query(hurry).execute(saga.database.pool()).await.unwrap();
        let failures = "select coalesce(max(failures), 0)::bigint from saga_work where step = 'notify_customer'";
        sqlx::query_scalar::<_, i64>(failures).fetch_one(saga.database.pool()).await.unwrap() >= 3
    })
    .await;

    saga.sqs = Sqs::start(address).await.unwrap();
    queues::ensure(&saga.client, &QueueSettings::default()).await.unwrap();
    assert_eq!(saga.request().await.data.attempt, 1);
    saga.end().await;
}

#[tokio::test]
async fn a_mail_that_nobody_ever_answers_is_given_up_and_says_so() {
    let saga = Fixture::start(NEVER).await;
    saga.take("a").await;
    saga.request().await;
    testkit::eventually(PATIENCE, || async { saga.waiting_rows().await == 1 }).await;

    // As if an hour and a half of requests had passed.
    sqlx::query("update saga_work set sent = 14, due_at = now()").execute(saga.database.pool()).await.unwrap();
    saga.eventually_has(
        "a",
        &["OrderCreated", "StockReserved", "PaymentAuthorized", "OrderConfirmed", "NotificationFailed"],
    )
    .await;
    let events = saga.store.read_stream::<Order>("a").await.unwrap();
    let OrderEvent::NotificationFailed(failed) = events[4].decode::<Order>().unwrap() else { panic!("not failed") };
    assert_eq!(failed.reason, "no answer to 14 requests");
    testkit::eventually(PATIENCE, || async { saga.waiting_rows().await == 0 }).await;
    saga.end().await;
}

#[tokio::test]
async fn an_answer_about_no_order_ends_in_the_dead_letter_queue() {
    let saga = Fixture::start(NEVER).await;
    saga.take("a").await;
    let request = saga.request().await;
    saga.answer("b", sent(&request.data)).await;
    let dead = &saga.queues.replies.dead_letter_url;
    testkit::eventually(PATIENCE, || async { messages_in(&saga.client, dead).await == 1 }).await;
    assert_eq!(saga.events("b").await.len(), 0);
    saga.end().await;
}

#[tokio::test]
async fn an_order_of_five_hundred_long_lines_still_fits_a_message() {
    let saga = Fixture::start(NEVER).await;
    let line = serde_json::json!({ "sku": "s", "title": "\"".repeat(220), "quantity": 1, "unitPrice": 1 });
    let mut order = testkit::demo_order("a");
    order["items"] = vec![line; 500].into();
    order["totalAmount"] = 500.into();
    let content = PostedOrder::parse(order.to_string().as_bytes()).unwrap().content;
    let create = |order: &Order| decide(order, OrderCommand::CreateOrder(content.clone()));
    saga.store.execute("a", Versioned::default(), &Metadata::default(), create).await.unwrap();

    let request = saga.request().await.data;
    assert!(request.omitted_lines > 0);
    assert_eq!(request.lines.len() + usize::try_from(request.omitted_lines).unwrap(), 500);
    saga.end().await;
}

#[tokio::test]
async fn a_queue_that_says_nothing_does_not_hold_up_orders() {
    let mut saga = Fixture::start(NEVER).await;
    saga.stop_saga().await;
    // It takes every connection and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let accepting = tokio::spawn(async move {
        let mut connections = Vec::new();
        while let Ok((connection, _)) = silent.accept().await {
            connections.push(connection);
        }
    });
    let client = testkit::sqs_client(&format!("http://{address}"));
    (saga.stop, saga.saga) = run(&saga.store, &client, &saga.queues, answering_within(NEVER));
    saga.take("a").await;
    saga.eventually_has("a", &["OrderCreated", "StockReserved", "PaymentAuthorized", "OrderConfirmed"]).await;
    saga.take("b").await;

    saga.eventually_has("b", &["OrderCreated", "StockReserved", "PaymentAuthorized", "OrderConfirmed"]).await;
    let noted = "select count(*) from saga_work where failures > 0 and last_error is not null";
    testkit::eventually(PATIENCE, || async {
        sqlx::query_scalar::<_, i64>(noted).fetch_one(saga.database.pool()).await.unwrap() == 2
    })
    .await;
    saga.end().await;
    accepting.abort();
}

#[tokio::test]
async fn a_row_is_not_locked_while_a_queue_is_asked() {
    let mut saga = Fixture::start(NEVER).await;
    saga.take("a").await;
    saga.request().await;
    saga.stop_saga().await;
    let pool = saga.database.pool();
    sqlx::query("update saga_work set sent = 0, due_at = now()").execute(pool).await.unwrap();
    // It takes a connection, says that it was asked, and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let (asks, asked) = tokio::sync::oneshot::channel();
    let accepting = tokio::spawn(async move {
        let (mut asks, mut connections) = (Some(asks), Vec::new());
        while let Ok((mut connection, _)) = silent.accept().await {
            let heard = tokio::io::AsyncReadExt::read_u8(&mut connection).await;
            heard.unwrap();
            // The consumer of the answers asks for some, the producer sends.
            connections.push(connection);
            if let Some(asks) = (connections.len() == 2).then(|| asks.take()).flatten() {
                let _ = asks.send(());
            }
        }
    });
    let client = testkit::sqs_client(&format!("http://{address}"));
    (saga.stop, saga.saga) = run(&saga.store, &client, &saga.queues, answering_within(NEVER));
    tokio::time::timeout(PATIENCE, asked).await.unwrap().unwrap();

    let row = "select step from saga_work where order_id = 'a' for update nowait";
    assert_eq!(sqlx::query_scalar::<_, String>(row).fetch_one(pool).await.unwrap(), "notify_customer");
    saga.end().await;
    accepting.abort();
}

#[tokio::test]
async fn a_request_that_still_waits_in_the_queue_is_not_made_again_and_one_that_is_lost_is() {
    let saga = Fixture::start(Duration::from_secs(1)).await;
    saga.take("queued").await;
    testkit::eventually(PATIENCE, || async { saga.requests_waiting().await == 1 }).await;
    let pool = saga.database.pool();
    let looked_at =
        "select count(*) from saga_work where order_id = 'queued' and due_at - since > interval '3 seconds'";
    testkit::eventually(PATIENCE, || async {
        sqlx::query_scalar::<_, i64>(looked_at).fetch_one(pool).await.unwrap() == 1
    })
    .await;
    assert_eq!(saga.requests_waiting().await, 1, "its deadline has passed again and again");

    let first = saga.request().await;
    let second = saga.request().await;
    assert_eq!((first.data.attempt, second.data.attempt), (1, 2));
    assert_eq!(first.data.notification_id, second.data.notification_id);
    saga.end().await;
}

#[tokio::test]
async fn of_many_requests_those_that_the_queue_does_not_have_are_made_again() {
    let saga = Fixture::start(NEVER).await;
    saga.take("lost").await;
    assert_eq!(saga.request().await.data.order_id, "lost");
    let pool = saga.database.pool();
    let ids: Vec<String> = (0..5).map(|n| format!("queued-{n}")).collect();
    for id in &ids {
        saga.take(id).await;
    }
    testkit::eventually(PATIENCE, || async { saga.requests_waiting().await == 5 && saga.waiting_rows().await == 6 })
        .await;
    sqlx::query("update saga_work set due_at = now()").execute(pool).await.unwrap();

    testkit::eventually(PATIENCE, || async { saga.requests_waiting().await == 6 }).await;
    let not_due = "select count(*) from saga_work where due_at > now()";
    testkit::eventually(PATIENCE, || async {
        sqlx::query_scalar::<_, i64>(not_due).fetch_one(pool).await.unwrap() == 6
    })
    .await;
    let again: Vec<String> =
        sqlx::query_scalar("select order_id from saga_work where sent = 2").fetch_all(pool).await.unwrap();
    assert_eq!((again, saga.requests_waiting().await), (vec!["lost".to_owned()], 6));
    saga.end().await;
}

#[tokio::test]
async fn one_order_that_cannot_be_read_does_not_hold_up_the_deadlines_of_others() {
    let saga = Fixture::start(NEVER).await;
    saga.take("a").await;
    saga.request().await;
    testkit::eventually(PATIENCE, || async { saga.waiting_rows().await == 1 }).await;
    let pool = saga.database.pool();
    // The subscription stops at it; what is due goes on.
    sqlx::query(
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
         values ('order', 'strange', 1, 'OrderTeleported', '1.0', '{\"OrderTeleported\":{}}', '{}')",
    )
    .execute(pool)
    .await
    .unwrap();
    sqlx::query(
        "insert into saga_work (saga, order_id, step, due_at)
         select 'order_fulfilment', id, 'notify_customer', now() - interval '1 day' from unnest(array['strange', 'gone']) as id",
    )
    .execute(pool)
    .await
    .unwrap();
    sqlx::query("update saga_work set due_at = now() where order_id = 'a'").execute(pool).await.unwrap();

    assert_eq!(saga.request().await.data.attempt, 2);
    let noted = "select last_error from saga_work where order_id = 'strange' and failures > 0";
    testkit::eventually(PATIENCE, || async {
        let error: Option<String> = sqlx::query_scalar(noted).fetch_optional(pool).await.unwrap();
        error.is_some_and(|error| error.contains("OrderTeleported"))
    })
    .await;
    // Of the order that is not there nothing is left.
    testkit::eventually(PATIENCE, || async { saga.waiting_rows().await == 2 }).await;
    saga.end().await;
}

use event_store::{AppendQueueSettings, EventStore, StreamLocks};
use messaging::{Producer, ProducerSettings, Queue};
use testkit::FaultyGateway;

use super::*;
use crate::mail_requests::MailQueueMonitor;
use crate::payment_calls::PaymentCalls;
use crate::{SagaMetrics, SagaSettings};

/// What steps work with, of which requests go out so.
pub(crate) fn context(store: EventStore, notifications: Producer) -> SagaContext {
    SagaContext {
        stock: StreamLocks::new(store.clone(), 10),
        payments: PaymentCalls::new(Arc::new(FaultyGateway::default())),
        mail_requests: MailQueueMonitor::new(notifications.depth(), notifications.depth()),
        notifications,
        settings: SagaSettings::default(),
        metrics: SagaMetrics::default(),
        store,
    }
}

/// Sends requests to a queue of the server there.
pub(crate) fn requests_to(server: &str, settings: ProducerSettings) -> Producer {
    let url = |name: &str| format!("{server}/000000000000/{name}");
    let queue = Queue { name: "q.fifo".into(), url: url("q.fifo"), dead_letter_url: url("q-dlq.fifo") };
    Producer::new(testkit::sqs_client(server), queue, testkit::MESSAGE_KEYS.parse().unwrap(), settings)
}

#[tokio::test]
async fn mails_that_wait_for_their_queue_keep_nothing_else_waiting() {
    let database = testkit::database().await;
    let store = EventStore::start(database.pool().clone(), AppendQueueSettings::default());
    let notifications = requests_to("http://127.0.0.1:9", ProducerSettings::default());
    let context = context(store, notifications);
    // A batch of mails is due for longer than what is about money.
    let rows = "insert into saga_work (saga, order_id, step, due_at)
                select saga, step || n, step, now() - age
                  from unnest(array['order_fulfilment', 'order_refunds']) as saga, generate_series(1, 120) as n,
                       (values ('notify_customer', interval '1 hour'), ('capture_payment', interval '1 minute')) as due(step, age)
                 where step = 'notify_customer' or n = 1";
    sqlx::query(rows).execute(database.pool()).await.unwrap();
    let (lanes, mut batches) = (lanes(), JoinSet::new());
    for lane in lanes.iter().filter(|lane| lane.steps == TimerKind::Mails) {
        lane.places.forget_permits(BATCHES);
    }

    let runner = TimerRunner { context: Arc::new(context), stop: CancellationToken::new() };
    assert_eq!(runner.poll_due(&lanes, TimerPriority::Oldest, &mut batches).await.unwrap(), 2);
    while batches.join_next().await.is_some() {}

    // There are no such orders: what was looked at has ended.
    let left: Vec<(String, i64)> =
        sqlx::query_as("select step, count(*) from saga_work group by step").fetch_all(database.pool()).await.unwrap();
    assert_eq!(left, [("notify_customer".to_owned(), 240)]);
}

#[tokio::test]
async fn while_their_queue_is_silent_mails_that_are_due_are_not_looked_at() {
    let database = testkit::database().await;
    let store = EventStore::start(database.pool().clone(), AppendQueueSettings::default());
    let notifications = requests_to("http://127.0.0.1:9", ProducerSettings::default());
    let runner = TimerRunner { context: Arc::new(context(store, notifications)), stop: CancellationToken::new() };
    let rows = "insert into saga_work (saga, order_id, step, due_at)
                select 'order_fulfilment', step, step, now() from unnest(array['notify_customer', 'capture_payment']) as step";
    sqlx::query(rows).execute(database.pool()).await.unwrap();
    runner.context.mail_requests.had_no_answer();

    let mut batches = JoinSet::new();
    assert_eq!(runner.poll_due(&lanes(), TimerPriority::Oldest, &mut batches).await.unwrap(), 1);
    while batches.join_next().await.is_some() {}

    let left: Vec<String> = sqlx::query_scalar("select step from saga_work").fetch_all(database.pool()).await.unwrap();
    assert_eq!(left, ["notify_customer"]);
}

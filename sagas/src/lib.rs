//! Sagas carry an order through several steps, each with its undo, and end: done, undone, or visibly stuck.
//!
//! The order's own stream is the saga's log. The next step is a pure function of the folded order ([`Saga::next`]), and a step's outcome
//! is an event on the order. So a saga can be stopped anywhere, even by a crash, and goes on from the events. Only its timers are kept
//! beside them, in `saga_work`.
//!
//! - `order_fulfilment`, `order_edits`, `order_refunds`: the step tables. A new step is one row there and one file beside the others.
//! - `saga`: what a step table is, and which step is next. `outcome`: what a step came to.
//!   `provider_call`: what a step asks the payment provider.
//! - `executor`: carries orders through the steps, those that are at the same step together. `payment_calls` calls the provider for them,
//!   `mail_requests` sends their requests.
//! - `order_session`: an order loaded for deciding. `unit_of_work`: stores decisions, with the stock commands that they imply;
//!   `stock_ledger`: the stock that it locks. `batched_reads`: loads many orders.
//! - `subscriber` runs the executor after an event, `timer_runner` when one of the `timers` is due. `reply_consumer` records the replies
//!   that arrive over SQS.
//! - [`mail_request`] makes the request for a mail without sending it.
//! - [`report`] shows how far an order's sagas are, [`operator`] records the decisions of operators about sagas that are stuck, and
//!   [`SagaMetrics`] counts these sagas.

mod batched_reads;
mod executor;
mod mail_preview;
mod mail_requests;
mod metrics;
mod notify_customer;
pub mod operator;
mod order_edits;
mod order_fulfilment;
mod order_refunds;
mod order_session;
mod outcome;
mod payment_calls;
mod payment_keys;
mod provider_call;
mod reply_consumer;
pub mod report;
mod routes;
mod saga;
mod stock_ledger;
mod subscriber;
mod timer_runner;
mod timers;
mod unit_of_work;

use std::sync::Arc;
use std::time::Duration;

use domain::ids::LocationId;
use domain::stock::Stock;
use event_store::{EventStore, StreamLocks};
use messaging::{Consumer, MessageFailureCounts, Producer};
use payments::PaymentGateway;
use tokio_util::sync::CancellationToken;

pub use mail_preview::{MailRequestError, mail_request};
pub use mail_requests::mail_lag;
pub use metrics::SagaMetrics;
pub use notify_customer::{AwaitedByMails, DocumentUrl};
pub use routes::{description, read_report, read_waiting, routes};
pub use saga::{NextStep, Saga, Step, StepKind, StepUndo};

/// The sagas of an order, in the order in which they are shown.
pub static SAGAS: [&Saga; 3] = [&order_fulfilment::SAGA, &order_edits::SAGA, &order_refunds::SAGA];

/// What the sagas work with.
pub struct SagaDependencies {
    pub store: EventStore,
    /// The stock of all SKUs.
    pub stock: StreamLocks<Stock>,
    /// The payment provider.
    pub payments: Arc<dyn PaymentGateway>,
    /// The queue of requests to notification.
    pub notifications: Producer,
    /// The queue of its replies.
    pub replies: Consumer,
    pub settings: SagaSettings,
}

/// The deadlines of the sagas, what they go by, and whom they tell.
#[derive(Debug, Clone)]
pub struct SagaSettings {
    /// How long a step waits for notification's reply before it sends its request again. It doubles with each request.
    pub reply_deadline: Duration,
    /// How long units are reserved for an order that is not confirmed.
    pub reservation_hold: Duration,
    /// The locations that orders are served from, if there is a choice: the first is preferred.
    pub locations: Arc<[LocationId]>,
    /// How long a step is tried before it is stuck and an operator has to decide.
    pub step_deadline: Duration,
    /// How long a payment call may take, with some margin. After that the step is tried again.
    pub payment_call_timeout: Duration,
    /// Whether the shop's staff get a mail about each order that is confirmed.
    pub mail_staff: bool,
    /// What mails wait for.
    pub awaited_by_mails: AwaitedByMails,
    /// The shop's page of a document. `None`: mails link to none.
    pub document_url: Option<DocumentUrl>,
}

impl Default for SagaSettings {
    fn default() -> Self {
        Self {
            reply_deadline: Duration::from_secs(15),
            reservation_hold: Duration::from_secs(1_800),
            locations: Arc::default(),
            step_deadline: Duration::from_secs(600),
            payment_call_timeout: Duration::from_secs(5),
            mail_staff: false,
            awaited_by_mails: AwaitedByMails::default(),
            document_url: None,
        }
    }
}

/// What the executor works with: the dependencies, made ready.
pub(crate) struct SagaContext {
    pub(crate) store: EventStore,
    pub(crate) stock: StreamLocks<Stock>,
    pub(crate) payments: payment_calls::PaymentCalls,
    pub(crate) notifications: Producer,
    pub(crate) mail_requests: mail_requests::MailQueueMonitor,
    pub(crate) settings: SagaSettings,
    pub(crate) metrics: SagaMetrics,
}

/// Runs the sagas until told to stop.
pub async fn run(sagas: SagaDependencies, metrics: SagaMetrics, stop: CancellationToken) {
    let SagaDependencies { store, stock, payments, notifications, replies, settings } = sagas;
    // Decisions of sagas wait for room in the queue of appends, however many commands of customers are there. Those that hold the locks
    // of SKUs do not: they are refused while it is full, and tried again.
    let store = store.waiting_when_full();
    let payments = payment_calls::PaymentCalls::new(payments);
    let consumer = reply_consumer::ReplyConsumer::start(store.clone(), stock.clone(), metrics.clone());
    let mail_requests = mail_requests::MailQueueMonitor::new(notifications.depth(), replies.depth());
    let context =
        SagaContext { store: store.clone(), stock, payments, notifications, mail_requests, settings, metrics };
    let context = Arc::new(context);
    tokio::join!(
        store.subscribe(subscriber::SagaSubscriber::new(Arc::clone(&context)), stop.clone()),
        timer_runner::run_timers(context, stop.clone()),
        replies.run(consumer, MessageFailureCounts::new(store.pool().clone()), stop.clone()),
    );
}

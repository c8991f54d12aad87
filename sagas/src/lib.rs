//! Sagas carry an order through several steps, each with its undo, and end: done, undone, or visibly stuck.
//!
//! The order's own stream is the saga's log. What to do next is a pure function of the folded order ([`Saga::next`]); a step's
//! outcome is an event on the order. So a saga can be stopped anywhere, by a crash too, and goes on from the events. Only when
//! to look again is kept beside them, in `saga_work`.
//!
//! - [`order_fulfilment`], [`order_refunds`]: the step tables. A new step is one row there and one file beside the others.
//! - `saga`: what a step table is, and what is next in it.
//! - `case`: an order in work, and what was decided on it; `shelf` stores that, with the units that it is about. `unread` reads
//!   many of them.
//! - `drive` carries orders on: after an event (`runner`), and when `work` says to look again (`due`). `answers` takes what comes back
//!   over SQS; `requests` says what is still on its way there.
//! - [`report`] says how far an order's sagas are, [`operate`] is for those who look after sagas that are stuck, and [`Metrics`]
//!   tells them that there are some.

mod answers;
mod case;
mod drive;
mod due;
mod metrics;
mod notify_customer;
pub mod operate;
pub mod order_fulfilment;
pub mod order_refunds;
mod payment;
pub mod report;
mod requests;
mod routes;
mod runner;
mod saga;
mod shelf;
mod unread;
mod work;

use std::sync::Arc;
use std::time::Duration;

use domain::stock::Stock;
use event_store::{EventStore, StreamLocks};
use messaging::{Consumer, Failures, Producer};
use payments::PaymentGateway;
use tokio_util::sync::CancellationToken;

pub use metrics::Metrics;
pub use requests::mail_lag;
pub use routes::routes;
pub use saga::{Kind, Next, Saga, Step, Undo};

/// The sagas of an order, in the order in which they are asked what is to be done.
pub static SAGAS: [&Saga; 2] = [&order_fulfilment::SAGA, &order_refunds::SAGA];

/// What the sagas work with.
pub struct Sagas {
    /// The log, and where steps record what they did.
    pub store: EventStore,
    /// Who decides about units.
    pub stock: StreamLocks<Stock>,
    /// Whom money is asked of.
    pub payments: Arc<dyn PaymentGateway>,
    /// Where requests for mails go.
    pub notifications: Producer,
    /// Where their answers come from.
    pub answers: Consumer,
    /// How patient they are.
    pub settings: SagaSettings,
}

/// How patient sagas are.
#[derive(Debug, Clone, Copy)]
pub struct SagaSettings {
    /// How long a step waits for an answer from notification before it asks again; doubled with each time.
    pub answer_deadline: Duration,
    /// How long units are set aside for an order that is not confirmed.
    pub reservation_hold: Duration,
    /// How long a step is tried before it is stuck and an operator has to look.
    pub step_deadline: Duration,
    /// How long a payment call may take, with some margin: after that the answer is asked for.
    pub payment_patience: Duration,
}

impl Default for SagaSettings {
    fn default() -> Self {
        Self {
            answer_deadline: Duration::from_secs(15),
            reservation_hold: Duration::from_secs(1_800),
            step_deadline: Duration::from_secs(600),
            payment_patience: Duration::from_secs(5),
        }
    }
}

/// What a step may use.
pub(crate) struct Context {
    pub(crate) store: EventStore,
    pub(crate) stock: StreamLocks<Stock>,
    pub(crate) payments: payment::Payments,
    pub(crate) notifications: Producer,
    pub(crate) requests: requests::Requests,
    pub(crate) settings: SagaSettings,
    pub(crate) metrics: Metrics,
}

/// Runs the sagas until told to stop.
pub async fn run(sagas: Sagas, stop: CancellationToken) {
    run_measured(sagas, Metrics::default(), stop).await;
}

/// [`run`], counting what happens.
pub async fn run_measured(sagas: Sagas, metrics: Metrics, stop: CancellationToken) {
    let Sagas { store, stock, payments, notifications, answers, settings } = sagas;
    // What was decided is waited for, however many commands of customers are queued.
    let store = store.waiting_when_full();
    let payments = payment::Payments::new(payments);
    let handler = answers::Answers::start(store.clone(), stock.clone(), metrics.clone());
    let requests = requests::Requests::new(notifications.depth(), answers.depth());
    let context = Context { store: store.clone(), stock, payments, notifications, requests, settings, metrics };
    let context = Arc::new(context);
    tokio::join!(
        store.subscribe(runner::Runner::new(Arc::clone(&context)), stop.clone()),
        due::look_again(context, stop.clone()),
        answers.run(handler, Failures::kept_in(store.pool().clone()), stop.clone()),
    );
}

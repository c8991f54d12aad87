//! Sagas carry an order through several steps, each with its undo, and end: done, undone, or visibly stuck.
//!
//! The order's own stream is the saga's log. What to do next is a pure function of the folded order
//! ([`order_fulfilment::next_step`]); a step's outcome is an event on the order. So a saga can be stopped anywhere, by
//! a crash too, and goes on from the events. Only when to look again is kept beside them, in `saga_work`.
//!
//! - [`order_fulfilment`]: the steps, in order. A new step is one row there and one file beside the others.
//! - `runner` does what is due: after an event, and when `work` says to look again. `answers` takes what comes back over SQS.

mod answers;
pub mod order_fulfilment;
mod runner;
mod work;

use std::time::Duration;

use event_store::EventStore;
use messaging::{Consumer, Producer};
use tokio_util::sync::CancellationToken;

/// What the sagas work with.
pub struct Sagas {
    /// The log, and where steps record what they did.
    pub store: EventStore,
    /// Where requests for mails go.
    pub notifications: Producer,
    /// Where their answers come from.
    pub answers: Consumer,
    /// How long a step waits for an answer before it asks again; doubled with each time.
    pub answer_deadline: Duration,
}

/// What a step may use.
pub(crate) struct Context {
    pub(crate) store: EventStore,
    pub(crate) notifications: Producer,
    pub(crate) answer_deadline: Duration,
}

/// Runs the sagas until told to stop.
pub async fn run(sagas: Sagas, stop: CancellationToken) {
    let Sagas { store, notifications, answers, answer_deadline } = sagas;
    let runner = runner::Runner::new(Context { store: store.clone(), notifications, answer_deadline });
    let handler = answers::Answers::new(store.clone());
    tokio::join!(
        store.subscribe(runner.clone(), stop.clone()),
        runner.look_again(stop.clone()),
        answers.run(handler, stop.clone()),
    );
}

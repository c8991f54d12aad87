//! `ordo saga`: how far the sagas of orders are, where they are stuck, and what an operator decides about it.
//!
//! A decision is an event on the order, with who and why. The sagas carry it out wherever they run; this needs the database alone.

mod args;
mod decide;
mod list;
mod retry_stuck;
mod show;
mod words;

use domain::order::event::OperatorIntervened;
use domain::order::saga::{OperatorDecision, SagaStep};
use domain::stock::Stock;
use event_store::{AppendSettings, EventStore, StreamLocks};
use sagas::operator::{InterventionError, intervene};

use crate::settings::Settings;
use crate::{connections, migrate};

pub(crate) use show::step_lines;

pub use args::{About, Ending, Input, List, Retry, Saga, Why};

/// How many SKUs are remembered folded: a decision touches those of an order.
const SKUS_REMEMBERED: usize = 1_000;

/// Does what was asked for, on the database in the settings.
pub async fn run(settings: &Settings, args: Saga) -> anyhow::Result<()> {
    let pool = connections::database(settings).await?;
    migrate::check(&pool).await?;
    let store = EventStore::start(pool, AppendSettings::default());
    let desk = Desk { stock: StreamLocks::new(store.clone(), SKUS_REMEMBERED), store };
    let done = answer(&desk, args).await;
    desk.store.close().await;
    done
}

async fn answer(desk: &Desk, args: Saga) -> anyhow::Result<()> {
    match args {
        Saga::List(args) => list::run(desk.store.pool(), &args).await,
        Saga::Show { order, json } => show::run(&desk.store, &order, json).await,
        Saga::Retry(Retry { order: Some(order), input, step, why, .. }) => {
            let decision = OperatorDecision::Retry { payment_token: input.map(|input| input.payment_token) };
            decide::run(desk, decision, About { order, step, why }, None).await
        }
        Saga::Retry(args) => retry_stuck::run(desk, &args).await,
        Saga::Skip(about) => decide::run(desk, OperatorDecision::Skip, about, None).await,
        Saga::Compensate(Ending { about, customer_message, yes }) => {
            decide::confirm(desk, &about.order, yes).await?;
            decide::run(desk, OperatorDecision::Compensate, about, customer_message).await
        }
        Saga::MarkSucceeded { reference, about } => {
            decide::run(desk, OperatorDecision::MarkSucceeded { reference }, about, None).await
        }
        Saga::MarkFailed(Ending { about, customer_message, yes }) => {
            decide::confirm(desk, &about.order, yes).await?;
            decide::run(desk, OperatorDecision::MarkFailed, about, customer_message).await
        }
    }
}

/// Where decisions are made.
struct Desk {
    store: EventStore,
    stock: StreamLocks<Stock>,
}

impl Desk {
    /// Has a decision recorded, and says which events came of it.
    async fn decide(
        &self,
        order: &str,
        step: SagaStep,
        decision: OperatorDecision,
        why: &Why,
        customer_message: Option<String>,
    ) -> Result<Vec<&'static str>, InterventionError> {
        let (actor, reason) = (why.actor(), why.reason.clone());
        let intervention =
            OperatorIntervened { decision, step, actor, reason, customer_message, notification_id: None };
        intervene(&self.store, &self.stock, order, intervention).await
    }
}

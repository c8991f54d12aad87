//! `ordo saga`: the state of the sagas, and the decisions of operators.
//!
//! A decision is an event on the order with the operator and the reason. The sagas carry it out wherever they run; the command needs
//! the database only.

mod args;
mod bulk_retry;
mod decide;
mod list;
mod render;
mod show;

use domain::order::event::OperatorIntervened;
use domain::order::saga::{OperatorDecision, SagaStep};
use domain::stock::Stock;
use event_store::{AppendQueueSettings, EventStore, StreamLocks};
use sagas::operator::{InterventionError, ManualRefundName, intervene};

use crate::settings::Settings;
use crate::{connections, migrate};

pub(crate) use show::step_lines;

pub(crate) use args::{EndOrderArgs, JustificationArgs, SagaCliCommand, SagaListArgs, SagaRetryArgs, StepDecisionArgs};

/// How many folded SKUs are cached: a decision needs those of one order.
const SKUS_REMEMBERED: usize = 1_000;

pub(crate) async fn run(settings: &Settings, args: SagaCliCommand) -> anyhow::Result<()> {
    let pool = connections::database(settings).await?;
    migrate::check(&pool).await?;
    let store = EventStore::start(pool, AppendQueueSettings::default());
    let operator = SagaOperator { stock: StreamLocks::new(store.clone(), SKUS_REMEMBERED), store };
    let done = answer(&operator, args).await;
    operator.store.close().await;
    done
}

async fn answer(operator: &SagaOperator, args: SagaCliCommand) -> anyhow::Result<()> {
    match args {
        SagaCliCommand::List(args) => list::run(operator.store.pool(), &args).await,
        SagaCliCommand::Show { order, json } => show::run(&operator.store, &order, json).await,
        SagaCliCommand::Retry(SagaRetryArgs { order: Some(order), input, step, payment, why, .. }) => {
            let decision = OperatorDecision::Retry { payment_token: input.map(|input| input.payment_token) };
            let target = StepDecisionArgs { order, step, payment, refund: None, rest: false, why };
            decide::run(operator, decision, target, None).await
        }
        SagaCliCommand::Retry(args) => bulk_retry::run(operator, &args).await,
        SagaCliCommand::Skip(target) => decide::run(operator, OperatorDecision::Skip, target, None).await,
        SagaCliCommand::Compensate(EndOrderArgs { target, customer_message, yes }) => {
            decide::confirm(operator, &target, yes).await?;
            decide::run(operator, OperatorDecision::Compensate, target, customer_message).await
        }
        SagaCliCommand::MarkSucceeded { reference, target } => {
            decide::run(operator, OperatorDecision::MarkSucceeded { reference }, target, None).await
        }
        SagaCliCommand::MarkFailed(EndOrderArgs { target, customer_message, yes }) => {
            decide::confirm(operator, &target, yes).await?;
            decide::run(operator, OperatorDecision::MarkFailed, target, customer_message).await
        }
    }
}

/// Records the decisions of operators.
struct SagaOperator {
    store: EventStore,
    stock: StreamLocks<Stock>,
}

impl SagaOperator {
    /// Records a decision, and returns the names of the events.
    async fn decide(
        &self,
        order: &str,
        (step, payment_number, named): (SagaStep, Option<u32>, Option<ManualRefundName>),
        decision: OperatorDecision,
        why: &JustificationArgs,
        customer_message: Option<String>,
    ) -> Result<Vec<&'static str>, InterventionError> {
        let (actor, reason) = (why.actor(), why.reason.clone());
        let intervention = OperatorIntervened {
            payment_number,
            decision,
            step,
            actor,
            reason,
            customer_message,
            notification_id: None,
        };
        intervene(&self.store, &self.stock, order, intervention, named).await
    }
}

//! The report on an order's sagas: how far each step is, what it waits for, and what an operator can decide about it.
//!
//! [`report`] is a pure function of the order's events and its rows in `saga_work`. It asks the sagas themselves what is next, so it never
//! shows anything else than what they do.

mod given_up;
mod history;
mod rows;
mod steps;
#[cfg(test)]
pub(crate) mod tests;

use chrono::{DateTime, Utc};
use domain::order::event::OperatorIntervened;
use domain::order::saga::{OperatorDecision, SagaStep};
use domain::order::{Order, OrderCommand, OrderStage, PlacedOrder};
use event_store::{EventDecodeError, EventStore, ReadError, StoredEvent};
use serde::Serialize;
use utoipa::ToSchema;

pub use given_up::{
    GivenUpMail, GivenUpMailFilter, GivenUpMailGroup, OrderGivenUpMails, count_given_up, given_up, given_up_groups,
};
pub use rows::{
    EndedSagaRow, SagaEnd, SagaWaitReason, WaitingSagaCursor, WaitingSagaFilter, WaitingSagaRow, count, ended, groups,
    still_waits, waiting,
};

use crate::SAGAS;
use history::SagaStepHistory;

/// The report on an order's sagas.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderSagasReport {
    /// The order.
    pub order_id: String,
    /// The worst state of its sagas.
    pub state: SagaState,
    /// The order's stage, for people.
    pub stage: &'static str,
    /// The step that is next; if a step is stuck, that one.
    pub waits_for: Option<SagaStep>,
    /// The sagas that concern the order.
    pub sagas: Vec<SagaReport>,
    /// What an operator can decide now, by step.
    pub remedies: Vec<StepRemedy>,
}

/// The report on one saga of an order.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SagaReport {
    /// Its name.
    pub saga: &'static str,
    /// How it is.
    pub state: SagaState,
    /// Its steps, in the order in which they are due.
    pub steps: Vec<StepReport>,
}

/// The state of a saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum SagaState {
    /// All due steps are done.
    Completed,
    /// Everything that was done is undone.
    Compensated,
    /// A step is due, and will be done.
    Running,
    /// A mail was given up, and is not sent until an operator decides. Everything else is done.
    Failed,
    /// A step is due, and is not tried until an operator decides.
    Stuck,
}

/// The report on a step.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepReport {
    /// Its name.
    pub step: SagaStep,
    /// What a failure after it means: `compensable`, `pivot`, `forwardOnly`, or `closing` for what ends an undone order.
    pub kind: &'static str,
    /// How it is.
    #[serde(flatten)]
    pub progress: StepProgressReport,
    /// Its compensation; `None`: it has none.
    pub undo: Option<UndoReport>,
}

/// The report on a compensation.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UndoReport {
    /// Its name.
    pub step: SagaStep,
    /// How it is.
    #[serde(flatten)]
    pub progress: StepProgressReport,
}

/// How far a step or a compensation is.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepProgressReport {
    /// How it is.
    pub state: StepState,
    /// When it ended, if it has.
    pub at: Option<DateTime<Utc>>,
    /// What it waits for, if it was tried or requested.
    #[serde(flatten)]
    #[schema(value_type = DescribedWaiting)]
    pub waiting: Option<StepWait>,
    /// The events about it, oldest first.
    pub messages: Vec<StepEvent>,
}

/// The state of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum StepState {
    /// The step is done.
    Done,
    /// It failed for good: the order is undone, or the mail is given up.
    Failed,
    /// It was done, and is undone again.
    Undone,
    /// An operator skipped it.
    Skipped,
    /// It is next.
    Due,
    /// It is requested, and waits for the answer.
    Waiting,
    /// It failed, and will be tried again.
    Retrying,
    /// It failed, and is not tried again until an operator decides.
    Stuck,
    /// It is not due yet.
    NotYet,
    /// The order does not need it.
    NotNeeded,
}

/// What a step waits for. The counts begin when the saga reaches the step, and again when an operator decides about it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StepWait {
    /// How often the step was tried or requested.
    pub attempts: u32,
    /// Since when it has been at this step.
    pub since: DateTime<Utc>,
    /// When it is tried again; `None`: not until an operator decides. If it is stuck: when its reservation runs out.
    pub next_try_at: Option<DateTime<Utc>>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
}

/// What a step waits for; without members if it was neither tried nor requested.
#[derive(ToSchema)]
#[schema(as = Waiting, rename_all = "camelCase")]
#[expect(dead_code, reason = "it is described, and never made")]
struct DescribedWaiting {
    /// How often the step was tried or requested.
    attempts: Option<u32>,
    /// Since when it has been at this step.
    since: Option<DateTime<Utc>>,
    /// When it is tried again; null: not until an operator decides. If it is stuck: when its reservation runs out.
    next_try_at: Option<DateTime<Utc>>,
    /// Why the last attempt failed.
    last_error: Option<String>,
}

/// An event about a step.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepEvent {
    /// The order's version after it.
    pub version: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// The event's name.
    pub event: &'static str,
    /// Who, if it is known.
    pub actor: Option<String>,
    /// Details, for people.
    pub text: Option<String>,
}

/// What an operator can decide about a step.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepRemedy {
    /// The step.
    pub step: SagaStep,
    /// What: `retry`, `skip`, `compensate`, `mark-succeeded`, `mark-failed`.
    pub verbs: Vec<&'static str>,
    /// What a retry can be given anew: `paymentToken`.
    pub inputs: Vec<&'static str>,
    /// Which payment it would be about, from 1. It is left out where the order has one, or the step is about none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment_number: Option<u32>,
}

/// The report on an order's sagas at a time; `None`: there is no such order.
pub fn report(
    events: &[StoredEvent],
    rows: &[WaitingSagaRow],
    now: DateTime<Utc>,
) -> Result<Option<OrderSagasReport>, EventDecodeError> {
    let (mut order, mut history, mut given_up) =
        (Order::Absent, SagaStepHistory::default(), OrderGivenUpMails::default());
    for stored in events {
        let event = stored.decode::<Order>()?;
        history.add(&order, stored, &event);
        given_up.add(&event);
        domain::order::evolve(&mut order, event);
    }
    let (Order::Placed(order), Some(last)) = (order, events.last()) else { return Ok(None) };
    let concerned = SAGAS.into_iter().filter(|saga| (saga.concerns)(&order));
    let sagas: Vec<SagaReport> =
        concerned.map(|saga| steps::saga(saga, &order, rows, &history, &given_up, now)).collect();
    let next: Vec<SagaStep> = SAGAS.iter().filter_map(|saga| saga.next(&order, now).step()).collect();
    let stuck = sagas.iter().flat_map(|saga| &saga.steps).find_map(StepReport::stuck);
    Ok(Some(OrderSagasReport {
        order_id: last.stream_id.clone(),
        state: sagas.iter().map(|saga| saga.state).max().unwrap_or(SagaState::Completed),
        stage: order.stage().name(),
        waits_for: stuck.or(next.first().copied()),
        remedies: remedies(&order, &next),
        sagas,
    }))
}

/// Reads the report on an order's sagas; `None`: there is no such order.
pub async fn read(store: &EventStore, order_id: &str) -> Result<Option<OrderSagasReport>, ReadError> {
    // The rows are read before the events. If something happens in between, the events tell.
    let (rows, now) = rows::of_order(store.pool(), order_id).await?;
    let events = store.read_stream::<Order>(order_id).await?;
    Ok(report(&events, &rows, now)?)
}

impl SagaState {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Running, Self::Stuck, Self::Failed, Self::Completed, Self::Compensated];

    /// Its name, as operators give it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Compensated => "compensated",
            Self::Running => "running",
            Self::Failed => "failed",
            Self::Stuck => "stuck",
        }
    }
}

impl StepState {
    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Undone => "undone",
            Self::Skipped => "skipped",
            Self::Due => "due",
            Self::Waiting => "waiting",
            Self::Retrying => "retrying",
            Self::Stuck => "stuck",
            Self::NotYet => "not yet",
            Self::NotNeeded => "not needed",
        }
    }
}

impl StepReport {
    /// The step or its compensation, whichever is stuck.
    fn stuck(&self) -> Option<SagaStep> {
        let undo = self.undo.iter().map(|undo| (undo.step, &undo.progress));
        let mut both = [(self.step, &self.progress)].into_iter().chain(undo);
        both.find(|(_, progress)| progress.state == StepState::Stuck).map(|(step, _)| step)
    }
}

impl OrderSagasReport {
    /// How far a step or a compensation is.
    pub fn progress(&self, step: SagaStep) -> Option<&StepProgressReport> {
        let all = self.sagas.iter().flat_map(|saga| &saga.steps).flat_map(|it| {
            let undo = it.undo.as_ref().map(|undo| (undo.step, &undo.progress));
            [Some((it.step, &it.progress)), undo].into_iter().flatten()
        });
        // Both sagas notify the customer. The one that still has to comes first.
        let mut of_step: Vec<&StepProgressReport> =
            all.filter(|(name, _)| *name == step).map(|(_, progress)| progress).collect();
        of_step.sort_by_key(|progress| progress.waiting.is_none());
        of_step.first().copied()
    }
}

fn remedies(order: &PlacedOrder, next: &[SagaStep]) -> Vec<StepRemedy> {
    let mut steps = next.to_vec();
    if order.has_failed_mail() {
        steps.push(SagaStep::NotifyCustomer);
    }
    if next.is_empty() && matches!(order.stage(), OrderStage::Confirmed | OrderStage::ConfirmedOnHold) {
        steps.push(SagaStep::ConfirmOrder);
    }
    steps.sort();
    steps.dedup();
    let of_step = |step: SagaStep| {
        let payments: Vec<_> = order.payments_at(step).into_iter().map(|number| order.payment_name(number)).collect();
        let payments = if payments.is_empty() { vec![None] } else { payments };
        payments.into_iter().map(move |payment_number| (step, payment_number))
    };
    let remedies = steps.into_iter().flat_map(of_step).map(|(step, payment_number)| {
        let allowed = |decision: OperatorDecision| {
            let (actor, reason) = (String::new(), String::new());
            let intervention = OperatorIntervened {
                decision,
                step,
                actor,
                reason,
                customer_message: None,
                notification_id: None,
                payment_number,
            };
            let decided = order.decide(OrderCommand::Intervene(intervention));
            decided.is_ok_and(|events| !events.is_empty())
        };
        let retry = |payment_token| OperatorDecision::Retry { payment_token };
        let verbs = [
            ("retry", retry(None)),
            ("skip", OperatorDecision::Skip),
            ("compensate", OperatorDecision::Compensate),
            ("mark-succeeded", OperatorDecision::MarkSucceeded { reference: String::new() }),
            ("mark-failed", OperatorDecision::MarkFailed),
        ];
        let verbs = verbs.into_iter().filter(|(_, decision)| allowed(decision.clone())).map(|(name, _)| name).collect();
        let token = domain::ids::PaymentToken::parse("tok").ok();
        let inputs = if token.is_some() && allowed(retry(token)) { vec!["paymentToken"] } else { vec![] };
        StepRemedy { step, verbs, inputs, payment_number }
    });
    remedies.filter(|remedy| !remedy.verbs.is_empty()).collect()
}

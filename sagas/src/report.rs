//! What there is to see of an order's sagas: how far each step is, what it waits for, and what an operator can do about it.
//!
//! [`report`] is a pure function of the order's events and its rows in `saga_work`, and asks the sagas themselves what is next:
//! it never shows anything else than what they go by.

mod given_up;
mod history;
mod rows;
mod steps;
#[cfg(test)]
pub(crate) mod tests;

use chrono::{DateTime, Utc};
use domain::order::event::OperatorIntervened;
use domain::order::saga::{OperatorDecision, SagaStep};
use domain::order::{Order, OrderCommand, PlacedOrder, Stage};
use event_store::{DecodeError, EventStore, ReadError, StoredEvent};
use serde::Serialize;

pub use given_up::{GivenUp, GivenUpFilter, GivenUpGroup, GivenUpMail, count_given_up, given_up, given_up_groups};
pub use rows::{After, Ended, EndedOrder, Filter, Group, WorkRow, count, ended, groups, waiting};

use crate::SAGAS;
use history::History;

/// An order's sagas.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderReport {
    /// The order.
    pub order_id: String,
    /// How its sagas are: as the one that is worst off.
    pub state: SagaState,
    /// Where the order is, for people.
    pub stage: &'static str,
    /// The step that is next: the one that is stuck, if one is.
    pub waits_for: Option<SagaStep>,
    /// Those that have to do with the order.
    pub sagas: Vec<SagaReport>,
    /// What an operator can decide now, by step.
    pub remedies: Vec<Remedy>,
}

/// A saga of an order.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SagaReport {
    /// Its name.
    pub saga: &'static str,
    /// How it is.
    pub state: SagaState,
    /// Its steps, in the order in which they are due.
    pub steps: Vec<StepReport>,
}

/// How a saga is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SagaState {
    /// All that is called for is done.
    Completed,
    /// All that was done is undone.
    Compensated,
    /// Something is to be done, and will be.
    Running,
    /// A mail was given up, and nobody sends it until an operator decides. Everything else is done.
    Failed,
    /// Something is to be done, and nobody tries it until an operator decides.
    Stuck,
}

/// A step of a saga.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StepReport {
    /// Its name.
    pub step: SagaStep,
    /// What a failure after it means: `compensable`, `pivot`, `forwardOnly`, or `closing` for what ends an undone order.
    pub kind: &'static str,
    /// How it is.
    #[serde(flatten)]
    pub progress: Progress,
    /// How its undoing is; `None`: it has none.
    pub undo: Option<UndoReport>,
}

/// The undoing of a step.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UndoReport {
    /// Its name.
    pub step: SagaStep,
    /// How it is.
    #[serde(flatten)]
    pub progress: Progress,
}

/// How a step, or its undoing, is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// How it is.
    pub state: StepState,
    /// Since when, if it has come to something.
    pub at: Option<DateTime<Utc>>,
    /// What it waits for, if it was tried or asked for.
    #[serde(flatten)]
    pub waiting: Option<Waiting>,
    /// What happened about it, oldest first.
    pub messages: Vec<Message>,
}

/// How a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum StepState {
    /// It is done.
    Done,
    /// It came to a refusal: the order is undone, or the mail is given up.
    Failed,
    /// It was done, and is undone.
    Undone,
    /// An operator goes on without it.
    Skipped,
    /// It is to be done now.
    Due,
    /// It was asked for, and the answer has not come.
    Waiting,
    /// It failed, and is tried again.
    Retrying,
    /// It failed, and is not tried again until an operator decides.
    Stuck,
    /// Its time has not come.
    NotYet,
    /// The order does without it.
    NotNeeded,
}

/// What a step waits for. Counted since it came to the step, or since an operator last decided about it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// How often it was tried or asked for.
    pub attempts: u32,
    /// Since when it has been at this step.
    pub since: DateTime<Utc>,
    /// When it is looked at again; `None`: not by itself. Of what is stuck: when the units that are set aside go back.
    pub next_try_at: Option<DateTime<Utc>>,
    /// Why it was not done the last time.
    pub last_error: Option<String>,
}

/// Something that happened about a step.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// The order's version after it.
    pub version: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// The event's name.
    pub event: &'static str,
    /// Who, if it is known.
    pub actor: Option<String>,
    /// What more there is to say, for people.
    pub text: Option<String>,
}

/// What an operator can decide about a step.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Remedy {
    /// The step.
    pub step: SagaStep,
    /// What: `retry`, `skip`, `compensate`, `mark-succeeded`, `mark-failed`.
    pub verbs: Vec<&'static str>,
    /// What a retry can be given anew: `paymentToken`.
    pub inputs: Vec<&'static str>,
}

/// What there is to see of an order's sagas at a time; `None`: there is no such order.
pub fn report(
    events: &[StoredEvent],
    rows: &[WorkRow],
    now: DateTime<Utc>,
) -> Result<Option<OrderReport>, DecodeError> {
    let (mut order, mut history, mut given_up) = (Order::Absent, History::default(), GivenUp::default());
    for stored in events {
        let event = stored.decode::<Order>()?;
        history.note(&order, stored, &event);
        given_up.note(&event);
        domain::order::evolve(&mut order, event);
    }
    let (Order::Placed(order), Some(last)) = (order, events.last()) else { return Ok(None) };
    let concerned = SAGAS.into_iter().filter(|saga| (saga.concerns)(&order));
    let sagas: Vec<SagaReport> =
        concerned.map(|saga| steps::saga(saga, &order, rows, &history, &given_up, now)).collect();
    let next: Vec<SagaStep> = SAGAS.iter().filter_map(|saga| saga.next(&order, now).step()).collect();
    let stuck = sagas.iter().flat_map(|saga| &saga.steps).find_map(StepReport::stuck);
    Ok(Some(OrderReport {
        order_id: last.stream_id.clone(),
        state: sagas.iter().map(|saga| saga.state).max().unwrap_or(SagaState::Completed),
        stage: order.stage().name(),
        waits_for: stuck.or(next.first().copied()),
        remedies: remedies(&order, &next),
        sagas,
    }))
}

/// What there is to see of an order's sagas now; `None`: there is no such order.
pub async fn read(store: &EventStore, order_id: &str) -> Result<Option<OrderReport>, ReadError> {
    // The rows first: what they wait for may happen meanwhile, and then the events tell.
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
    /// It, or its undoing, if that is stuck.
    fn stuck(&self) -> Option<SagaStep> {
        let undo = self.undo.iter().map(|undo| (undo.step, &undo.progress));
        let mut both = [(self.step, &self.progress)].into_iter().chain(undo);
        both.find(|(_, progress)| progress.state == StepState::Stuck).map(|(step, _)| step)
    }
}

impl OrderReport {
    /// How a step, or an undoing, is.
    pub fn progress(&self, step: SagaStep) -> Option<&Progress> {
        let all = self.sagas.iter().flat_map(|saga| &saga.steps).flat_map(|it| {
            let undo = it.undo.as_ref().map(|undo| (undo.step, &undo.progress));
            [Some((it.step, &it.progress)), undo].into_iter().flatten()
        });
        // Both sagas tell the customer: the one that still has to goes before the other.
        let mut of_step: Vec<&Progress> = all.filter(|(name, _)| *name == step).map(|(_, progress)| progress).collect();
        of_step.sort_by_key(|progress| progress.waiting.is_none());
        of_step.first().copied()
    }
}

fn remedies(order: &PlacedOrder, next: &[SagaStep]) -> Vec<Remedy> {
    let mut steps = next.to_vec();
    if order.has_failed_mail() {
        steps.push(SagaStep::NotifyCustomer);
    }
    if next.is_empty() && order.stage() == Stage::Confirmed {
        steps.push(SagaStep::ConfirmOrder);
    }
    steps.sort();
    steps.dedup();
    let remedies = steps.into_iter().map(|step| {
        let allowed = |decision: OperatorDecision| {
            let (actor, reason, customer_message) = (String::new(), String::new(), None);
            let intervention =
                OperatorIntervened { decision, step, actor, reason, customer_message, notification_id: None };
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
        Remedy { step, verbs, inputs }
    });
    remedies.filter(|remedy| !remedy.verbs.is_empty()).collect()
}

//! The state of each step of a saga.

use chrono::{DateTime, Utc};
use domain::order::saga::SagaStep;
use domain::order::{OrderStage, PlacedOrder};

use super::given_up::OrderGivenUpMails;
use super::history::SagaStepHistory;
use super::{SagaReport, SagaState, StepProgressReport, StepReport, StepState, StepWait, UndoReport, WaitingSagaRow};
use crate::order_fulfilment;
use crate::saga::{Saga, Step, StepKind, StepUndo};

pub(super) fn saga(
    saga: &'static Saga,
    order: &PlacedOrder,
    rows: &[WaitingSagaRow],
    history: &SagaStepHistory,
    given_up: &OrderGivenUpMails,
    now: DateTime<Utc>,
) -> SagaReport {
    let next = saga.next(order, now).step();
    // A row about another step is outdated: the saga has not processed it yet.
    let row = rows.iter().find(|row| row.saga == saga.name && next.is_some_and(|next| row.step == next.name()));
    let view = StepReportContext { saga: saga.name, order, next, row, history, has_failed: given_up.is_of(saga.name) };
    let mut steps: Vec<StepReport> = saga.steps.iter().map(|step| view.step(step)).collect();
    steps.extend(view.closing());
    SagaReport { saga: saga.name, state: view.state(), steps }
}

struct StepReportContext<'a> {
    saga: &'static str,
    order: &'a PlacedOrder,
    next: Option<SagaStep>,
    /// The row of the next step.
    row: Option<&'a WaitingSagaRow>,
    history: &'a SagaStepHistory,
    /// Whether a mail of the saga was given up.
    has_failed: bool,
}

impl StepReportContext<'_> {
    fn state(&self) -> SagaState {
        let of_fulfilment = self.saga == order_fulfilment::SAGA.name;
        match (self.next, self.row) {
            (Some(_), Some(row)) if row.stuck => SagaState::Stuck,
            (Some(_), _) => SagaState::Running,
            (None, _) if self.has_failed => SagaState::Failed,
            (None, _) if of_fulfilment && is_closed(self.order) => SagaState::Compensated,
            // A return of goods that are not paid for yet is refunded once they are.
            (None, _) if !of_fulfilment && self.order.refunds.iter().any(|refund| !refund.settled) => {
                SagaState::Running
            }
            (None, _) => SagaState::Completed,
        }
    }

    fn step(&self, step: &Step) -> StepReport {
        let mut progress = self.progress(step.name, (step.is_due)(self.order), self.otherwise(step));
        let undo = match &step.undo {
            StepUndo::By(undo) => {
                let undoes_order = self.saga == order_fulfilment::SAGA.name;
                let is_undone = !undoes_order || self.order.stage() == OrderStage::Undoing;
                let is_due = is_undone && (undo.is_due)(self.order);
                Some(UndoReport { step: undo.name, progress: self.progress(undo.name, is_due, StepState::NotNeeded) })
            }
            StepUndo::Nothing { .. } => None,
        };
        if undo.as_ref().is_some_and(|undo| undo.progress.state == StepState::Done) {
            progress.state = StepState::Undone;
        }
        let kind = match step.kind {
            StepKind::Compensable => "compensable",
            StepKind::Pivot => "pivot",
            StepKind::Retriable => "forwardOnly",
        };
        StepReport { step: step.name, kind, progress, undo }
    }

    /// The step that ends an undone order.
    fn closing(&self) -> Option<StepReport> {
        let ends = self.order.stage() == OrderStage::Undoing || is_closed(self.order);
        let progress = || self.progress(SagaStep::CloseOrder, false, StepState::NotYet);
        let step = || StepReport { step: SagaStep::CloseOrder, kind: "closing", progress: progress(), undo: None };
        (self.saga == order_fulfilment::SAGA.name && ends).then(step)
    }

    fn progress(&self, step: SagaStep, is_due: bool, otherwise: StepState) -> StepProgressReport {
        let outcome = self.history.outcome(self.saga, step);
        let row = self.row.filter(|_| self.next == Some(step));
        let state = match (row, outcome) {
            (Some(row), _) if row.stuck => StepState::Stuck,
            (Some(row), _) if row.failures > 0 => StepState::Retrying,
            (Some(_), _) => StepState::Waiting,
            (None, _) if is_due || self.next == Some(step) => StepState::Due,
            (None, Some((state, _))) => state,
            (None, None) => otherwise,
        };
        let has_ended = row.is_none() && state != StepState::Due;
        StepProgressReport {
            state,
            at: outcome.filter(|_| has_ended).map(|(_, message)| message.at),
            waiting: row.map(|row| StepWait {
                attempts: row.attempts,
                since: row.since,
                next_try_at: row.next_try_at,
                last_error: row.last_error.clone(),
            }),
            messages: self.history.of(self.saga, step),
        }
    }

    /// The state of a step that is not due and has no outcome.
    fn otherwise(&self, step: &Step) -> StepState {
        let is_free = step.name == SagaStep::AuthorizePayment && self.order.is_paid_for();
        match (self.order.stage(), step.kind) {
            (OrderStage::Pending, _) if is_free => StepState::NotNeeded,
            (OrderStage::Pending, _) => StepState::NotYet,
            (OrderStage::Undoing, _) if step.name == SagaStep::NotifyCustomer => StepState::NotYet,
            (_, _) if step.name == SagaStep::RefundManually => StepState::NotNeeded,
            (_, _) if step.name == SagaStep::ApplyEdit && !self.order.is_editing() => StepState::NotNeeded,
            (
                OrderStage::Confirmed
                | OrderStage::ConfirmedOnHold
                | OrderStage::Editing
                | OrderStage::PartiallyShippedEditing
                | OrderStage::PartiallyShipped
                | OrderStage::PartiallyShippedOnHold
                | OrderStage::Shipped
                | OrderStage::Completed,
                StepKind::Retriable,
            ) => StepState::NotYet,
            (
                OrderStage::Undoing
                | OrderStage::Editing
                | OrderStage::PartiallyShippedEditing
                | OrderStage::Confirmed
                | OrderStage::ConfirmedOnHold
                | OrderStage::PartiallyShipped
                | OrderStage::PartiallyShippedOnHold
                | OrderStage::Shipped
                | OrderStage::Completed
                | OrderStage::Rejected
                | OrderStage::Cancelled,
                _,
            ) => StepState::NotNeeded,
        }
    }
}

fn is_closed(order: &PlacedOrder) -> bool {
    matches!(order.stage(), OrderStage::Rejected | OrderStage::Cancelled)
}

//! The step tables of sagas, and which step is next for an order.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::order::saga::SagaStep;
use domain::order::{OrderStage, OrderStockState, PlacedOrder};
use payments::PaymentGateway;

use crate::SagaSettings;
use crate::mail_requests::PendingMailRequest;
use crate::order_session::OrderSession;
use crate::outcome::StepOutcome;
use crate::provider_call::ProviderCallPlan;
use crate::stock_ledger::StockLedger;

/// The events that say which number an order or a document of it has. They open no step and end none. A mail that waits for one looks by
/// itself.
pub(crate) const NUMBER_EVENTS: [&str; 3] = ["OrderNumbered", "InvoiceIssued", "CreditNoteIssued"];

/// A saga: its steps, in the order in which they are due.
pub struct Saga {
    /// The name of its rows in `saga_work`, and the actor of its events.
    pub name: &'static str,
    /// The step table.
    pub steps: &'static [Step],
    /// Whether the saga ever has anything to do for an order.
    pub concerns: fn(&PlacedOrder) -> bool,
}

/// A row of the step table.
pub struct Step {
    /// The name under which it is stored and shown.
    pub name: SagaStep,
    /// What a failure of it means for the saga.
    pub kind: StepKind,
    /// Whether the order calls for it now.
    pub is_due: fn(&PlacedOrder) -> bool,
    /// What it does.
    pub(crate) action: StepHandler,
    /// How it is undone.
    pub undo: StepUndo,
}

/// Where a step stands in its saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepKind {
    /// It can be undone. If it or a later step fails for good, the order is undone.
    Compensable,
    /// The point of no return: afterwards the order can be cancelled, but not rejected.
    Pivot,
    /// It comes after the pivot. It is tried until it succeeds or an operator decides, and never stops the order.
    Retriable,
}

/// How a step is undone. A step that says neither does not compile.
pub enum StepUndo {
    /// By this compensation.
    By(UndoStep),
    /// There is nothing to undo.
    Nothing {
        /// Why not.
        because: &'static str,
    },
}

/// The compensation of a step. It also undoes a step that may have been done without a record of it.
pub struct UndoStep {
    /// The name under which it is stored and shown.
    pub name: SagaStep,
    /// Whether there is something to undo.
    pub is_due: fn(&PlacedOrder) -> bool,
    /// What it does.
    pub(crate) action: StepHandler,
}

/// What a step does for one order, and what it needs for that. The executor collects the orders that are at the same step: it stores
/// their decisions together, calls the provider for them side by side, and sends their requests in one batch.
#[derive(Clone, Copy)]
pub(crate) enum StepHandler {
    /// Decides on the order alone.
    Decide(fn(&mut OrderSession, &SagaSettings) -> StepOutcome),
    /// Decides on the order and on the stock of its SKUs. Both are stored at once.
    DecideWithStock(fn(&mut OrderSession, &StockLedger<'_>, &SagaSettings) -> StepOutcome),
    /// Calls the payment provider. Earlier decisions are stored before that.
    CallProvider(fn(&OrderSession, Arc<dyn PaymentGateway>) -> ProviderCallPlan),
    /// Requests a mail. Earlier decisions are stored before that.
    RequestMail(fn(&mut OrderSession, &SagaSettings, &mut PendingMailRequest) -> StepOutcome),
}

/// What is next for an order.
pub enum NextStep {
    /// A step.
    Do(&'static Step),
    /// The compensation of a step.
    Undo(&'static UndoStep),
    /// Everything is undone: the order is closed.
    Close,
    /// The reservation has run out: its units are released.
    Expire,
    /// Nothing.
    Nothing,
}

impl NextStep {
    /// The name of it; `None`: nothing is next.
    pub fn step(&self) -> Option<SagaStep> {
        match self {
            Self::Do(step) => Some(step.name),
            Self::Undo(undo) => Some(undo.name),
            Self::Close => Some(SagaStep::CloseOrder),
            Self::Expire => Some(SagaStep::ReleaseStock),
            Self::Nothing => None,
        }
    }
}

impl Saga {
    /// What is next for an order, now. An order that goes forward is at the first step that is due.
    ///
    /// An order that is being undone goes through the compensations in the order of their steps, and is then closed. No compensation
    /// depends on another. So the units come first: others can buy them while the provider is still being asked.
    pub fn next(&'static self, order: &PlacedOrder, now: DateTime<Utc>) -> NextStep {
        if !(self.concerns)(order) {
            return NextStep::Nothing;
        }
        if order.stage() == OrderStage::Undoing && self.has_pivot() {
            return self.undos().find(|undo| (undo.is_due)(order)).map_or(NextStep::Close, NextStep::Undo);
        }
        if reservation_expires_at(order).is_some_and(|at| at <= now) {
            return NextStep::Expire;
        }
        if let Some(step) = self.steps.iter().find(|step| (step.is_due)(order)) {
            return NextStep::Do(step);
        }
        // What a saga did that changes an order is undone while the order goes on, and holds up no other change.
        let undo = (!self.has_pivot()).then(|| self.undos().find(|undo| (undo.is_due)(order))).flatten();
        undo.map_or(NextStep::Nothing, NextStep::Undo)
    }

    fn undos(&'static self) -> impl Iterator<Item = &'static UndoStep> {
        self.steps.iter().filter_map(|step| match &step.undo {
            StepUndo::By(undo) => Some(undo),
            StepUndo::Nothing { .. } => None,
        })
    }

    /// Whether this saga is the one that undoes orders.
    pub(crate) fn has_pivot(&self) -> bool {
        self.steps.iter().any(|step| step.kind == StepKind::Pivot)
    }
}

/// When the reservation of an order that is not confirmed runs out.
pub(crate) fn reservation_expires_at(order: &PlacedOrder) -> Option<DateTime<Utc>> {
    match (&order.stock, order.stage()) {
        (OrderStockState::Reserved(reserved), OrderStage::Pending) => Some(reserved.expires_at),
        (
            OrderStockState::Reserved(_)
            | OrderStockState::None
            | OrderStockState::Short
            | OrderStockState::NotNeeded
            | OrderStockState::Released,
            _,
        ) => None,
    }
}

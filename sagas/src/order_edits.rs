//! Changes an order before it ships: first the money for the difference is held, then the order changes, in one append with its units.
//!
//! | step | kind | undo |
//! |---|---|---|
//! | authorize_payment | compensable | void_payment |
//! | apply_edit | retriable | nothing: units and order change in one append |
//!
//! An edit that fails ends with an event at once, and the order is as it was before. What is held for it is let go of after that, and
//! holds up nobody. If the order itself is undone, `order_fulfilment` lets go of it.

mod apply_edit;

use domain::order::saga::SagaStep;

use crate::order_fulfilment::{authorize_payment, void_abandoned_payment};
use crate::saga::{Saga, Step, StepHandler, StepKind, StepUndo, UndoStep};

pub(crate) static SAGA: Saga = Saga {
    name: "order_edits",
    steps: &[
        Step {
            name: SagaStep::AuthorizePayment,
            kind: StepKind::Compensable,
            is_due: |order| order.is_editing() && !order.is_paid_for(),
            action: StepHandler::CallProvider(authorize_payment),
            undo: StepUndo::By(UndoStep {
                name: SagaStep::VoidPayment,
                is_due: |order| order.undoing.is_none() && order.next_abandoned().is_some(),
                action: StepHandler::CallProvider(void_abandoned_payment),
            }),
        },
        apply_edit::STEP,
    ],
    concerns: |order| !order.edits.is_empty(),
};

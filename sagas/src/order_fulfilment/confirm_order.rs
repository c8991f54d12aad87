//! Confirms the order: it is promised to the customer.

use domain::order::saga::SagaStep;
use domain::order::{OrderCommand, Stage};

use crate::order_session::OrderSession;
use crate::outcome::{Outcome, Progress};
use crate::saga::{Action, Step, StepKind, Undo};

pub(super) const STEP: Step = Step {
    name: SagaStep::ConfirmOrder,
    kind: StepKind::Pivot,
    is_due: |order| order.stage() == Stage::Pending && order.is_stocked() && order.is_paid_for(),
    action: Action::Decide(confirm_order),
    undo: Undo::Nothing { because: "it is the pivot: a confirmed order is cancelled, not unconfirmed" },
};

fn confirm_order(order: &mut OrderSession) -> Outcome {
    order.decide(OrderCommand::ConfirmOrder)?;
    Ok(Progress::Advanced)
}

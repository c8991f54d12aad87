//! Confirms the order: it is promised to the customer.

use domain::order::saga::SagaStep;
use domain::order::{OrderCommand, OrderStage};

use crate::SagaSettings;
use crate::order_session::OrderSession;
use crate::outcome::{StepOutcome, StepProgress};
use crate::saga::{Step, StepHandler, StepKind, StepUndo};

pub(super) const STEP: Step = Step {
    name: SagaStep::ConfirmOrder,
    kind: StepKind::Pivot,
    is_due: |order| order.stage() == OrderStage::Pending && order.is_stocked() && order.is_paid_for(),
    action: StepHandler::Decide(confirm_order),
    undo: StepUndo::Nothing { because: "it is the pivot: a confirmed order is cancelled, not unconfirmed" },
};

fn confirm_order(order: &mut OrderSession, settings: &SagaSettings) -> StepOutcome {
    order.decide(OrderCommand::ConfirmOrder { mail_staff: settings.mail_staff })?;
    Ok(StepProgress::Advanced)
}

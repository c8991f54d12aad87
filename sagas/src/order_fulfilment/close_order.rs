//! Closes an order once everything that was done for it is undone.

use domain::order::OrderCommand;

use crate::SagaSettings;
use crate::order_session::OrderSession;
use crate::outcome::{StepOutcome, StepProgress};
use crate::saga::StepHandler;

/// It is no row of the step table: it ends an order whose rows are all undone.
pub(crate) const CLOSE: StepHandler = StepHandler::Decide(close_order);

fn close_order(order: &mut OrderSession, _: &SagaSettings) -> StepOutcome {
    order.decide(OrderCommand::CloseOrder)?;
    Ok(StepProgress::Advanced)
}

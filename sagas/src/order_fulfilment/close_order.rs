//! Closes an order once everything that was done for it is undone.

use domain::order::OrderCommand;

use crate::order_session::OrderSession;
use crate::outcome::{Outcome, Progress};
use crate::saga::Action;

/// It is no row of the step table: it ends an order whose rows are all undone.
pub(crate) const CLOSE: Action = Action::Decide(close_order);

fn close_order(order: &mut OrderSession) -> Outcome {
    order.decide(OrderCommand::CloseOrder)?;
    Ok(Progress::Advanced)
}

//! Lets go of the money for lines that were cancelled, once all the others are shipped and paid for.
//!
//! The last capture lets go of that money as well, if it is known to be the last.

use domain::order::saga::SagaStep;
use domain::order::{OrderCommand, PaymentState, PlacedOrder};
use futures_util::FutureExt;
use payments::{PaymentGateway, Void};

use crate::order_session::OrderSession;
use crate::outcome::{Outcome, Progress};
use crate::saga::{Action, Kind, Step, Undo};

pub(super) const STEP: Step = Step {
    name: SagaStep::VoidRest,
    kind: Kind::ForwardOnly,
    is_due: PlacedOrder::has_rest_to_void,
    action: Action::CallProvider(|order, provider| void_rest(order, provider).boxed()),
    undo: Undo::Nothing { because: "nobody pays for what will not be sent" },
};

async fn void_rest(order: &mut OrderSession, provider: &dyn PaymentGateway) -> Outcome {
    let PaymentState::Authorized { reference, .. } = &order.order.payment.state else { return Ok(Progress::Advanced) };
    let void = Void { key: format!("{}:void:rest", order.order_id), reference: reference.clone() };
    provider.void(&void).await?;
    order.decide(OrderCommand::RecordPaymentVoided)?;
    Ok(Progress::Advanced)
}

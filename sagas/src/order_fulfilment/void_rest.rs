//! Lets go of the money for lines that were cancelled, once all the others are shipped and paid for.
//!
//! The last capture lets go of that money as well, if it is known to be the last.

use std::sync::Arc;

use domain::order::saga::SagaStep;
use domain::order::{AuthorizationState, OrderCommand, PlacedOrder};
use payments::{PaymentGateway, VoidRequest};

use crate::order_session::OrderSession;
use crate::provider_call::{ProviderCallPlan, ProviderStepOutcome};
use crate::saga::{Step, StepHandler, StepKind, StepUndo};

pub(super) const STEP: Step = Step {
    name: SagaStep::VoidRest,
    kind: StepKind::Retriable,
    is_due: PlacedOrder::has_rest_to_void,
    action: StepHandler::CallProvider(void_rest),
    undo: StepUndo::Nothing { because: "nobody pays for what will not be sent" },
};

fn void_rest(order: &OrderSession, provider: Arc<dyn PaymentGateway>) -> ProviderCallPlan {
    let AuthorizationState::Authorized { reference, .. } = &order.order.payment.state else {
        return ProviderCallPlan::not_needed(ProviderStepOutcome::nothing());
    };
    let void = VoidRequest { key: format!("{}:void:rest", order.order_id), reference: reference.clone() };
    ProviderCallPlan::needed(async move {
        match provider.void(&void).await {
            Ok(()) => ProviderStepOutcome::done(OrderCommand::RecordPaymentVoided),
            Err(error) => ProviderStepOutcome::failed(error),
        }
    })
}

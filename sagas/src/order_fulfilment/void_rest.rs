//! Lets go of the money for lines that were cancelled, once all the others are shipped and paid for.
//!
//! The last capture lets go of that money as well, if it is known to be the last.

use std::sync::Arc;

use domain::order::event::PaymentVoided;
use domain::order::saga::SagaStep;
use domain::order::{AuthorizationState, OrderCommand, PlacedOrder};
use payments::{PaymentGateway, VoidRequest};

use crate::order_session::OrderSession;
use crate::payment_keys::scope;
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
    let Some(payment) = order.order.next_rest_to_void() else {
        return ProviderCallPlan::not_needed(ProviderStepOutcome::nothing());
    };
    let AuthorizationState::Authorized { reference, .. } = &payment.state else {
        return ProviderCallPlan::not_needed(ProviderStepOutcome::nothing());
    };
    let key = format!("{}:void:rest", scope(order, payment.number));
    let void = VoidRequest { key, reference: reference.clone() };
    let payment_number = order.order.payment_name(payment.number);
    ProviderCallPlan::needed(async move {
        match provider.void(&void).await {
            Ok(()) => ProviderStepOutcome::done(OrderCommand::RecordPaymentVoided(PaymentVoided {
                payment_number,
                released_minor: None,
            })),
            Err(error) => ProviderStepOutcome::failed(error),
        }
    })
}

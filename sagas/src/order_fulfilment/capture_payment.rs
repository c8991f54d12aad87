//! Takes the money for what was shipped. The units leave the stock with the record of it.

use std::sync::Arc;

use domain::order::event::PaymentCaptured;
use domain::order::saga::SagaStep;
use domain::order::{AuthorizationState, OrderCommand, Shipment};
use payments::{CaptureRequest, PaymentError, PaymentGateway};

use crate::order_session::OrderSession;
use crate::outcome::StepError;
use crate::provider_call::{ProviderCallPlan, ProviderStepOutcome};
use crate::saga::{Step, StepHandler, StepKind, StepUndo};

pub(super) const STEP: Step = Step {
    name: SagaStep::CapturePayment,
    kind: StepKind::Retriable,
    is_due: |order| order.unsettled_shipment().is_some(),
    action: StepHandler::CallProvider(capture_payment),
    undo: StepUndo::Nothing { because: "what was sent is paid for; money goes back as a refund" },
};

fn capture_payment(order: &OrderSession, provider: Arc<dyn PaymentGateway>) -> ProviderCallPlan {
    let Some(shipment) = order.order.unsettled_shipment() else {
        return ProviderCallPlan::not_needed(ProviderStepOutcome::nothing());
    };
    let shipment_id = shipment.id.clone();
    let Some(request) = capture(order, shipment) else {
        let captured = PaymentCaptured { shipment_id, amount_minor: 0, reference: String::new() };
        return ProviderCallPlan::not_needed(ProviderStepOutcome::done(OrderCommand::RecordPaymentCaptured(captured)));
    };
    ProviderCallPlan::needed(async move {
        match provider.capture(&request).await {
            Ok(captured) => ProviderStepOutcome::done(OrderCommand::RecordPaymentCaptured(PaymentCaptured {
                shipment_id,
                amount_minor: request.amount_minor,
                reference: captured.reference,
            })),
            Err(PaymentError::Declined { code, message }) => ProviderStepOutcome::failed(StepError::Stuck(format!(
                "the money could not be taken: {message} ({code})"
            ))),
            Err(error) => ProviderStepOutcome::failed(error),
        }
    })
}

/// `None`: the shipment costs nothing, or no money is held for the order.
fn capture(session: &OrderSession, shipment: &Shipment) -> Option<CaptureRequest> {
    let order = &session.order;
    let AuthorizationState::Authorized { reference, .. } = &order.payment.state else { return None };
    let amount_minor = order.shipment_worth_minor(&shipment.id);
    let others_open = order.shipments.iter().filter(|other| !other.settled && other.id != shipment.id).count();
    (amount_minor > 0).then(|| CaptureRequest {
        key: format!("{}:capture:{}", session.order_id, shipment.id),
        reference: reference.clone(),
        amount_minor,
        currency: order.content.currency.code().to_owned(),
        last: order.is_all_shipped() && others_open == 0,
        recorded_minor: order.payment.captured_minor,
        retries: shipment.retries,
    })
}

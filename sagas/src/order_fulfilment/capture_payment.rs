//! Takes the money for what was shipped: one payment's share after the other. The units leave the stock with the record of the last one.

use std::sync::Arc;

use domain::order::event::PaymentCaptured;
use domain::order::saga::SagaStep;
use domain::order::{AuthorizationState, OrderCommand, Shipment, ShipmentCapture};
use payments::{CaptureRequest, PaymentError, PaymentGateway};

use crate::order_session::OrderSession;
use crate::outcome::StepError;
use crate::payment_keys::scope;
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
    let Some((shipment, capture)) = order.order.next_capture() else {
        return ProviderCallPlan::not_needed(ProviderStepOutcome::nothing());
    };
    let shipment_id = shipment.id.clone();
    let payment_number = order.order.payment_name(capture.payment_number);
    let request = match how_captured(order, shipment, capture) {
        HowCaptured::ByProvider(request) => request,
        HowCaptured::Here { amount_minor, reference } => {
            let captured = PaymentCaptured { shipment_id, amount_minor, reference, payment_number };
            let captured = OrderCommand::RecordPaymentCaptured(captured);
            return ProviderCallPlan::not_needed(ProviderStepOutcome::done(captured));
        }
    };
    ProviderCallPlan::needed(async move {
        match provider.capture(&request).await {
            Ok(captured) => ProviderStepOutcome::done(OrderCommand::RecordPaymentCaptured(PaymentCaptured {
                shipment_id,
                amount_minor: request.amount_minor,
                reference: captured.reference,
                payment_number,
            })),
            Err(PaymentError::Declined { code, message }) => ProviderStepOutcome::failed(StepError::Stuck(format!(
                "the money could not be taken: {message} ({code})"
            ))),
            Err(error) => ProviderStepOutcome::failed(error),
        }
    })
}

/// How a payment's share of a shipment is taken.
enum HowCaptured {
    /// The provider takes it.
    ByProvider(CaptureRequest),
    /// There is nothing to take: it was paid elsewhere, it costs nothing, or no money is held.
    Here { amount_minor: i64, reference: String },
}

fn how_captured(session: &OrderSession, shipment: &Shipment, capture: &ShipmentCapture) -> HowCaptured {
    let (order, number) = (&session.order, capture.payment_number);
    let amount_minor = order.capture_minor(&shipment.id, number);
    let nothing = HowCaptured::Here { amount_minor: 0, reference: String::new() };
    let Some(payment) = order.payment(order.payment_name(number)) else { return nothing };
    let reference = match &payment.state {
        AuthorizationState::Authorized { reference, .. } if amount_minor > 0 => reference.clone(),
        AuthorizationState::PaidElsewhere => {
            return HowCaptured::Here { amount_minor, reference: posted_reference(session, number) };
        }
        AuthorizationState::Authorized { .. }
        | AuthorizationState::None
        | AuthorizationState::Unknown
        | AuthorizationState::Declined
        | AuthorizationState::NotNeeded
        | AuthorizationState::Voided => return nothing,
    };
    let others_open = order.shipments.iter().filter(|other| !other.is_settled() && other.id != shipment.id).count();
    let is_last_shipment = order.is_all_shipped() && others_open == 0;
    HowCaptured::ByProvider(CaptureRequest {
        key: format!("{}:capture:{}", scope(session, number), shipment.id),
        reference,
        amount_minor,
        currency: order.content.currency.code().to_owned(),
        last: is_last_shipment || order.is_used_up_by(&shipment.id, number),
        recorded_minor: payment.captured_minor,
        retries: capture.retries,
    })
}

/// What a payment that was made elsewhere is known by there.
fn posted_reference(session: &OrderSession, payment_number: u32) -> String {
    let posted = (1..).zip(&session.order.content.payments).find(|(number, _)| *number == payment_number);
    posted.and_then(|(_, payment)| payment.reference.clone()).unwrap_or_default()
}

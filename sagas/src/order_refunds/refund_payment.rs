//! Gives money back.

use std::sync::Arc;

use domain::ids::RefundId;
use domain::order::event::PaymentRefunded;
use domain::order::saga::SagaStep;
use domain::order::{AuthorizationState, OrderCommand};
use payments::{PaymentError, PaymentGateway, RefundRequest};

use crate::order_session::OrderSession;
use crate::outcome::StepError;
use crate::payment_keys::scope;
use crate::provider_call::{ProviderCallPlan, ProviderStepOutcome};
use crate::saga::{Step, StepHandler, StepKind, StepUndo};

pub(super) const STEP: Step = Step {
    name: SagaStep::RefundPayment,
    kind: StepKind::Retriable,
    // What came back before it was paid for is refunded once it is paid for. If it never is, the step is due and gets stuck.
    is_due: |order| {
        order.unsettled_refund().is_some_and(|refund| order.is_captured(refund) || order.unsettled_shipment().is_none())
    },
    action: StepHandler::CallProvider(refund_payment),
    undo: StepUndo::Nothing { because: "money that went back stays there" },
};

fn refund_payment(order: &OrderSession, provider: Arc<dyn PaymentGateway>) -> ProviderCallPlan {
    // An operator settled it meanwhile.
    if order.order.unsettled_refund().is_none() {
        return ProviderCallPlan::not_needed(ProviderStepOutcome::nothing());
    }
    let Some((refund_id, payment_number, request)) = refund(order) else {
        // An operator went on without the money. Nobody knew that when the refund was promised.
        let stuck = StepError::Stuck("less money than that was taken for the order: skip the refund".to_owned());
        return ProviderCallPlan::not_needed(ProviderStepOutcome::failed(stuck));
    };
    ProviderCallPlan::needed(async move {
        match provider.refund(&request).await {
            Ok(refunded) => ProviderStepOutcome::done(OrderCommand::RecordPaymentRefunded(PaymentRefunded {
                payment_number,
                refund_id,
                amount_minor: request.amount_minor,
                reference: refunded.reference,
            })),
            Err(PaymentError::Declined { code, message }) => ProviderStepOutcome::failed(StepError::Stuck(format!(
                "the money could not go back: {message} ({code})"
            ))),
            Err(error) => ProviderStepOutcome::failed(error),
        }
    })
}

/// The refund that is next, and its payment; `None`: so much money was never taken.
fn refund(session: &OrderSession) -> Option<(RefundId, Option<u32>, RefundRequest)> {
    let order = &session.order;
    let refund = order.unsettled_refund().filter(|refund| order.is_payable(refund))?;
    let payment_number = order.payment_name(refund.payment_number);
    let AuthorizationState::Authorized { reference, .. } = &order.payment(payment_number)?.state else { return None };
    let request = RefundRequest {
        key: format!("{}:refund:{}", scope(session, refund.payment_number), refund.id),
        reference: reference.clone(),
        amount_minor: refund.amount_minor,
        currency: order.content.currency.code().to_owned(),
        recorded: order.refund_references(refund.payment_number).map(str::to_owned).collect(),
        retries: refund.retries,
    };
    Some((refund.id.clone(), payment_number, request))
}

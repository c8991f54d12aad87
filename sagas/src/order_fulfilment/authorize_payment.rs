//! Has the provider hold what the order costs: one payment after the other, in the order in which they were posted. The compensation lets
//! go of them, the last one first.

use std::sync::Arc;

use domain::ids::PaymentToken;
use domain::order::event::{PaymentAuthorized, PaymentDeclined, PaymentOutcomeUnknown, PaymentVoided};
use domain::order::saga::SagaStep;
use domain::order::{AuthorizationState, OrderCommand, OrderStage, Payment, PlacedOrder};
use payments::{AuthorizationRequest, PaymentError, PaymentGateway, VoidRequest};

use crate::order_session::OrderSession;
use crate::payment_keys::scope;
use crate::provider_call::{ProviderCallPlan, ProviderStepOutcome};
use crate::saga::{Step, StepHandler, StepKind, StepUndo, UndoStep};

pub(super) const STEP: Step = Step {
    name: SagaStep::AuthorizePayment,
    kind: StepKind::Compensable,
    is_due: |order| order.stage() == OrderStage::Pending && order.is_stocked() && !order.is_paid_for(),
    action: StepHandler::CallProvider(authorize_payment),
    undo: StepUndo::By(UndoStep {
        name: SagaStep::VoidPayment,
        is_due: PlacedOrder::may_hold_money,
        action: StepHandler::CallProvider(void_payment),
    }),
};

pub(crate) fn authorize_payment(order: &OrderSession, provider: Arc<dyn PaymentGateway>) -> ProviderCallPlan {
    let Some(payment) = order.order.next_to_authorize() else {
        return ProviderCallPlan::not_needed(ProviderStepOutcome::nothing());
    };
    let (replaced, request) = (replaced_authorizations(order, payment), authorization(order, payment));
    let was_unknown = payment.state == AuthorizationState::Unknown;
    let (payment_number, is_of_edit) = (order.order.payment_name(payment.number), order.order.is_editing());
    ProviderCallPlan::needed(async move {
        if let Err(error) = abandon_all(&*provider, &replaced).await {
            return ProviderStepOutcome::failed(error);
        }
        // While the outcome of an earlier call is unknown, the provider is asked about that call before anything else happens.
        let found = if was_unknown { provider.find(&request).await } else { Ok(None) };
        let authorized = match found {
            Ok(Some(authorized)) => Ok(authorized),
            Ok(None) => provider.authorize(&request).await,
            Err(error) => Err(error),
        };
        match authorized {
            Ok(authorized) => ProviderStepOutcome::done(OrderCommand::RecordPaymentAuthorized(PaymentAuthorized {
                reference: authorized.reference,
                amount_minor: request.amount_minor,
                payment_number,
            })),
            Err(PaymentError::Declined { code, message }) => {
                ProviderStepOutcome::done(OrderCommand::RecordPaymentDeclined(PaymentDeclined {
                    code,
                    message,
                    payment_number,
                }))
            }
            // The order does without the edit. It ships nothing while an edit is in work, so it waits for no operator.
            Err(error @ PaymentError::Refused { .. }) if is_of_edit => {
                let (code, message) = ("refused".to_owned(), error.to_string());
                let declined = PaymentDeclined { code, message, payment_number };
                ProviderStepOutcome::done(OrderCommand::RecordPaymentDeclined(declined))
            }
            Err(error @ PaymentError::Unknown { .. }) if !was_unknown => {
                let reason = error.to_string();
                let unknown =
                    OrderCommand::RecordPaymentOutcomeUnknown(PaymentOutcomeUnknown { reason, payment_number });
                ProviderStepOutcome::failed_with(unknown, error)
            }
            Err(error) => ProviderStepOutcome::failed(error),
        }
    })
}

/// An authorization that nobody recorded may be held as well. It is abandoned under its key, so that a call that is still on its way
/// finds the key used.
fn void_payment(order: &OrderSession, provider: Arc<dyn PaymentGateway>) -> ProviderCallPlan {
    void(order, order.order.next_to_void(), provider)
}

/// Lets go of the payment of an edit that was rejected.
pub(crate) fn void_abandoned_payment(order: &OrderSession, provider: Arc<dyn PaymentGateway>) -> ProviderCallPlan {
    void(order, order.order.next_abandoned(), provider)
}

fn void(order: &OrderSession, payment: Option<&Payment>, provider: Arc<dyn PaymentGateway>) -> ProviderCallPlan {
    let Some(payment) = payment else {
        return ProviderCallPlan::not_needed(ProviderStepOutcome::nothing());
    };
    let (mut abandoned, request) = (replaced_authorizations(order, payment), authorization(order, payment));
    let payment_number = order.order.payment_name(payment.number);
    let void = match &payment.state {
        AuthorizationState::Authorized { reference, .. } => {
            Some(VoidRequest { key: format!("{}:void", request.key), reference: reference.clone() })
        }
        AuthorizationState::None
        | AuthorizationState::Unknown
        | AuthorizationState::PaidElsewhere
        | AuthorizationState::Declined
        | AuthorizationState::NotNeeded
        | AuthorizationState::Voided => {
            abandoned.push(request);
            None
        }
    };
    ProviderCallPlan::needed(async move {
        if let Err(error) = abandon_all(&*provider, &abandoned).await {
            return ProviderStepOutcome::failed(error);
        }
        if let Some(void) = void
            && let Err(error) = provider.void(&void).await
        {
            return ProviderStepOutcome::failed(error);
        }
        ProviderStepOutcome::done(OrderCommand::RecordPaymentVoided(PaymentVoided {
            payment_number,
            released_minor: None,
        }))
    })
}

/// The request for the means of payment in use. It is the same in every attempt.
fn authorization(order: &OrderSession, payment: &Payment) -> AuthorizationRequest {
    authorization_with(order, payment, payment.replaced_tokens.len(), payment.token.as_ref())
}

/// The requests for the means of payment that operators have replaced.
fn replaced_authorizations(order: &OrderSession, payment: &Payment) -> Vec<AuthorizationRequest> {
    let replaced = payment.replaced_tokens.iter().enumerate();
    replaced.map(|(nth, token)| authorization_with(order, payment, nth, token.as_ref())).collect()
}

fn authorization_with(
    order: &OrderSession,
    payment: &Payment,
    nth: usize,
    token: Option<&PaymentToken>,
) -> AuthorizationRequest {
    AuthorizationRequest {
        key: format!("{}:authorize:{nth}", scope(order, payment.number)),
        order_id: order.order_id.clone(),
        amount_minor: payment.amount_minor,
        currency: order.order.content.currency.code().to_owned(),
        token: token.map(ToString::to_string),
    }
}

/// Lets go of authorizations that may be held: a call without an answer may have been carried out, or will be.
async fn abandon_all(provider: &dyn PaymentGateway, requests: &[AuthorizationRequest]) -> Result<(), PaymentError> {
    for request in requests {
        match provider.abandon(request).await {
            // The provider holds nothing under a request that it does not understand.
            Ok(()) | Err(PaymentError::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

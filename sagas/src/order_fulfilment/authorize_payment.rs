//! Has the provider hold what the order costs. The compensation lets go of it.

use domain::ids::PaymentToken;
use domain::order::event::{PaymentAuthorized, PaymentDeclined, PaymentOutcomeUnknown};
use domain::order::saga::SagaStep;
use domain::order::{OrderCommand, PaymentState, PlacedOrder, Stage};
use futures_util::FutureExt;
use payments::{Authorization, PaymentError, PaymentGateway, Void};

use crate::order_session::OrderSession;
use crate::outcome::{Outcome, Progress};
use crate::saga::{Action, Kind, Step, Undo, UndoStep};

pub(super) const STEP: Step = Step {
    name: SagaStep::AuthorizePayment,
    kind: Kind::Compensable,
    is_due: |order| order.stage() == Stage::Pending && order.is_stocked() && !order.is_paid_for(),
    action: Action::CallProvider(|order, provider| authorize_payment(order, provider).boxed()),
    undo: Undo::By(UndoStep {
        name: SagaStep::VoidPayment,
        is_due: PlacedOrder::may_hold_money,
        action: Action::CallProvider(|order, provider| void_payment(order, provider).boxed()),
    }),
};

async fn authorize_payment(order: &mut OrderSession, provider: &dyn PaymentGateway) -> Outcome {
    for replaced in replaced_authorizations(order) {
        abandon(provider, &replaced).await?;
    }
    let request = authorization(order);
    // While the outcome of an earlier call is unknown, the provider is asked about that call before anything else happens.
    let was_unknown = order.order.payment.state == PaymentState::Unknown;
    let found = if was_unknown { provider.find(&request).await } else { Ok(None) };
    let authorized = match found {
        Ok(Some(authorized)) => Ok(authorized),
        Ok(None) => provider.authorize(&request).await,
        Err(error) => Err(error),
    };
    match authorized {
        Ok(authorized) => order.decide(OrderCommand::RecordPaymentAuthorized(PaymentAuthorized {
            reference: authorized.reference,
            amount_minor: request.amount_minor,
        }))?,
        Err(PaymentError::Declined { code, message }) => {
            order.decide(OrderCommand::RecordPaymentDeclined(PaymentDeclined { code, message }))?;
        }
        Err(error) => {
            if matches!(error, PaymentError::Unknown { .. }) && !was_unknown {
                let reason = error.to_string();
                order.decide(OrderCommand::RecordPaymentOutcomeUnknown(PaymentOutcomeUnknown { reason }))?;
            }
            return Err(error.into());
        }
    }
    Ok(Progress::Advanced)
}

/// An authorization that nobody recorded may be held as well. It is abandoned under its key, so that a call that is still on its way
/// finds the key used.
async fn void_payment(order: &mut OrderSession, provider: &dyn PaymentGateway) -> Outcome {
    for replaced in replaced_authorizations(order) {
        abandon(provider, &replaced).await?;
    }
    let request = authorization(order);
    match &order.order.payment.state {
        PaymentState::Authorized { reference, .. } => {
            let void = Void { key: format!("{}:void", request.key), reference: reference.clone() };
            provider.void(&void).await?;
        }
        PaymentState::None
        | PaymentState::Unknown
        | PaymentState::Declined
        | PaymentState::NotNeeded
        | PaymentState::Voided => abandon(provider, &request).await?,
    }
    order.decide(OrderCommand::RecordPaymentVoided)?;
    Ok(Progress::Advanced)
}

/// The request for the means of payment in use. It is the same in every attempt.
fn authorization(order: &OrderSession) -> Authorization {
    let payment = &order.order.payment;
    authorization_with(order, payment.replaced_tokens.len(), payment.token.as_ref())
}

/// The requests for the means of payment that operators have replaced.
fn replaced_authorizations(order: &OrderSession) -> Vec<Authorization> {
    let replaced = order.order.payment.replaced_tokens.iter().enumerate();
    replaced.map(|(nth, token)| authorization_with(order, nth, token.as_ref())).collect()
}

fn authorization_with(order: &OrderSession, nth: usize, token: Option<&PaymentToken>) -> Authorization {
    let content = &order.order.content;
    Authorization {
        key: format!("{}:authorize:{nth}", order.order_id),
        order_id: order.order_id.clone(),
        amount_minor: content.total_minor,
        currency: content.currency.code().to_owned(),
        token: token.map(ToString::to_string),
    }
}

/// Lets go of an authorization that may be held: a call without an answer may have been carried out, or will be.
async fn abandon(provider: &dyn PaymentGateway, request: &Authorization) -> Result<(), PaymentError> {
    match provider.abandon(request).await {
        // The provider holds nothing under a request that it does not understand.
        Ok(()) | Err(PaymentError::Refused { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

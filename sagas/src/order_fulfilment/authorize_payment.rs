//! Has the provider hold what the order costs; lets go of it.

use std::sync::Arc;

use domain::ids::PaymentToken;
use domain::order::event::{PaymentAuthorized, PaymentDeclined, PaymentOutcomeUnknown};
use domain::order::saga::SagaStep;
use domain::order::{OrderCommand, PaymentState, PlacedOrder, Stage};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use payments::{Authorization, PaymentError, PaymentGateway, Void};

use crate::Context;
use crate::case::Case;
use crate::payment::{Answer, Ask, ask, failure};
use crate::saga::{Kind, Outcome, Step, Undo, UndoStep};

pub(super) const STEP: Step = Step {
    name: SagaStep::AuthorizePayment,
    kind: Kind::Compensable,
    is_due: |order| order.stage() == Stage::Pending && order.is_stocked() && !order.is_paid_for(),
    run: authorize,
    undo: Undo::By(UndoStep { name: SagaStep::VoidPayment, is_due: PlacedOrder::may_hold_money, run: void }),
};

/// The same for every try with one means of payment.
fn authorization(case: &Case) -> Authorization {
    with_means(case, case.replaced.len(), case.order.payment.token.as_ref())
}

/// What was asked for with means of payment that an operator has replaced since.
fn replaced(case: &Case) -> Vec<Authorization> {
    case.replaced.iter().enumerate().map(|(nth, token)| with_means(case, nth, token.as_ref())).collect()
}

fn with_means(case: &Case, nth: usize, token: Option<&PaymentToken>) -> Authorization {
    let content = &case.order.content;
    Authorization {
        key: format!("{}:authorize:{nth}", case.order_id),
        order_id: case.order_id.clone(),
        amount_minor: content.total_minor,
        currency: content.currency.code().to_owned(),
        token: token.map(ToString::to_string),
    }
}

/// Lets go of what nobody knows to be held: a call without an answer may still have been carried out, or will be.
async fn abandon(gateway: &dyn PaymentGateway, replaced: &[Authorization]) -> Result<(), PaymentError> {
    for request in replaced {
        match gateway.abandon(request).await {
            // What the provider does not understand it does not hold.
            Ok(()) | Err(PaymentError::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn authorize<'a>(context: &'a Arc<Context>, cases: Vec<Case>) -> BoxFuture<'a, Vec<(Case, Outcome)>> {
    let what = |case: &Case| {
        let (gateway, request, replaced) = (context.payments.gateway(), authorization(case), replaced(case));
        let is_unknown = case.order.payment.state == PaymentState::Unknown;
        Ask::Provider(
            async move {
                if let Err(error) = abandon(&*gateway, &replaced).await {
                    return Answer::failed(failure(&error));
                }
                // An outcome that is not known is asked about before anything else happens.
                let found = if is_unknown { gateway.find(&request).await } else { Ok(None) };
                let authorized = match found {
                    Ok(Some(authorized)) => Ok(authorized),
                    Ok(None) => gateway.authorize(&request).await,
                    Err(error) => Err(error),
                };
                match authorized {
                    Ok(authorized) => Answer::moved(OrderCommand::RecordPaymentAuthorized(PaymentAuthorized {
                        reference: authorized.reference,
                        amount_minor: request.amount_minor,
                    })),
                    Err(PaymentError::Declined { code, message }) => {
                        Answer::moved(OrderCommand::RecordPaymentDeclined(PaymentDeclined { code, message }))
                    }
                    Err(error @ PaymentError::Unknown { .. }) if !is_unknown => Answer {
                        commands: vec![OrderCommand::RecordPaymentOutcomeUnknown(PaymentOutcomeUnknown {
                            reason: error.to_string(),
                        })],
                        outcome: Err(failure(&error)),
                    },
                    Err(error) => Answer::failed(failure(&error)),
                }
            }
            .boxed(),
        )
    };
    ask(context, SagaStep::AuthorizePayment, cases, what).boxed()
}

/// What is not known to be held is let go of as well: by its key, so that a call that is still on its way finds it used.
fn void<'a>(context: &'a Arc<Context>, cases: Vec<Case>) -> BoxFuture<'a, Vec<(Case, Outcome)>> {
    let what = |case: &Case| {
        let (gateway, request, replaced) = (context.payments.gateway(), authorization(case), replaced(case));
        let reference = match &case.order.payment.state {
            PaymentState::Authorized { reference, .. } => Some(reference.clone()),
            PaymentState::None
            | PaymentState::Unknown
            | PaymentState::Declined
            | PaymentState::NotNeeded
            | PaymentState::Voided => None,
        };
        Ask::Provider(
            async move {
                if let Err(error) = abandon(&*gateway, &replaced).await {
                    return Answer::failed(failure(&error));
                }
                let let_go = match reference {
                    Some(reference) => gateway.void(&Void { key: format!("{}:void", request.key), reference }).await,
                    None => abandon(&*gateway, &[request]).await,
                };
                match let_go {
                    Ok(()) => Answer::moved(OrderCommand::RecordPaymentVoided),
                    Err(error) => Answer::failed(failure(&error)),
                }
            }
            .boxed(),
        )
    };
    ask(context, SagaStep::VoidPayment, cases, what).boxed()
}

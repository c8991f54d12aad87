//! Gives money back.

use std::sync::Arc;

use domain::order::event::PaymentRefunded;
use domain::order::saga::SagaStep;
use domain::order::{OrderCommand, PaymentState};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use payments::Refund;

use crate::Context;
use crate::case::Case;
use crate::payment::{Answer, Ask, ask, failure};
use crate::saga::{Kind, Outcome, Step, StepError, Undo};

pub(super) const STEP: Step = Step {
    name: SagaStep::RefundPayment,
    kind: Kind::ForwardOnly,
    // What came back before it was paid for is refunded once it is. If it never is, that has to be seen.
    is_due: |order| {
        let is_taken = |refund: &domain::order::Refund| refund.amount_minor <= order.kept_minor();
        order.unsettled_refund().is_some_and(|refund| is_taken(refund) || order.unsettled_shipment().is_none())
    },
    run: refund,
    undo: Undo::Nothing { because: "money that went back stays there" },
};

fn refund<'a>(context: &'a Arc<Context>, cases: Vec<Case>) -> BoxFuture<'a, Vec<(Case, Outcome)>> {
    let what = |case: &Case| {
        let order = &case.order;
        let (Some(refund), PaymentState::Authorized { reference, .. }) =
            (order.unsettled_refund(), &order.payment.state)
        else {
            return Ask::Nothing(never_taken());
        };
        if !order.is_payable(refund) {
            return Ask::Nothing(never_taken());
        }
        let (gateway, refund_id) = (context.payments.gateway(), refund.id.clone());
        let request = Refund {
            key: format!("{}:refund:{refund_id}", case.order_id),
            reference: reference.clone(),
            amount_minor: refund.amount_minor,
            currency: order.content.currency.code().to_owned(),
            recorded_minor: order.payment.refunded_minor,
            retries: refund.retries,
        };
        Ask::Provider(
            async move {
                match gateway.refund(&request).await {
                    Ok(done) => Answer::moved(OrderCommand::RecordPaymentRefunded(PaymentRefunded {
                        refund_id,
                        amount_minor: request.amount_minor,
                        reference: done.reference,
                    })),
                    Err(payments::PaymentError::Declined { code, message }) => {
                        Answer::failed(StepError::Stuck(format!("the money could not go back: {message} ({code})")))
                    }
                    Err(error) => Answer::failed(failure(&error)),
                }
            }
            .boxed(),
        )
    };
    ask(context, SagaStep::RefundPayment, cases, what).boxed()
}

/// An operator did without the money, which was not to be known when it was promised back.
fn never_taken() -> Answer {
    Answer::failed(StepError::Stuck("less money than that was taken for the order: skip the refund".to_owned()))
}

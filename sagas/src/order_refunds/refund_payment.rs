//! Gives money back.

use std::sync::Arc;

use domain::{OrderCommand, PaymentRefunded, PaymentState, SagaStep};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use payments::Refund;

use crate::Context;
use crate::case::Case;
use crate::payment::{Answer, Ask, ask, failure};
use crate::saga::{Done, Kind, Outcome, Step, StepError, Undo};

pub(super) const STEP: Step = Step {
    name: SagaStep::RefundPayment,
    kind: Kind::ForwardOnly,
    // What came back before it was paid for is refunded once it is.
    is_due: |order| {
        let left = order.payment.captured_minor - order.payment.refunded_minor;
        order.unsettled_refund().is_some_and(|refund| refund.amount_minor <= left)
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
            return Ask::Nothing(Answer { commands: vec![], outcome: Ok(Done::Moved) });
        };
        let (gateway, refund_id) = (context.payments.gateway(), refund.id.clone());
        let request = Refund {
            key: format!("{}:refund:{refund_id}", case.order_id),
            reference: reference.clone(),
            amount_minor: refund.amount_minor,
            currency: order.content.currency.code().to_owned(),
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

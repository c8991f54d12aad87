//! Lets go of the money for what was cancelled of an order, once the rest of it was sent and paid for.
//!
//! The last capture lets go of it as well, where it knows that it is the last.

use std::sync::Arc;

use domain::order::saga::SagaStep;
use domain::order::{OrderCommand, PaymentState, PlacedOrder};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use payments::Void;

use crate::Context;
use crate::case::Case;
use crate::payment::{Answer, Ask, ask, failure};
use crate::saga::{Done, Kind, Outcome, Step, Undo};

pub(super) const STEP: Step = Step {
    name: SagaStep::VoidRest,
    kind: Kind::ForwardOnly,
    is_due: PlacedOrder::has_rest_to_void,
    run: void_rest,
    undo: Undo::Nothing { because: "nobody pays for what will not be sent" },
};

fn void_rest<'a>(context: &'a Arc<Context>, cases: Vec<Case>) -> BoxFuture<'a, Vec<(Case, Outcome)>> {
    let what = |case: &Case| {
        let PaymentState::Authorized { reference, .. } = &case.order.payment.state else {
            return Ask::Nothing(Answer { commands: vec![], outcome: Ok(Done::Moved) });
        };
        let gateway = context.payments.gateway();
        let request = Void { key: format!("{}:void:rest", case.order_id), reference: reference.clone() };
        Ask::Provider(
            async move {
                match gateway.void(&request).await {
                    Ok(()) => Answer::moved(OrderCommand::RecordPaymentVoided),
                    Err(error) => Answer::failed(failure(&error)),
                }
            }
            .boxed(),
        )
    };
    ask(context, SagaStep::VoidRest, cases, what).boxed()
}

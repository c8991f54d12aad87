//! Takes the money for what was shipped. Recording it takes the units off the shelf.

use std::sync::Arc;

use domain::order::event::PaymentCaptured;
use domain::order::saga::SagaStep;
use domain::order::{OrderCommand, PaymentState, Shipment};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use payments::Capture;

use crate::Context;
use crate::case::Case;
use crate::payment::{Answer, Ask, ask, failure};
use crate::saga::{Done, Kind, Outcome, Step, StepError, Undo};

pub(super) const STEP: Step = Step {
    name: SagaStep::CapturePayment,
    kind: Kind::ForwardOnly,
    is_due: |order| order.unsettled_shipment().is_some(),
    run: capture,
    undo: Undo::Nothing { because: "what was sent is paid for; money goes back as a refund" },
};

fn capture<'a>(context: &'a Arc<Context>, cases: Vec<Case>) -> BoxFuture<'a, Vec<(Case, Outcome)>> {
    let what = |case: &Case| {
        let Some(shipment) = case.order.unsettled_shipment() else {
            return Ask::Nothing(Answer { commands: vec![], outcome: Ok(Done::Moved) });
        };
        let Some(request) = request(case, shipment) else {
            return Ask::Nothing(Answer::moved(captured(shipment, 0, String::new())));
        };
        let (gateway, shipment) = (context.payments.gateway(), shipment.clone());
        Ask::Provider(
            async move {
                match gateway.capture(&request).await {
                    Ok(done) => Answer::moved(captured(&shipment, request.amount_minor, done.reference)),
                    Err(payments::PaymentError::Declined { code, message }) => {
                        Answer::failed(StepError::Stuck(format!("the money could not be taken: {message} ({code})")))
                    }
                    Err(error) => Answer::failed(failure(&error)),
                }
            }
            .boxed(),
        )
    };
    ask(context, SagaStep::CapturePayment, cases, what).boxed()
}

/// `None`: nothing is held for the order, or what was sent costs nothing.
fn request(case: &Case, shipment: &Shipment) -> Option<Capture> {
    let order = &case.order;
    let PaymentState::Authorized { reference, .. } = &order.payment.state else { return None };
    let amount_minor = order.worth_minor(&shipment.lines);
    let others_open = order.shipments.iter().filter(|other| !other.settled && other.id != shipment.id).count();
    (amount_minor > 0).then(|| Capture {
        key: format!("{}:capture:{}", case.order_id, shipment.id),
        reference: reference.clone(),
        amount_minor,
        currency: order.content.currency.code().to_owned(),
        last: order.is_all_shipped() && others_open == 0,
        recorded_minor: order.payment.captured_minor,
        retries: shipment.retries,
    })
}

fn captured(shipment: &Shipment, amount_minor: i64, reference: String) -> OrderCommand {
    let shipment_id = shipment.id.clone();
    OrderCommand::RecordPaymentCaptured(PaymentCaptured { shipment_id, amount_minor, reference })
}

//! Decides on what operators decide about a step.

use super::error::OrderError;
use super::event::{
    OperatorIntervened, OrderEvent, PaymentAuthorized, PaymentCaptured, PaymentDeclined, PaymentRefunded, PaymentVoided,
};
use super::mails::MAX_RESENDS;
use super::saga::{OperatorDecision, SagaStep};
use super::state::{AuthorizationState, OrderStockState, PlacedOrder};
use super::transitions::OrderStage;

/// The event of the decision, and the event of the outcome if the operator knows it.
pub(super) fn intervene(order: &PlacedOrder, intervention: OperatorIntervened) -> Result<Vec<OrderEvent>, OrderError> {
    let step = intervention.step;
    if !is_open(order, step) && intervention.decision != OperatorDecision::Compensate {
        return refused(format!("{} is not what the order waits for", step.name()));
    }
    let outcome = match &intervention.decision {
        OperatorDecision::Retry { payment_token: None } => {
            if step == SagaStep::NotifyCustomer && order.has_exhausted_mail() {
                return refused(format!("a mail of the order was sent again {MAX_RESENDS} times: skip it"));
            }
            None
        }
        OperatorDecision::Retry { payment_token: Some(_) } => {
            if step != SagaStep::AuthorizePayment {
                return refused(format!("{} takes no other means of payment", step.name()));
            }
            if order.payment.state == AuthorizationState::Unknown {
                return refused(UNKNOWN.to_owned());
            }
            None
        }
        OperatorDecision::Skip => {
            match step {
                SagaStep::ConfirmOrder | SagaStep::CloseOrder => {
                    return refused(format!("{} can't be skipped", step.name()));
                }
                SagaStep::AuthorizePayment | SagaStep::VoidPayment
                    if order.payment.state == AuthorizationState::Unknown =>
                {
                    return refused(UNKNOWN.to_owned());
                }
                SagaStep::VoidPayment if order.payment.state == AuthorizationState::None => {
                    return refused(UNKNOWN.to_owned());
                }
                SagaStep::CapturePayment | SagaStep::RefundPayment if may_have_moved(order, step) => {
                    return refused(MAY_HAVE_MOVED.to_owned());
                }
                SagaStep::AuthorizePayment
                | SagaStep::ReserveStock
                | SagaStep::ReleaseStock
                | SagaStep::VoidPayment
                | SagaStep::CapturePayment
                | SagaStep::VoidRest
                | SagaStep::RefundPayment
                | SagaStep::NotifyCustomer => {}
            }
            None
        }
        OperatorDecision::Compensate => match order.stage() {
            OrderStage::Pending | OrderStage::Confirmed => None,
            OrderStage::Undoing => return Ok(vec![]),
            stage @ (OrderStage::PartiallyShipped
            | OrderStage::Shipped
            | OrderStage::Completed
            | OrderStage::Rejected
            | OrderStage::Cancelled) => {
                return refused(format!("the order is {stage}: there is nothing that could be undone"));
            }
        },
        OperatorDecision::MarkSucceeded { reference } => Some(succeeded(order, step, reference)?),
        OperatorDecision::MarkFailed => match step {
            SagaStep::AuthorizePayment => {
                let message = intervention.reason.clone();
                Some(OrderEvent::PaymentDeclined(PaymentDeclined { code: "operator".to_owned(), message }))
            }
            SagaStep::CapturePayment | SagaStep::RefundPayment => None,
            SagaStep::ReserveStock
            | SagaStep::ReleaseStock
            | SagaStep::VoidPayment
            | SagaStep::VoidRest
            | SagaStep::ConfirmOrder
            | SagaStep::NotifyCustomer
            | SagaStep::CloseOrder => {
                return refused(format!("{} can't fail for good: retry it", step.name()));
            }
        },
    };
    Ok([Some(OrderEvent::OperatorIntervened(intervention)), outcome].into_iter().flatten().collect())
}

const UNKNOWN: &str =
    "it is not known whether the payment is held: ask the provider, then mark it as succeeded or failed";

const MAY_HAVE_MOVED: &str =
    "the provider may have moved the money: ask it, then mark the step as succeeded, with its reference, or failed";

/// Whether the provider may have been asked for the movement of money that is next. No event says so beforehand.
fn may_have_moved(order: &PlacedOrder, step: SagaStep) -> bool {
    match step {
        SagaStep::CapturePayment => {
            let is_held = matches!(order.payment.state, AuthorizationState::Authorized { .. });
            is_held && order.unsettled_shipment().is_some_and(|it| order.shipment_worth_minor(&it.id) > 0)
        }
        SagaStep::RefundPayment => order.unsettled_refund().is_some_and(|refund| order.is_payable(refund)),
        SagaStep::ReserveStock
        | SagaStep::ReleaseStock
        | SagaStep::AuthorizePayment
        | SagaStep::VoidPayment
        | SagaStep::VoidRest
        | SagaStep::ConfirmOrder
        | SagaStep::NotifyCustomer
        | SagaStep::CloseOrder => false,
    }
}

fn refused<T>(why: String) -> Result<T, OrderError> {
    Err(OrderError::CannotIntervene(why))
}

/// Whether the step has something to do. Only then there is something to decide about it.
fn is_open(order: &PlacedOrder, step: SagaStep) -> bool {
    let pending = order.stage() == OrderStage::Pending;
    let undoing = order.stage() == OrderStage::Undoing;
    match step {
        SagaStep::ReserveStock => pending && order.stock == OrderStockState::None,
        SagaStep::AuthorizePayment => pending && order.is_stocked() && !order.is_paid_for(),
        SagaStep::ConfirmOrder => pending && order.is_stocked() && order.is_paid_for(),
        SagaStep::ReleaseStock => undoing && order.holds_units(),
        SagaStep::VoidPayment => undoing && order.may_hold_money(),
        SagaStep::CloseOrder => undoing && !order.holds_units() && !order.may_hold_money(),
        SagaStep::CapturePayment => order.unsettled_shipment().is_some(),
        SagaStep::VoidRest => order.has_rest_to_void(),
        SagaStep::RefundPayment => order.unsettled_refund().is_some(),
        SagaStep::NotifyCustomer => order.owed_mail().is_some() || order.has_failed_mail(),
    }
}

fn succeeded(order: &PlacedOrder, step: SagaStep, reference: &str) -> Result<OrderEvent, OrderError> {
    let reference = reference.to_owned();
    let event = match step {
        SagaStep::AuthorizePayment => {
            let amount_minor = order.content.total_minor;
            Some(OrderEvent::PaymentAuthorized(PaymentAuthorized { reference, amount_minor }))
        }
        SagaStep::VoidPayment | SagaStep::VoidRest => Some(OrderEvent::PaymentVoided(PaymentVoided {})),
        SagaStep::CapturePayment => order.unsettled_shipment().map(|shipment| {
            OrderEvent::PaymentCaptured(PaymentCaptured {
                shipment_id: shipment.id.clone(),
                amount_minor: order.shipment_worth_minor(&shipment.id),
                reference,
            })
        }),
        SagaStep::RefundPayment => {
            order.unsettled_refund().filter(|it| it.amount_minor <= order.kept_minor()).map(|refund| {
                OrderEvent::PaymentRefunded(PaymentRefunded {
                    refund_id: refund.id.clone(),
                    amount_minor: refund.amount_minor,
                    reference,
                })
            })
        }
        SagaStep::ReserveStock
        | SagaStep::ReleaseStock
        | SagaStep::ConfirmOrder
        | SagaStep::CloseOrder
        | SagaStep::NotifyCustomer => None,
    };
    event.ok_or_else(|| {
        OrderError::CannotIntervene(format!("{} is not done by anybody else: retry or skip it", step.name()))
    })
}

//! Decides on what operators decide about a step.

use super::error::OrderError;
use super::event::{
    EditRejectionReason, OperatorIntervened, OrderEvent, PaymentAuthorized, PaymentCaptured, PaymentDeclined,
    PaymentRefunded, PaymentVoided,
};
use super::mails::MAX_RESENDS;
use super::manual_refunds::ManualRefund;
use super::payments::{AuthorizationState, Payment};
use super::saga::{OperatorDecision, SagaStep};
use super::state::{OrderStockState, PlacedOrder, Refund};
use super::transitions::OrderStage;

/// The event of the decision, and the event of the outcome if the operator knows it.
pub(super) fn intervene(order: &PlacedOrder, decided: OperatorIntervened) -> Result<Vec<OrderEvent>, OrderError> {
    let step = decided.step;
    if !is_open(order, step) && decided.decision != OperatorDecision::Compensate {
        return refused(format!("{} is not what the order waits for", step.name()));
    }
    let payment_number = payment_decided_on(order, &decided)?;
    let intervention = OperatorIntervened { payment_number, ..decided };
    let is_in = |state: &AuthorizationState| order.payment(payment_number).is_some_and(|it| it.state == *state);
    let outcome = match &intervention.decision {
        OperatorDecision::Retry { payment_token: None } => {
            if step == SagaStep::RefundManually {
                return refused(
                    "a person gives the money back: mark it as succeeded, with its reference, or failed".to_owned(),
                );
            }
            if step == SagaStep::NotifyCustomer && order.has_exhausted_mail() {
                return refused(format!("a mail of the order was sent again {MAX_RESENDS} times: skip it"));
            }
            None
        }
        OperatorDecision::Retry { payment_token: Some(_) } => {
            if step != SagaStep::AuthorizePayment {
                return refused(format!("{} takes no other means of payment", step.name()));
            }
            if is_in(&AuthorizationState::Unknown) {
                return refused(UNKNOWN.to_owned());
            }
            None
        }
        OperatorDecision::Skip => {
            match step {
                SagaStep::ConfirmOrder | SagaStep::ApplyEdit | SagaStep::CloseOrder => {
                    return refused(format!("{} can't be skipped", step.name()));
                }
                SagaStep::AuthorizePayment | SagaStep::VoidPayment if is_in(&AuthorizationState::Unknown) => {
                    return refused(UNKNOWN.to_owned());
                }
                SagaStep::VoidPayment if is_in(&AuthorizationState::None) => {
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
                | SagaStep::RefundManually
                | SagaStep::NotifyCustomer => {}
            }
            None
        }
        OperatorDecision::Compensate => match order.stage() {
            OrderStage::Editing | OrderStage::PartiallyShippedEditing => {
                if !is_of_edit(step) {
                    return refused(format!("an edit is in work: give it up first, at {}", edit_step(order).name()));
                }
                if intervention.customer_message.is_some() {
                    return refused("the customer is not told of an edit that is given up".to_owned());
                }
                order.rejection_of_edit(EditRejectionReason::GivenUp { reason: intervention.reason.clone() })
            }
            // It was meant for an edit that is over. The order stays.
            OrderStage::Confirmed | OrderStage::ConfirmedOnHold if is_of_edit(step) => {
                let why = "no edit is in work, so there is nothing to give up; at confirm_order it would be the order";
                return refused(why.to_owned());
            }
            OrderStage::Pending | OrderStage::Confirmed | OrderStage::ConfirmedOnHold => None,
            OrderStage::Undoing => return Ok(vec![]),
            stage @ (OrderStage::PartiallyShipped
            | OrderStage::PartiallyShippedOnHold
            | OrderStage::Shipped
            | OrderStage::Completed
            | OrderStage::Rejected
            | OrderStage::Cancelled) => {
                return refused(format!("the order is {stage}: there is nothing that could be undone"));
            }
        },
        OperatorDecision::MarkSucceeded { reference } => Some(succeeded(order, step, payment_number, reference)?),
        OperatorDecision::MarkFailed => match step {
            SagaStep::AuthorizePayment => {
                let message = intervention.reason.clone();
                let code = "operator".to_owned();
                let declined = order.declined(PaymentDeclined { code, message, payment_number });
                return Ok([OrderEvent::OperatorIntervened(intervention)].into_iter().chain(declined).collect());
            }
            SagaStep::CapturePayment | SagaStep::RefundPayment | SagaStep::RefundManually => None,
            SagaStep::ReserveStock
            | SagaStep::ReleaseStock
            | SagaStep::VoidPayment
            | SagaStep::VoidRest
            | SagaStep::ConfirmOrder
            | SagaStep::ApplyEdit
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
        SagaStep::CapturePayment => order.next_capture().is_some_and(|(shipment, capture)| {
            let payment = order.payment(order.payment_name(capture.payment_number));
            let is_held = payment.is_some_and(|it| matches!(it.state, AuthorizationState::Authorized { .. }));
            is_held && order.capture_minor(&shipment.id, capture.payment_number) > 0
        }),
        SagaStep::RefundPayment => order.unsettled_refund().is_some_and(|refund| order.is_payable(refund)),
        SagaStep::ReserveStock
        | SagaStep::ReleaseStock
        | SagaStep::AuthorizePayment
        | SagaStep::VoidPayment
        | SagaStep::VoidRest
        | SagaStep::RefundManually
        | SagaStep::ConfirmOrder
        | SagaStep::ApplyEdit
        | SagaStep::NotifyCustomer
        | SagaStep::CloseOrder => false,
    }
}

/// Whether a confirmed order has the step because of an edit only.
fn is_of_edit(step: SagaStep) -> bool {
    matches!(step, SagaStep::AuthorizePayment | SagaStep::ApplyEdit | SagaStep::VoidPayment)
}

/// The step that the edit in work is at.
fn edit_step(order: &PlacedOrder) -> SagaStep {
    if order.is_paid_for() { SagaStep::ApplyEdit } else { SagaStep::AuthorizePayment }
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
        SagaStep::AuthorizePayment if pending => order.is_stocked() && !order.is_paid_for(),
        SagaStep::AuthorizePayment => order.is_editing() && !order.is_paid_for(),
        SagaStep::ApplyEdit => order.is_editing() && order.is_paid_for(),
        SagaStep::ConfirmOrder => pending && order.is_stocked() && order.is_paid_for(),
        SagaStep::ReleaseStock => undoing && order.holds_units(),
        SagaStep::VoidPayment if undoing => order.may_hold_money(),
        SagaStep::VoidPayment => order.next_abandoned().is_some(),
        SagaStep::CloseOrder => undoing && !order.holds_units() && !order.may_hold_money(),
        SagaStep::CapturePayment => order.unsettled_shipment().is_some(),
        SagaStep::VoidRest => order.has_rest_to_void(),
        SagaStep::RefundPayment => order.unsettled_refund().is_some(),
        SagaStep::RefundManually => order.manual_refunds().next().is_some(),
        SagaStep::NotifyCustomer => order.owed_mail().is_some() || order.has_failed_mail(),
    }
}

/// What names the payment that a decision is about. Where the order has several, it has to be one that the step is at, so that a decision
/// about one payment never hits the payment behind it.
fn payment_decided_on(order: &PlacedOrder, decided: &OperatorIntervened) -> Result<Option<u32>, OrderError> {
    let step = decided.step;
    if order.payments.len() == 1 {
        return match decided.payment_number {
            None | Some(1) => Ok(None),
            Some(number) => refused(format!("the order has no payment {number}")),
        };
    }
    let at = order.payments_at(step);
    let names: Vec<String> = at.iter().map(ToString::to_string).collect();
    match (decided.payment_number, &decided.decision) {
        (None, OperatorDecision::Compensate) => Ok(None),
        (None, _) if !step.is_of_a_payment() => Ok(None),
        (None, OperatorDecision::Retry { payment_token: None }) => Ok(at.first().copied()),
        (None, _) => {
            refused(format!("the order has several payments: name the one; {} is at {}", step.name(), names.join(", ")))
        }
        (Some(number), _) if at.contains(&number) => Ok(Some(number)),
        (Some(number), _) if at.is_empty() => refused(format!("{} is not about payment {number}", step.name())),
        (Some(number), _) => refused(format!("{} is not at payment {number} but at {}", step.name(), names.join(", "))),
    }
}

fn succeeded(
    order: &PlacedOrder,
    step: SagaStep,
    payment_number: Option<u32>,
    reference: &str,
) -> Result<OrderEvent, OrderError> {
    let reference = reference.to_owned();
    let payment = order.payment(payment_number);
    let kept_minor = payment.map_or(0, Payment::kept_minor);
    let made = |refund: &Refund| {
        let (refund_id, amount_minor) = (refund.id.clone(), refund.amount_minor);
        let refunded = PaymentRefunded { refund_id, amount_minor, reference: reference.clone(), payment_number };
        OrderEvent::PaymentRefunded(refunded)
    };
    // Of an authorization without a recorded answer nobody knows how much was held.
    let released_minor = payment.map(Payment::held_minor).filter(|held| *held > 0);
    let voided = || OrderEvent::PaymentVoided(PaymentVoided { payment_number, released_minor });
    let event = match step {
        SagaStep::AuthorizePayment => payment.map(|payment| {
            let (reference, amount_minor) = (reference.clone(), payment.amount_minor);
            OrderEvent::PaymentAuthorized(PaymentAuthorized { reference, amount_minor, payment_number })
        }),
        SagaStep::VoidPayment | SagaStep::VoidRest => Some(voided()),
        SagaStep::CapturePayment => order.next_capture().map(|(shipment, capture)| {
            OrderEvent::PaymentCaptured(PaymentCaptured {
                shipment_id: shipment.id.clone(),
                amount_minor: order.capture_minor(&shipment.id, capture.payment_number),
                reference: reference.clone(),
                payment_number,
            })
        }),
        SagaStep::RefundPayment => order.unsettled_refund().filter(|it| it.amount_minor <= kept_minor).map(made),
        SagaStep::RefundManually => {
            let mut of_payment = order
                .manual_refunds()
                .filter(|it| payment.is_some_and(|payment| it.payment_number() == payment.number));
            match of_payment.next() {
                Some(ManualRefund::Refund(refund)) => Some(refund).filter(|it| it.amount_minor <= kept_minor).map(made),
                Some(ManualRefund::Rest(_)) => Some(voided()),
                None => None,
            }
        }
        SagaStep::ReserveStock
        | SagaStep::ReleaseStock
        | SagaStep::ConfirmOrder
        | SagaStep::ApplyEdit
        | SagaStep::CloseOrder
        | SagaStep::NotifyCustomer => None,
    };
    event.ok_or_else(|| {
        OrderError::CannotIntervene(format!("{} is not done by anybody else: retry or skip it", step.name()))
    })
}

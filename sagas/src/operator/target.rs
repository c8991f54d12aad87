//! What a decision is about, beyond its step.

use domain::ids::{EditId, RefundId, ShipmentId};
use domain::money::Money;
use domain::order::event::OperatorIntervened;
use domain::order::saga::{OperatorDecision, SagaStep};
use domain::order::{ManualRefund, OrderError, Payment, PlacedOrder, Refund};
use uuid::Uuid;

use crate::order_session::OrderSession;

/// What of an order's money a person gives back, as operators name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManualRefundName {
    /// A refund.
    Refund(RefundId),
    /// What will never be captured of a payment.
    Rest,
}

/// What a decision is about, beyond its step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DecisionTarget {
    /// The step says all of it.
    Step,
    /// The edit that is in work.
    Edit(EditId),
    /// What is held, or to be held, of a payment.
    Authorization { payment_number: u32 },
    /// What a shipment takes of a payment.
    Capture { shipment_id: ShipmentId, payment_number: u32 },
    /// A payment's share of a refund.
    Refund { refund_id: RefundId, payment_number: u32 },
    /// What will never be captured of a payment that was paid elsewhere.
    Rest { payment_number: u32 },
    /// A mail.
    Mail(Uuid),
}

impl DecisionTarget {
    /// What the decision would be about now.
    pub(super) fn of(session: &OrderSession, intervention: &OperatorIntervened) -> Self {
        let order = &session.order;
        if intervention.decision == OperatorDecision::Compensate {
            return order.open_edit().map_or(Self::Step, |edit| Self::Edit(edit.id.clone()));
        }
        let target = match intervention.step {
            SagaStep::AuthorizePayment => order.next_to_authorize().map(Self::of_authorization),
            SagaStep::VoidPayment if order.undoing.is_none() => order.next_abandoned().map(Self::of_authorization),
            SagaStep::VoidPayment => order.next_to_void().map(Self::of_authorization),
            SagaStep::VoidRest => order.next_rest_to_void().map(Self::of_authorization),
            SagaStep::CapturePayment => order.next_capture().map(|(shipment, capture)| Self::Capture {
                shipment_id: shipment.id.clone(),
                payment_number: capture.payment_number,
            }),
            SagaStep::RefundPayment => order.unsettled_refund().map(Self::of_refund),
            SagaStep::RefundManually => manual_refunds(order, intervention).next().map(|it| match it {
                ManualRefund::Refund(refund) => Self::of_refund(refund),
                ManualRefund::Rest(payment) => Self::Rest { payment_number: payment.number },
            }),
            SagaStep::NotifyCustomer if intervention.decision == OperatorDecision::Skip => {
                session.mail_triggers.owed_mail(order).ok().map(|mail| Self::Mail(mail.notification_id))
            }
            SagaStep::NotifyCustomer
            | SagaStep::ReserveStock
            | SagaStep::ReleaseStock
            | SagaStep::ConfirmOrder
            | SagaStep::ApplyEdit
            | SagaStep::CloseOrder => None,
        };
        target.unwrap_or(Self::Step)
    }

    fn of_authorization(payment: &Payment) -> Self {
        Self::Authorization { payment_number: payment.number }
    }

    fn of_refund(refund: &Refund) -> Self {
        Self::Refund { refund_id: refund.id.clone(), payment_number: refund.payment_number }
    }

    /// The id of the mail.
    pub(super) fn mail(&self) -> Option<Uuid> {
        match self {
            Self::Mail(notification_id) => Some(*notification_id),
            Self::Step
            | Self::Edit(_)
            | Self::Authorization { .. }
            | Self::Capture { .. }
            | Self::Refund { .. }
            | Self::Rest { .. } => None,
        }
    }

    /// Whether it is what the operator named. Nobody but the operator knows what a person gave back, so that has to be named.
    pub(super) fn check_name(
        &self,
        order: &PlacedOrder,
        intervention: &OperatorIntervened,
        named: Option<&ManualRefundName>,
    ) -> Result<(), OrderError> {
        let step = intervention.step;
        let is_it = match (named, self) {
            (Some(ManualRefundName::Refund(name)), Self::Refund { refund_id, .. }) => name == refund_id,
            (Some(ManualRefundName::Rest), Self::Rest { .. }) => true,
            (Some(_), _) => false,
            (None, _) => step != SagaStep::RefundManually || intervention.decision == OperatorDecision::Compensate,
        };
        if is_it {
            return Ok(());
        }
        let why = match (named, step) {
            (_, SagaStep::RefundManually) => {
                let waiting: Vec<String> = manual_refunds(order, intervention).map(|it| named_so(order, it)).collect();
                let is_at = format!("{} is at {}", step.name(), waiting.join(", then at "));
                if named.is_some() { is_at } else { format!("name what this is about; {is_at}") }
            }
            (Some(ManualRefundName::Refund(id)), _) => format!("{} is not at refund {id}", step.name()),
            (Some(ManualRefundName::Rest) | None, _) => format!("{} is not about a rest", step.name()),
        };
        Err(OrderError::CannotIntervene(why))
    }
}

/// What a person has to give back of the payment that the decision is about, in the order in which the step is at it.
fn manual_refunds<'a>(
    order: &'a PlacedOrder,
    intervention: &OperatorIntervened,
) -> impl Iterator<Item = ManualRefund<'a>> {
    let payment = intervention.payment_number;
    order.manual_refunds().filter(move |it| payment.is_none_or(|number| number == it.payment_number()))
}

fn named_so(order: &PlacedOrder, refund: ManualRefund<'_>) -> String {
    let amount = Money::from_minor(refund.amount_minor(), order.content.currency);
    match refund {
        ManualRefund::Refund(refund) => format!("refund {} ({amount})", refund.id),
        ManualRefund::Rest(_) => format!("the rest ({amount})"),
    }
}

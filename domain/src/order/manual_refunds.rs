//! Money that was paid elsewhere and has to go back: a person gives it back. And which payment each step of a saga is about.

use serde::{Deserialize, Serialize};

use super::event::OrderPayment;
use super::payments::Payment;
use super::saga::SagaStep;
use super::state::{PlacedOrder, Refund};
use super::transitions::OrderStage;

/// Money that a person has to give back, because it was paid elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManualRefund<'a> {
    /// A refund.
    Refund(&'a Refund),
    /// What will never be captured of a payment: the order was undone, or lines of it were cancelled.
    Rest(&'a Payment),
}

/// Money of a payment that was not captured, and that a person set free. Of a payment that was made elsewhere: gave back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManualRelease {
    /// The payment.
    pub payment_number: u32,
    /// How much, in minor units.
    pub amount_minor: i64,
}

impl ManualRefund<'_> {
    /// The payment that the money goes back to.
    pub fn payment_number(&self) -> u32 {
        match self {
            Self::Refund(refund) => refund.payment_number,
            Self::Rest(payment) => payment.number,
        }
    }

    /// How much, in minor units.
    pub fn amount_minor(&self) -> i64 {
        match self {
            Self::Refund(refund) => refund.amount_minor,
            Self::Rest(payment) => payment.held_minor(),
        }
    }
}

impl PlacedOrder {
    /// Whether a person has to make the refund.
    pub fn is_manual(&self, refund: &Refund) -> bool {
        self.numbered(refund.payment_number).is_some_and(Payment::is_paid_elsewhere)
    }

    /// Whether the payment was made elsewhere, so that the money went back and was not only set free.
    pub fn was_given_back(&self, release: &ManualRelease) -> bool {
        let at = usize::try_from(release.payment_number).ok().and_then(|number| number.checked_sub(1));
        at.and_then(|at| self.content.payments.get(at)).is_some_and(OrderPayment::is_paid_elsewhere)
    }

    /// What a person has to give back now.
    pub fn manual_refunds(&self) -> impl Iterator<Item = ManualRefund<'_>> {
        let refunds = self.refunds.iter().filter(|refund| !refund.settled && self.is_manual(refund));
        let due = refunds.filter(|refund| self.is_captured(refund) || self.unsettled_shipment().is_none());
        let is_over = matches!(self.stage(), OrderStage::Rejected | OrderStage::Cancelled);
        let rests = self.payments.iter().filter(|payment| payment.is_paid_elsewhere() && payment.held_minor() > 0);
        let rests = rests.filter(move |_| is_over || self.has_rest());
        due.map(ManualRefund::Refund).chain(rests.map(ManualRefund::Rest))
    }

    /// The payments that a step is about now. Only money that a person gives back can be of several.
    pub fn payments_at(&self, step: SagaStep) -> Vec<u32> {
        let number = |payment: Option<&Payment>| payment.map(|payment| payment.number).into_iter().collect();
        match step {
            SagaStep::AuthorizePayment => number(self.next_to_authorize()),
            SagaStep::VoidPayment if self.undoing.is_none() => number(self.next_abandoned()),
            SagaStep::VoidPayment => number(self.next_to_void()),
            SagaStep::VoidRest => number(self.next_rest_to_void()),
            SagaStep::CapturePayment => {
                self.next_capture().map(|(_, capture)| capture.payment_number).into_iter().collect()
            }
            SagaStep::RefundPayment => self.unsettled_refund().map(|it| it.payment_number).into_iter().collect(),
            SagaStep::RefundManually => {
                let mut numbers: Vec<u32> = self.manual_refunds().map(|it| it.payment_number()).collect();
                numbers.sort_unstable();
                numbers.dedup();
                numbers
            }
            SagaStep::ReserveStock
            | SagaStep::ReleaseStock
            | SagaStep::ConfirmOrder
            | SagaStep::ApplyEdit
            | SagaStep::NotifyCustomer
            | SagaStep::CloseOrder => vec![],
        }
    }
}

//! Decides on what is reported of the payments.

use super::{OrderDecision, UNCHANGED, one};
use crate::order::error::OrderError;
use crate::order::event::{
    EditRejectionReason, OrderEvent, PaymentAuthorized, PaymentCaptured, PaymentDeclined, PaymentOutcomeUnknown,
    PaymentRefunded, PaymentVoided,
};
use crate::order::payments::{AuthorizationState, Payment};
use crate::order::state::{OrderStatus, PlacedOrder};

impl PlacedOrder {
    fn named(&self, payment_number: Option<u32>) -> Result<&Payment, OrderError> {
        self.payment(payment_number).ok_or(OrderError::Stale)
    }

    /// It is recorded even while the order is undone: money can be voided only if it is known to be held.
    pub(super) fn record_authorized(&self, authorized: PaymentAuthorized) -> OrderDecision {
        let payment = self.named(authorized.payment_number)?;
        match &payment.state {
            AuthorizationState::None | AuthorizationState::Unknown if self.may_hold(payment) => {
                one(OrderEvent::PaymentAuthorized(authorized))
            }
            // An operator went on without the payment, and the money is held after all.
            AuthorizationState::NotNeeded if self.is_open_for_late_money(payment) => {
                one(OrderEvent::PaymentAuthorized(authorized))
            }
            AuthorizationState::Authorized { reference, .. } if *reference == authorized.reference => UNCHANGED,
            AuthorizationState::None
            | AuthorizationState::Unknown
            | AuthorizationState::Authorized { .. }
            | AuthorizationState::PaidElsewhere
            | AuthorizationState::Declined
            | AuthorizationState::NotNeeded
            | AuthorizationState::Voided => Err(OrderError::Stale),
        }
    }

    /// Whether money that is held after all for a skipped payment can still pay for something, or will be let go of by an undo.
    fn is_open_for_late_money(&self, payment: &Payment) -> bool {
        match self.status {
            OrderStatus::Pending => true,
            OrderStatus::Confirmed | OrderStatus::Completed => {
                self.is_of_open_edit(payment) || payment.abandoned || self.undoing.is_some()
            }
            OrderStatus::Rejected | OrderStatus::Cancelled => false,
        }
    }

    pub(super) fn record_declined(&self, declined: PaymentDeclined) -> OrderDecision {
        let payment = self.named(declined.payment_number)?;
        match payment.state {
            AuthorizationState::None | AuthorizationState::Unknown if self.may_hold(payment) => {
                Ok(self.declined(declined))
            }
            AuthorizationState::Declined => UNCHANGED,
            AuthorizationState::None
            | AuthorizationState::Unknown
            | AuthorizationState::Authorized { .. }
            | AuthorizationState::PaidElsewhere
            | AuthorizationState::NotNeeded
            | AuthorizationState::Voided => Err(OrderError::Stale),
        }
    }

    /// The events of a payment that was declined. If an edit added it, the order stays as it is.
    pub(in crate::order) fn declined(&self, declined: PaymentDeclined) -> Vec<OrderEvent> {
        let number = self.payment(declined.payment_number).map(|payment| payment.number);
        let is_of_edit = self.open_edit().is_some_and(|edit| edit.payment_number == number);
        let reason = EditRejectionReason::PaymentDeclined { message: declined.message.clone() };
        let rejected = self.rejection_of_edit(reason).filter(|_| is_of_edit);
        [Some(OrderEvent::PaymentDeclined(declined)), rejected].into_iter().flatten().collect()
    }

    pub(super) fn record_unknown(&self, unknown: PaymentOutcomeUnknown) -> OrderDecision {
        let payment = self.named(unknown.payment_number)?;
        match payment.state {
            AuthorizationState::None if self.may_hold(payment) => one(OrderEvent::PaymentOutcomeUnknown(unknown)),
            AuthorizationState::Unknown => UNCHANGED,
            AuthorizationState::None
            | AuthorizationState::Authorized { .. }
            | AuthorizationState::PaidElsewhere
            | AuthorizationState::Declined
            | AuthorizationState::NotNeeded
            | AuthorizationState::Voided => Err(OrderError::Stale),
        }
    }

    pub(super) fn record_voided(&self, voided: PaymentVoided) -> OrderDecision {
        let payment = self.named(voided.payment_number)?;
        if payment.state == AuthorizationState::Voided || payment.rest_voided {
            return UNCHANGED;
        }
        let is_undone = (self.undoing.is_some() || payment.abandoned) && self.may_hold(payment);
        if !is_undone && !self.is_rest_to_void(payment) {
            return Err(OrderError::Stale);
        }
        one(OrderEvent::PaymentVoided(voided))
    }

    /// Money that moved is recorded even if an operator went on without it meanwhile.
    pub(super) fn record_captured(&self, captured: PaymentCaptured) -> OrderDecision {
        let number = self.named(captured.payment_number)?.number;
        let shipment = self.shipments.iter().find(|shipment| shipment.id == captured.shipment_id);
        match shipment.and_then(|shipment| shipment.capture(number)) {
            Some(capture) if capture.settled && !capture.given_up => UNCHANGED,
            Some(_) if captured.amount_minor <= self.capture_minor(&captured.shipment_id, number) => {
                one(OrderEvent::PaymentCaptured(captured))
            }
            Some(_) | None => Err(OrderError::Stale),
        }
    }

    pub(super) fn record_refunded(&self, refunded: PaymentRefunded) -> OrderDecision {
        let payment = self.named(refunded.payment_number)?;
        let mut refunds = self.refunds.iter().chain(&self.given_up);
        match refunds.find(|it| it.id == refunded.refund_id && it.payment_number == payment.number) {
            Some(refund) if refund.settled => UNCHANGED,
            Some(refund)
                if refund.amount_minor == refunded.amount_minor && refunded.amount_minor <= payment.kept_minor() =>
            {
                one(OrderEvent::PaymentRefunded(refunded))
            }
            Some(_) | None => Err(OrderError::Stale),
        }
    }
}

//! What events change about the payments, the captures and the refunds of an order.

use crate::ids::RefundId;
use crate::order::event::{PaymentRefunded, PaymentVoided};
use crate::order::lines::count;
use crate::order::manual_refunds::{ManualRefund, ManualRelease};
use crate::order::payments::{AuthorizationState, ShipmentCapture};
use crate::order::state::{PlacedOrder, Refund, Shipment};

impl PlacedOrder {
    pub(super) fn set_authorization(&mut self, payment_number: Option<u32>, state: AuthorizationState) {
        if let Some(payment) = self.payment_mut(payment_number) {
            payment.state = state;
        }
    }

    /// An order that is not undone keeps its payment: some of it was captured, and can be refunded.
    pub(super) fn void_payment(&mut self, payment_number: Option<u32>) {
        let is_undone = self.undoing.is_some();
        let Some(payment) = self.payment_mut(payment_number) else { return };
        if is_undone || payment.abandoned {
            payment.state = AuthorizationState::Voided;
        } else {
            payment.rest_voided = true;
        }
    }

    /// The customer is told of what a person set free.
    pub(super) fn note_release(&mut self, voided: &PaymentVoided) {
        let number = self.payment(voided.payment_number).map(|payment| payment.number);
        if let (Some(payment_number), Some(amount_minor)) = (number, voided.released_minor) {
            self.manual_releases.push(ManualRelease { payment_number, amount_minor });
        }
    }

    /// The last shipment is to be paid for.
    pub(super) fn expect_captures(&mut self) {
        let capture = |payment_number| ShipmentCapture { payment_number, settled: false, given_up: false, retries: 0 };
        let captures = self.payments_of_last_shipment().into_iter().map(capture).collect();
        if let Some(shipment) = self.shipments.last_mut() {
            shipment.captures = captures;
        }
    }

    /// A payment's share of a shipment was taken, or was given up.
    pub(super) fn settle_capture(
        &mut self,
        which: impl Fn(&Shipment) -> bool,
        payment_number: Option<u32>,
        given_up: bool,
    ) {
        let Some(number) = self.payment(payment_number).map(|payment| payment.number) else { return };
        let Some(shipment) = self.shipments.iter_mut().find(|shipment| which(shipment)) else { return };
        let was_settled = shipment.is_settled();
        let captures = shipment.captures.iter_mut().filter(|capture| capture.payment_number == number);
        captures.for_each(|capture| (capture.settled, capture.given_up) = (true, given_up));
        if !was_settled && shipment.is_settled() {
            count(&mut self.counts, &shipment.lines, |it| &mut it.settled);
            Self::settle_allocated(&mut self.allocations, &shipment.taken);
        }
    }

    pub(super) fn retry_capture(&mut self, payment_number: Option<u32>) {
        let Some(number) = self.payment(payment_number).map(|payment| payment.number) else { return };
        let shipment = self.shipments.iter_mut().find(|it| !it.is_settled());
        let mut captures = shipment.into_iter().flat_map(|it| &mut it.captures);
        let next = captures.find(|capture| !capture.settled && capture.payment_number == number);
        next.into_iter().for_each(|capture| capture.retries += 1);
    }

    /// Divides a refund over the payments. Each share is made by itself.
    pub(in crate::order) fn promise_refund(
        &mut self,
        id: &RefundId,
        amount_minor: i64,
        reason: Option<&String>,
        from_uncaptured: bool,
    ) {
        for (payment_number, amount_minor) in self.divide_refund(amount_minor, from_uncaptured) {
            self.refunds.push(Refund {
                id: id.clone(),
                payment_number,
                amount_minor,
                reason: reason.cloned(),
                settled: false,
                reference: None,
                retries: 0,
            });
        }
    }

    /// Settled refunds come first, in the order in which they were settled: the customer is told of them in this order.
    pub(super) fn settle_refund(&mut self, refunded: PaymentRefunded) {
        let PaymentRefunded { refund_id, payment_number, reference, amount_minor: _ } = refunded;
        let Some(number) = self.payment(payment_number).map(|payment| payment.number) else { return };
        let is_it = |refund: &Refund| refund.id == refund_id && refund.payment_number == number;
        let refund = match self.refunds.iter().position(|refund| !refund.settled && is_it(refund)) {
            Some(at) => self.refunds.remove(at),
            None => match self.given_up.iter().position(is_it) {
                Some(at) => self.given_up.remove(at),
                None => return,
            },
        };
        let at = self.refunds.iter().position(|refund| !refund.settled).unwrap_or(self.refunds.len());
        self.refunds.insert(at, Refund { settled: true, reference: Some(reference), ..refund });
    }

    pub(super) fn retry_refund(&mut self, payment_number: Option<u32>) {
        if let Some(at) = self.next_refund_of(payment_number)
            && let Some(refund) = self.refunds.get_mut(at)
        {
            refund.retries += 1;
        }
    }

    /// The customer gets no mail about it.
    pub(super) fn give_up_refund(&mut self, payment_number: Option<u32>) {
        if let Some(at) = self.next_refund_of(payment_number) {
            self.given_up.push(self.refunds.remove(at));
        }
    }

    /// A person will not give back what was paid elsewhere.
    pub(super) fn give_up_manual_refund(&mut self, payment_number: Option<u32>) {
        let Some(number) = self.payment(payment_number).map(|payment| payment.number) else { return };
        let next = self.manual_refunds().find(|it| it.payment_number() == number);
        let at = match next {
            Some(ManualRefund::Refund(refund)) => self.refunds.iter().position(|it| std::ptr::eq(it, refund)),
            Some(ManualRefund::Rest(_)) => None,
            None => return,
        };
        match at {
            Some(at) => self.given_up.push(self.refunds.remove(at)),
            None => self.void_payment(payment_number),
        }
    }

    fn next_refund_of(&self, payment_number: Option<u32>) -> Option<usize> {
        let number = self.payment(payment_number)?.number;
        self.refunds.iter().position(|refund| !refund.settled && refund.payment_number == number)
    }
}

//! Which payment a name means, and which of them pay for the order: edits add payments.

use super::Payment;
use crate::order::state::PlacedOrder;

impl PlacedOrder {
    /// What names a payment in events and commands: an order with one payment does not name it.
    pub fn payment_name(&self, number: u32) -> Option<u32> {
        (self.payments.len() > 1).then_some(number)
    }

    /// The payment that an event or a command names.
    pub fn payment(&self, name: Option<u32>) -> Option<&Payment> {
        self.numbered(self.payment_number(name)?)
    }

    pub(in crate::order) fn payment_mut(&mut self, name: Option<u32>) -> Option<&mut Payment> {
        let number = self.payment_number(name)?;
        self.payments.iter_mut().find(|payment| payment.number == number)
    }

    /// The number of the payment that a name means. An order that was posted with one payment may have got others since; what does not
    /// name its payment is about the first.
    fn payment_number(&self, name: Option<u32>) -> Option<u32> {
        match name {
            None => (self.content.payments.len() <= 1).then_some(1),
            Some(number) => (self.payments.len() > 1).then_some(number),
        }
    }

    /// Whether an edit added the payment.
    pub(in crate::order) fn is_added(&self, payment: &Payment) -> bool {
        self.edits.iter().any(|edit| edit.payment_number == Some(payment.number))
    }

    /// Whether the edit that is in work added the payment.
    pub(in crate::order) fn is_of_open_edit(&self, payment: &Payment) -> bool {
        self.open_edit().is_some_and(|edit| edit.payment_number == Some(payment.number))
    }

    /// The payments that pay for the order: neither one of an edit in work, nor one of an edit that was rejected.
    pub fn counted_payments(&self) -> impl Iterator<Item = &Payment> + Clone {
        let of_open_edit = self.open_edit().and_then(|edit| edit.payment_number);
        self.payments.iter().filter(move |it| !it.abandoned && Some(it.number) != of_open_edit)
    }

    /// The payment of a rejected edit that is let go of next: the last for which the provider may hold money.
    pub fn next_abandoned(&self) -> Option<&Payment> {
        self.payments.iter().rev().find(|payment| payment.abandoned && self.may_hold(payment))
    }

    pub(in crate::order) fn numbered(&self, number: u32) -> Option<&Payment> {
        self.payments.iter().find(|payment| payment.number == number)
    }
}

//! What the customer pays for what was shipped, cancelled or returned of an order, in minor units.
//!
//! Units are shipped from the front of a line, in the order of the shipments, cancelled from its back, and returned from the front of
//! what was shipped. So it is settled which unit is meant, and the worth of all pieces together is what the customer pays in all.
//! Postage goes with the first shipment.
//!
//! What the shipments are worth, one after the other, and what the payments come to are two divisions of the same line from 0 to the
//! total. A payment's share of a shipment is where their parts overlap. So a share never depends on how another capture went.

use std::ops::Range;

use super::amounts::{OrderShares, clamped};
use super::event::LineQuantity;
use super::state::{PlacedOrder, Shipment};
use crate::ids::ShipmentId;

impl PlacedOrder {
    /// The shipments, oldest first, each with what the customer pays for it.
    pub(super) fn shipments_with_worth(&self) -> impl Iterator<Item = (&Shipment, i64)> {
        let shares = self.content.shares();
        let mut before = vec![0; self.content.lines.len()];
        self.shipments.iter().enumerate().map(move |(nth, shipment)| {
            let postage = if nth == 0 { shares.shipping } else { 0 };
            let goods = shipment.lines.iter().map(|it| self.next_worth(&shares, it, &mut before));
            let worth = goods.fold(postage, i128::saturating_add);
            (shipment, clamped(worth))
        })
    }

    /// A payment's share of what the customer pays for a shipment. 0 if there is none under this id.
    pub fn capture_minor(&self, id: &ShipmentId, payment_number: u32) -> i64 {
        self.shipment_parts()
            .find(|(shipment, _)| shipment.id == *id)
            .map_or(0, |(_, part)| self.share_of(payment_number, part))
    }

    /// Whether a payment has nothing left to pay for once this shipment is paid for. What is left of the last payment is only known once
    /// all is shipped.
    pub fn is_used_up_by(&self, id: &ShipmentId, payment_number: u32) -> bool {
        let until = self.shipment_parts().find(|(shipment, _)| shipment.id == *id).map_or(0, |(_, part)| part.end);
        self.payment_part(payment_number).end <= until
    }

    /// What will be captured from a payment for shipments whose money is not settled.
    pub(super) fn uncaptured_minor(&self, payment_number: u32) -> i64 {
        // Mostly so, and asked at each return.
        if self.unsettled_shipment().is_none() {
            return 0;
        }
        let is_open = |shipment: &Shipment| shipment.capture(payment_number).is_some_and(|capture| !capture.settled);
        let open = self.shipment_parts().filter(|(shipment, _)| is_open(shipment));
        open.map(|(_, part)| self.share_of(payment_number, part)).sum()
    }

    /// The payments that pay for the last shipment. If it costs nothing, that is the first one.
    pub(super) fn payments_of_last_shipment(&self) -> Vec<u32> {
        let [_, _, ..] = self.payments[..] else { return vec![1] };
        let part = self.shipment_parts().last().map_or(0..0, |(_, part)| part);
        let numbers = self.payments.iter().map(|payment| payment.number);
        let paying: Vec<u32> = numbers.filter(|number| self.share_of(*number, part.clone()) > 0).collect();
        if paying.is_empty() { vec![1] } else { paying }
    }

    /// What a payment pays of the price of all lines that were not cancelled.
    pub(super) fn owed_of_payment_minor(&self, payment_number: u32) -> i64 {
        self.share_of(payment_number, 0..self.content.total_minor - self.cancelled_minor())
    }

    /// The shipments, oldest first, each with its part of the line from 0 to the total.
    fn shipment_parts(&self) -> impl Iterator<Item = (&Shipment, Range<i64>)> {
        let mut until = 0_i64;
        self.shipments_with_worth().map(move |(shipment, worth)| {
            let from = until;
            until = until.saturating_add(worth);
            (shipment, from..until)
        })
    }

    /// A payment's part of the line. That of the last one has no end, so that every amount is somebody's. What does not pay for the order
    /// has none.
    fn payment_part(&self, payment_number: u32) -> Range<i64> {
        let before = self.counted_payments().filter(|payment| payment.number < payment_number);
        let from = before.fold(0_i64, |sum, payment| sum.saturating_add(payment.amount_minor));
        let last = self.counted_payments().last().map(|payment| payment.number);
        match self.counted_payments().find(|payment| payment.number == payment_number) {
            Some(payment) if last == Some(payment.number) => from..i64::MAX,
            Some(payment) => from..from.saturating_add(payment.amount_minor),
            None => from..from,
        }
    }

    /// What a payment pays of so much of the order.
    pub(super) fn share_of_owed_minor(&self, payment_number: u32, owed_minor: i64) -> i64 {
        self.share_of(payment_number, 0..owed_minor)
    }

    fn share_of(&self, payment_number: u32, part: Range<i64>) -> i64 {
        let of_payment = self.payment_part(payment_number);
        (part.end.min(of_payment.end) - part.start.max(of_payment.start)).max(0)
    }

    /// What the customer does not pay because lines were cancelled.
    pub fn cancelled_minor(&self) -> i64 {
        if self.cancellations.is_empty() {
            return 0;
        }
        let shares = self.content.shares();
        let worth = self.numbered_lines().map(|(number, line)| {
            let from = line.quantity.saturating_sub(self.counts(number).cancelled);
            shares.of_units(number, from..line.quantity, line.quantity)
        });
        clamped(worth.fold(0, i128::saturating_add))
    }

    /// What the customer paid for goods that come back now, after those that came back before.
    pub(super) fn worth_of_goods_back(&self, lines: &[LineQuantity]) -> i64 {
        let shares = self.content.shares();
        let worth = lines.iter().map(|it| {
            let from = self.counts(it.line_number).received;
            self.units_worth(&shares, it.line_number, from, it.quantity)
        });
        clamped(worth.fold(0, i128::saturating_add))
    }

    /// The worth of the units of a line that come after those before.
    fn next_worth(&self, shares: &OrderShares, it: &LineQuantity, before: &mut [u32]) -> i128 {
        let at = usize::try_from(it.line_number).ok().and_then(|number| number.checked_sub(1));
        let Some(before) = at.and_then(|at| before.get_mut(at)) else { return 0 };
        let worth = self.units_worth(shares, it.line_number, *before, it.quantity);
        *before = before.saturating_add(it.quantity);
        worth
    }

    fn units_worth(&self, shares: &OrderShares, line_number: u32, from: u32, quantity: u32) -> i128 {
        let of = self.line(line_number).map_or(0, |line| line.quantity);
        shares.of_units(line_number, from..from.saturating_add(quantity), of)
    }
}

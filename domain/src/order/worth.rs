//! What the customer pays for what was shipped, cancelled or returned of an order, in minor units.
//!
//! Units are shipped from the front of a line, in the order of the shipments, cancelled from its back, and returned from the front of
//! what was shipped. So it is settled which unit is meant, and the worth of all pieces together is what the customer pays in all.
//! Postage goes with the first shipment.

use super::amounts::{OrderShares, clamped};
use super::event::LineQuantity;
use super::state::{PlacedOrder, Shipment};
use crate::ids::ShipmentId;

impl PlacedOrder {
    /// The shipments, oldest first, each with what the customer pays for it.
    pub fn shipments_with_worth(&self) -> impl Iterator<Item = (&Shipment, i64)> {
        let shares = self.content.shares();
        let mut before = vec![0; self.content.lines.len()];
        self.shipments.iter().enumerate().map(move |(nth, shipment)| {
            let postage = if nth == 0 { shares.shipping } else { 0 };
            let goods = shipment.lines.iter().map(|it| self.next_worth(&shares, it, &mut before));
            let worth = goods.fold(postage, i128::saturating_add);
            (shipment, clamped(worth))
        })
    }

    /// What the customer pays for a shipment. 0 if there is none under this id.
    pub fn shipment_worth_minor(&self, id: &ShipmentId) -> i64 {
        self.shipments_with_worth().find(|(shipment, _)| shipment.id == *id).map_or(0, |(_, worth)| worth)
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

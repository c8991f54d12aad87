//! The lines of an order, and counts of what became of each. The counts are kept with every event, so that no command has to add up
//! shipments.

use std::collections::BTreeMap;

use super::event::{LineQuantity, OrderLine};
use super::state::PlacedOrder;
use crate::ids::Sku;
use crate::quantity::UnitOfMeasure;

/// Counts of what became of a line, in units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LineUnitCounts {
    /// Shipped.
    pub shipped: u32,
    /// Shipped in shipments whose money was taken or given up.
    pub settled: u32,
    /// Cancelled.
    pub cancelled: u32,
    /// Came back, or will.
    pub returned: u32,
    /// Came back.
    pub received: u32,
}

impl PlacedOrder {
    /// The counts of a line. They are all 0 if the order does not have it.
    pub fn counts(&self, line_number: u32) -> LineUnitCounts {
        index(line_number).and_then(|at| self.counts.get(at)).copied().unwrap_or_default()
    }

    /// How many units of a line were shipped.
    pub fn shipped(&self, line_number: u32) -> u32 {
        self.counts(line_number).shipped
    }

    /// How many units of a line came back, or will.
    pub fn returned(&self, line_number: u32) -> u32 {
        self.counts(line_number).returned
    }

    /// The line with a number, from 1.
    pub fn line(&self, line_number: u32) -> Option<&OrderLine> {
        self.content.lines.get(index(line_number)?)
    }

    /// The unit of measure in which a SKU was ordered; `None`: by the piece, or not at all.
    pub fn unit_of(&self, sku: &Sku) -> Option<UnitOfMeasure> {
        self.content.lines.iter().find(|line| line.sku == *sku)?.unit
    }

    /// The lines with their numbers, from 1.
    pub fn numbered_lines(&self) -> impl Iterator<Item = (u32, &OrderLine)> {
        (1..).zip(&self.content.lines)
    }

    /// What can still be shipped.
    pub fn unshipped(&self) -> Vec<LineQuantity> {
        self.left_to_ship().collect()
    }

    /// Whether nothing is left to ship.
    pub fn is_all_shipped(&self) -> bool {
        self.left_to_ship().next().is_none()
    }

    /// Whether these lines are all that is left to ship. They are known to be no more than that.
    pub(super) fn is_rest(&self, lines: &[LineQuantity]) -> bool {
        let units = |lines: &[LineQuantity]| lines.iter().map(|line| u64::from(line.quantity)).sum::<u64>();
        units(lines) == units(&self.unshipped())
    }

    /// How many units of a line can still be shipped.
    pub(super) fn left_of(&self, line_number: u32, ordered: u32) -> u32 {
        let counts = self.counts(line_number);
        ordered.saturating_sub(counts.shipped).saturating_sub(counts.cancelled)
    }

    fn left_to_ship(&self) -> impl Iterator<Item = LineQuantity> {
        self.numbered_lines().filter_map(|(line_number, line)| {
            let quantity = self.left_of(line_number, line.quantity);
            (quantity > 0).then_some(LineQuantity { line_number, quantity })
        })
    }

    /// How many units of each SKU were shipped in settled shipments.
    pub fn settled_by_sku(&self) -> BTreeMap<&Sku, u32> {
        self.by_sku(|_, counts| counts.settled)
    }

    /// How many units of each SKU were cancelled.
    pub fn cancelled_by_sku(&self) -> BTreeMap<&Sku, u32> {
        self.by_sku(|_, counts| counts.cancelled)
    }

    /// How many units of each SKU the order still needs reserved: they were neither cancelled nor shipped and settled.
    pub fn needed_by_sku(&self) -> BTreeMap<&Sku, u32> {
        self.by_sku(|line, counts| line.quantity.saturating_sub(counts.settled).saturating_sub(counts.cancelled))
    }

    fn by_sku(&self, units: impl Fn(&OrderLine, LineUnitCounts) -> u32) -> BTreeMap<&Sku, u32> {
        let mut by_sku = BTreeMap::new();
        for (number, line) in self.numbered_lines() {
            *by_sku.entry(&line.sku).or_default() += units(line, self.counts(number));
        }
        by_sku
    }

    /// Counts everything anew. A stored order does not contain its counts.
    pub(super) fn recount(&mut self) {
        let mut counts = vec![LineUnitCounts::default(); self.content.lines.len()];
        for shipment in &self.shipments {
            count(&mut counts, &shipment.lines, |it| &mut it.shipped);
            if shipment.is_settled() {
                count(&mut counts, &shipment.lines, |it| &mut it.settled);
            }
        }
        for cancelled in &self.cancellations {
            count(&mut counts, &cancelled.lines, |it| &mut it.cancelled);
        }
        for back in &self.returns {
            count(&mut counts, &back.arrived_or_expected(), |it| &mut it.returned);
            count(&mut counts, &back.arrived(), |it| &mut it.received);
        }
        self.counts = counts;
    }
}

/// Adds the units of some lines to a count.
pub(super) fn count(counts: &mut [LineUnitCounts], lines: &[LineQuantity], which: UnitCount) {
    for line in lines {
        if let Some(counts) = index(line.line_number).and_then(|at| counts.get_mut(at)) {
            let units = which(counts);
            *units = units.saturating_add(line.quantity);
        }
    }
}

/// Takes the units of some lines out of a count.
pub(super) fn uncount(counts: &mut [LineUnitCounts], lines: &[LineQuantity], which: UnitCount) {
    for line in lines {
        if let Some(counts) = index(line.line_number).and_then(|at| counts.get_mut(at)) {
            let units = which(counts);
            *units = units.saturating_sub(line.quantity);
        }
    }
}

/// One of the counts of a line.
type UnitCount = fn(&mut LineUnitCounts) -> &mut u32;

fn index(line_number: u32) -> Option<usize> {
    usize::try_from(line_number).ok()?.checked_sub(1)
}

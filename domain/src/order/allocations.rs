//! Where the units of an order are: at which location they are reserved, and from which they were shipped.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::error::OrderError;
use super::event::{BackorderedUnits, LineQuantity, SkuQuantity, StockReserved};
use super::state::{OrderStockState, PlacedOrder, Shipment};
use crate::ids::{LocationId, Sku};
use crate::quantity::Quantity;

/// Units of a SKU that an order has at a location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocation {
    /// Of which SKU.
    pub sku: Sku,
    /// Where.
    pub location: LocationId,
    /// How many, without those that were cancelled.
    pub quantity: u32,
    /// How many of them were shipped.
    pub shipped: u32,
    /// How many of them were shipped in shipments whose money was taken or given up.
    pub settled: u32,
}

impl Allocation {
    /// How many can still be shipped.
    fn left(&self) -> u32 {
        self.quantity.saturating_sub(self.shipped)
    }

    /// None of them was shipped yet.
    fn of(units: &SkuQuantity) -> Self {
        let SkuQuantity { sku, location, quantity } = units.clone();
        Self { sku, location, quantity, shipped: 0, settled: 0 }
    }
}

impl Shipment {
    /// From which locations its units came: the one that was named, or those where they had been allocated. None if all units of the order
    /// were at the default one.
    pub fn locations(&self) -> impl Iterator<Item = &LocationId> {
        let taken = self.taken.iter().map(|it| &it.location).filter(|_| self.location.is_none());
        self.location.iter().chain(taken)
    }
}

impl PlacedOrder {
    /// Remembers where the units are. Units at the default location alone need no memory, if all of them are on hand.
    pub(super) fn allocate(&mut self, StockReserved { units, backorders, expires_at: _ }: &StockReserved) {
        self.allocations.clear();
        if backorders.is_empty() && units.iter().all(|it| it.location.is_default()) {
            return;
        }
        self.allocations.extend(units.iter().map(Allocation::of));
    }

    /// Remembers that these units are at the default location, before an edit adds some that are not. Cancelled and shipped ones are among
    /// them.
    pub(super) fn allocate_at_default(&mut self, units: &[SkuQuantity]) {
        if !self.allocations.is_empty() {
            return;
        }
        let (settled, cancelled) = (self.settled_by_sku(), self.cancelled_by_sku());
        let of = |counted: &BTreeMap<&Sku, u32>, sku: &Sku| counted.get(sku).copied().unwrap_or(0);
        let allocation = |it: &SkuQuantity| Allocation {
            quantity: it.quantity.saturating_sub(of(&cancelled, &it.sku)),
            settled: of(&settled, &it.sku),
            ..Allocation::of(it)
        };
        let allocations: Vec<Allocation> = units.iter().map(allocation).collect();
        let counted: BTreeSet<Sku> = allocations.iter().map(|it| it.sku.clone()).collect();
        self.allocations = allocations;
        self.ship_counted(&counted, |_| true);
    }

    /// Takes what was shipped of SKUs that had no allocations out of the allocations that they have now.
    fn ship_counted(&mut self, skus: &BTreeSet<Sku>, of_shipments: impl Fn(&Shipment) -> bool) {
        let mut shipments = std::mem::take(&mut self.shipments);
        for shipment in shipments.iter_mut().filter(|it| of_shipments(it)) {
            let mut units = self.units_of(&shipment.lines);
            units.retain(|(sku, _)| skus.contains(sku));
            for (sku, quantity) in units {
                shipment.taken.extend(self.take_allocated(&sku, quantity, None));
            }
        }
        self.shipments = shipments;
    }

    /// Adds the units that were reserved for an edit, and takes out what the order does not need any more after it: of each SKU first from
    /// where it was allocated last.
    pub(super) fn reallocate(&mut self, more: &[SkuQuantity]) {
        let is_new = |it: &&SkuQuantity| !self.allocations.iter().any(|known| known.sku == it.sku);
        let counted: BTreeSet<Sku> = more.iter().filter(is_new).map(|it| it.sku.clone()).collect();
        for units in more {
            let is_it = |it: &&mut Allocation| (&it.sku, &it.location) == (&units.sku, &units.location);
            match self.allocations.iter_mut().find(is_it) {
                Some(known) => known.quantity = known.quantity.saturating_add(units.quantity),
                None => self.allocations.push(Allocation::of(units)),
            }
        }
        // What was shipped of a SKU before it was counted, and is not settled, was reserved with the rest.
        self.ship_counted(&counted, |shipment| !shipment.is_settled());
        let mut open: BTreeMap<Sku, u32> = BTreeMap::new();
        for it in &self.allocations {
            let sum = open.entry(it.sku.clone()).or_default();
            *sum = sum.saturating_add(it.quantity.saturating_sub(it.settled));
        }
        let needed = self.needed_by_sku();
        let beyond = |(sku, open): (Sku, u32)| {
            let units = open.saturating_sub(needed.get(&sku).copied().unwrap_or(0));
            (sku, units)
        };
        let beyond: Vec<(Sku, u32)> = open.into_iter().map(beyond).collect();
        for (sku, quantity) in beyond {
            self.drop_allocated(&sku, quantity);
        }
    }

    /// The units that were not on hand when they were reserved, as far as they have neither been shipped nor cancelled.
    pub fn backorders(&self) -> impl Iterator<Item = BackorderedUnits> {
        let reserved = match &self.stock {
            OrderStockState::Reserved(reserved) => Some(reserved),
            OrderStockState::None | OrderStockState::Short | OrderStockState::NotNeeded | OrderStockState::Released => {
                None
            }
        };
        let waiting = |reserved: &StockReserved, it: &BackorderedUnits| {
            let units = reserved.units.iter().filter(|units| (&units.sku, &units.location) == (&it.sku, &it.location));
            // Those that were on hand are cancelled last.
            let on_hand = units.map(|units| units.quantity).sum::<u32>().saturating_sub(it.quantity);
            let is_it = |known: &&Allocation| (&known.sku, &known.location) == (&it.sku, &it.location);
            let allocation = self.allocations.iter().find(is_it);
            allocation.map_or(0, |it| it.left().min(it.quantity.saturating_sub(on_hand))).min(it.quantity)
        };
        reserved.into_iter().flat_map(move |reserved| {
            reserved.backorders.iter().filter_map(move |it| {
                let quantity = waiting(reserved, it);
                (quantity > 0).then(|| BackorderedUnits { quantity, ..it.clone() })
            })
        })
    }

    /// How many units of each SKU of which some had to wait were shipped, by location.
    pub(super) fn shipped_backorders(&self) -> Vec<(&Sku, &LocationId, u32)> {
        let OrderStockState::Reserved(StockReserved { backorders, .. }) = &self.stock else { return vec![] };
        let waits =
            |it: &&Allocation| backorders.iter().any(|known| (&known.sku, &known.location) == (&it.sku, &it.location));
        self.allocations.iter().filter(waits).map(|it| (&it.sku, &it.location, it.shipped)).collect()
    }

    /// Takes what is shipped out of the allocations: of each SKU first from where it was allocated first, or all from `location`. Returns
    /// what came from where.
    pub(super) fn ship_allocated(&mut self, lines: &[LineQuantity], location: Option<&LocationId>) -> Vec<SkuQuantity> {
        let mut taken = Vec::new();
        for (sku, quantity) in self.units_of(lines) {
            taken.extend(self.take_allocated(&sku, quantity, location));
        }
        taken
    }

    /// What a shipment of these lines would take from where.
    pub(super) fn would_take(&self, lines: &[LineQuantity], location: Option<&LocationId>) -> Vec<SkuQuantity> {
        if self.allocations.is_empty() { vec![] } else { self.clone().ship_allocated(lines, location) }
    }

    fn take_allocated(&mut self, sku: &Sku, mut quantity: u32, location: Option<&LocationId>) -> Vec<SkuQuantity> {
        let mut taken = Vec::new();
        let is_there = |it: &Allocation| it.sku == *sku && location.is_none_or(|location| it.location == *location);
        for it in self.allocations.iter_mut().filter(|it| is_there(it)) {
            let units = quantity.min(it.left());
            if units > 0 {
                (it.shipped, quantity) = (it.shipped + units, quantity - units);
                taken.push(SkuQuantity { sku: sku.clone(), quantity: units, location: it.location.clone() });
            }
        }
        taken
    }

    /// The location as a shipment names it. If all units are at the default one, nobody has to.
    pub(super) fn names_location<'a>(&self, location: Option<&'a LocationId>) -> Option<&'a LocationId> {
        location.filter(|location| !location.is_default() || !self.allocations.is_empty())
    }

    /// What can still be shipped from a location, line by line.
    pub(super) fn unshipped_at(&self, location: &LocationId) -> Vec<LineQuantity> {
        let mut left = self.left_at(location);
        let mut lines = self.unshipped();
        for it in &mut lines {
            it.quantity = self.take_left(&mut left, it, location);
        }
        lines.retain(|it| it.quantity > 0);
        lines
    }

    /// Refuses lines of which less is left at a location.
    pub(super) fn check_location(&self, lines: &[LineQuantity], location: &LocationId) -> Result<(), OrderError> {
        let mut left = self.left_at(location);
        for it in lines {
            let there = self.take_left(&mut left, it, location);
            if there < it.quantity {
                let (line_number, location) = (it.line_number, location.clone());
                let left = Quantity::of(there, self.line(line_number).and_then(|line| line.unit));
                return Err(OrderError::TooManyAtLocation { line_number, left, location });
            }
        }
        Ok(())
    }

    /// How many units of each SKU can still be shipped from a location.
    fn left_at(&self, location: &LocationId) -> BTreeMap<&Sku, u32> {
        let there = self.allocations.iter().filter(|it| it.location == *location);
        there.map(|it| (&it.sku, it.left())).collect()
    }

    /// Takes as many units of a line as are left, and returns how many these are. What is not counted is everywhere; the other units of
    /// an order without allocations are at the default location.
    fn take_left(&self, left: &mut BTreeMap<&Sku, u32>, line: &LineQuantity, location: &LocationId) -> u32 {
        let Some(ordered) = self.line(line.line_number) else { return 0 };
        let sku = &ordered.sku;
        let is_reserved = match &self.stock {
            OrderStockState::Reserved(reserved) => reserved.units.iter().any(|it| it.sku == *sku),
            OrderStockState::None | OrderStockState::Short | OrderStockState::NotNeeded | OrderStockState::Released => {
                false
            }
        };
        if !is_reserved || (self.allocations.is_empty() && location.is_default()) {
            return line.quantity;
        }
        let Some(left) = left.get_mut(sku) else { return 0 };
        let taken = line.quantity.min(*left);
        *left -= taken;
        taken
    }

    /// Takes what will not be shipped out of the allocations: of each SKU first from where it was allocated last.
    pub(super) fn cancel_allocated(&mut self, lines: &[LineQuantity]) {
        for (sku, quantity) in self.units_of(lines) {
            self.drop_allocated(&sku, quantity);
        }
    }

    fn drop_allocated(&mut self, sku: &Sku, mut quantity: u32) {
        for it in self.allocations.iter_mut().rev().filter(|it| it.sku == *sku) {
            let units = quantity.min(it.left());
            (it.quantity, quantity) = (it.quantity - units, quantity - units);
        }
    }

    /// The money for units was taken, or was given up.
    pub(super) fn settle_allocated(allocations: &mut [Allocation], taken: &[SkuQuantity]) {
        for units in taken {
            let is_it = |it: &&mut Allocation| (&it.sku, &it.location) == (&units.sku, &units.location);
            if let Some(it) = allocations.iter_mut().find(is_it) {
                it.settled = it.settled.saturating_add(units.quantity);
            }
        }
    }

    /// How many units of each SKU were shipped in settled shipments, by location.
    pub(super) fn settled_by_location(&self) -> Vec<(&Sku, LocationId, u32)> {
        if self.allocations.is_empty() {
            return self.settled_by_sku().into_iter().map(|(sku, units)| (sku, LocationId::default(), units)).collect();
        }
        self.allocations.iter().map(|it| (&it.sku, it.location.clone(), it.settled)).collect()
    }

    /// How many units of each SKU the order still needs reserved, by location: they were neither cancelled nor shipped and settled.
    pub(super) fn needed_by_location(&self) -> Vec<(&Sku, LocationId, u32)> {
        if self.allocations.is_empty() {
            return self.needed_by_sku().into_iter().map(|(sku, units)| (sku, LocationId::default(), units)).collect();
        }
        let needed = |it: &Allocation| it.quantity.saturating_sub(it.settled);
        self.allocations.iter().map(|it| (&it.sku, it.location.clone(), needed(it))).collect()
    }

    /// Where units of a SKU that come back belong: where they were sent from. Those that were sent first come back first; `before` are
    /// those that came back earlier.
    pub(super) fn origins(&self, sku: &Sku, before: u32, quantity: u32) -> Vec<(LocationId, u32)> {
        let (mut skipped, mut left, mut origins) = (before, quantity, Vec::new());
        let taken = self.shipments.iter().flat_map(|shipment| &shipment.taken).filter(|it| it.sku == *sku);
        for it in taken {
            let skip = skipped.min(it.quantity);
            let units = left.min(it.quantity - skip);
            (skipped, left) = (skipped - skip, left - units);
            if units > 0 {
                origins.push((it.location.clone(), units));
            }
        }
        // Of these nobody knows where they were.
        if left > 0 {
            origins.push((LocationId::default(), left));
        }
        origins
    }

    /// The units of lines, by SKU. Of an order that has no allocations there are none.
    fn units_of(&self, lines: &[LineQuantity]) -> Vec<(Sku, u32)> {
        if self.allocations.is_empty() {
            return vec![];
        }
        let units = |it: &LineQuantity| self.line(it.line_number).map(|line| (line.sku.clone(), it.quantity));
        lines.iter().filter_map(units).collect()
    }
}

//! The units of an edit: those that have to be reserved for it, and those that the order has after it.

use std::collections::BTreeMap;

use crate::ids::Sku;
use crate::order::event::SkuQuantity;
use crate::order::state::{OrderStockState, PlacedOrder};
use crate::quantity::UnitOfMeasure;

impl PlacedOrder {
    /// Counts the units that were reserved beside those before, and no longer those that were released.
    pub(super) fn count_reserved(&mut self, more: &[SkuQuantity]) {
        if !self.allocations.is_empty() || more.iter().any(|units| !units.location.is_default()) {
            self.reallocate(more);
            // How many they are is known by the allocations.
            let OrderStockState::Reserved(reserved) = &mut self.stock else { return };
            for units in more {
                if !reserved.units.iter().any(|known| known.sku == units.sku) {
                    reserved.units.push(units.clone());
                }
            }
            return;
        }
        let of = |counted: BTreeMap<&Sku, u32>| -> BTreeMap<Sku, u32> {
            counted.into_iter().map(|(sku, units)| (sku.clone(), units)).collect()
        };
        let (needed, settled) = (of(self.needed_by_sku()), of(self.settled_by_sku()));
        let cancelled = of(self.cancelled_by_sku());
        let OrderStockState::Reserved(reserved) = &mut self.stock else { return };
        for units in more {
            match reserved.units.iter_mut().find(|known| known.sku == units.sku) {
                Some(known) => known.quantity = known.quantity.saturating_add(units.quantity),
                None => {
                    // So many left it before it was counted.
                    let gone =
                        settled.get(&units.sku).copied().unwrap_or(0) + cancelled.get(&units.sku).copied().unwrap_or(0);
                    let quantity = units.quantity.saturating_add(gone);
                    reserved.units.push(SkuQuantity { quantity, ..units.clone() });
                }
            }
        }
        for units in &mut reserved.units {
            let count = |of: &BTreeMap<Sku, u32>| of.get(&units.sku).copied().unwrap_or(0);
            let most = count(&needed).saturating_add(count(&settled)).saturating_add(count(&cancelled));
            units.quantity = units.quantity.min(most);
        }
    }

    /// The units that were reserved before these, if only these make it necessary to know where they are.
    pub(super) fn units_before(&self, more: &[SkuQuantity]) -> Vec<SkuQuantity> {
        match &self.stock {
            OrderStockState::Reserved(reserved)
                if self.allocations.is_empty() && more.iter().any(|units| !units.location.is_default()) =>
            {
                reserved.units.clone()
            }
            OrderStockState::Reserved(_)
            | OrderStockState::None
            | OrderStockState::Short
            | OrderStockState::NotNeeded
            | OrderStockState::Released => vec![],
        }
    }

    /// The units that the edit in work has to reserve, by SKU: what the order would need less what is reserved for it. Only SKUs of which
    /// it would need more than now are among them.
    pub fn units_to_reserve(&self) -> BTreeMap<Sku, u32> {
        let requested = self.open_edit().and_then(|edit| edit.requested.as_deref());
        let (Some(requested), OrderStockState::Reserved(_)) = (requested, &self.stock) else {
            return BTreeMap::new();
        };
        let mut after = self.content.clone();
        after.apply_changes(requested.changes.clone(), requested.total_minor);
        let mut ordered: BTreeMap<&Sku, u32> = BTreeMap::new();
        for line in &after.lines {
            let units = ordered.entry(&line.sku).or_default();
            *units = units.saturating_add(line.quantity);
        }
        let (now, settled, cancelled) = (self.needed_by_sku(), self.settled_by_sku(), self.cancelled_by_sku());
        let open = self.reserved_by_sku();
        let of = |counted: &BTreeMap<&Sku, u32>, sku: &Sku| counted.get(sku).copied().unwrap_or(0);
        let more = ordered.into_iter().filter_map(|(sku, ordered)| {
            let needed = ordered.saturating_sub(of(&settled, sku)).saturating_sub(of(&cancelled, sku));
            let open = of(&open, sku);
            let is_more = needed > of(&now, sku);
            (is_more && needed > open).then(|| (sku.clone(), needed - open))
        });
        more.collect()
    }

    /// The unit of measure of a SKU in the order as the edit in work would leave it; `None`: by the piece.
    pub fn unit_after_edit(&self, sku: &Sku) -> Option<UnitOfMeasure> {
        let requested = self.open_edit().and_then(|edit| edit.requested.as_deref());
        let added = requested.into_iter().flat_map(|requested| &requested.changes.added_lines);
        self.content.lines.iter().chain(added).find(|line| line.sku == *sku)?.unit
    }

    /// How many units of each SKU are reserved, at all locations: those that were shipped and settled are no more.
    fn reserved_by_sku(&self) -> BTreeMap<&Sku, u32> {
        let OrderStockState::Reserved(reserved) = &self.stock else { return BTreeMap::new() };
        if self.allocations.is_empty() {
            let (settled, cancelled) = (self.settled_by_sku(), self.cancelled_by_sku());
            let of = |counted: &BTreeMap<&Sku, u32>, sku: &Sku| counted.get(sku).copied().unwrap_or(0);
            let open = |it: &SkuQuantity| {
                it.quantity.saturating_sub(of(&settled, &it.sku)).saturating_sub(of(&cancelled, &it.sku))
            };
            return reserved.units.iter().map(|it| (&it.sku, open(it))).collect();
        }
        let mut open: BTreeMap<&Sku, u32> = BTreeMap::new();
        for (sku, _, units) in self.needed_by_location() {
            let sum = open.entry(sku).or_default();
            *sum = sum.saturating_add(units);
        }
        open
    }
}

//! From which locations the units of an order come: from as few as possible, and from those that the shop prefers.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::event::{BackorderedUnits, Shortage, SkuQuantity};
use crate::ids::{LocationId, Sku};
use crate::stock::TrackedStock;

/// An order comes from so many locations at the most.
pub(crate) const MAX_SOURCES: usize = 10;

/// What an order needs of a tracked SKU.
#[derive(Debug, Clone, Copy)]
pub struct NeededUnits<'a> {
    /// Of which SKU.
    pub sku: &'a Sku,
    /// How many.
    pub quantity: u32,
    /// What there is of it.
    pub stock: &'a TrackedStock,
}

/// Chooses the locations. If one location can serve everything, it is that one. Otherwise the one that can serve the most units comes
/// first, then the one that can serve the most of what is left, and so on. Of equal ones the preferred one is taken. `preferred` are
/// preferred in their order; the default location and then the others by name come after them.
///
/// The error names the SKUs of which there is too little at ten locations.
pub fn choose_locations(
    needed: &[NeededUnits<'_>],
    preferred: &[LocationId],
) -> Result<Vec<SkuQuantity>, Vec<Shortage>> {
    let mut left: Vec<i64> = needed.iter().map(|it| it.quantity.into()).collect();
    check(needed, |at| needed.get(at).map_or(0, |it| it.stock.sellable()))?;
    let mut sources = sources(needed);
    let mut units: Vec<(usize, SkuQuantity)> = Vec::with_capacity(needed.len());
    for _ in 0..MAX_SOURCES {
        let rank = |location: &LocationId| preferred.iter().position(|it| it == location).unwrap_or(preferred.len());
        let best = sources.iter().map(|(location, stock)| (Reverse(served(stock, &left)), rank(location), *location));
        let Some((Reverse(1..), _, location)) = best.min() else { break };
        for (at, available) in sources.remove(location).unwrap_or_default() {
            let (Some(it), Some(left)) = (needed.get(at), left.get_mut(at)) else { continue };
            let taken = available.min(*left);
            *left -= taken;
            if let Ok(quantity @ 1..) = u32::try_from(taken) {
                units.push((at, SkuQuantity { sku: it.sku.clone(), quantity, location: location.clone() }));
            }
        }
    }
    check(needed, |at| {
        let served = needed.get(at).zip(left.get(at)).map(|(it, left)| i64::from(it.quantity) - left);
        served.unwrap_or(0)
    })?;
    // By SKU; those of a SKU in the order in which their locations were chosen.
    units.sort_by_key(|(at, _)| *at);
    Ok(units.into_iter().map(|(_, units)| units).collect())
}

/// Chooses the locations as [`choose_locations`] does. If there is too little of a SKU that may be backordered, all of its units are reserved
/// where the missing ones are expected. Those are the second list.
///
/// The error names the SKUs of which there is too little, with what may wait.
pub fn choose_locations_or_backorder(
    needed: &[NeededUnits<'_>],
    preferred: &[LocationId],
) -> Result<(Vec<SkuQuantity>, Vec<BackorderedUnits>), Vec<Shortage>> {
    let shortages = match choose_locations(needed, preferred) {
        Ok(units) => return Ok((units, vec![])),
        Err(shortages) => shortages,
    };
    let is_short = |it: &NeededUnits<'_>| shortages.iter().any(|short| short.sku == *it.sku);
    let (short, enough): (Vec<_>, Vec<_>) = needed.iter().copied().partition(is_short);
    let (mut units, mut backorders) = (choose_locations(&enough, preferred)?, Vec::new());
    for NeededUnits { sku, quantity, stock } in short {
        let Some((backorder, waiting)) = stock.backorder_of(quantity) else { return Err(shortages) };
        let (location, available_at) = (backorder.location.clone(), backorder.available_at);
        units.push(SkuQuantity { sku: sku.clone(), quantity, location: location.clone() });
        backorders.push(BackorderedUnits { sku: sku.clone(), quantity: waiting, location, available_at });
    }
    backorders.retain(|it| it.quantity > 0);
    units.sort_by(|one, other| one.sku.cmp(&other.sku));
    Ok((units, backorders))
}

/// Refuses an order of which there is too little.
fn check(needed: &[NeededUnits<'_>], available: impl Fn(usize) -> i64) -> Result<(), Vec<Shortage>> {
    let short = |(at, it): (usize, &NeededUnits<'_>)| {
        let available = available(at);
        let shortage = Shortage { unit: it.stock.unit, sku: it.sku.clone(), requested: it.quantity, available };
        (available < i64::from(it.quantity)).then_some(shortage)
    };
    let shortages: Vec<Shortage> = needed.iter().enumerate().filter_map(short).collect();
    if shortages.is_empty() { Ok(()) } else { Err(shortages) }
}

/// The locations that have any of what is needed: of which SKU, and how many.
fn sources<'a>(needed: &[NeededUnits<'a>]) -> BTreeMap<&'a LocationId, Vec<(usize, i64)>> {
    let mut sources: BTreeMap<&LocationId, Vec<(usize, i64)>> = BTreeMap::new();
    for (at, it) in needed.iter().enumerate() {
        for (location, here) in it.stock.locations.iter().filter(|(_, here)| here.available() > 0) {
            sources.entry(location).or_default().push((at, here.available()));
        }
    }
    sources
}

/// How many of the units that are left a location can serve.
fn served(stock: &[(usize, i64)], left: &[i64]) -> i64 {
    stock.iter().map(|(at, available)| left.get(*at).map_or(0, |left| *available.min(left))).sum()
}

#[cfg(test)]
mod tests;

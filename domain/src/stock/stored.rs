//! How the stock of a tracked SKU is stored: one without named locations as builds did that knew of none.

use rpds::RedBlackTreeMapSync;
use serde::{Deserialize, Serialize};

use super::{BackorderLimitSet, LocationStock, LowStock, Reservation, TrackedStock, is_zero};
use crate::ids::{LocationId, OrderId};
use crate::quantity::UnitOfMeasure;

#[derive(Serialize, Deserialize)]
pub(super) struct StoredStock {
    on_hand: i64,
    reserved: i64,
    sold: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unit: Option<UnitOfMeasure>,
    /// Those at the default location. What is not at a named location is there.
    reservations: RedBlackTreeMapSync<OrderId, Reservation>,
    #[serde(default = "RedBlackTreeMapSync::new_sync", skip_serializing_if = "RedBlackTreeMapSync::is_empty")]
    named: RedBlackTreeMapSync<LocationId, LocationStock>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    backorder: Option<BackorderLimitSet>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    low_stock: Option<LowStock>,
    /// That of the default location.
    #[serde(default, skip_serializing_if = "is_zero")]
    last_place: u64,
}

impl From<TrackedStock> for StoredStock {
    fn from(TrackedStock { on_hand, reserved, sold, unit, backorder, low_stock, locations }: TrackedStock) -> Self {
        let mut named = locations;
        let default = LocationId::default();
        let reservations = named.get(&default).map(|here| here.reservations.clone()).unwrap_or_default();
        let last_place = named.get(&default).map_or(0, |here| here.last_place);
        named.remove_mut(&default);
        Self { on_hand, reserved, sold, unit, reservations, named, backorder, low_stock, last_place }
    }
}

impl From<StoredStock> for TrackedStock {
    fn from(stored: StoredStock) -> Self {
        let StoredStock { on_hand, reserved, sold, unit, reservations, named, backorder, low_stock, last_place } =
            stored;
        let mut here = LocationStock { on_hand, reserved, last_place, reservations };
        for there in named.values() {
            here.on_hand = here.on_hand.saturating_sub(there.on_hand);
            here.reserved = here.reserved.saturating_sub(there.reserved);
        }
        let mut locations = named;
        if here != LocationStock::default() {
            locations.insert_mut(LocationId::default(), here);
        }
        Self { on_hand, reserved, sold, unit, backorder, low_stock, locations }
    }
}

//! The stock of each tracked SKU: `GET /stock/{sku}`, `GET /stock`, `GET /stock/{sku}/reservations`.
//!
//! | item | pk | sk | gsi1 | gsi2 |
//! |---|---|---|---|---|
//! | the SKU | `STOCK#sku` | `#META` | `STOCK#shard` / `sku` | while it is low: `LOWSTOCK#shard` / `sku` |

pub(crate) mod reservations;
pub(crate) mod routes;
mod view;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::ids::LocationId;
use domain::quantity::UnitOfMeasure;
use domain::stock::{BackorderLimitSet, LowStock, Stock, StockEvent};
use read_models::Key;
use serde::{Deserialize, Serialize};

use crate::error::FoldError;
use crate::fold_context::FoldWorkingSet;
use crate::keys::sharded;
use crate::projection::{FollowedStreams, ProjectionDefinition, ProjectionFold};

pub(crate) const PROJECTION: ProjectionDefinition = ProjectionDefinition {
    name: "stock",
    follows: FollowedStreams::Stock(ProjectionFold { head: key, handles: |_| true, keys_to_load, fold }),
    routes: routes::routes,
};

type RecordedStockEvent = crate::projection::DecodedEvent<Stock>;

/// A tracked SKU, as stored. Quantities are pieces, or thousandths of the unit.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StockRow {
    sku: String,
    /// Units in the warehouse.
    on_hand: i64,
    /// Units of those that orders have reserved.
    reserved: i64,
    /// Units sent so far.
    sold: i64,
    /// The units at named locations. Those that are not here are at the default one. One that has none is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unit: Option<UnitOfMeasure>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    named: BTreeMap<LocationId, UnitsRow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    backorder: Option<BackorderLimitSet>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    low_stock: Option<LowStock>,
    version: i64,
    updated_at: DateTime<Utc>,
}

/// The units of a SKU at a location, as stored.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct UnitsRow {
    on_hand: i64,
    reserved: i64,
}

/// The name of the index partitions that have all SKUs.
const ALL: &str = "STOCK";
/// The name of the index partitions that have the SKUs that are low.
const LOW: &str = "LOWSTOCK";

/// A SKU of ASCII has 128 bytes at the most, and one of 3 bytes a character 384.
const MAX_SORT_KEY_BYTES: usize = 400;

fn key(sku: &str) -> Key {
    Key::new(format!("STOCK#{sku}"), "#META")
}

/// What a SKU is sorted by among all. The key of an index has no room for the longest SKU twice: one that is cut comes in the order of its
/// item's own key, which has all of it.
fn sort_key(sku: &str) -> &str {
    &sku[..sku.floor_char_boundary(MAX_SORT_KEY_BYTES)]
}

/// A SKU has only one item.
fn keys_to_load(_fact: &RecordedStockEvent) -> Vec<Key> {
    vec![]
}

fn fold(items: &mut FoldWorkingSet, recorded: &RecordedStockEvent) -> Result<(), FoldError> {
    let key = key(&recorded.stream_id);
    let mut stock = match (items.take::<StockRow>(&key)?, &recorded.event) {
        (Some(stock), _) => stock,
        (None, StockEvent::StockReceived(received)) => StockRow { unit: received.unit, ..StockRow::empty(recorded) },
        (
            None,
            StockEvent::StockAdjusted(_)
            | StockEvent::StockReturned(_)
            | StockEvent::StockTransferred(_)
            | StockEvent::BackorderLimitSet(_)
            | StockEvent::LowStockThresholdSet(_)
            | StockEvent::StockRanLow(_)
            | StockEvent::StockRecovered(_)
            | StockEvent::ReservationMade(_)
            | StockEvent::ReservationIncreased(_)
            | StockEvent::ReservationReleased(_)
            | StockEvent::ReservationCommitted(_),
        ) => return Err(FoldError::MissingItem { position: recorded.position, key }),
    };
    stock.apply(&recorded.event);
    stock.version = recorded.version;
    stock.updated_at = recorded.recorded_at;
    let by_sku = |name| Key::new(sharded(name, &recorded.stream_id), sort_key(&recorded.stream_id));
    let low = stock.low_stock.is_some_and(|it| it.is_low).then(|| by_sku(LOW));
    items.put(key, [Some(by_sku(ALL)), low, None], recorded.position, stock);
    Ok(())
}

impl StockRow {
    fn empty(recorded: &RecordedStockEvent) -> Self {
        let sku = recorded.stream_id.clone();
        let (version, updated_at) = (recorded.version, recorded.recorded_at);
        Self {
            sku,
            on_hand: 0,
            reserved: 0,
            sold: 0,
            unit: None,
            named: BTreeMap::new(),
            backorder: None,
            low_stock: None,
            version,
            updated_at,
        }
    }

    fn apply(&mut self, event: &StockEvent) {
        match event {
            StockEvent::StockReceived(it) => self.change(&it.location, it.quantity.into(), 0),
            StockEvent::StockAdjusted(it) => self.change(&it.location, it.delta, 0),
            StockEvent::StockReturned(it) => self.change(&it.location, it.quantity.into(), 0),
            StockEvent::StockTransferred(it) => {
                self.change(&it.from, -i64::from(it.quantity), 0);
                self.change(&it.to, it.quantity.into(), 0);
            }
            StockEvent::BackorderLimitSet(it) => self.backorder = (it.limit > 0).then(|| it.clone()),
            StockEvent::LowStockThresholdSet(it) => {
                let is_low = self.low_stock.is_some_and(|before| before.is_low);
                self.low_stock = (it.threshold > 0).then_some(LowStock { threshold: it.threshold, is_low });
            }
            StockEvent::StockRanLow(_) => self.set_low(true),
            StockEvent::StockRecovered(_) => self.set_low(false),
            StockEvent::ReservationMade(it) => self.change(&it.location, 0, it.quantity.into()),
            StockEvent::ReservationIncreased(it) => self.change(&it.location, 0, it.quantity.into()),
            StockEvent::ReservationReleased(it) => self.change(&it.location, 0, -i64::from(it.quantity)),
            StockEvent::ReservationCommitted(it) => {
                let quantity = i64::from(it.quantity);
                self.change(&it.location, -quantity, -quantity);
                self.sold += quantity;
            }
        }
    }

    fn set_low(&mut self, is_low: bool) {
        if let Some(low_stock) = &mut self.low_stock {
            low_stock.is_low = is_low;
        }
    }

    fn change(&mut self, location: &LocationId, on_hand: i64, reserved: i64) {
        self.on_hand += on_hand;
        self.reserved += reserved;
        if location.is_default() {
            return;
        }
        let here = self.named.entry(location.clone()).or_default();
        here.on_hand += on_hand;
        here.reserved += reserved;
        if *here == UnitsRow::default() {
            self.named.remove(location);
        }
    }
}

//! Units of stock: reserved for the order, or released.

use chrono::{DateTime, Utc};
use event_versions::FIRST;
use serde::{Deserialize, Serialize};

use super::RejectionReason;
use crate::ids::{LocationId, Sku};
use crate::quantity::{Quantity, UnitOfMeasure};

/// All units of the order are reserved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StockReserved {
    /// The reserved units by SKU and location, without SKUs that are not tracked.
    pub units: Vec<SkuQuantity>,
    /// When the reservation runs out if the order is not confirmed by then.
    pub expires_at: DateTime<Utc>,
    /// Those of the units that were not on hand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backorders: Vec<BackorderedUnits>,
}

/// Units of a SKU that were reserved before they were on hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BackorderedUnits {
    pub sku: Sku,
    pub quantity: u32,
    /// Where they are expected.
    #[serde(default, skip_serializing_if = "LocationId::is_default")]
    pub location: LocationId,
    /// When they are expected, as it was known then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available_at: Option<DateTime<Utc>>,
}

/// Units of one SKU at one location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SkuQuantity {
    pub sku: Sku,
    pub quantity: u32,
    /// Where they are.
    #[serde(default, skip_serializing_if = "LocationId::is_default")]
    pub location: LocationId,
}

impl StockReserved {
    /// The version that says all of it, if it is an earlier one. Builds that know no location would release and ship the units elsewhere,
    /// and builds that know no backorder would ship what is not there.
    pub(super) fn earlier_version(&self) -> Option<&'static str> {
        let earlier = if self.units.iter().all(|it| it.location.is_default()) { FIRST } else { "2.0" };
        self.backorders.is_empty().then_some(earlier)
    }
}

/// There were not enough units. Nothing was reserved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StockReservationFailed {
    /// The SKUs that are short. Empty if there are SKUs in another unit: then it was not asked for more.
    pub shortages: Vec<Shortage>,
    /// The SKUs that are counted in another unit than they were ordered in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_units: Vec<UnitMismatch>,
}

impl StockReservationFailed {
    /// Why the order can't be confirmed.
    pub fn reason(&self) -> RejectionReason {
        if self.other_units.is_empty() {
            return RejectionReason::OutOfStock { shortages: self.shortages.clone() };
        }
        RejectionReason::OtherUnit { skus: self.other_units.clone() }
    }
}

/// A SKU of which there is too little.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Shortage {
    pub sku: Sku,
    /// How many the order needs.
    pub requested: u32,
    /// How many there were.
    pub available: i64,
    /// The unit of measure in which both are, in thousandths; `None`: both are pieces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitOfMeasure>,
}

impl Shortage {
    /// How many the order needs, and how many there were, as people read it.
    pub(super) fn quantities(&self) -> (Quantity, Quantity) {
        (Quantity::of(self.requested, self.unit), Quantity::of(self.available.max(0), self.unit))
    }
}

/// A SKU that is counted in another unit of measure than it was ordered in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct UnitMismatch {
    pub sku: Sku,
    /// `None`: it was ordered by the piece.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered: Option<UnitOfMeasure>,
    /// `None`: it is counted by the piece.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stocked: Option<UnitOfMeasure>,
}

/// The reservation of the order was released.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StockReleased {
    /// Whether it was released because it had run out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expired: bool,
}

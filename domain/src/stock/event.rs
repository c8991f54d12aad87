//! Everything that can happen to the stock of a SKU. Each version of each event has a golden file in `domain/golden/stock-events/`, and
//! stays readable forever.

use chrono::{DateTime, Utc};
use event_versions::{FIRST, Upcast};
use serde::{Deserialize, Serialize};

use crate::events::events;
use crate::ids::{LocationId, OrderId, ReturnId};
use crate::quantity::UnitOfMeasure;

/// Every change of their shapes; those of the same event oldest first. Each may name a location. What they say is read alike in both
/// versions.
pub(super) const UPCASTS: &[Upcast] = &[
    Upcast { event_type: "StockReceived", to: "2.0", change: None },
    Upcast { event_type: "StockAdjusted", to: "2.0", change: None },
    Upcast { event_type: "StockReturned", to: "2.0", change: None },
    Upcast { event_type: "ReservationMade", to: "2.0", change: None },
    Upcast { event_type: "ReservationReleased", to: "2.0", change: None },
    Upcast { event_type: "ReservationCommitted", to: "2.0", change: None },
    // These may name a unit of measure.
    Upcast { event_type: "StockReceived", to: "3.0", change: None },
    Upcast { event_type: "StockAdjusted", to: "3.0", change: None },
    Upcast { event_type: "StockReturned", to: "3.0", change: None },
    Upcast { event_type: "StockTransferred", to: "2.0", change: None },
    Upcast { event_type: "ReservationMade", to: "3.0", change: None },
];

/// The version in which an event is written, where that is not the newest one. A build that knows the first version only would count the
/// units of all locations as one, and one that knows no units of measure would take thousandths of a unit for pieces. They stop instead.
fn earlier_version(event: &StockEvent) -> Option<&'static str> {
    let (location, unit) = match event {
        StockEvent::StockReceived(it) => (&it.location, it.unit),
        StockEvent::StockAdjusted(it) => (&it.location, it.unit),
        StockEvent::StockReturned(it) => (&it.location, it.unit),
        StockEvent::StockTransferred(it) => return it.unit.is_none().then_some(FIRST),
        // Builds that know them know locations and units of measure.
        StockEvent::BackorderLimitSet(_)
        | StockEvent::LowStockThresholdSet(_)
        | StockEvent::StockRanLow(_)
        | StockEvent::StockRecovered(_)
        | StockEvent::ReservationIncreased(_) => return None,
        StockEvent::ReservationMade(it) => (&it.location, it.unit),
        StockEvent::ReservationReleased(it) => (&it.location, None),
        StockEvent::ReservationCommitted(it) => (&it.location, None),
    };
    let earlier = if location.is_default() { FIRST } else { "2.0" };
    unit.is_none().then_some(earlier)
}

events! {
    /// Something that happened to the stock of a SKU. Which SKU is the stream's id; who did it and when is the event's metadata.
    StockEvent, UPCASTS, earlier_version {
        /// Units came in. The first makes the SKU tracked.
        StockReceived,
        /// The count was corrected.
        StockAdjusted,
        /// Units that had been sent came back, and are for sale again.
        StockReturned,
        /// Units were moved to another location.
        StockTransferred,
        /// From now on, so many units may be promised that are not on hand.
        BackorderLimitSet,
        /// From now on, the SKU is low while fewer units are available.
        LowStockThresholdSet,
        /// Fewer units are available than the threshold.
        StockRanLow,
        /// As many units as the threshold are available again, or there is no threshold any more.
        StockRecovered,
        /// Units were reserved for an order.
        ReservationMade,
        /// More units were reserved for an order.
        ReservationIncreased,
        /// Reserved units are for sale again.
        ReservationReleased,
        /// Reserved units have shipped.
        ReservationCommitted,
    }
}

/// Units came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StockReceived {
    /// How many, at least one.
    pub quantity: u32,
    /// Where they are.
    #[serde(default, skip_serializing_if = "LocationId::is_default")]
    pub location: LocationId,
    /// The unit of measure in which the SKU is counted; `None`: by the piece. Quantities of it are in thousandths of the unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitOfMeasure>,
}

/// The count was corrected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StockAdjusted {
    /// The correction of the count. Never 0.
    pub delta: i64,
    /// Why, in the words of whoever counted.
    pub reason: String,
    /// Where it was counted.
    #[serde(default, skip_serializing_if = "LocationId::is_default")]
    pub location: LocationId,
    /// The unit of measure in which the SKU is counted; `None`: by the piece. Quantities of it are in thousandths of the unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitOfMeasure>,
}

/// Units that had been sent came back, and are for sale again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StockReturned {
    /// To which order they had been sent.
    pub order_id: OrderId,
    /// In which of its returns they came back.
    pub return_id: ReturnId,
    /// How many, at least one.
    pub quantity: u32,
    /// Where they are now.
    #[serde(default, skip_serializing_if = "LocationId::is_default")]
    pub location: LocationId,
    /// The unit of measure in which the SKU is counted; `None`: by the piece. Quantities of it are in thousandths of the unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitOfMeasure>,
}

/// Units were moved to another location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StockTransferred {
    /// From where. None of these was reserved there.
    pub from: LocationId,
    /// To where.
    pub to: LocationId,
    /// How many, at least one.
    pub quantity: u32,
    /// The unit of measure in which the SKU is counted; `None`: by the piece. The quantity is in thousandths of the unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitOfMeasure>,
}

/// From now on, so many units may be promised that are not on hand. What was promised before stays so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BackorderLimitSet {
    /// How many units may wait at the same time; 0: none any more.
    pub limit: u32,
    /// When the units are expected, which is what customers are promised; `None`: nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available_at: Option<DateTime<Utc>>,
    /// Where they are expected.
    #[serde(default, skip_serializing_if = "LocationId::is_default")]
    pub location: LocationId,
    /// The unit of measure in which the SKU is counted; `None`: by the piece. The limit is in thousandths of the unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitOfMeasure>,
}

/// From now on, the SKU is low while fewer units are available.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct LowStockThresholdSet {
    /// Fewer than this are low, at all locations together; 0: it is never low.
    pub threshold: u32,
    /// The unit of measure in which the SKU is counted; `None`: by the piece. The threshold is in thousandths of the unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitOfMeasure>,
}

/// Fewer units are available than the threshold. There is one for each time that this came to be so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StockRanLow {
    /// How many are on hand and not reserved, at all locations. It is negative if orders wait for units.
    pub available: i64,
    /// Fewer than this are low.
    pub threshold: u32,
    /// The unit of measure in which the SKU is counted; `None`: by the piece. Quantities of it are in thousandths of the unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitOfMeasure>,
}

/// As many units as the threshold are available again, or there is no threshold any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StockRecovered {
    /// How many are on hand and not reserved, at all locations. It is negative if orders wait for units.
    pub available: i64,
    /// Fewer than this are low; 0: it is never low.
    pub threshold: u32,
    /// The unit of measure in which the SKU is counted; `None`: by the piece. Quantities of it are in thousandths of the unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitOfMeasure>,
}

/// Units were reserved for an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReservationMade {
    /// For which order.
    pub order_id: OrderId,
    /// How many, at least one.
    pub quantity: u32,
    /// Until when.
    pub expires_at: DateTime<Utc>,
    /// Where they are.
    #[serde(default, skip_serializing_if = "LocationId::is_default")]
    pub location: LocationId,
    /// The unit of measure in which the SKU is counted; `None`: by the piece. Quantities of it are in thousandths of the unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitOfMeasure>,
}

/// More units were reserved for an order that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReservationIncreased {
    /// For which order.
    pub order_id: OrderId,
    /// How many more, at least one.
    pub quantity: u32,
    /// How many have shipped to it from there so far.
    pub shipped: u32,
    /// Until when.
    pub expires_at: DateTime<Utc>,
    /// Where they are.
    #[serde(default, skip_serializing_if = "LocationId::is_default")]
    pub location: LocationId,
}

/// Reserved units are for sale again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReservationReleased {
    /// For which order they were reserved.
    pub order_id: OrderId,
    /// How many.
    pub quantity: u32,
    /// Where they are.
    #[serde(default, skip_serializing_if = "LocationId::is_default")]
    pub location: LocationId,
}

/// Reserved units have shipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReservationCommitted {
    /// To which order.
    pub order_id: OrderId,
    /// How many, this time.
    pub quantity: u32,
    /// From where.
    #[serde(default, skip_serializing_if = "LocationId::is_default")]
    pub location: LocationId,
}

//! Everything that can happen to the stock of a SKU. Each version of each event has a golden file in `domain/golden/stock-events/`, and
//! stays readable forever.

use chrono::{DateTime, Utc};
use event_versions::Upcast;
use serde::{Deserialize, Serialize};

use crate::events::events;
use crate::ids::{OrderId, ReturnId};

/// Every change of their shapes; those of the same event oldest first. So far all are as they began.
pub(super) const UPCASTS: &[Upcast] = &[];

events! {
    /// Something that happened to the stock of a SKU. Which SKU is the stream's id; who did it and when is the event's metadata.
    StockEvent, UPCASTS {
        /// Units came in. The first makes the SKU tracked.
        StockReceived,
        /// The count was corrected.
        StockAdjusted,
        /// Units that had been sent came back, and are for sale again.
        StockReturned,
        /// Units were reserved for an order.
        ReservationMade,
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
}

//! Goods: shipped, delivered, held back, or cancelled before they were shipped.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::{CancellationId, HoldId, LocationId, ShipmentId};

/// Units of one line of the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct LineQuantity {
    /// The number of the line, from 1.
    pub line_number: u32,
    /// How many units, at least one.
    pub quantity: u32,
}

/// Goods were shipped: all of the order, or some of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrderShipped {
    pub shipment_id: ShipmentId,
    /// What was shipped. Never empty; each line is named once.
    pub lines: Vec<LineQuantity>,
    /// The parcels that the customer can follow.
    pub parcels: Vec<Parcel>,
    /// From where, if somebody said so. Otherwise the units of a SKU came from where they had been allocated first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<LocationId>,
}

/// How a customer can follow a parcel. At least one of both is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Parcel {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
    /// The carrier's tracking number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking: Option<String>,
}

/// The goods of a shipment arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ShipmentDelivered {
    pub shipment_id: ShipmentId,
    /// When it arrived, if somebody says so. Otherwise it is the time of this event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<DateTime<Utc>>,
}

/// The customer follows a shipment by these parcels, and no longer by those that were named before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ShipmentTrackingChanged {
    pub shipment_id: ShipmentId,
    /// All parcels of the shipment. Empty: there is nothing to follow.
    pub parcels: Vec<Parcel>,
}

/// Nothing of the order is shipped until this hold is released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrderHeld {
    pub hold_id: HoldId,
    /// Why, for those who work for the shop.
    pub reason: String,
}

/// A hold is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrderReleased {
    pub hold_id: HoldId,
}

/// Lines of the order will not be shipped. Their reservation is released in the same append, and nobody pays for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct LinesCancelled {
    pub cancellation_id: CancellationId,
    /// What will not be shipped. Never empty; each line is named once.
    pub lines: Vec<LineQuantity>,
    /// Why, in the words of whoever cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// All of the order arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OrderDelivered {}

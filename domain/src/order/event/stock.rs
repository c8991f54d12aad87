//! Units of stock: reserved for the order, or released.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::Sku;

/// All units of the order were set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StockReserved {
    /// What was set aside of which SKU. SKUs that nobody keeps count of are not among them.
    pub units: Vec<ReservedUnits>,
    /// Until when, if the order is not confirmed by then.
    pub expires_at: DateTime<Utc>,
}

/// Units of one SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReservedUnits {
    /// Of what.
    pub sku: Sku,
    /// How many.
    pub quantity: u32,
}

/// There were not enough units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StockReservationFailed {
    /// What is short; never empty.
    pub shortages: Vec<Shortage>,
}

/// A SKU of which there is too little.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shortage {
    /// Of what.
    pub sku: Sku,
    /// How many the order needs.
    pub requested: u32,
    /// How many there were.
    pub available: i64,
}

/// What had been set aside went back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockReleased {
    /// Whether it was because the reservation had run out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expired: bool,
}

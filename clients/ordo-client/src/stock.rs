//! Stock and sales.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;

use crate::{AcceptedCommand, Client, Command, PagedQuery, Quantity, ReadRequest, Sales};

impl Client {
    /// Tells that units of a SKU came in. From then on it is tracked.
    pub fn receive_stock(&self, sku: &str, quantity: u32) -> Command<AcceptedCommand> {
        Command::post(self, &["stock", sku, "receive"], Some(&json!({ "quantity": quantity })))
    }

    /// Adds units to a SKU's stock at a location.
    pub fn receive_stock_at(&self, sku: &str, quantity: u32, location: &str) -> Command<AcceptedCommand> {
        let body = json!({ "quantity": quantity, "location": location });
        Command::post(self, &["stock", sku, "receive"], Some(&body))
    }

    /// Tells that so much of a unit of measure such as `kg` came in: `"12.5"`.
    pub fn receive_stock_by_measure(&self, sku: &str, quantity: &str, unit: &str) -> Command<AcceptedCommand> {
        let body = json!({ "quantity": quantity, "unit": unit });
        Command::post(self, &["stock", sku, "receive"], Some(&body))
    }

    /// Puts the count right by so many units, more or fewer.
    pub fn adjust_stock(&self, sku: &str, delta: i64, reason: &str) -> Command<AcceptedCommand> {
        Command::post(self, &["stock", sku, "adjust"], Some(&json!({ "delta": delta, "reason": reason })))
    }

    /// Moves units of a SKU to another location.
    pub fn transfer_stock(&self, sku: &str, from: &str, to: &str, quantity: u32) -> Command<AcceptedCommand> {
        let body = json!({ "from": from, "to": to, "quantity": quantity });
        Command::post(self, &["stock", sku, "transfer"], Some(&body))
    }

    /// Says how many units of a SKU may be sold before they are on hand, and when those are expected. 0: none any more.
    pub fn backorder_stock(
        &self,
        sku: &str,
        limit: u32,
        available_at: Option<DateTime<Utc>>,
    ) -> Command<AcceptedCommand> {
        let body = match available_at {
            Some(at) => json!({ "limit": limit, "availableAt": at }),
            None => json!({ "limit": limit }),
        };
        Command::post(self, &["stock", sku, "backorder"], Some(&body))
    }

    /// Says below how many available units a SKU is low. 0: it never is.
    pub fn set_low_stock_threshold(&self, sku: &str, threshold: u32) -> Command<AcceptedCommand> {
        Command::post(self, &["stock", sku, "low-stock"], Some(&json!({ "threshold": threshold })))
    }

    /// The units of a SKU.
    pub fn stock_level(&self, sku: &str) -> ReadRequest<StockLevel> {
        ReadRequest::new(self, &["stock", sku])
    }

    /// All tracked SKUs, by name.
    pub fn stock_levels(&self) -> PagedQuery<StockLevel> {
        PagedQuery::new(self, &["stock"])
    }

    /// The SKUs that are low, by name.
    pub fn low_stock_levels(&self) -> PagedQuery<StockLevel> {
        PagedQuery::new(self, &["stock"]).parameter("low", "true")
    }

    /// Who has units of a SKU reserved, in the order in which they are served.
    pub fn stock_reservations(&self, sku: &str) -> PagedQuery<StockReservation> {
        PagedQuery::new(self, &["stock", sku, "reservations"])
    }

    /// What was ordered from one day, as `2026-11-20`, to the day before another.
    pub fn sales(&self, from: &str, to: &str) -> ReadRequest<Sales> {
        ReadRequest::new(self, &["sales"]).parameter("from", from).parameter("to", to)
    }
}

/// The units of a SKU.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct StockLevel {
    pub sku: String,
    /// Whether its units are counted. If not, there are no numbers.
    pub tracked: bool,
    #[serde(default)]
    pub on_hand: Quantity,
    #[serde(default)]
    pub reserved: Quantity,
    #[serde(default)]
    pub available: Quantity,
    #[serde(default)]
    pub sold: Quantity,
    /// The unit of measure in which it is counted; `None`: by the piece.
    #[serde(default)]
    pub unit: Option<String>,
    /// The units at each location that has any. Empty while all are at the default one.
    #[serde(default)]
    pub locations: Vec<StockAtLocation>,
    /// How many units may be sold before they are on hand; `None`: none.
    #[serde(default)]
    pub backorder: Option<SkuBackorder>,
    /// When it is low; `None`: it never is.
    #[serde(default)]
    pub low_stock: Option<SkuLowStock>,
    #[serde(default)]
    pub version: i64,
    #[serde(default)]
    pub updated_at: Option<DateTime<Utc>>,
}

/// When a SKU is low.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SkuLowStock {
    /// It is low while fewer than this are available.
    pub threshold: Quantity,
    /// Whether it is.
    pub low: bool,
}

/// How many units of a SKU may be sold before they are on hand.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SkuBackorder {
    pub limit: Quantity,
    /// When they are expected.
    #[serde(default)]
    pub available_at: Option<DateTime<Utc>>,
    pub location: String,
}

/// The units of a SKU at a location.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct StockAtLocation {
    pub location: String,
    pub on_hand: Quantity,
    pub reserved: Quantity,
    pub available: Quantity,
}

/// The units of a SKU that are reserved for an order at a location.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct StockReservation {
    pub order_id: String,
    pub location: String,
    /// How much is reserved and has not shipped.
    pub quantity: Quantity,
    /// How much of that is there for the order.
    pub on_hand: Quantity,
    /// For how much it waits.
    pub waiting: Quantity,
    pub shipped: Quantity,
    /// Its place among those at the location that had to wait; `None`: all was on hand.
    #[serde(default)]
    pub place: Option<u64>,
    pub expires_at: DateTime<Utc>,
}

/// Units of a SKU that were sent from a location.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ShippedUnits {
    pub sku: String,
    pub location: String,
    pub quantity: Quantity,
}

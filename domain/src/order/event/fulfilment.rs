//! Units: set aside, sent, brought back.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{CancellationId, ReturnId, ShipmentId, Sku};

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

/// So many of a line of the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LineQuantity {
    /// Which line, from 1.
    pub line_number: u32,
    /// How many, at least one.
    pub quantity: u32,
}

/// Some of the order, or all, was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderShipped {
    /// Names the shipment.
    pub shipment_id: ShipmentId,
    /// What was sent; never empty, each line once.
    pub lines: Vec<LineQuantity>,
    /// What it travels in; empty: there is nothing to follow it by.
    pub parcels: Vec<Parcel>,
}

/// What a customer can follow a parcel by; one of both at least.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parcel {
    /// Who brings it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
    /// What the carrier knows it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking: Option<String>,
}

/// Some of the order will not be sent. What was set aside for it went back in the same moment, and nobody pays for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LinesCancelled {
    /// Names the cancellation.
    pub cancellation_id: CancellationId,
    /// What will not be sent; never empty, each line once.
    pub lines: Vec<LineQuantity>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// All of the order arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderDelivered {}

/// The customer will send some of it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReturnRequested {
    /// Names the return.
    pub return_id: ReturnId,
    /// What will come back; never empty, each line once.
    pub lines: Vec<LineQuantity>,
    /// Why, in the customer's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What was to come back came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReturnReceived {
    /// Which return.
    pub return_id: ReturnId,
    /// What it is worth to the customer: what its lines cost, as far as that was not given back before.
    pub refund_minor: i64,
}

//! Goods: shipped, delivered, or cancelled before they were shipped.

use serde::{Deserialize, Serialize};

use crate::ids::{CancellationId, ShipmentId};

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

//! What can happen to the stock of a SKU. Each event has a golden file in `domain/golden/stock-events/` and decodes for ever.

use chrono::{DateTime, Utc};
use cqrs_es::DomainEvent;
use serde::{Deserialize, Serialize};

use crate::OrderId;

/// Something that happened to the stock of a SKU. Which SKU is the stream's id; who did it and when is the event's metadata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum StockEvent {
    /// Units came in. The first makes the SKU tracked.
    StockReceived(StockReceived),
    /// The count was put right.
    StockAdjusted(StockAdjusted),
    /// Units were set aside for an order.
    ReservationMade(ReservationMade),
    /// Units that were set aside are for sale again.
    ReservationReleased(ReservationReleased),
    /// Units that were set aside have shipped.
    ReservationCommitted(ReservationCommitted),
}

/// Units came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StockReceived {
    /// How many, at least one.
    pub quantity: u32,
}

/// The count was put right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StockAdjusted {
    /// How many more there are than was thought; fewer, where it is negative. Never 0.
    pub delta: i64,
    /// Why, in the words of whoever counted.
    pub reason: String,
}

/// Units were set aside for an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReservationMade {
    /// For which order.
    pub order_id: OrderId,
    /// How many, at least one.
    pub quantity: u32,
    /// Until when.
    pub expires_at: DateTime<Utc>,
}

/// Units that were set aside are for sale again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReservationReleased {
    /// For which order they were set aside.
    pub order_id: OrderId,
    /// How many.
    pub quantity: u32,
}

/// Units that were set aside have shipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReservationCommitted {
    /// To which order.
    pub order_id: OrderId,
    /// How many, this time.
    pub quantity: u32,
}

impl StockEvent {
    /// The event's name, as stored.
    pub fn name(&self) -> &'static str {
        match self {
            Self::StockReceived(_) => "StockReceived",
            Self::StockAdjusted(_) => "StockAdjusted",
            Self::ReservationMade(_) => "ReservationMade",
            Self::ReservationReleased(_) => "ReservationReleased",
            Self::ReservationCommitted(_) => "ReservationCommitted",
        }
    }
}

impl DomainEvent for StockEvent {
    fn event_type(&self) -> String {
        self.name().to_owned()
    }

    fn event_version(&self) -> String {
        match self {
            Self::StockReceived(_)
            | Self::StockAdjusted(_)
            | Self::ReservationMade(_)
            | Self::ReservationReleased(_)
            | Self::ReservationCommitted(_) => "1.0".to_owned(),
        }
    }
}

//! The row of a shipment.

use chrono::{DateTime, Utc};
use domain::order::event::{OrderShipped, Parcel};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::RecordedOrderEvent;
use super::quantity_rows::{LineQuantityRow, LineUnits};

/// A shipment.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = ShipmentContent)]
#[serde(rename_all = "camelCase")]
pub(in crate::orders) struct ShipmentRow {
    pub(in crate::orders) shipment_id: String,
    lines: Vec<LineQuantityRow>,
    /// The tracking of the first parcel.
    #[serde(flatten)]
    first: Parcel,
    /// Missing in rows of earlier builds, which had one parcel at most.
    #[serde(default)]
    parcels: Vec<Parcel>,
    pub(in crate::orders) shipped_at: DateTime<Utc>,
    /// When it arrived. It is left out of a shipment that only arrived with all of the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::orders) delivered_at: Option<DateTime<Utc>>,
}

impl ShipmentRow {
    pub(in crate::orders) fn new(recorded: &RecordedOrderEvent, shipped: &OrderShipped, units: &LineUnits) -> Self {
        Self {
            shipment_id: shipped.shipment_id.to_string(),
            lines: units.rows(&shipped.lines),
            first: shipped.parcels.first().cloned().unwrap_or_default(),
            parcels: shipped.parcels.clone(),
            shipped_at: recorded.recorded_at,
            delivered_at: None,
        }
    }

    /// The shipment, once it is followed by these parcels.
    pub(in crate::orders) fn followed_by(self, parcels: &[Parcel]) -> Self {
        Self { first: parcels.first().cloned().unwrap_or_default(), parcels: parcels.to_vec(), ..self }
    }

    /// Gives a row of an earlier build the form of today's rows.
    pub(in crate::orders) fn upcast(mut self) -> Self {
        if self.parcels.is_empty() && self.first != Parcel::default() {
            self.parcels.push(self.first.clone());
        }
        self
    }
}

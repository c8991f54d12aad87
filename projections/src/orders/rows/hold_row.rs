//! The holds of an order, in its own row.

use chrono::{DateTime, Utc};
use domain::order::{OrderEvent, PlacedOrder};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{OrderRow, RecordedOrderEvent};

/// A hold that was not released.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Hold)]
#[serde(rename_all = "camelCase")]
pub(in crate::orders) struct HoldRow {
    hold_id: String,
    reason: String,
    held_at: DateTime<Utc>,
}

impl OrderRow {
    pub(super) fn show_holds(&mut self, placed: &PlacedOrder, recorded: &RecordedOrderEvent) {
        if let OrderEvent::OrderHeld(held) = &recorded.event {
            self.holds.push(HoldRow {
                hold_id: held.hold_id.to_string(),
                reason: held.reason.clone(),
                held_at: recorded.recorded_at,
            });
        }
        let is_open = |hold: &HoldRow| placed.open_holds().any(|open| open.id.as_str() == hold.hold_id);
        self.holds.retain(|hold| placed.is_held() && is_open(hold));
    }

    /// Whether something of it could be shipped if it was not held.
    pub(in crate::orders) fn is_held(&self) -> bool {
        !self.holds.is_empty()
    }
}

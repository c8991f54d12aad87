//! The row of a return.

use chrono::{DateTime, Utc};
use domain::order::event::{ReturnReceived, ReturnRequested};
use domain::order::{Order, Return};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::quantity_rows::{LineQuantityRow, LineUnits, ReceivedLineRow};
use super::{OrderRow, RecordedOrderEvent};

/// A return, as far as it has come.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Return)]
#[serde(rename_all = "camelCase")]
pub(in crate::orders) struct ReturnRow {
    return_id: String,
    /// What was announced.
    lines: Vec<LineQuantityRow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    pub(in crate::orders) requested_at: DateTime<Utc>,
    /// When the last of it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    received_at: Option<DateTime<Utc>>,
    /// What came, oldest first. None if it came all at once and no more was said about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    receipts: Vec<ReceiptRow>,
    /// When it was said that what had not come is not coming.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cancelled_at: Option<DateTime<Utc>>,
    /// Why it is not coming.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cancellation_reason: Option<String>,
}

/// Goods of a return that came together.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Receipt)]
#[serde(rename_all = "camelCase")]
struct ReceiptRow {
    receipt_id: String,
    lines: Vec<ReceivedLineRow>,
    /// The refund of what they are worth. It is left out if there is nothing to refund.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refund_id: Option<String>,
    /// Where they are, if somebody said so. Customers do not see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    received_at: DateTime<Utc>,
}

impl ReturnRow {
    pub(in crate::orders) fn new(
        recorded: &RecordedOrderEvent,
        requested: &ReturnRequested,
        units: &LineUnits,
    ) -> Self {
        Self {
            return_id: requested.return_id.to_string(),
            lines: units.rows(&requested.lines),
            reason: requested.reason.clone(),
            requested_at: recorded.recorded_at,
            received_at: None,
            receipts: vec![],
            cancelled_at: None,
            cancellation_reason: None,
        }
    }

    /// Goods of it came. `is_complete`: nothing more is to come.
    pub(in crate::orders) fn receive(
        &mut self,
        recorded: &RecordedOrderEvent,
        received: &ReturnReceived,
        is_complete: bool,
        units: &LineUnits,
    ) {
        if is_complete {
            self.received_at = Some(recorded.recorded_at);
        }
        self.receipts.extend(received.receipt_id.as_ref().map(|receipt_id| ReceiptRow {
            receipt_id: receipt_id.to_string(),
            lines: units.received_rows(&received.lines),
            refund_id: (received.refund_minor > 0).then(|| received.refund().to_string()),
            location: received.location.as_ref().map(ToString::to_string),
            received_at: recorded.recorded_at,
        }));
    }

    pub(in crate::orders) fn cancel(&mut self, recorded: &RecordedOrderEvent, reason: Option<&String>) {
        (self.cancelled_at, self.cancellation_reason) = (Some(recorded.recorded_at), reason.cloned());
    }
}

impl OrderRow {
    /// Whether all of a return has come.
    pub(in crate::orders) fn has_received(&self, received: &ReturnReceived) -> bool {
        let is_it = |back: &&Return| back.id == received.return_id;
        match &self.folded {
            Some(Order::Placed(placed)) => placed.returns.iter().find(is_it).is_some_and(|back| back.received),
            Some(Order::Absent) | None => false,
        }
    }
}

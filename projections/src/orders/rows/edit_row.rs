//! The edits of an order, in its own row.

use chrono::{DateTime, Utc};
use domain::money::Money;
use domain::order::event::EditEvent;
use domain::order::{OrderEditStatus, PlacedOrder};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{OrderRow, RecordedOrderEvent};
use crate::amount_view::AmountView;

/// How many edits are shown with an order: the latest.
const SHOWN: usize = 20;

/// An edit of an order. What it changes is in the order's timeline.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Edit)]
#[serde(rename_all = "camelCase")]
pub(in crate::orders) struct EditRow {
    edit_id: String,
    #[schema(inline)]
    status: EditStatus,
    /// What the order costs with it.
    total: AmountView,
    /// The payment that it adds, if the order's payments are not enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payment_number: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    requested_at: DateTime<Utc>,
    /// When the order was changed, or the edit rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended_at: Option<DateTime<Utc>>,
    /// Why the order was not changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rejection: Option<String>,
}

/// How far an edit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum EditStatus {
    /// Its units and its money are not there yet.
    Requested,
    /// The order was changed.
    Applied,
    /// The order was not changed.
    Rejected,
}

impl From<OrderEditStatus> for EditStatus {
    fn from(status: OrderEditStatus) -> Self {
        match status {
            OrderEditStatus::Requested => Self::Requested,
            OrderEditStatus::Applied => Self::Applied,
            OrderEditStatus::Rejected => Self::Rejected,
        }
    }
}

impl OrderRow {
    pub(super) fn show_edit(&mut self, placed: &PlacedOrder, recorded: &RecordedOrderEvent, event: EditEvent<'_>) {
        let currency = placed.content.currency;
        let (edit_id, rejection) = match event {
            EditEvent::OrderEditRequested(it) => {
                self.edits.push(EditRow {
                    edit_id: it.edit_id.to_string(),
                    status: EditStatus::Requested,
                    total: Money::from_minor(it.total_minor, currency).into(),
                    payment_number: it.payment.as_ref().map(|payment| payment.payment_number),
                    reason: it.reason.clone(),
                    requested_at: recorded.recorded_at,
                    ended_at: None,
                    rejection: None,
                });
                let too_many = self.edits.len().saturating_sub(SHOWN);
                self.edits.drain(..too_many);
                return;
            }
            EditEvent::OrderEdited(it) => (&it.edit_id, None),
            EditEvent::OrderEditRejected(it) => (&it.edit_id, Some(it.reason.in_words())),
        };
        let status = placed.edits.iter().find(|edit| edit.id == *edit_id).map(|edit| edit.status);
        let row = self.edits.iter_mut().find(|row| row.edit_id == edit_id.as_str());
        if let (Some(row), Some(status)) = (row, status) {
            (row.status, row.ended_at, row.rejection) = (status.into(), Some(recorded.recorded_at), rejection);
        }
    }
}

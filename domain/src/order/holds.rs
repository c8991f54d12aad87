//! Holds: reasons for which nothing of an order is shipped for now.

use serde::{Deserialize, Serialize};

use super::state::PlacedOrder;
use super::transitions::OrderStage;
use crate::ids::HoldId;

/// A reason for which nothing of an order is shipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The id of the hold.
    pub id: HoldId,
    /// Why.
    pub reason: String,
    /// Whether it is over.
    pub released: bool,
}

impl PlacedOrder {
    /// The holds that were not released, oldest first.
    pub fn open_holds(&self) -> impl Iterator<Item = &Hold> {
        self.holds.iter().filter(|hold| !hold.released)
    }

    /// Whether something could be shipped, now or once the order is confirmed, if it was not held.
    pub fn is_held(&self) -> bool {
        match self.stage() {
            OrderStage::ConfirmedOnHold | OrderStage::PartiallyShippedOnHold => true,
            OrderStage::Pending | OrderStage::Editing | OrderStage::PartiallyShippedEditing => {
                self.open_holds().next().is_some()
            }
            OrderStage::Undoing
            | OrderStage::Confirmed
            | OrderStage::PartiallyShipped
            | OrderStage::Shipped
            | OrderStage::Completed
            | OrderStage::Rejected
            | OrderStage::Cancelled => false,
        }
    }
}

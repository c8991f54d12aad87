//! Decides on holds. Nothing is shipped while an order has one that was not released.

use super::super::error::OrderError;
use super::super::event::{OrderEvent, OrderHeld, OrderReleased};
use super::super::state::PlacedOrder;
use super::super::transitions::OrderAction;
use super::{OrderDecision, UNCHANGED, one};
use crate::ids::HoldId;

impl PlacedOrder {
    pub(super) fn hold(&self, held: OrderHeld) -> OrderDecision {
        if let Some(known) = self.holds.iter().find(|hold| hold.id == held.hold_id) {
            // One that is over holds nothing: whoever sends it again has to hear of that.
            let same = known.reason == held.reason && !known.released;
            return if same { UNCHANGED } else { Err(OrderError::IdTaken { what: "hold" }) };
        }
        self.check(OrderAction::Hold)?;
        one(OrderEvent::OrderHeld(held))
    }

    /// `None`: releases every hold.
    pub(super) fn release(&self, hold_id: Option<HoldId>) -> OrderDecision {
        let released: Vec<OrderEvent> = match hold_id {
            None => self.open_holds().map(|hold| released(hold.id.clone())).collect(),
            Some(hold_id) => match self.holds.iter().find(|hold| hold.id == hold_id) {
                None => return Err(OrderError::NoSuchHold(hold_id)),
                Some(hold) if hold.released => vec![],
                Some(_) => vec![released(hold_id)],
            },
        };
        if !released.is_empty() {
            self.check(OrderAction::Release)?;
        }
        Ok(released)
    }
}

fn released(hold_id: HoldId) -> OrderEvent {
    OrderEvent::OrderReleased(OrderReleased { hold_id })
}

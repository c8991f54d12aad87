//! Decides on goods: shipped, delivered, or cancelled before they are shipped.
//!
//! An order completes in the append of the event after which nothing is left to ship or to arrive.

use super::super::command::{CancelLines, DeliverShipment, ShipOrder};
use super::super::error::OrderError;
use super::super::event::{
    CancellationRequested, EditRejectionReason, LineQuantity, LinesCancelled, OrderDelivered, OrderEvent, OrderShipped,
    Parcel, ShipmentDelivered, ShipmentTrackingChanged,
};
use super::super::state::{OrderStatus, PlacedOrder, Shipment, UndoReason};
use super::super::transitions::{OrderAction, OrderStage};
use super::{OrderDecision, UNCHANGED, one};
use crate::ids::CancellationId;

impl PlacedOrder {
    pub(super) fn cancel(&self, requested: CancellationRequested) -> OrderDecision {
        if matches!(self.undoing, Some(UndoReason::Cancelled(_))) {
            return UNCHANGED;
        }
        // What was shipped stays shipped. The rest is cancelled.
        if !self.shipments.is_empty() {
            return self.cancel_the_rest(requested.reason);
        }
        self.check(OrderAction::Cancel)?;
        let mut events = vec![OrderEvent::CancellationRequested(requested)];
        events.extend(self.rejection_of_edit(EditRejectionReason::Cancelled));
        Ok(events)
    }

    fn cancel_the_rest(&self, reason: Option<String>) -> OrderDecision {
        let (cancellation_id, lines) = (CancellationId::of_the_rest(), self.unshipped());
        if lines.is_empty() && self.cancellations.iter().any(|known| known.id == cancellation_id) {
            return UNCHANGED;
        }
        self.check(OrderAction::Cancel)?;
        self.cancel_lines(CancelLines { cancellation_id, lines, reason })
    }

    pub(super) fn cancel_lines(&self, CancelLines { cancellation_id, lines, reason }: CancelLines) -> OrderDecision {
        if let Some(known) = self.cancellations.iter().find(|known| known.id == cancellation_id) {
            let same = (&known.lines, &known.reason) == (&lines, &reason);
            return if same { UNCHANGED } else { Err(OrderError::IdTaken { what: "cancellation" }) };
        }
        if self.stage() == OrderStage::Pending {
            return Err(OrderError::NotConfirmed);
        }
        self.check(OrderAction::Cancel)?;
        self.check_lines(&lines, |line_number, ordered| self.left_of(line_number, ordered))?;
        let is_rest = self.is_rest(&lines);
        if self.shipments.is_empty() && is_rest {
            return Err(OrderError::AllOfIt);
        }
        let mut events = vec![OrderEvent::LinesCancelled(LinesCancelled { cancellation_id, lines, reason })];
        events.extend(self.rejection_of_edit(EditRejectionReason::Cancelled));
        if is_rest && self.shipments.iter().all(|shipment| self.is_delivered(shipment)) {
            events.push(OrderEvent::OrderDelivered(OrderDelivered {}));
        }
        Ok(events)
    }

    pub(super) fn ship(&self, ShipOrder { shipment_id, lines, parcels, location }: ShipOrder) -> OrderDecision {
        if let Some(known) = self.shipments.iter().find(|shipment| shipment.id == shipment_id) {
            let same = lines.is_none_or(|lines| lines == known.lines)
                && parcels == known.parcels_as_shipped()
                && self.names_location(location.as_ref()) == known.location.as_ref();
            return if same { UNCHANGED } else { Err(OrderError::IdTaken { what: "shipment" }) };
        }
        self.check(OrderAction::Ship)?;
        let lines = match (lines, &location) {
            (Some(lines), _) => lines,
            (None, None) => self.unshipped(),
            (None, Some(location)) => self.unshipped_at(location),
        };
        if let Some(location) = location.as_ref().filter(|_| lines.is_empty()) {
            return Err(OrderError::NothingAtLocation(location.clone()));
        }
        self.check_lines(&lines, |line_number, ordered| self.left_of(line_number, ordered))?;
        if let Some(location) = &location {
            self.check_location(&lines, location)?;
        }
        let location = self.names_location(location.as_ref()).cloned();
        let (is_rest, is_here_at_once) = (self.is_rest(&lines), self.needs_no_delivery(&lines, &parcels));
        let id = shipment_id.clone();
        let mut events = vec![OrderEvent::OrderShipped(OrderShipped { shipment_id, lines, parcels, location })];
        if is_here_at_once {
            events.extend(self.arrival(ShipmentDelivered { shipment_id: id, delivered_at: None }, is_rest));
        }
        Ok(events)
    }

    /// Whether nothing of a shipment travels: no line of it requires shipping, and it has no parcels.
    fn needs_no_delivery(&self, lines: &[LineQuantity], parcels: &[Parcel]) -> bool {
        let travels = |it: &LineQuantity| self.line(it.line_number).is_none_or(|line| line.requires_shipping);
        parcels.is_empty() && !lines.iter().any(travels)
    }

    pub(super) fn deliver_shipment(&self, command: DeliverShipment) -> OrderDecision {
        let DeliverShipment { shipment_id, delivered_at } = command;
        let Some(shipment) = self.shipments.iter().find(|shipment| shipment.id == shipment_id) else {
            self.check(OrderAction::DeliverShipment)?;
            return Err(OrderError::NoSuchShipment(shipment_id));
        };
        if self.is_delivered(shipment) {
            return UNCHANGED;
        }
        self.check(OrderAction::DeliverShipment)?;
        Ok(self.arrival(ShipmentDelivered { shipment_id, delivered_at }, self.is_all_shipped()))
    }

    pub(super) fn change_tracking(&self, changed: ShipmentTrackingChanged) -> OrderDecision {
        let Some(shipment) = self.shipments.iter().find(|shipment| shipment.id == changed.shipment_id) else {
            self.check(OrderAction::ChangeTracking)?;
            return Err(OrderError::NoSuchShipment(changed.shipment_id));
        };
        if shipment.parcels == changed.parcels {
            return UNCHANGED;
        }
        self.check(OrderAction::ChangeTracking)?;
        one(OrderEvent::ShipmentTrackingChanged(changed))
    }

    /// The arrival of a shipment. It completes the order if that was the last one, and if all is shipped.
    fn arrival(&self, delivered: ShipmentDelivered, is_all_shipped: bool) -> Vec<OrderEvent> {
        let is_here = |it: &Shipment| it.id == delivered.shipment_id || self.is_delivered(it);
        let completes = is_all_shipped && self.shipments.iter().all(is_here);
        let mut events = vec![OrderEvent::ShipmentDelivered(delivered)];
        if completes {
            events.push(OrderEvent::OrderDelivered(OrderDelivered {}));
        }
        events
    }

    pub(super) fn deliver(&self) -> OrderDecision {
        if self.status == OrderStatus::Completed {
            return UNCHANGED;
        }
        self.check(OrderAction::Deliver)?;
        one(OrderEvent::OrderDelivered(OrderDelivered {}))
    }
}

//! A command that was handled before: its answer names what it made then.

use domain::ids::ReceiptId;
use domain::order::event::{EditEvent, FulfilmentEvent, NoteEvent, OrderSubject, RefundEvent, ReturnEvent};
use domain::order::{Order, OrderEvent};
use event_store::{EventDecodeError, StoredEvent, Versioned};
use problem::Problem;
use uuid::Uuid;

use super::{ChangeOrder, no_such_order};
use crate::problems;

impl ChangeOrder<'_> {
    /// Reads the body again, with the id that was made when the command was handled and left the order at `version`.
    pub(super) async fn parse_as_before(&mut self, version: i64) -> Result<(), Problem> {
        let events = self.commands.store.read_stream::<Order>(self.order_id.as_str()).await;
        let events = events.map_err(|error| problems::not_read(error.into()))?;
        let made_then = id_made_at(&events, version).map_err(Problem::internal)?;
        let stream = Versioned::<Order>::fold(&events).map_err(Problem::internal)?;
        let Order::Placed(order) = &stream.state else { return Err(no_such_order()) };
        self.parsed = Some(self.parse(order, made_then.unwrap_or_default())?);
        Ok(())
    }
}

/// The id of what a command made that left its order at a version, if the server drew that id.
fn id_made_at(events: &[StoredEvent], version: i64) -> Result<Option<Uuid>, EventDecodeError> {
    let at =
        |version| events.iter().find(|event| event.version == version).map(StoredEvent::decode::<Order>).transpose();
    let mut event = at(version)?;
    // The end of an order, or of an edit, may come with the event that brought it about.
    for before in 1..=2 {
        if let Some(OrderEvent::OrderDelivered(_) | OrderEvent::OrderEditRejected(_)) = event {
            event = at(version - before)?;
        }
    }
    Ok(event.as_ref().and_then(id_made_by).and_then(|id| Uuid::parse_str(id).ok()))
}

/// The id of what an event made.
fn id_made_by(event: &OrderEvent) -> Option<&str> {
    match event.subject() {
        OrderSubject::Fulfilment(FulfilmentEvent::OrderShipped(shipped)) => Some(shipped.shipment_id.as_str()),
        OrderSubject::Fulfilment(FulfilmentEvent::LinesCancelled(cancelled)) => {
            Some(cancelled.cancellation_id.as_str())
        }
        // What no parcel is sent for arrives when it is shipped.
        OrderSubject::Fulfilment(FulfilmentEvent::ShipmentDelivered(delivered)) => Some(delivered.shipment_id.as_str()),
        OrderSubject::Edit(EditEvent::OrderEditRequested(requested)) => Some(requested.edit_id.as_str()),
        OrderSubject::Fulfilment(FulfilmentEvent::OrderHeld(held)) => Some(held.hold_id.as_str()),
        OrderSubject::Return(ReturnEvent::ReturnRequested(requested)) => Some(requested.return_id.as_str()),
        OrderSubject::Return(ReturnEvent::ReturnReceived(received)) => {
            received.receipt_id.as_ref().map(ReceiptId::as_str)
        }
        OrderSubject::Refund(RefundEvent::RefundRequested(requested)) => Some(requested.refund_id.as_str()),
        OrderSubject::Note(NoteEvent::NoteAdded(note)) => Some(note.note_id.as_str()),
        OrderSubject::Lifecycle(_)
        | OrderSubject::Reservation(_)
        | OrderSubject::Payment(_)
        | OrderSubject::Edit(EditEvent::OrderEdited(_) | EditEvent::OrderEditRejected(_))
        | OrderSubject::Fulfilment(
            FulfilmentEvent::ShipmentTrackingChanged(_)
            | FulfilmentEvent::OrderReleased(_)
            | FulfilmentEvent::OrderDelivered(_),
        )
        | OrderSubject::Return(ReturnEvent::ReturnCancelled(_))
        | OrderSubject::Refund(RefundEvent::PaymentRefunded(_))
        | OrderSubject::Notification(_)
        | OrderSubject::Operator(_)
        | OrderSubject::Document(_) => None,
    }
}

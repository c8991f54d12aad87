//! How much one order can hold.
//!
//! Every command reads all of its order, so an order has a size limit. No real order comes close to it.

use std::collections::BTreeSet;

use super::command::{OrderCommand, RequestEdit};
use super::decide::decide;
use super::edits::EditPreview;
use super::error::OrderError;
use super::event::{
    EditEvent, FulfilmentEvent, LineQuantity, NoteAdded, NoteEvent, NotificationEvent, OrderEvent, OrderSubject,
    Parcel, ReceivedLine, RefundEvent, ReturnEvent, ReturnReceived, SkuQuantity,
};
use super::returns::ReturnReceipt;
use super::state::{Order, PlacedOrder, Shipment};
use super::transitions::OrderAction;
use crate::ids::LocationId;

/// How much people can add to one order. What sagas and operators record is not limited: it follows from what people asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderGrowthLimits {
    /// The most notes.
    pub notes: u32,
    /// The most shipments. The one that leaves nothing to ship is always accepted, so that every order can end.
    pub shipments: u32,
    /// The most cancellations of lines. The one that leaves nothing to ship is always accepted.
    pub cancellations: u32,
    /// The most edits, rejected ones among them.
    pub edits: u32,
    /// The most changes of the tracking of shipments, over all of them.
    pub tracking_changes: u32,
    /// The most holds, released ones among them.
    pub holds: u32,
    /// The most returns.
    pub returns: u32,
    /// The most receipts of returns, of all of them together. The one that leaves nothing to come of its return is always accepted.
    pub receipts: u32,
    /// The most refunds that people ask for. What comes back is always refunded.
    pub refunds: u32,
    /// The most mails that are sent once more.
    pub resends: u32,
    /// The most bytes of all of these together: of their texts, and 40 for each of them, each parcel and each line. An edit counts with all
    /// of its text. A shipment also needs room for what it takes from named locations: 40 for each SKU and location, and both names. That
    /// of shipments that are there does not count.
    pub bytes: u64,
}

impl Default for OrderGrowthLimits {
    /// An order can have 500 lines. Each of them can be shipped and come back by itself.
    fn default() -> Self {
        Self {
            notes: 1_000,
            shipments: 500,
            cancellations: 500,
            edits: 50,
            tracking_changes: 500,
            holds: 50,
            returns: 500,
            receipts: 500,
            refunds: 500,
            resends: 20,
            bytes: 1 << 20,
        }
    }
}

impl OrderGrowthLimits {
    /// [`decide`], within the limits. A command that changes nothing is never refused for them.
    pub fn decide(&self, order: &Order, command: OrderCommand) -> Result<Vec<OrderEvent>, OrderError> {
        let events = decide(order, command)?;
        if let Order::Placed(placed) = order {
            events.iter().try_for_each(|event| self.check(placed, event))?;
        }
        Ok(events)
    }

    /// What an edit would do, if [`Self::decide`] would have it done.
    ///
    /// # Errors
    /// Those of the decision.
    pub fn preview_edit(&self, order: &PlacedOrder, command: &RequestEdit) -> Result<EditPreview, OrderError> {
        order.request_edit(command)?.iter().try_for_each(|event| self.check(order, event))?;
        order.preview_edit(command)
    }

    /// How often one order takes an action; `None`: there is no limit, since the action itself comes to an end.
    pub fn of(&self, action: OrderAction) -> Option<u32> {
        match action {
            OrderAction::Ship => Some(self.shipments),
            OrderAction::RequestReturn => Some(self.returns),
            OrderAction::Refund => Some(self.refunds),
            OrderAction::AddNote => Some(self.notes),
            OrderAction::Cancel => Some(self.cancellations),
            OrderAction::ResendMail => Some(self.resends),
            OrderAction::ReceiveReturn => Some(self.receipts),
            OrderAction::ChangeTracking => Some(self.tracking_changes),
            OrderAction::Hold => Some(self.holds),
            OrderAction::Edit => Some(self.edits),
            OrderAction::Deliver | OrderAction::DeliverShipment | OrderAction::Release | OrderAction::CancelReturn => {
                None
            }
        }
    }

    fn check(&self, order: &PlacedOrder, event: &OrderEvent) -> Result<(), OrderError> {
        let Some(addition) = OrderGrowth::of(order, event) else { return Ok(()) };
        let limit = self.of(addition.action).unwrap_or(u32::MAX);
        if u32::try_from(addition.present).unwrap_or(u32::MAX) >= limit {
            return Err(OrderError::TooManyOf { action: addition.action, limit });
        }
        if order.attached_bytes() + addition.bytes > self.bytes {
            return Err(OrderError::TooMuch { limit_bytes: self.bytes });
        }
        Ok(())
    }
}

/// What an event adds to an order and counts against a limit.
struct OrderGrowth {
    action: OrderAction,
    /// How many of these the order has already.
    present: usize,
    bytes: u64,
}

impl OrderGrowth {
    fn of(order: &PlacedOrder, event: &OrderEvent) -> Option<Self> {
        let reason_bytes = |reason: &Option<String>| text_bytes(reason.as_deref());
        let (action, present, bytes) = match event.subject() {
            OrderSubject::Note(NoteEvent::NoteAdded(note)) => {
                (OrderAction::AddNote, order.notes.len(), note_bytes(note))
            }
            OrderSubject::Edit(EditEvent::OrderEditRequested(it)) => (OrderAction::Edit, order.edits.len(), it.bytes()),
            OrderSubject::Fulfilment(FulfilmentEvent::OrderShipped(it)) if !order.is_rest(&it.lines) => (
                OrderAction::Ship,
                order.shipments.len(),
                lines_bytes(&it.lines)
                    + parcels_bytes(&it.parcels)
                    + location_bytes(it.location.as_ref())
                    + taken_bytes(&order.would_take(&it.lines, it.location.as_ref())),
            ),
            OrderSubject::Fulfilment(FulfilmentEvent::LinesCancelled(it)) if !order.is_rest(&it.lines) => {
                (OrderAction::Cancel, order.cancellations.len(), lines_bytes(&it.lines) + reason_bytes(&it.reason))
            }
            OrderSubject::Fulfilment(FulfilmentEvent::ShipmentTrackingChanged(it)) => {
                (OrderAction::ChangeTracking, order.tracking_changes(), tracking_bytes(&it.parcels))
            }
            OrderSubject::Fulfilment(FulfilmentEvent::OrderHeld(it)) => {
                (OrderAction::Hold, order.holds.len(), BYTES_EACH + text_bytes(Some(&it.reason)))
            }
            OrderSubject::Return(ReturnEvent::ReturnRequested(it)) => {
                (OrderAction::RequestReturn, order.returns.len(), lines_bytes(&it.lines) + reason_bytes(&it.reason))
            }
            OrderSubject::Return(ReturnEvent::ReturnReceived(it)) if !is_rest_of_return(order, it) => {
                let present = order.returns.iter().map(|back| back.receipts.len()).sum();
                let refund_bytes = if it.refund_minor > 0 { BYTES_EACH } else { 0 };
                (OrderAction::ReceiveReturn, present, received_bytes(&it.lines, it.location.as_ref()) + refund_bytes)
            }
            OrderSubject::Return(ReturnEvent::ReturnCancelled(it)) if it.reason.is_some() => {
                (OrderAction::CancelReturn, 0, reason_bytes(&it.reason))
            }
            OrderSubject::Notification(NotificationEvent::MailResendRequested(_)) => {
                (OrderAction::ResendMail, order.mails_resent(), 0)
            }
            OrderSubject::Refund(RefundEvent::RefundRequested(it)) => {
                // A refund to several payments is one demand.
                let refunds = order.refunds.iter().chain(&order.given_up).map(|refund| &refund.id);
                let present = refunds.collect::<BTreeSet<_>>().len();
                (OrderAction::Refund, present, BYTES_EACH + reason_bytes(&it.reason))
            }
            OrderSubject::Lifecycle(_)
            | OrderSubject::Reservation(_)
            | OrderSubject::Payment(_)
            | OrderSubject::Edit(EditEvent::OrderEdited(_) | EditEvent::OrderEditRejected(_))
            | OrderSubject::Fulfilment(
                FulfilmentEvent::OrderShipped(_)
                | FulfilmentEvent::LinesCancelled(_)
                | FulfilmentEvent::ShipmentDelivered(_)
                | FulfilmentEvent::OrderReleased(_)
                | FulfilmentEvent::OrderDelivered(_),
            )
            | OrderSubject::Return(ReturnEvent::ReturnReceived(_) | ReturnEvent::ReturnCancelled(_))
            | OrderSubject::Refund(RefundEvent::PaymentRefunded(_))
            | OrderSubject::Notification(
                NotificationEvent::NotificationSent(_) | NotificationEvent::NotificationFailed(_),
            )
            | OrderSubject::Operator(_)
            | OrderSubject::Document(_) => return None,
        };
        Some(Self { action, present, bytes })
    }
}

/// Whether it is all that was still to come of its return. [`decide`] made sure that it is no more than that.
fn is_rest_of_return(order: &PlacedOrder, received: &ReturnReceived) -> bool {
    let back = order.returns.iter().find(|back| back.id == received.return_id);
    received.receipt_id.is_none() || back.is_some_and(|back| back.is_rest(&received.lines))
}

/// About what one line of a shipment, or the frame of anything attached to an order, takes in the log.
const BYTES_EACH: u64 = 40;

impl PlacedOrder {
    /// The size of the order's notes, shipments with the changes of their tracking, cancellations, edits, holds, returns and refunds: the bytes
    /// of their texts in UTF-8, and 40 for each of them, each parcel and each line.
    pub(super) fn attached_bytes(&self) -> u64 {
        let reason = |reason: &Option<String>| text_bytes(reason.as_deref());
        let notes = self.notes.values().map(note_bytes);
        let changes = |it: &Shipment| it.tracking_changes.as_ref().map_or(0, |changes| changes.bytes);
        let shipment = |it: &Shipment| {
            let said = lines_bytes(&it.lines) + parcels_bytes(it.parcels_as_shipped());
            said + location_bytes(it.location.as_ref()) + changes(it)
        };
        let shipments = self.shipments.iter().map(shipment);
        let holds = self.holds.iter().map(|it| BYTES_EACH + text_bytes(Some(&it.reason)));
        let cancellations = self.cancellations.iter().map(|it| lines_bytes(&it.lines) + reason(&it.reason));
        let returns = self.returns.iter().map(|it| {
            let receipt = |it: &ReturnReceipt| received_bytes(&it.lines, it.location.as_ref());
            let receipts: u64 = it.receipts.iter().map(receipt).sum();
            lines_bytes(&it.lines) + reason(&it.reason) + reason(&it.cancellation_reason) + receipts
        });
        let refunds = self.refunds.iter().chain(&self.given_up).map(|it| BYTES_EACH + reason(&it.reason));
        let edits = self.edits.iter().map(|it| it.bytes);
        notes.chain(edits).chain(shipments).chain(cancellations).chain(holds).chain(returns).chain(refunds).sum()
    }
}

fn note_bytes(note: &NoteAdded) -> u64 {
    BYTES_EACH + text_bytes(Some(&note.text)) + text_bytes(note.author.as_deref())
}

fn lines_bytes(lines: &[LineQuantity]) -> u64 {
    BYTES_EACH * (1 + lines.len() as u64)
}

fn received_bytes(lines: &[ReceivedLine], location: Option<&LocationId>) -> u64 {
    BYTES_EACH * (1 + lines.len() as u64) + location_bytes(location)
}

/// What a shipment took from where.
fn taken_bytes(taken: &[SkuQuantity]) -> u64 {
    taken.iter().map(|it| BYTES_EACH + text_bytes(Some(it.sku.as_str())) + location_bytes(Some(&it.location))).sum()
}

fn location_bytes(location: Option<&LocationId>) -> u64 {
    text_bytes(location.map(LocationId::as_str))
}

fn parcels_bytes(parcels: &[Parcel]) -> u64 {
    let parcel = |it: &Parcel| BYTES_EACH + text_bytes(it.carrier.as_deref()) + text_bytes(it.tracking.as_deref());
    parcels.iter().map(parcel).sum()
}

/// The size of a change of a shipment's tracking.
pub(super) fn tracking_bytes(parcels: &[Parcel]) -> u64 {
    BYTES_EACH + parcels_bytes(parcels)
}

fn text_bytes(text: Option<&str>) -> u64 {
    text.map_or(0, |text| text.len() as u64)
}

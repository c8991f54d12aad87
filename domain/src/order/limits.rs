//! How much may hang on one order. Whoever asks something of an order has all of it read: so there is an end to it, which no real
//! order comes to.

use super::command::OrderCommand;
use super::decide::decide;
use super::error::OrderError;
use super::event::{LineQuantity, OrderEvent};
use super::state::{Order, PlacedOrder};
use super::transitions::OrderAction;

/// How much people may hang on one order. What sagas and operators record is not counted: it follows from this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderLimits {
    /// Notes that were added.
    pub notes: u32,
    /// Shipments. One that leaves nothing to be sent is taken all the same, so that every order can end.
    pub shipments: u32,
    /// Cancellations of some of the order. One that leaves nothing to be sent is taken all the same.
    pub cancellations: u32,
    /// Returns.
    pub returns: u32,
    /// Refunds, those of returns among them. What came back is refunded all the same.
    pub refunds: u32,
    /// Bytes of all of these together, as [`PlacedOrder::hanging_bytes`] counts them.
    pub bytes: u64,
}

impl Default for OrderLimits {
    /// Each of the 500 lines that an order can have may be sent and come back by itself.
    fn default() -> Self {
        Self { notes: 1_000, shipments: 500, cancellations: 500, returns: 500, refunds: 500, bytes: 1 << 20 }
    }
}

impl OrderLimits {
    /// What a command that people ask for changes, as [`decide`] has it, but for what would be too much. What is so already is
    /// never too much.
    pub fn decide(&self, order: &Order, command: OrderCommand) -> Result<Vec<OrderEvent>, OrderError> {
        let events = decide(order, command)?;
        if let Order::Placed(placed) = order {
            events.iter().try_for_each(|event| self.check(placed, event))?;
        }
        Ok(events)
    }

    /// How often something may be asked for of one order; `None`: it comes to an end by itself.
    pub fn of(&self, action: OrderAction) -> Option<u32> {
        match action {
            OrderAction::Ship => Some(self.shipments),
            OrderAction::RequestReturn => Some(self.returns),
            OrderAction::Refund => Some(self.refunds),
            OrderAction::AddNote => Some(self.notes),
            OrderAction::Cancel => Some(self.cancellations),
            OrderAction::Deliver | OrderAction::ReceiveReturn => None,
        }
    }

    fn check(&self, order: &PlacedOrder, event: &OrderEvent) -> Result<(), OrderError> {
        let mut after = order.clone();
        after.apply(event.clone());
        let Some((action, count)) = hangs_on(order, event, &after) else { return Ok(()) };
        let limit = self.of(action).unwrap_or(u32::MAX);
        if u32::try_from(count).unwrap_or(u32::MAX) >= limit {
            return Err(OrderError::TooManyOf { action, limit });
        }
        if after.hanging_bytes() > self.bytes {
            return Err(OrderError::TooMuch { limit_bytes: self.bytes });
        }
        Ok(())
    }
}

/// What an event adds to an order that can be added again, and how many of it there are. `after` is the order with it.
fn hangs_on(order: &PlacedOrder, event: &OrderEvent, after: &PlacedOrder) -> Option<(OrderAction, usize)> {
    match event {
        OrderEvent::NoteAdded(_) => Some((OrderAction::AddNote, order.notes.len())),
        OrderEvent::OrderShipped(_) if !after.is_all_shipped() => Some((OrderAction::Ship, order.shipments.len())),
        OrderEvent::LinesCancelled(_) if !after.is_all_shipped() => {
            Some((OrderAction::Cancel, order.cancellations.len()))
        }
        OrderEvent::ReturnRequested(_) => Some((OrderAction::RequestReturn, order.returns.len())),
        OrderEvent::RefundRequested(_) => Some((OrderAction::Refund, order.refunds.len() + order.given_up.len())),
        OrderEvent::OrderShipped(_)
        | OrderEvent::LinesCancelled(_)
        | OrderEvent::OrderCreated(_)
        | OrderEvent::StockReserved(_)
        | OrderEvent::StockReservationFailed(_)
        | OrderEvent::StockReleased(_)
        | OrderEvent::PaymentAuthorized(_)
        | OrderEvent::PaymentDeclined(_)
        | OrderEvent::PaymentOutcomeUnknown(_)
        | OrderEvent::PaymentVoided(_)
        | OrderEvent::PaymentCaptured(_)
        | OrderEvent::PaymentRefunded(_)
        | OrderEvent::OrderConfirmed(_)
        | OrderEvent::OrderRejected(_)
        | OrderEvent::CancellationRequested(_)
        | OrderEvent::OrderCancelled(_)
        | OrderEvent::OrderDelivered(_)
        | OrderEvent::ReturnReceived(_)
        | OrderEvent::NotificationSent(_)
        | OrderEvent::NotificationFailed(_)
        | OrderEvent::OperatorIntervened(_) => None,
    }
}

/// What a line of a shipment or a return, or the frame of anything that hangs on an order, takes in a log, about.
const BYTES_EACH: u64 = 40;

impl PlacedOrder {
    /// What hangs on the order, in bytes: the texts in UTF-8, and 40 for each of them, each parcel and each line.
    pub fn hanging_bytes(&self) -> u64 {
        let text = |text: &Option<String>| text.as_ref().map_or(0, |text| bytes(text));
        let lines = |lines: &[LineQuantity]| BYTES_EACH * (1 + lines.len() as u64);
        let notes = self.notes.values().map(|note| BYTES_EACH + bytes(&note.text) + text(&note.author));
        let shipments = self.shipments.iter().map(|it| {
            let parcels = it.parcels.iter().map(|parcel| BYTES_EACH + text(&parcel.carrier) + text(&parcel.tracking));
            lines(&it.lines) + parcels.sum::<u64>()
        });
        let returns = self.returns.iter().map(|it| lines(&it.lines) + text(&it.reason));
        let refunds = self.refunds.iter().chain(&self.given_up).map(|it| BYTES_EACH + text(&it.reason));
        let cancellations = self.cancellations.iter().map(|it| lines(&it.lines) + text(&it.reason));
        notes.chain(shipments).chain(cancellations).chain(returns).chain(refunds).sum()
    }
}

fn bytes(text: &str) -> u64 {
    text.len() as u64
}

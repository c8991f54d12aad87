//! The order: its state, the commands it takes, the events that come of them.
//!
//! - `event`: what can happen to it.
//! - `state`: what it is, folded from that by [`evolve`].
//! - `decide`: what each command comes to; `intervene` has the operators' part of it.
//! - `lines`: what became of each line, counted; `limits`: how much may hang on an order.
//! - `transitions`: what people may ask for, and when, as one table.
//! - `units`: what its events mean for the units of its SKUs.
//! - `posted`: how a client's bytes become an order; `asked`: how they become what is asked of one.

mod asked;
mod decide;
mod event;
mod evolve;
mod intervene;
mod limits;
mod lines;
mod posted;
mod state;
mod transitions;
mod units;

use cqrs_es::event_sink::EventSink;
use event_versions::{Upcast, Versioned};

pub use asked::{parse_cancellation, parse_note, parse_nothing, parse_refund, parse_return, parse_shipment};
pub use decide::{CancellationDemand, OrderCommand, RefundDemand, Refusal, ShipmentDemand, decide};
pub use event::{
    CancellationRequested, LineQuantity, LinesCancelled, MailTemplate, NoteAdded, NotificationFailed, NotificationSent,
    OperatorIntervened, OrderCancelled, OrderConfirmed, OrderCreated, OrderDelivered, OrderEvent, OrderLine,
    OrderRejected, OrderShipped, Parcel, PaymentAuthorized, PaymentCaptured, PaymentDeclined, PaymentOutcomeUnknown,
    PaymentRefunded, PaymentVoided, RefundRequested, RejectionReason, ReservedUnits, ReturnReceived, ReturnRequested,
    SagaStep, Shortage, StockReleased, StockReservationFailed, StockReserved, Verb,
};
pub use evolve::evolve;
pub use limits::OrderLimits;
pub use lines::LineCounts;
pub use posted::{Malformed, PostedOrder, Rejection, Violation};
pub use state::{
    Cancellation, FulfilmentStatus, Mail, MailOutcome, Order, OrderStatus, Payment, PaymentState, PaymentStatus,
    PlacedOrder, Refund, Return, ReturnsStatus, Shipment, StockState, UndoReason,
};
pub use transitions::{OrderAction, Stage, TRANSITIONS, allowed_at};
pub use units::{moves_units, unit_moves};

/// The order as cqrs-es sees it: a shell that passes on to [`decide`] and [`evolve`].
impl cqrs_es::Aggregate for Order {
    const TYPE: &'static str = "order";
    type Command = OrderCommand;
    type Event = OrderEvent;
    type Error = Refusal;
    type Services = ();

    async fn handle(&mut self, command: OrderCommand, (): &(), sink: &EventSink<Self>) -> Result<(), Refusal> {
        for event in decide(self, command)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: OrderEvent) {
        evolve(self, event);
    }
}

impl Versioned for Order {
    const UPCASTS: &'static [Upcast] = event::UPCASTS;
}

#[cfg(test)]
mod tests;

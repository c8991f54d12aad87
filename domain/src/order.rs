//! The order: its state, the commands it takes, the events that come of them.
//!
//! - [`parse`]: a request's body becomes a command.
//! - `command`, `decide`, `error`: a command becomes events, or is refused. `intervene` decides on the commands of operators.
//! - [`event`]: everything that can happen to an order.
//! - `state`, `evolve`: the state, and how each event changes it. `lines` counts what became of each line.
//! - `transitions`: which actions an order takes at which stage, as one table. `limits`: how much one order can hold.
//! - `amounts`: what its parts come to, shared out over lines and units. `worth`: what that makes of shipments, cancellations, returns.
//! - `payments`: the state of each payment, and what the order's money allows. `stored_payments`: how that is stored.
//!   `manual_refunds`: what a person has to give back.
//! - [`import`]: orders that another system has handled.
//! - `edits`: changes of the order before it ships, and what they take.
//! - `holds`: what keeps it from being shipped. `tracking`: how its parcels are followed, and corrections of that.
//! - `mails`: which mail the customer is owed next. [`mail_triggers`]: which event it is about, and the id that follows from that.
//! - `documents`: which invoices and credit notes it calls for, and what each says.
//! - `returns`: goods that come back, from the demand to the event.
//! - `status`: how the payment, the goods and the returns stand, as people are told.
//! - `sourcing`: from which locations its units come. `allocations`: at which location each of them is.
//! - [`units`]: the stock commands that an order's events imply.
//! - [`saga`]: the names of the saga's steps, and the decisions of operators about them.

mod allocations;
mod amounts;
mod command;
mod decide;
mod documents;
mod edits;
mod error;
pub mod event;
mod evolve;
mod holds;
pub mod import;
mod intervene;
mod limits;
mod lines;
pub mod mail_triggers;
mod mails;
mod manual_refunds;
pub mod parse;
mod payments;
mod returns;
pub mod saga;
mod sourcing;
mod state;
mod status;
mod stored_payments;
mod tracking;
mod transitions;
pub mod units;
mod worth;

use cqrs_es::event_sink::EventSink;
use event_versions::{Upcast, Upcastable};

pub use allocations::Allocation;
pub use amounts::OrderTotals;
pub use command::{
    CancelLines, DeliverShipment, MeansOfPayment, NewReceipt, OrderCommand, ReceiveReturn, RequestEdit, RequestRefund,
    ShipOrder,
};
pub use decide::decide;
pub use documents::{DocumentCause, DocumentFacts, DueDocument, OrderDocument};
pub use edits::{EditOutcome, EditPreview, EditedQuantity, OrderEdit, OrderEditStatus};
pub use error::OrderError;
pub use event::OrderEvent;
pub use evolve::evolve;
pub use holds::Hold;
pub use limits::OrderGrowthLimits;
pub use lines::LineUnitCounts;
pub use mails::{MailOutcome, MailWithOutcome};
pub use manual_refunds::{ManualRefund, ManualRelease};
pub use payments::{AuthorizationState, Payment, ShipmentCapture};
pub use returns::{Return, ReturnReceipt};
pub use sourcing::{NeededUnits, choose_locations, choose_locations_or_backorder};
pub use state::{LineCancellation, Order, OrderStatus, OrderStockState, PlacedOrder, Refund, Shipment, UndoReason};
pub use status::{FulfilmentStatus, PaymentStatus, ReturnsStatus};
pub use tracking::TrackingChanges;
pub use transitions::{OrderAction, OrderStage, TRANSITIONS};

/// The order as cqrs-es sees it: a shell that passes on to [`decide`] and [`evolve`].
impl cqrs_es::Aggregate for Order {
    const TYPE: &'static str = "order";
    type Command = OrderCommand;
    type Event = OrderEvent;
    type Error = OrderError;
    type Services = ();

    async fn handle(&mut self, command: OrderCommand, (): &(), sink: &EventSink<Self>) -> Result<(), OrderError> {
        for event in decide(self, command)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: OrderEvent) {
        evolve(self, event);
    }
}

impl Upcastable for Order {
    const UPCASTS: &'static [Upcast] = event::UPCASTS;
}

#[cfg(test)]
mod tests;

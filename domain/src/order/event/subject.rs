//! The events of an order in groups, by what they are about.
//!
//! Code that needs a few of the events matches on [`OrderEvent::subject`]. A new event does not compile until it has a subject here, and
//! then not until every match that looks into that subject covers it.

use super::{
    CancellationRequested, CreditNoteIssued, InvoiceIssued, LinesCancelled, MailResendRequested, NoteAdded,
    NotificationFailed, NotificationSent, OperatorIntervened, OrderCancelled, OrderConfirmed, OrderCreated,
    OrderDelivered, OrderEditRejected, OrderEditRequested, OrderEdited, OrderEvent, OrderHeld, OrderNumbered,
    OrderRejected, OrderReleased, OrderShipped, PaymentAuthorized, PaymentCaptured, PaymentDeclined,
    PaymentOutcomeUnknown, PaymentRefunded, PaymentVoided, RefundRequested, ReturnCancelled, ReturnReceived,
    ReturnRequested, ShipmentDelivered, ShipmentTrackingChanged, StockReleased, StockReservationFailed, StockReserved,
};

/// Defines the enum of all subjects, an enum of the events of each, and the function that leads from an event to them.
macro_rules! subjects {
    ($($(#[$doc:meta])* $subject:ident($group:ident) { $($event:ident,)* })*) => {
        /// What an event of an order is about.
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub enum OrderSubject<'a> {
            $($(#[$doc])* $subject($group<'a>),)*
        }

        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq)]
            pub enum $group<'a> {
                $($event(&'a $event),)*
            }
        )*

        impl OrderEvent {
            /// The event in the group of its subject.
            pub fn subject(&self) -> OrderSubject<'_> {
                match self {
                    $($(Self::$event(event) => OrderSubject::$subject($group::$event(event)),)*)*
                }
            }
        }
    };
}

subjects! {
    /// The order as a whole: created, numbered, confirmed, rejected, cancelled.
    Lifecycle(LifecycleEvent) {
        OrderCreated,
        OrderNumbered,
        OrderConfirmed,
        OrderRejected,
        CancellationRequested,
        OrderCancelled,
    }
    /// Units of stock: reserved or released.
    Reservation(ReservationEvent) {
        StockReserved,
        StockReservationFailed,
        StockReleased,
    }
    /// The payment: authorized, captured, voided.
    Payment(PaymentEvent) {
        PaymentAuthorized,
        PaymentDeclined,
        PaymentOutcomeUnknown,
        PaymentVoided,
        PaymentCaptured,
    }
    /// Edits: asked for, made, or not made.
    Edit(EditEvent) {
        OrderEditRequested,
        OrderEdited,
        OrderEditRejected,
    }
    /// Goods: shipped, delivered, held back, or cancelled before they were shipped.
    Fulfilment(FulfilmentEvent) {
        OrderShipped,
        LinesCancelled,
        ShipmentDelivered,
        ShipmentTrackingChanged,
        OrderHeld,
        OrderReleased,
        OrderDelivered,
    }
    /// Goods that come back.
    Return(ReturnEvent) {
        ReturnRequested,
        ReturnReceived,
        ReturnCancelled,
    }
    /// Money that goes back.
    Refund(RefundEvent) {
        RefundRequested,
        PaymentRefunded,
    }
    /// Mails to the customer.
    Notification(NotificationEvent) {
        NotificationSent,
        NotificationFailed,
        MailResendRequested,
    }
    /// Notes on the order.
    Note(NoteEvent) {
        NoteAdded,
    }
    /// Decisions of operators.
    Operator(OperatorEvent) {
        OperatorIntervened,
    }
    /// Invoices and credit notes.
    Document(OrderDocumentEvent) {
        InvoiceIssued,
        CreditNoteIssued,
    }
}

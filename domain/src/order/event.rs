//! Everything that can happen to an order, one file for each subject.
//!
//! Each version of each event has a golden file in `domain/golden/events/`, and stays readable forever.

mod fulfilment;
mod lifecycle;
mod notification;
mod payment;
mod people;
mod refund;
mod returns;
mod stock;
mod subject;
mod upcasts;

pub use fulfilment::{LineQuantity, LinesCancelled, OrderDelivered, OrderShipped, Parcel};
pub use lifecycle::{
    CancellationRequested, OrderCancelled, OrderConfirmed, OrderCreated, OrderLine, OrderRejected, RejectionReason,
};
pub use notification::{MailTemplate, NotificationFailed, NotificationSent};
pub use payment::{PaymentAuthorized, PaymentCaptured, PaymentDeclined, PaymentOutcomeUnknown, PaymentVoided};
pub use people::{NoteAdded, OperatorIntervened};
pub use refund::{PaymentRefunded, RefundRequested};
pub use returns::{ReturnReceived, ReturnRequested};
pub use stock::{ReservedUnits, Shortage, StockReleased, StockReservationFailed, StockReserved};
pub use subject::{
    FulfilmentEvent, LifecycleEvent, NoteEvent, NotificationEvent, OperatorEvent, OrderSubject, PaymentEvent,
    RefundEvent, ReservationEvent, ReturnEvent,
};
pub(super) use upcasts::UPCASTS;

use crate::events::events;

events! {
    /// Something that happened to an order. Who did it, when and why is the event's metadata, not its content.
    OrderEvent, UPCASTS {
        /// A customer ordered.
        OrderCreated,
        /// All units of it were set aside, as far as their SKUs are tracked.
        StockReserved,
        /// There were not enough units; none was set aside.
        StockReservationFailed,
        /// What had been set aside went back.
        StockReleased,
        /// The provider holds the amount for us.
        PaymentAuthorized,
        /// The provider will not.
        PaymentDeclined,
        /// The provider did not answer: it may hold the amount or not.
        PaymentOutcomeUnknown,
        /// Nothing is held any more, and nothing will be; what was taken stays taken.
        PaymentVoided,
        /// The amount of a shipment was taken.
        PaymentCaptured,
        /// Money was promised back.
        RefundRequested,
        /// Money went back.
        PaymentRefunded,
        /// The order was promised to the customer.
        OrderConfirmed,
        /// The order could not be promised; all that was done for it is undone.
        OrderRejected,
        /// Somebody wants it cancelled. From here on it is only undone.
        CancellationRequested,
        /// It was cancelled; all that was done for it is undone.
        OrderCancelled,
        /// Some of it, or all, was sent.
        OrderShipped,
        /// Some of it will not be sent.
        LinesCancelled,
        /// All of it arrived.
        OrderDelivered,
        /// The customer will send some of it back.
        ReturnRequested,
        /// What was to come back came back.
        ReturnReceived,
        /// The mail service took a mail to the customer.
        NotificationSent,
        /// A mail to the customer was given up.
        NotificationFailed,
        /// Somebody wrote something down.
        NoteAdded,
        /// An operator decided what its saga could not.
        OperatorIntervened,
    }
}

//! What can happen to an order. Each version of each event has a golden file in `domain/golden/` and decodes for ever.

mod content;
mod fulfilment;
mod money;
mod people;
mod upcasts;

pub use content::{OrderCreated, OrderLine};
pub use fulfilment::{
    LineQuantity, LinesCancelled, OrderDelivered, OrderShipped, Parcel, ReservedUnits, ReturnReceived, ReturnRequested,
    Shortage, StockReleased, StockReservationFailed, StockReserved,
};
pub use money::{
    PaymentAuthorized, PaymentCaptured, PaymentDeclined, PaymentOutcomeUnknown, PaymentRefunded, PaymentVoided,
    RefundRequested,
};
pub use people::{
    CancellationRequested, MailTemplate, NoteAdded, NotificationFailed, NotificationSent, OperatorIntervened,
    OrderCancelled, OrderConfirmed, OrderRejected, RejectionReason,
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

//! Everything that can happen to an order, one file for each subject.
//!
//! Each version of each event has a golden file in `domain/golden/events/`, and stays readable forever.

mod customer;
mod document;
mod edit;
mod fulfilment;
mod lifecycle;
mod notification;
mod payment;
mod people;
mod price;
mod refund;
mod returns;
mod stock;
mod subject;
mod upcasts;

pub use customer::{Address, CustomerDetails};
pub use document::{CreditNoteIssued, InvoiceIssued};
pub use edit::{
    AddedPayment, EditRejectionReason, LineChange, OrderChanges, OrderEditRejected, OrderEditRequested, OrderEdited,
};
pub use fulfilment::{
    LineQuantity, LinesCancelled, OrderDelivered, OrderHeld, OrderReleased, OrderShipped, Parcel, ShipmentDelivered,
    ShipmentTrackingChanged,
};
pub use lifecycle::{
    CancellationRequested, ExchangeFor, OrderCancelled, OrderConfirmed, OrderCreated, OrderLine, OrderNumbered,
    OrderRejected, RejectionReason,
};
pub use notification::{MailResendRequested, MailTemplate, NotificationFailed, NotificationSent};
pub use payment::{
    OrderPayment, PaymentAuthorized, PaymentCaptured, PaymentDeclined, PaymentOutcomeUnknown, PaymentVoided,
};
pub use people::{NoteAdded, OperatorIntervened};
pub use price::{Discount, InvalidTaxRate, Shipping, Tax, TaxRate};
pub use refund::{PaymentRefunded, RefundRequested};
pub use returns::{ItemCondition, ReceivedLine, ReturnCancelled, ReturnReceived, ReturnRequested};
pub use stock::{
    BackorderedUnits, Shortage, SkuQuantity, StockReleased, StockReservationFailed, StockReserved, UnitMismatch,
};
pub use subject::{
    EditEvent, FulfilmentEvent, LifecycleEvent, NoteEvent, NotificationEvent, OperatorEvent, OrderDocumentEvent,
    OrderSubject, PaymentEvent, RefundEvent, ReservationEvent, ReturnEvent,
};
pub(super) use upcasts::UPCASTS;
use upcasts::earlier_version;

use crate::events::events;

events! {
    /// Something that happened to an order. Who did it, when and why is in the event's metadata.
    OrderEvent, UPCASTS, earlier_version {
        /// A customer ordered.
        OrderCreated,
        /// All units of it are reserved, as far as their SKUs are tracked.
        StockReserved,
        /// There were not enough units. None was reserved.
        StockReservationFailed,
        /// The reservation was released.
        StockReleased,
        /// The provider holds the amount for us.
        PaymentAuthorized,
        /// The provider refuses to hold the amount.
        PaymentDeclined,
        /// The provider did not answer: it may hold the amount or not.
        PaymentOutcomeUnknown,
        /// The provider holds no money of a payment any more, and never will. What was captured stays captured.
        PaymentVoided,
        /// The money for a shipment was captured.
        PaymentCaptured,
        /// Money is to go back.
        RefundRequested,
        /// Money went back.
        PaymentRefunded,
        /// The order is confirmed to the customer.
        OrderConfirmed,
        /// The order could not be confirmed. All that was done for it is undone.
        OrderRejected,
        /// The order is to be cancelled. From here on it is only undone.
        CancellationRequested,
        /// The order was cancelled. All that was done for it is undone.
        OrderCancelled,
        /// Goods were shipped.
        OrderShipped,
        /// Lines will not be shipped.
        LinesCancelled,
        /// The order is to be changed.
        OrderEditRequested,
        /// The order was changed.
        OrderEdited,
        /// The order was not changed: what that needs could not be had.
        OrderEditRejected,
        /// The goods of a shipment arrived.
        ShipmentDelivered,
        /// The customer follows a shipment by other parcels.
        ShipmentTrackingChanged,
        /// Nothing of it is shipped for now.
        OrderHeld,
        /// A hold is over.
        OrderReleased,
        /// All of it arrived.
        OrderDelivered,
        /// The customer will send goods back.
        ReturnRequested,
        /// Goods of a return came back.
        ReturnReceived,
        /// What has not come of a return will not come any more.
        ReturnCancelled,
        /// The mail service accepted a mail to the customer.
        NotificationSent,
        /// A mail to the customer was given up.
        NotificationFailed,
        /// Somebody wants the customer to get a mail once more.
        MailResendRequested,
        /// Somebody added a note.
        NoteAdded,
        /// An operator decided about a step of its sagas.
        OperatorIntervened,
        /// An invoice was issued for a shipment.
        InvoiceIssued,
        /// A credit note was issued for a refund.
        CreditNoteIssued,
        /// The order has its number for people.
        OrderNumbered,
    }
}

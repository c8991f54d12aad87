//! The rules of orders and stock, pure: no IO, no clock, no randomness.
//!
//! [`PostedOrder::parse`] turns what a client sent into types that can be trusted, [`decide`] turns a command into
//! events or a [`Refusal`], [`evolve`] turns events into the [`Order`]. [`stock`] has the same for what there is of a [`Sku`].
//! Everything else in the platform stores, moves or shows what these say.

mod email;
mod events;
mod fields;
#[cfg(test)]
mod golden;
mod ids;
mod json_text;
mod money;
mod order;
pub mod stock;
mod streams;

pub use email::{EmailAddress, InvalidEmail};
pub use ids::{
    CancellationId, CustomerId, InvalidId, NoteId, OrderId, PaymentToken, RefundId, ReturnId, ShipmentId, Sku,
};
pub use json_text::{InvalidJsonText, JsonText};
pub use money::{AmountError, Currency, Money, UnknownCurrency};
pub use order::{
    Cancellation, CancellationDemand, CancellationRequested, FulfilmentStatus, LineCounts, LineQuantity,
    LinesCancelled, Mail, MailOutcome, MailTemplate, Malformed, NoteAdded, NotificationFailed, NotificationSent,
    OperatorIntervened, Order, OrderAction, OrderCancelled, OrderCommand, OrderConfirmed, OrderCreated, OrderDelivered,
    OrderEvent, OrderLimits, OrderLine, OrderRejected, OrderShipped, OrderStatus, Parcel, Payment, PaymentAuthorized,
    PaymentCaptured, PaymentDeclined, PaymentOutcomeUnknown, PaymentRefunded, PaymentState, PaymentStatus,
    PaymentVoided, PlacedOrder, PostedOrder, Refund, RefundDemand, RefundRequested, Refusal, Rejection,
    RejectionReason, ReservedUnits, Return, ReturnReceived, ReturnRequested, ReturnsStatus, SagaStep, Shipment,
    ShipmentDemand, Shortage, Stage, StockReleased, StockReservationFailed, StockReserved, StockState, TRANSITIONS,
    UndoReason, Verb, Violation, allowed_at, decide, evolve, moves_units, parse_cancellation, parse_note,
    parse_nothing, parse_refund, parse_return, parse_shipment, unit_moves,
};
pub use streams::{STREAM_TYPES, is_ours};

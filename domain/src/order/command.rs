//! What an order can be asked to do.

use super::event::{
    CancellationRequested, LineQuantity, NoteAdded, NotificationFailed, NotificationSent, OperatorIntervened,
    OrderCreated, Parcel, PaymentAuthorized, PaymentCaptured, PaymentDeclined, PaymentOutcomeUnknown, PaymentRefunded,
    ReturnRequested, StockReleased, StockReservationFailed, StockReserved,
};
use crate::ids::{CancellationId, RefundId, ReturnId, ShipmentId};

/// What an order can be asked to do. What somebody reports is taken as it is reported.
#[derive(Debug, Clone, PartialEq)]
pub enum OrderCommand {
    /// Take the order as it was posted.
    CreateOrder(OrderCreated),
    /// Call it off; where some of it was sent already, the rest.
    CancelOrder(CancellationRequested),
    /// Call some of it off: what was not sent, or some of that.
    CancelLines(CancelLines),
    /// Send it, or some of it.
    ShipOrder(ShipOrder),
    /// Note that it arrived.
    DeliverOrder,
    /// Note that some of it will come back.
    RequestReturn(ReturnRequested),
    /// Note that this came back.
    ReceiveReturn(ReturnId),
    /// Give money back.
    RequestRefund(RequestRefund),
    /// Write something down.
    AddNote(NoteAdded),
    /// Note that its units are set aside.
    RecordStockReserved(StockReserved),
    /// Note that there are not enough.
    RecordStockReservationFailed(StockReservationFailed),
    /// Note that its units were put back.
    RecordStockReleased(StockReleased),
    /// Note that its money is held.
    RecordPaymentAuthorized(PaymentAuthorized),
    /// Note that its money is not held, for good.
    RecordPaymentDeclined(PaymentDeclined),
    /// Note that nobody knows whether its money is held.
    RecordPaymentOutcomeUnknown(PaymentOutcomeUnknown),
    /// Note that its money is not held any more, and will not be.
    RecordPaymentVoided,
    /// Promise it to the customer: from here on it is only carried forward.
    ConfirmOrder,
    /// Note that money was taken.
    RecordPaymentCaptured(PaymentCaptured),
    /// Note that money went back.
    RecordPaymentRefunded(PaymentRefunded),
    /// Say that all that was done for it is undone.
    CloseOrder,
    /// Note that a mail was accepted for delivery.
    RecordNotificationSent(NotificationSent),
    /// Note that a mail could not be sent, for good.
    RecordNotificationFailed(NotificationFailed),
    /// Do as an operator says.
    Intervene(OperatorIntervened),
}

/// What is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShipOrder {
    /// Names the shipment.
    pub shipment_id: ShipmentId,
    /// What; `None`: all that is left.
    pub lines: Option<Vec<LineQuantity>>,
    /// What it travels in, as far as it can be followed.
    pub parcels: Vec<Parcel>,
}

/// What is not to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelLines {
    /// Names the cancellation.
    pub cancellation_id: CancellationId,
    /// What; some of what is left.
    pub lines: Vec<LineQuantity>,
    /// Why.
    pub reason: Option<String>,
}

/// What is to be given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRefund {
    /// Names the refund.
    pub refund_id: RefundId,
    /// How much, in minor units; `None`: all that is left.
    pub amount_minor: Option<i64>,
    /// Why.
    pub reason: Option<String>,
}

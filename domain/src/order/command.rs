//! The commands that an order takes.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::event::{
    CancellationRequested, LineQuantity, NoteAdded, NotificationFailed, NotificationSent, OperatorIntervened,
    OrderChanges, OrderCreated, OrderEditRejected, OrderHeld, Parcel, PaymentAuthorized, PaymentCaptured,
    PaymentDeclined, PaymentOutcomeUnknown, PaymentRefunded, PaymentVoided, ReceivedLine, ReturnCancelled,
    ReturnRequested, ShipmentTrackingChanged, SkuQuantity, StockReleased, StockReservationFailed, StockReserved,
};
use crate::ids::{CancellationId, EditId, HoldId, LocationId, PaymentToken, ReceiptId, RefundId, ReturnId, ShipmentId};

/// A command to an order. The `Record…` commands report what happened elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub enum OrderCommand {
    /// Create the order as it was posted.
    CreateOrder(OrderCreated),
    /// Cancel the order. If some of it was shipped, cancel the rest.
    CancelOrder(CancellationRequested),
    /// Cancel lines that were not shipped, or some of their units.
    CancelLines(CancelLines),
    /// Change the order before it ships.
    RequestEdit(RequestEdit),
    /// Ship the order, or some of it.
    ShipOrder(ShipOrder),
    /// All of the goods arrived.
    DeliverOrder,
    /// The goods of this shipment arrived.
    DeliverShipment(DeliverShipment),
    /// The customer follows a shipment by other parcels than were named.
    ChangeTracking(ShipmentTrackingChanged),
    /// Ship nothing of the order for now.
    HoldOrder(OrderHeld),
    /// This hold is over; `None`: all are.
    ReleaseOrder(Option<HoldId>),
    /// Goods will come back.
    RequestReturn(ReturnRequested),
    /// Goods of a return came back.
    ReceiveReturn(ReceiveReturn),
    /// What has not come of a return will not come any more.
    CancelReturn(ReturnCancelled),
    /// Give money back.
    RequestRefund(RequestRefund),
    /// Send a mail once more: the one that was requested under this id.
    ResendMail(Uuid),
    /// Add a note.
    AddNote(NoteAdded),
    /// The units are reserved.
    RecordStockReserved(StockReserved),
    /// There are not enough units.
    RecordStockReservationFailed(StockReservationFailed),
    /// The reservation was released.
    RecordStockReleased(StockReleased),
    /// The provider holds the money.
    RecordPaymentAuthorized(PaymentAuthorized),
    /// The provider refuses to hold the money.
    RecordPaymentDeclined(PaymentDeclined),
    /// Nobody knows whether the provider holds the money.
    RecordPaymentOutcomeUnknown(PaymentOutcomeUnknown),
    /// The provider holds no money of a payment any more, and never will.
    RecordPaymentVoided(PaymentVoided),
    /// Confirm the order to the customer. From here on it can be cancelled, but not rejected.
    ConfirmOrder {
        /// Whether the shop's staff get a mail about it.
        mail_staff: bool,
    },
    /// The order is changed as this edit wants it, and these units are reserved for that.
    RecordOrderEdited {
        /// The edit.
        edit_id: EditId,
        /// The units that are reserved beside those before.
        units: Vec<SkuQuantity>,
    },
    /// The order is not changed.
    RecordOrderEditRejected(OrderEditRejected),
    /// Money for a shipment was taken from a payment.
    RecordPaymentCaptured(PaymentCaptured),
    /// Money went back to the customer.
    RecordPaymentRefunded(PaymentRefunded),
    /// End an order that is completely undone: as rejected or as cancelled.
    CloseOrder,
    /// The mail service accepted a mail.
    RecordNotificationSent(NotificationSent),
    /// A mail was given up.
    RecordNotificationFailed(NotificationFailed),
    /// Apply an operator's decision.
    Intervene(OperatorIntervened),
}

/// A shipment to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShipOrder {
    /// The id of the shipment.
    pub shipment_id: ShipmentId,
    /// The lines to ship; `None`: all that is left.
    pub lines: Option<Vec<LineQuantity>>,
    /// The parcels that the customer can follow.
    pub parcels: Vec<Parcel>,
    /// From where; `None`: from wherever the units are.
    pub location: Option<LocationId>,
}

/// An order to change.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestEdit {
    /// The id of the edit.
    pub edit_id: EditId,
    /// What changes.
    pub changes: OrderChanges,
    /// How the difference is paid, if the order costs more then. `None`: with the first means of payment of the order.
    pub payment: Option<MeansOfPayment>,
    /// Why, in the words of whoever asks.
    pub reason: Option<String>,
}

/// A customer's means of payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeansOfPayment {
    /// What the customer pays with, in the shop's words.
    pub method: String,
    /// The payment provider's token for it.
    pub token: Option<PaymentToken>,
}

/// A shipment that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliverShipment {
    /// The id of the shipment.
    pub shipment_id: ShipmentId,
    /// When it arrived; `None`: when this is recorded.
    pub delivered_at: Option<DateTime<Utc>>,
}

/// Lines to cancel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelLines {
    /// The id of the cancellation.
    pub cancellation_id: CancellationId,
    /// The lines: some of what is left.
    pub lines: Vec<LineQuantity>,
    /// Why, in the words of whoever asks.
    pub reason: Option<String>,
}

/// Goods of a return that are here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiveReturn {
    /// The return.
    pub return_id: ReturnId,
    /// What is said of them; `None`: no more than that all is here that was still to come.
    pub receipt: Option<NewReceipt>,
}

/// What is said of goods that came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReceipt {
    /// The id of the receipt.
    pub receipt_id: ReceiptId,
    /// What came; `None`: all that was still to come.
    pub lines: Option<Vec<ReceivedLine>>,
    /// Where it is; `None`: what is put back into stock goes to where it was sent from.
    pub location: Option<LocationId>,
}

impl ReceiveReturn {
    /// All of a return is here that was still to come.
    pub fn all_of(return_id: ReturnId) -> Self {
        Self { return_id, receipt: None }
    }
}

/// Money to give back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRefund {
    /// The id of the refund.
    pub refund_id: RefundId,
    /// How much, in minor units; `None`: all that is left.
    pub amount_minor: Option<i64>,
    /// Why, in the words of whoever asks.
    pub reason: Option<String>,
}

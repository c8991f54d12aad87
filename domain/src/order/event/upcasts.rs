//! The upcasts of orders' events. An event that is stored in an earlier shape is read through these.

use event_versions::{FIRST, Upcast};
use serde_json::{Map, Value};

use super::OrderEvent;
use crate::order::saga::SagaStep;

/// Every change of an event's shape. The changes of one event are in order, oldest first.
pub(in crate::order) const UPCASTS: &[Upcast] = &[
    Upcast { event_type: "OrderShipped", to: "2.0", change: Some(shipments_have_parcels) },
    // It may say from which location.
    Upcast { event_type: "OrderShipped", to: "3.0", change: None },
    // These may say more than the version before. What they say is read alike in both.
    Upcast { event_type: "OrderCreated", to: "2.0", change: None },
    Upcast { event_type: "OrderCreated", to: "3.0", change: None },
    // Goods by measure: quantities in thousandths.
    Upcast { event_type: "OrderCreated", to: "4.0", change: None },
    // It may be the exchange for goods of another order.
    Upcast { event_type: "OrderCreated", to: "5.0", change: None },
    Upcast { event_type: "PaymentAuthorized", to: "2.0", change: None },
    Upcast { event_type: "PaymentDeclined", to: "2.0", change: None },
    Upcast { event_type: "PaymentOutcomeUnknown", to: "2.0", change: None },
    Upcast { event_type: "PaymentVoided", to: "2.0", change: None },
    Upcast { event_type: "PaymentCaptured", to: "2.0", change: None },
    Upcast { event_type: "PaymentRefunded", to: "2.0", change: None },
    Upcast { event_type: "OperatorIntervened", to: "2.0", change: None },
    // It may call for a mail to staff.
    Upcast { event_type: "OrderConfirmed", to: "2.0", change: None },
    // They may call for a mail to the customer.
    Upcast { event_type: "OrderEdited", to: "2.0", change: None },
    Upcast { event_type: "PaymentVoided", to: "3.0", change: None },
    // Its units may be at several locations.
    Upcast { event_type: "StockReserved", to: "2.0", change: None },
    // Some of them may not be on hand.
    Upcast { event_type: "StockReserved", to: "3.0", change: None },
    // They may speak of units of measure.
    Upcast { event_type: "StockReservationFailed", to: "2.0", change: None },
    Upcast { event_type: "OrderRejected", to: "2.0", change: None },
    // It may be about some of the return.
    Upcast { event_type: "ReturnReceived", to: "2.0", change: None },
    // It may say where the goods are.
    Upcast { event_type: "ReturnReceived", to: "3.0", change: None },
];

/// The version in which an event is written, where that is not the newest one. A build that knows an earlier version only would leave out
/// what the next one says beyond it, and charge another amount, or move the money of another payment. It stops at the next version instead.
pub(in crate::order) fn earlier_version(event: &OrderEvent) -> Option<&'static str> {
    let of_payment = |payment_number: Option<u32>| payment_number.is_none().then_some(FIRST);
    match event {
        OrderEvent::OrderCreated(content) if content.exchange_for.is_some() => None,
        OrderEvent::OrderCreated(content) if content.has_goods_by_measure() => Some("4.0"),
        OrderEvent::OrderCreated(content) if content.is_of_first_version() => Some(FIRST),
        OrderEvent::OrderCreated(content) => Some(if content.payments.is_empty() { "2.0" } else { "3.0" }),
        OrderEvent::PaymentAuthorized(it) => of_payment(it.payment_number),
        OrderEvent::PaymentDeclined(it) => of_payment(it.payment_number),
        OrderEvent::PaymentOutcomeUnknown(it) => of_payment(it.payment_number),
        // Its mail would not be known, here and in the events that tell of it.
        OrderEvent::PaymentVoided(it) if it.released_minor.is_some() => None,
        OrderEvent::PaymentVoided(it) => Some(of_payment(it.payment_number).unwrap_or("2.0")),
        OrderEvent::PaymentCaptured(it) => of_payment(it.payment_number),
        OrderEvent::PaymentRefunded(it) => of_payment(it.payment_number),
        OrderEvent::OperatorIntervened(it) if it.step == SagaStep::RefundManually => None,
        OrderEvent::OperatorIntervened(it) => of_payment(it.payment_number),
        OrderEvent::OrderEdited(edited) => (!edited.mail_customer).then_some(FIRST),
        OrderEvent::OrderConfirmed(confirmed) => (!confirmed.mail_staff).then_some(FIRST),
        OrderEvent::OrderShipped(shipped) => shipped.location.is_none().then_some("2.0"),
        // It would be taken for all of the return, or be put back elsewhere.
        OrderEvent::ReturnReceived(received) => received.earlier_version(),
        OrderEvent::StockReserved(reserved) => reserved.earlier_version(),
        OrderEvent::StockReservationFailed(failed) => failed.reason().is_of_first_version().then_some(FIRST),
        OrderEvent::OrderRejected(rejected) => rejected.reason.is_of_first_version().then_some(FIRST),
        OrderEvent::StockReleased(_)
        | OrderEvent::RefundRequested(_)
        | OrderEvent::CancellationRequested(_)
        | OrderEvent::OrderCancelled(_)
        | OrderEvent::OrderEditRequested(_)
        | OrderEvent::OrderEditRejected(_)
        | OrderEvent::LinesCancelled(_)
        | OrderEvent::ShipmentDelivered(_)
        | OrderEvent::ShipmentTrackingChanged(_)
        | OrderEvent::OrderHeld(_)
        | OrderEvent::OrderReleased(_)
        | OrderEvent::OrderDelivered(_)
        | OrderEvent::ReturnRequested(_)
        | OrderEvent::ReturnCancelled(_)
        | OrderEvent::NotificationSent(_)
        | OrderEvent::NotificationFailed(_)
        | OrderEvent::MailResendRequested(_)
        | OrderEvent::NoteAdded(_)
        | OrderEvent::InvoiceIssued(_)
        | OrderEvent::CreditNoteIssued(_)
        | OrderEvent::OrderNumbered(_) => None,
    }
}

/// A shipment had at most one carrier and one tracking number. Now it has any number of parcels.
fn shipments_have_parcels(mut payload: Value) -> Value {
    if let Some(Value::Object(shipped)) = payload.get_mut("OrderShipped") {
        let known = ["carrier", "tracking"].into_iter().filter_map(|name| shipped.remove_entry(name));
        let parcel: Map<String, Value> = known.filter(|(_, text)| !text.is_null()).collect();
        let parcels = if parcel.is_empty() { vec![] } else { vec![Value::Object(parcel)] };
        shipped.insert("parcels".to_owned(), Value::Array(parcels));
    }
    payload
}

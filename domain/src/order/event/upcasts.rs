//! The upcasts of orders' events. An event that is stored in an earlier shape is read through these.

use event_versions::{FIRST, Upcast};
use serde_json::{Map, Value};

use super::OrderEvent;

/// Every change of an event's shape. The changes of one event are in order, oldest first.
pub(in crate::order) const UPCASTS: &[Upcast] = &[
    Upcast { event_type: "OrderShipped", to: "2.0", change: Some(shipments_have_parcels) },
    // It may say more than the first version. What it says is read alike in both.
    Upcast { event_type: "OrderCreated", to: "2.0", change: None },
    // It may be about some of the return.
    Upcast { event_type: "ReturnReceived", to: "2.0", change: None },
];

/// The version in which an event is written, where that is not the newest one. A build that knows the first version of an order only
/// would leave out what the second one says beyond it, and charge another amount. It stops at a second version instead. So it does where
/// some of a return came back, which it would take for all of it.
pub(in crate::order) fn earlier_version(event: &OrderEvent) -> Option<&'static str> {
    let is_earlier = matches!(event, OrderEvent::OrderCreated(content) if content.is_of_first_version())
        || matches!(event, OrderEvent::ReturnReceived(received) if received.is_of_first_version());
    is_earlier.then_some(FIRST)
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

//! The upcasts of orders' events. An event that is stored in an earlier shape is read through these.

use event_versions::Upcast;
use serde_json::{Map, Value};

/// Every change of an event's shape. The changes of one event are in order, oldest first.
pub(in crate::order) const UPCASTS: &[Upcast] =
    &[Upcast { event_type: "OrderShipped", to: "2.0", change: shipments_have_parcels }];

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

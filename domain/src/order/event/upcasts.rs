//! How the shapes of orders' events have changed: what is stored in an earlier one is read through these.

use event_versions::Upcast;
use serde_json::{Map, Value};

/// Every change there ever was; those of the same event oldest first.
pub(in crate::order) const UPCASTS: &[Upcast] =
    &[Upcast { event_type: "OrderShipped", to: "2.0", change: shipments_have_parcels }];

/// A shipment had one carrier and one tracking number, or neither; now it has any number of parcels.
fn shipments_have_parcels(mut payload: Value) -> Value {
    if let Some(Value::Object(shipped)) = payload.get_mut("OrderShipped") {
        let known = ["carrier", "tracking"].into_iter().filter_map(|name| shipped.remove_entry(name));
        let parcel: Map<String, Value> = known.filter(|(_, text)| !text.is_null()).collect();
        let parcels = if parcel.is_empty() { vec![] } else { vec![Value::Object(parcel)] };
        shipped.insert("parcels".to_owned(), Value::Array(parcels));
    }
    payload
}

//! What is in the log stays readable, whichever build wrote it.

use super::*;
use crate::golden;

const FOLDER: &str = "events";

#[test]
fn every_event_version_decodes_from_its_golden_file_and_encodes_to_it() {
    let events = every_event();
    assert_eq!(events.iter().map(OrderEvent::name).collect::<Vec<_>>(), OrderEvent::NAMES);
    golden::check_today::<Order>(FOLDER, events);
}

#[test]
fn every_golden_file_still_decodes() {
    golden::check_all::<Order>(FOLDER);
}

#[test]
fn every_version_of_every_event_has_a_golden_file() {
    golden::check_versions::<Order>(FOLDER, OrderEvent::NAMES);
}

/// A shipment as the first version had it, with these fields beside its id and lines.
fn first_shipment(fields: &str) -> OrderEvent {
    let payload =
        format!(r#"{{"OrderShipped":{{"shipmentId":"s-1","lines":[{{"lineNumber":1,"quantity":1}}]{fields}}}}}"#);
    event_versions::decode::<Order>("OrderShipped", "1.0", &payload).unwrap()
}

fn shipment(parcels: &[(Option<&str>, Option<&str>)]) -> OrderEvent {
    let parcel = |(carrier, tracking): &(Option<&str>, Option<&str>)| Parcel {
        carrier: carrier.map(Into::into),
        tracking: tracking.map(Into::into),
    };
    OrderEvent::OrderShipped(OrderShipped {
        shipment_id: ShipmentId::parse("s-1").unwrap(),
        lines: line(1),
        parcels: parcels.iter().map(parcel).collect(),
    })
}

#[test]
fn a_shipment_of_the_first_version_had_at_most_one_parcel() {
    let both = first_shipment(r#","carrier":"DHL","tracking":"JD0146""#);
    assert_eq!(both, shipment(&[(Some("DHL"), Some("JD0146"))]));
    assert_eq!(first_shipment(r#","tracking":"JD0146""#), shipment(&[(None, Some("JD0146"))]));
    assert_eq!(first_shipment(r#","carrier":"DHL","tracking":null"#), shipment(&[(Some("DHL"), None)]));
    assert_eq!(first_shipment(""), shipment(&[]));
}

#[test]
fn a_shipment_is_not_taken_for_one_of_another_version() {
    let golden = include_str!("../../../golden/events/OrderShipped-1.0.json");
    let error = event_versions::decode::<Order>("OrderShipped", "2.0", golden).unwrap_err();
    assert!(error.to_string().starts_with("missing field `parcels`"), "{error}");
}

#[test]
fn what_does_not_look_like_a_shipment_is_an_error_and_no_shipment() {
    for payload in ["null", "[]", "{}", r#"{"OrderShipped":null}"#, r#"{"OrderShipped":{"carrier":7}}"#] {
        assert!(event_versions::decode::<Order>("OrderShipped", "1.0", payload).is_err(), "{payload}");
    }
}

#[test]
fn an_order_with_everything_that_can_be_said_is_stored_as_in_its_golden_file() {
    let orders = include_str!("../../../golden/posted/shop-orders.jsonl");
    let golden = include_str!("../../../golden/shapes/OrderCreated-whole.json").trim_end();
    let everything: serde_json::Value = serde_json::from_str(orders.lines().last().unwrap()).unwrap();
    let content = PostedOrder::parse(everything["body"].to_string().as_bytes()).unwrap().content;
    let event = OrderEvent::OrderCreated(content);
    assert_eq!(serde_json::to_string(&event).unwrap(), golden);
    assert_eq!(event_versions::decode::<Order>("OrderCreated", "1.0", golden).unwrap(), event);
}

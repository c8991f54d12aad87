//! How a shipment is followed is corrected.

use super::*;

fn parcel(tracking: &str) -> Parcel {
    Parcel { carrier: Some("DHL".into()), tracking: Some(tracking.into()) }
}

fn ship(parcels: Vec<Parcel>) -> OrderCommand {
    OrderCommand::ShipOrder(ShipOrder {
        shipment_id: ShipmentId::parse("s-1").unwrap(),
        lines: None,
        parcels,
        location: None,
    })
}

fn change(id: &str, parcels: Vec<Parcel>) -> OrderCommand {
    OrderCommand::ChangeTracking(ShipmentTrackingChanged { shipment_id: ShipmentId::parse(id).unwrap(), parcels })
}

fn after(commands: impl IntoIterator<Item = OrderCommand>) -> PlacedOrder {
    let Order::Placed(mut order) = given(promised()) else { panic!("never placed") };
    for command in commands {
        order.decide(command).unwrap().into_iter().for_each(|event| order.apply(event));
    }
    *order
}

#[test]
fn a_shipment_has_the_parcels_that_were_named_last() {
    let order = after([ship(vec![parcel("1")]), change("s-1", vec![parcel("2"), parcel("3")])]);
    assert_eq!(order.shipments[0].parcels, [parcel("2"), parcel("3")]);
    assert_eq!(order.decide(change("s-1", vec![parcel("2"), parcel("3")])), Ok(vec![]));
    let order = after([ship(vec![parcel("1")]), change("s-1", vec![])]);
    assert_eq!(order.shipments[0].parcels, []);
    // It can still be wrong when all has arrived.
    let order = after([ship(vec![parcel("1")]), OrderCommand::DeliverOrder, change("s-1", vec![parcel("2")])]);
    assert_eq!(order.shipments[0].parcels, [parcel("2")]);
}

#[test]
fn the_command_that_shipped_it_can_be_sent_again_all_the_same() {
    let order = after([ship(vec![parcel("1")]), change("s-1", vec![parcel("2")]), change("s-1", vec![parcel("3")])]);
    assert_eq!(order.decide(ship(vec![parcel("1")])), Ok(vec![]));
    assert_eq!(order.decide(ship(vec![parcel("3")])), Err(OrderError::IdTaken { what: "shipment" }));
}

#[test]
fn no_mail_is_owed_for_a_correction() {
    let before = after([ship(vec![parcel("1")])]);
    let after = after([ship(vec![parcel("1")]), change("s-1", vec![parcel("2")])]);
    assert_eq!(after.owed_mail(), before.owed_mail());
}

#[test]
fn a_shipment_that_there_is_not_is_not_followed() {
    let missing = ShipmentId::parse("s-9").unwrap();
    assert_eq!(after([ship(vec![])]).decide(change("s-9", vec![])), Err(OrderError::NoSuchShipment(missing)));
}

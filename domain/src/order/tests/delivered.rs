//! Shipments arrive one by one, and the last arrival completes the order.

use super::*;

fn ship(id: &str, lines: Option<Vec<LineQuantity>>) -> OrderCommand {
    let shipment_id = ShipmentId::parse(id).unwrap();
    OrderCommand::ShipOrder(ShipOrder { shipment_id, lines, parcels: vec![], location: None })
}

fn deliver(id: &str) -> OrderCommand {
    let shipment_id = ShipmentId::parse(id).unwrap();
    OrderCommand::DeliverShipment(DeliverShipment { shipment_id, delivered_at: None })
}

fn cancel_the_rest() -> OrderCommand {
    OrderCommand::CancelOrder(CancellationRequested { reason: None })
}

/// Two units of goods, and one download if `downloads`; promised.
fn order(downloads: bool) -> PlacedOrder {
    let mut content = content();
    let goods = OrderLine { quantity: 2, unit_price_minor: 1_000, ..content.lines[0].clone() };
    let download = OrderLine { quantity: 1, requires_shipping: false, ..goods.clone() };
    content.lines = if downloads { vec![goods, download] } else { vec![goods] };
    content.total_minor = if downloads { 3_000 } else { 2_000 };
    let amount_minor = content.total_minor;
    let held = OrderEvent::PaymentAuthorized(PaymentAuthorized {
        payment_number: None,
        reference: "pay-1".into(),
        amount_minor,
    });
    let Order::Placed(order) = given([OrderEvent::OrderCreated(content), reserved(), held, confirmed()]) else {
        panic!("never placed")
    };
    *order
}

/// Carries a command out, and tells which events that led to.
fn carry_out(order: &mut PlacedOrder, command: OrderCommand) -> Vec<&'static str> {
    let asked = format!("{command:?}");
    let events = order.decide(command).unwrap_or_else(|refusal| panic!("{asked}: {refusal}"));
    let names = events.iter().map(OrderEvent::name).collect();
    events.into_iter().for_each(|event| order.apply(event));
    names
}

fn units(line_number: u32, quantity: u32) -> Option<Vec<LineQuantity>> {
    Some(vec![LineQuantity { line_number, quantity }])
}

#[test]
fn the_last_shipment_to_arrive_completes_the_order() {
    let mut order = order(false);
    carry_out(&mut order, ship("s-1", units(1, 1)));
    assert_eq!(carry_out(&mut order, deliver("s-1")), ["ShipmentDelivered"], "more is left to ship");
    assert_eq!(order.stage(), OrderStage::PartiallyShipped);
    carry_out(&mut order, ship("s-2", None));
    assert_eq!(carry_out(&mut order, deliver("s-2")), ["ShipmentDelivered", "OrderDelivered"]);
    assert_eq!((order.stage(), order.fulfilment_status()), (OrderStage::Completed, FulfilmentStatus::Delivered));
    // What arrived has arrived.
    for again in [deliver("s-1"), deliver("s-2"), OrderCommand::DeliverOrder] {
        assert_eq!(carry_out(&mut order, again), [""; 0]);
    }
}

#[test]
fn all_of_it_can_arrive_at_once_whatever_arrived_before() {
    let mut order = order(false);
    carry_out(&mut order, ship("s-1", units(1, 1)));
    carry_out(&mut order, deliver("s-1"));
    carry_out(&mut order, ship("s-2", None));
    assert_eq!(carry_out(&mut order, OrderCommand::DeliverOrder), ["OrderDelivered"]);
    assert!(order.shipments.iter().all(|shipment| order.is_delivered(shipment)));
    assert_eq!(carry_out(&mut order, deliver("s-2")), [""; 0]);
}

#[test]
fn an_order_ends_when_the_rest_is_cancelled_after_all_that_was_shipped_arrived() {
    let mut order = order(false);
    carry_out(&mut order, ship("s-1", units(1, 1)));
    carry_out(&mut order, deliver("s-1"));
    assert_eq!(carry_out(&mut order, cancel_the_rest()), ["LinesCancelled", "OrderDelivered"]);
    assert_eq!(order.stage(), OrderStage::Completed);
    assert_eq!(carry_out(&mut order, cancel_the_rest()), [""; 0]);
}

#[test]
fn an_order_ends_when_the_shipment_arrives_after_the_rest_was_cancelled() {
    let mut order = order(false);
    carry_out(&mut order, ship("s-1", units(1, 1)));
    assert_eq!(carry_out(&mut order, cancel_the_rest()), ["LinesCancelled"]);
    assert_eq!(carry_out(&mut order, deliver("s-1")), ["ShipmentDelivered", "OrderDelivered"]);
}

#[test]
fn what_no_parcel_is_sent_for_arrives_when_it_is_shipped() {
    let mut goods_first = order(true);
    carry_out(&mut goods_first, ship("s-1", units(1, 2)));
    carry_out(&mut goods_first, deliver("s-1"));
    let ended = ["OrderShipped", "ShipmentDelivered", "OrderDelivered"];
    assert_eq!(carry_out(&mut goods_first, ship("s-2", None)), ended);
    assert_eq!(carry_out(&mut goods_first, ship("s-2", None)), [""; 0]);

    let mut download_first = order(true);
    assert_eq!(
        carry_out(&mut download_first, ship("s-1", units(2, 1))),
        ["OrderShipped", "ShipmentDelivered"],
        "the goods are left"
    );
    carry_out(&mut download_first, ship("s-2", None));
    assert_eq!(carry_out(&mut download_first, deliver("s-2")), ["ShipmentDelivered", "OrderDelivered"]);

    // Together they arrive when the goods do, and what has a parcel travels.
    let mut together = order(true);
    assert_eq!(carry_out(&mut together, ship("s-1", None)), ["OrderShipped"]);
    let parcels = vec![Parcel { carrier: Some("DHL".into()), tracking: None }];
    let shipment_id = ShipmentId::parse("s-1").unwrap();
    let voucher = OrderCommand::ShipOrder(ShipOrder { shipment_id, lines: units(2, 1), parcels, location: None });
    assert_eq!(carry_out(&mut order(true), voucher), ["OrderShipped"]);
}

#[test]
fn a_shipment_that_there_is_not_does_not_arrive() {
    let mut order = order(false);
    let missing = ShipmentId::parse("s-9").unwrap();
    let not_allowed = OrderError::NotAllowed {
        action: OrderAction::DeliverShipment,
        stage: OrderStage::Confirmed,
        allowed: allowed_at(OrderStage::Confirmed),
    };
    assert_eq!(order.decide(deliver("s-9")), Err(not_allowed));
    carry_out(&mut order, ship("s-1", units(1, 1)));
    assert_eq!(order.decide(deliver("s-9")), Err(OrderError::NoSuchShipment(missing)));
}

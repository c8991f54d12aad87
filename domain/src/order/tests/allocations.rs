//! An order whose units are at several locations.

use super::*;
use crate::ids::OrderId;
use crate::stock::{ReservationMade, StockCommand, StockReturned};

fn berlin() -> LocationId {
    LocationId::parse("berlin").unwrap()
}

fn sku() -> Sku {
    Sku::parse("sku-123").unwrap()
}

fn order_id() -> OrderId {
    OrderId::parse("o").unwrap()
}

/// Two in Berlin, and two at the default location.
fn in_two_places() -> OrderEvent {
    let units = |location, quantity| SkuQuantity { sku: sku(), quantity, location };
    let expires_at = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    OrderEvent::StockReserved(StockReserved {
        units: vec![units(berlin(), 2), units(LocationId::default(), 2)],
        expires_at,
        backorders: vec![],
    })
}

/// Four of one line at 10.00, promised.
fn four() -> PlacedOrder {
    promised(4, in_two_places())
}

/// So many of one line at 10.00, promised.
fn promised(quantity: u32, reserved: OrderEvent) -> PlacedOrder {
    let mut content = content();
    content.lines[0].quantity = quantity;
    content.lines[0].unit_price_minor = 1_000;
    content.total_minor = 1_000 * i64::from(quantity);
    let amount_minor = content.total_minor;
    let held = OrderEvent::PaymentAuthorized(PaymentAuthorized {
        payment_number: None,
        reference: "pay-1".into(),
        amount_minor,
    });
    let events = [OrderEvent::OrderCreated(content), reserved, held, confirmed()];
    let Order::Placed(order) = given(events) else { panic!("never placed") };
    *order
}

/// Carries out a command, and returns what it means for the stock.
fn stock_commands(order: &mut PlacedOrder, command: &OrderCommand) -> Vec<StockCommand> {
    let events = order.decide(command.clone()).unwrap_or_else(|refusal| panic!("{command:?}: {refusal}"));
    let mut commands = vec![];
    for event in events {
        order.apply(event.clone());
        commands.extend(implied_stock_commands(&order_id(), order, &event).into_iter().map(|(_, command)| command));
    }
    assert_eq!(serde_json::from_str::<PlacedOrder>(&serde_json::to_string(order).unwrap()).unwrap(), *order);
    commands
}

fn ship(id: &str, quantity: u32) -> OrderCommand {
    let shipment_id = ShipmentId::parse(id).unwrap();
    OrderCommand::ShipOrder(ShipOrder { shipment_id, lines: Some(line(quantity)), parcels: vec![], location: None })
}

fn capture(id: &str, amount_minor: i64) -> OrderCommand {
    let shipment_id = ShipmentId::parse(id).unwrap();
    let reference = "cap".to_owned();
    OrderCommand::RecordPaymentCaptured(PaymentCaptured { payment_number: None, shipment_id, amount_minor, reference })
}

fn cancel(quantity: u32) -> OrderCommand {
    let cancellation_id = CancellationId::parse(quantity.to_string()).unwrap();
    OrderCommand::CancelLines(CancelLines { cancellation_id, lines: line(quantity), reason: None })
}

fn commit(location: LocationId, shipped: u32) -> StockCommand {
    StockCommand::Commit { order_id: order_id(), location, shipped }
}

fn release_beyond(location: LocationId, needed: u32) -> StockCommand {
    StockCommand::ReleaseBeyond { order_id: order_id(), location, needed }
}

/// `(location, quantity, shipped, settled)`.
fn allocations(order: &PlacedOrder) -> Vec<(&str, u32, u32, u32)> {
    order.allocations.iter().map(|it| (it.location.as_str(), it.quantity, it.shipped, it.settled)).collect()
}

#[test]
fn units_are_reserved_where_they_were_found_and_released_everywhere() {
    let Order::Placed(order) = given([created(), in_two_places()]) else { panic!("never placed") };
    let OrderEvent::StockReserved(StockReserved { expires_at, .. }) = in_two_places() else { panic!() };
    let reserve = |location| {
        let made = ReservationMade { unit: None, order_id: order_id(), quantity: 2, expires_at, location };
        (sku(), StockCommand::Reserve(made))
    };
    let implied = implied_stock_commands(&order_id(), &order, &in_two_places());
    assert_eq!(implied, [reserve(berlin()), reserve(LocationId::default())]);
    let released = OrderEvent::StockReleased(StockReleased { expired: true });
    let mut after = order;
    after.apply(released.clone());
    assert_eq!(after.allocations, []);
    let implied = implied_stock_commands(&order_id(), &after, &released);
    assert_eq!(implied, [(sku(), StockCommand::Release { order_id: order_id() })]);
}

#[test]
fn shipments_take_units_where_they_were_allocated_first() {
    let mut order = four();
    assert_eq!(stock_commands(&mut order, &ship("s", 1)), []);
    let [capture_one, capture_three] = [capture("s", 1_000), capture("t", 3_000)];
    assert_eq!(stock_commands(&mut order, &capture_one), [commit(berlin(), 1), commit(LocationId::default(), 0)]);
    assert_eq!(stock_commands(&mut order, &ship("t", 3)), []);
    assert_eq!(allocations(&order), [("berlin", 2, 2, 1), ("default", 2, 2, 0)]);
    assert_eq!(stock_commands(&mut order, &capture_three), [commit(berlin(), 2), commit(LocationId::default(), 2)]);
}

fn ship_from(id: &str, lines: Option<Vec<LineQuantity>>, location: &str) -> OrderCommand {
    let (shipment_id, location) = (ShipmentId::parse(id).unwrap(), LocationId::parse(location).ok());
    OrderCommand::ShipOrder(ShipOrder { shipment_id, lines, parcels: vec![], location })
}

#[test]
fn a_shipment_that_names_its_location_takes_units_there() {
    let mut order = four();
    stock_commands(&mut order, &ship_from("s", Some(line(1)), "default"));
    assert_eq!(allocations(&order), [("berlin", 2, 0, 0), ("default", 2, 1, 0)]);
    let refused = order.decide(ship_from("t", Some(line(2)), "default"));
    let location = LocationId::default();
    assert_eq!(refused, Err(OrderError::TooManyAtLocation { line_number: 1, left: Quantity::of(1, None), location }));
    // Without lines it is all that is left there.
    stock_commands(&mut order, &ship_from("t", None, "default"));
    assert_eq!(allocations(&order), [("berlin", 2, 0, 0), ("default", 2, 2, 0)]);
    for location in ["default", "ulm"] {
        let nothing = OrderError::NothingAtLocation(LocationId::parse(location).unwrap());
        assert_eq!(order.decide(ship_from("u", None, location)), Err(nothing));
    }
    // What is said again is the same, and from elsewhere it is another shipment.
    assert_eq!(order.decide(ship_from("s", Some(line(1)), "default")), Ok(vec![]));
    let taken = Err(OrderError::IdTaken { what: "shipment" });
    assert_eq!(order.decide(ship_from("s", Some(line(1)), "berlin")), taken);
    // Units that are cancelled come from what is left.
    let rest = OrderCommand::CancelOrder(CancellationRequested { reason: None });
    let kept = [release_beyond(berlin(), 0), release_beyond(LocationId::default(), 2)];
    assert_eq!(stock_commands(&mut order, &rest), kept);
    let captured = stock_commands(&mut order, &capture("s", 1_000));
    assert_eq!(captured, [commit(berlin(), 0), commit(LocationId::default(), 1)]);
}

#[test]
fn an_order_at_the_default_location_ships_from_there_as_ever() {
    let events = [created(), reserved(), authorized(), confirmed()];
    let Order::Placed(order) = given(events) else { panic!("never placed") };
    let nothing = OrderError::NothingAtLocation(berlin());
    assert_eq!(order.decide(ship_from("s", None, "berlin")), Err(nothing));
    let [OrderEvent::OrderShipped(shipped)] = &order.decide(ship_from("s", None, "default")).unwrap()[..] else {
        panic!("not shipped")
    };
    assert_eq!((shipped.lines.clone(), shipped.location.clone()), (line(1), None));
}

#[test]
fn what_is_not_counted_ships_from_anywhere_and_comes_back_anywhere() {
    let expires_at = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let untracked = OrderEvent::StockReserved(StockReserved { units: vec![], expires_at, backorders: vec![] });
    let Order::Placed(order) = given([created(), untracked, authorized(), confirmed()]) else { panic!("never placed") };
    let mut events = order.decide(ship_from("s-1", None, "berlin")).unwrap();
    let received = ReturnReceived {
        return_id: ReturnId::parse("r-1").unwrap(),
        refund_minor: 1_000,
        receipt_id: Some(ReceiptId::parse("e-1").unwrap()),
        lines: vec![ReceivedLine { restock: true, ..LineQuantity { line_number: 1, quantity: 1 }.into() }],
        refund_id: None,
        location: Some(berlin()),
    };
    events.push(OrderEvent::ReturnReceived(received));
    crate::golden::check_today::<Order>("events", events);
}

#[test]
fn cancelled_units_are_released_where_they_were_allocated_last() {
    let mut order = four();
    assert_eq!(stock_commands(&mut order, &ship("s", 1)), []);
    let kept = [release_beyond(berlin(), 2), release_beyond(LocationId::default(), 1)];
    assert_eq!(stock_commands(&mut order, &cancel(1)), kept);
    // The unit that was shipped is reserved until its money is taken.
    let rest = OrderCommand::CancelOrder(CancellationRequested { reason: None });
    let kept = [release_beyond(berlin(), 1), release_beyond(LocationId::default(), 0)];
    assert_eq!(stock_commands(&mut order, &rest), kept);
    assert_eq!(allocations(&order), [("berlin", 1, 1, 0), ("default", 0, 0, 0)]);
    let captured = stock_commands(&mut order, &capture("s", 1_000));
    assert_eq!(captured, [commit(berlin(), 1), commit(LocationId::default(), 0)]);
}

#[test]
fn units_that_come_back_go_to_where_they_were_sent_from() {
    let mut order = four();
    stock_commands(&mut order, &ship("s", 4));
    stock_commands(&mut order, &capture("s", 4_000));
    let return_id = || ReturnId::parse("r").unwrap();
    let requested = ReturnRequested { return_id: return_id(), lines: line(4), reason: None };
    stock_commands(&mut order, &OrderCommand::RequestReturn(requested));
    let receive_at = |location: Option<LocationId>, receipt: &str, quantity| {
        let units = ReceivedLine { restock: true, ..LineQuantity { line_number: 1, quantity }.into() };
        let (receipt_id, lines) = (ReceiptId::parse(receipt).unwrap(), Some(vec![units]));
        let receipt = NewReceipt { receipt_id, lines, location };
        OrderCommand::ReceiveReturn(ReceiveReturn { return_id: return_id(), receipt: Some(receipt) })
    };
    let receive = |receipt: &str, quantity| receive_at(None, receipt, quantity);
    let back = |quantity, location| {
        StockCommand::PutBack(StockReturned {
            unit: None,
            order_id: order_id(),
            return_id: return_id(),
            quantity,
            location,
        })
    };
    assert_eq!(stock_commands(&mut order, &receive("a", 1)), [back(1, berlin())]);
    assert_eq!(stock_commands(&mut order, &receive("b", 2)), [back(1, berlin()), back(1, LocationId::default())]);
    let mut other = order.clone();
    assert_eq!(stock_commands(&mut order, &receive("c", 1)), [back(1, LocationId::default())]);
    // Unless somebody says that they are elsewhere. That can be said twice, and not otherwise.
    let ulm = LocationId::parse("ulm").unwrap();
    let elsewhere = receive_at(Some(ulm.clone()), "c", 1);
    assert_eq!(stock_commands(&mut other, &elsewhere), [back(1, ulm)]);
    assert_eq!(stock_commands(&mut other, &elsewhere), []);
    assert_eq!(other.decide(receive_at(Some(berlin()), "c", 1)), Err(OrderError::IdTaken { what: "receipt" }));
}

#[test]
fn units_at_the_default_location_are_remembered_as_ever() {
    let events = [created(), reserved(), authorized(), confirmed()];
    let Order::Placed(order) = given(events) else { panic!("never placed") };
    assert_eq!(order.allocations, []);
    let stored = serde_json::to_string(&order).unwrap();
    assert!(!stored.contains("allocations") && !stored.contains("location"), "{stored}");
}

#[test]
fn a_reservation_is_of_the_second_version_exactly_if_it_names_a_location() {
    use cqrs_es::DomainEvent as _;

    assert_eq!((reserved().event_version(), in_two_places().event_version()), ("1.0".to_owned(), "2.0".to_owned()));
    crate::golden::check_today::<Order>("events", [in_two_places()]);
}

/// One of two is there, and the other one is expected in Berlin.
fn one_of_two_waits() -> OrderEvent {
    let units = vec![SkuQuantity { sku: sku(), quantity: 2, location: berlin() }];
    let expires_at = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let available_at = chrono::DateTime::from_timestamp(1_900_000_000, 0);
    let backorders = vec![BackorderedUnits { sku: sku(), quantity: 1, location: berlin(), available_at }];
    OrderEvent::StockReserved(StockReserved { units, expires_at, backorders })
}

#[test]
fn what_waits_is_asked_of_the_stock_before_it_ships_and_is_said_until_then() {
    let mut order = promised(2, one_of_two_waits());
    let waiting = |order: &PlacedOrder| order.backorders().map(|it| it.quantity).collect::<Vec<_>>();
    assert_eq!(waiting(&order), [1]);
    let check = |shipped| StockCommand::CheckOnHand { order_id: order_id(), location: berlin(), shipped };
    assert_eq!(stock_commands(&mut order, &ship("s-1", 1)), [check(1)]);
    assert_eq!(waiting(&order), [1]);
    assert_eq!(stock_commands(&mut order, &ship("s-2", 1)), [check(2)]);
    assert!(waiting(&order).is_empty());
    // Of units that were there nothing is asked.
    assert_eq!(stock_commands(&mut four(), &ship("s", 1)), []);
}

#[test]
fn of_an_order_that_waits_what_is_not_there_is_cancelled_first() {
    let mut order = promised(2, one_of_two_waits());
    let cancelled = stock_commands(&mut order, &cancel(1));
    assert!(!cancelled.is_empty());
    assert_eq!(order.backorders().next(), None);
}

#[test]
fn a_reservation_of_what_is_not_there_is_of_the_third_version() {
    crate::golden::check_today::<Order>("events", [one_of_two_waits()]);
}

#[test]
fn a_shipment_needs_room_for_what_it_takes_from_where_and_afterwards_it_counts_as_any() {
    let before = Order::Placed(Box::new(four()));
    let command = ship("s-1", 3);
    let events = decide(&before, command.clone()).unwrap();
    let mut after = before.clone();
    events.iter().for_each(|event| evolve(&mut after, event.clone()));
    let Order::Placed(placed) = &after else { panic!("never placed") };
    // Its frame and its line; a SKU from two locations, with their names.
    let attached = placed.attached_bytes();
    assert_eq!(attached, 2 * 40);
    let bytes = attached + 2 * (40 + 7) + 6 + 7;
    let kept = OrderGrowthLimits { bytes, ..OrderGrowthLimits::default() };
    let broken = OrderGrowthLimits { bytes: bytes - 1, ..OrderGrowthLimits::default() };
    assert_eq!(kept.decide(&before, command.clone()), Ok(events));
    assert_eq!(broken.decide(&before, command), Err(OrderError::TooMuch { limit_bytes: bytes - 1 }));
}

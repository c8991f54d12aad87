//! While an order is held, nothing of it is shipped, and all else goes on.

use super::*;

fn hold(id: &str, reason: &str) -> OrderCommand {
    OrderCommand::HoldOrder(OrderHeld { hold_id: HoldId::parse(id).unwrap(), reason: reason.into() })
}

fn release(id: &str) -> OrderCommand {
    OrderCommand::ReleaseOrder(Some(HoldId::parse(id).unwrap()))
}

fn ship(id: &str, quantity: u32) -> OrderCommand {
    let shipment_id = ShipmentId::parse(id).unwrap();
    OrderCommand::ShipOrder(ShipOrder { shipment_id, lines: Some(line(quantity)), parcels: vec![], location: None })
}

fn cancel() -> OrderCommand {
    OrderCommand::CancelOrder(CancellationRequested { reason: None })
}

/// Two of one line at 10.00: posted, with these events.
fn two(events: impl IntoIterator<Item = OrderEvent>) -> PlacedOrder {
    let mut content = content();
    content.lines[0].quantity = 2;
    content.lines[0].unit_price_minor = 1_000;
    content.total_minor = 2_000;
    let Order::Placed(order) = given([OrderEvent::OrderCreated(content)].into_iter().chain(events)) else {
        panic!("never placed")
    };
    *order
}

fn authorized() -> OrderEvent {
    OrderEvent::PaymentAuthorized(PaymentAuthorized {
        reference: "pay-1".into(),
        amount_minor: 2_000,
        payment_number: None,
    })
}

/// Two of one line, promised.
fn promised() -> PlacedOrder {
    two([reserved(), authorized(), confirmed()])
}

fn carry_out(order: &mut PlacedOrder, command: OrderCommand) -> Vec<&'static str> {
    let asked = format!("{command:?}");
    let events = order.decide(command).unwrap_or_else(|refusal| panic!("{asked}: {refusal}"));
    let names = events.iter().map(OrderEvent::name).collect();
    events.into_iter().for_each(|event| order.apply(event));
    names
}

#[test]
fn nothing_ships_until_every_hold_is_released() {
    let mut order = promised();
    assert_eq!(carry_out(&mut order, hold("h-1", "fraud check")), ["OrderHeld"]);
    assert_eq!(carry_out(&mut order, hold("h-2", "address unclear")), ["OrderHeld"]);
    let refused = |order: &PlacedOrder| matches!(order.decide(ship("s-1", 1)), Err(OrderError::NotAllowed { .. }));
    assert!(refused(&order) && order.is_held());
    assert_eq!(carry_out(&mut order, release("h-1")), ["OrderReleased"]);
    assert!(refused(&order) && order.is_held());
    assert_eq!(carry_out(&mut order, release("h-2")), ["OrderReleased"]);
    assert!(!order.is_held());
    assert_eq!(carry_out(&mut order, ship("s-1", 1)), ["OrderShipped"]);

    // Between two shipments.
    carry_out(&mut order, hold("h-3", "one was damaged"));
    assert_eq!((order.stage(), refused(&order)), (OrderStage::PartiallyShippedOnHold, false), "s-1 is shipped already");
    assert!(matches!(order.decide(ship("s-2", 1)), Err(OrderError::NotAllowed { .. })));
    assert_eq!(carry_out(&mut order, OrderCommand::ReleaseOrder(None)), ["OrderReleased"]);
    assert_eq!(carry_out(&mut order, ship("s-2", 1)), ["OrderShipped"]);
}

#[test]
fn all_holds_are_released_at_once() {
    let mut order = promised();
    carry_out(&mut order, hold("h-1", "fraud check"));
    carry_out(&mut order, hold("h-2", "address unclear"));
    assert_eq!(carry_out(&mut order, OrderCommand::ReleaseOrder(None)), ["OrderReleased"; 2]);
    assert_eq!(carry_out(&mut order, OrderCommand::ReleaseOrder(None)), [""; 0]);
    assert!(!order.is_held());
}

#[test]
fn a_hold_that_is_asked_for_again_is_no_other_hold() {
    let mut order = promised();
    carry_out(&mut order, hold("h-1", "fraud check"));
    assert_eq!(carry_out(&mut order, hold("h-1", "fraud check")), [""; 0]);
    assert_eq!(order.decide(hold("h-1", "other")), Err(OrderError::IdTaken { what: "hold" }));
    carry_out(&mut order, release("h-1"));
    assert_eq!(carry_out(&mut order, release("h-1")), [""; 0]);
    assert_eq!(order.decide(hold("h-1", "fraud check")), Err(OrderError::IdTaken { what: "hold" }), "it is over");
    assert!(!order.is_held());
    let missing = HoldId::parse("h-9").unwrap();
    assert_eq!(order.decide(release("h-9")), Err(OrderError::NoSuchHold(missing)));
}

#[test]
fn an_order_that_is_held_early_is_confirmed_and_runs_out_as_any() {
    let mut order = two([]);
    carry_out(&mut order, hold("h-1", "fraud check"));
    assert!(order.is_held());
    for event in [reserved(), authorized()] {
        order.apply(event);
    }
    assert_eq!(carry_out(&mut order, OrderCommand::ConfirmOrder { mail_staff: false }), ["OrderConfirmed"]);
    assert_eq!(order.stage(), OrderStage::ConfirmedOnHold);

    let mut late = two([reserved()]);
    carry_out(&mut late, hold("h-1", "fraud check"));
    let expired = OrderCommand::RecordStockReleased(StockReleased { expired: true });
    assert_eq!(carry_out(&mut late, expired), ["StockReleased"]);
    assert!(!late.is_held(), "it is undone");
}

#[test]
fn whatever_moves_no_goods_goes_on() {
    let mut order = promised();
    carry_out(&mut order, ship("s-1", 1));
    let shipment_id = ShipmentId::parse("s-1").unwrap();
    let captured = PaymentCaptured {
        shipment_id: shipment_id.clone(),
        amount_minor: 1_000,
        reference: "cap".into(),
        payment_number: None,
    };
    carry_out(&mut order, hold("h-1", "fraud check"));
    let note = NoteAdded { note_id: NoteId::parse("n-1").unwrap(), text: "x".into(), author: None };
    let back = ReturnRequested { return_id: ReturnId::parse("r-1").unwrap(), lines: line(1), reason: None };
    let refund = RequestRefund { refund_id: RefundId::parse("f-1").unwrap(), amount_minor: Some(1), reason: None };
    for (command, event) in [
        (OrderCommand::RecordPaymentCaptured(captured), "PaymentCaptured"),
        (OrderCommand::AddNote(note), "NoteAdded"),
        (OrderCommand::RequestRefund(refund), "RefundRequested"),
        (OrderCommand::RequestReturn(back), "ReturnRequested"),
        (OrderCommand::DeliverShipment(DeliverShipment { shipment_id, delivered_at: None }), "ShipmentDelivered"),
    ] {
        assert_eq!(carry_out(&mut order, command), [event]);
    }
    // Nothing is left that could be held.
    assert_eq!(carry_out(&mut order, cancel()), ["LinesCancelled", "OrderDelivered"]);
    assert!(!order.is_held());

    let mut order = promised();
    carry_out(&mut order, hold("h-1", "fraud check"));
    assert_eq!(carry_out(&mut order, cancel()), ["CancellationRequested"]);
    assert!(!order.is_held());
    assert!(matches!(order.decide(release("h-1")), Err(OrderError::NotAllowed { .. })));
}

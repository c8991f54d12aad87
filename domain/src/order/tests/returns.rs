//! Goods come back: in parts, in whatever condition, or not after all.

use super::*;
use crate::ids::OrderId;
use crate::stock::{StockCommand, StockReturned};

fn return_id(id: &str) -> ReturnId {
    ReturnId::parse(id).unwrap()
}

fn announce(id: &str, quantity: u32) -> OrderCommand {
    OrderCommand::RequestReturn(ReturnRequested { return_id: return_id(id), lines: line(quantity), reason: None })
}

fn units(quantity: u32) -> ReceivedLine {
    LineQuantity { line_number: 1, quantity }.into()
}

fn receive(id: &str, receipt: &str, lines: Option<Vec<ReceivedLine>>) -> OrderCommand {
    let receipt = NewReceipt { receipt_id: ReceiptId::parse(receipt).unwrap(), lines, location: None };
    OrderCommand::ReceiveReturn(ReceiveReturn { return_id: return_id(id), receipt: Some(receipt) })
}

fn receive_all(id: &str) -> OrderCommand {
    OrderCommand::ReceiveReturn(ReceiveReturn::all_of(return_id(id)))
}

fn cancel(id: &str, reason: Option<&str>) -> OrderCommand {
    OrderCommand::CancelReturn(ReturnCancelled { return_id: return_id(id), reason: reason.map(Into::into) })
}

fn carry_out(order: &mut PlacedOrder, command: &OrderCommand) -> Vec<OrderEvent> {
    let events = order.decide(command.clone()).unwrap_or_else(|refusal| panic!("{command:?}: {refusal}"));
    events.iter().for_each(|event| order.apply(event.clone()));
    let mut recounted = order.clone();
    recounted.recount();
    assert_eq!(recounted.counts, order.counts);
    assert_eq!(serde_json::from_str::<PlacedOrder>(&serde_json::to_string(order).unwrap()).unwrap(), *order);
    events
}

/// Three of one line for 10.00 in all, sent and paid for; then these commands.
fn three(commands: impl IntoIterator<Item = OrderCommand>) -> PlacedOrder {
    let mut content = content();
    content.lines[0].quantity = 3;
    content.lines[0].unit_price_minor = 400;
    content.lines[0].discounts = vec![Discount { amount_minor: 200, ..Discount::default() }];
    content.total_minor = 1_000;
    let held = OrderEvent::PaymentAuthorized(PaymentAuthorized {
        payment_number: None,
        reference: "pay-1".into(),
        amount_minor: 1_000,
    });
    let Order::Placed(mut order) = given([OrderEvent::OrderCreated(content), reserved(), held, confirmed()]) else {
        panic!("never placed")
    };
    let shipment_id = ShipmentId::parse("s").unwrap();
    let ship = ShipOrder { shipment_id: shipment_id.clone(), lines: None, parcels: vec![], location: None };
    let captured = PaymentCaptured { payment_number: None, shipment_id, amount_minor: 1_000, reference: "cap".into() };
    let sent = [OrderCommand::ShipOrder(ship), OrderCommand::RecordPaymentCaptured(captured)];
    for command in sent.into_iter().chain(commands) {
        carry_out(&mut order, &command);
    }
    *order
}

fn refunds(order: &PlacedOrder) -> Vec<(String, i64)> {
    order.refunds.iter().map(|it| (it.id.to_string(), it.amount_minor)).collect()
}

#[test]
fn a_return_that_comes_in_parts_is_refunded_part_by_part_to_the_last_unit() {
    let mut order = three([announce("r", 3), receive("r", "e-1", Some(vec![units(1)]))]);
    assert_eq!(order.returns_status(), ReturnsStatus::PartiallyReturned);
    assert!(order.returns[0].is_open() && !order.returns[0].received);
    carry_out(&mut order, &receive("r", "e-2", Some(vec![units(1)])));
    let events = carry_out(&mut order, &receive_all("r"));

    // What came with the last receipt is said, and that receipt has a name.
    let [OrderEvent::ReturnReceived(last)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((&last.receipt_id, &last.lines), (&Some(ReceiptId::of_the_rest()), &vec![units(1)]));
    assert_eq!(order.returns_status(), ReturnsStatus::Returned);
    assert!(order.returns[0].received);
    let refunds = refunds(&order);
    assert_eq!(refunds.iter().map(|(_, amount)| *amount).collect::<Vec<_>>(), [333, 333, 334]);
    // The first refund has the return's id, as ever. The others' are derived, so that they are the same whenever they are asked for.
    assert_eq!(refunds[0].0, "r");
    assert_eq!(refunds[1].0, RefundId::of_receipt(&return_id("r"), &ReceiptId::parse("e-2").unwrap()).to_string());
    assert_eq!(refunds[1].0, "520071fc-3496-5fa2-a066-1369dfe3aed4");
    assert_ne!(refunds[1].0, refunds[2].0);
}

#[test]
fn a_return_that_comes_all_at_once_is_stored_as_it_always_was() {
    let mut order = three([announce("r", 2)]);
    let events = carry_out(&mut order, &receive_all("r"));
    assert_eq!(serde_json::to_string(&events[0]).unwrap(), r#"{"ReturnReceived":{"returnId":"r","refundMinor":666}}"#);
    assert_eq!(cqrs_es::DomainEvent::event_version(&events[0]), "1.0");
    let stored = serde_json::to_string(&order.returns).unwrap();
    assert_eq!(
        stored,
        r#"[{"id":"r","lines":[{"line_number":1,"quantity":2}],"reason":null,"received":true}]"#
            .replace("line_number", "lineNumber")
    );
    assert_eq!(order.decide(receive_all("r")), Ok(vec![]));
    let golden = include_str!("../../../golden/events/ReturnReceived-1.0.json");
    let received = event_versions::decode::<Order>("ReturnReceived", "1.0", golden).unwrap();
    assert_eq!(cqrs_es::DomainEvent::event_version(&received), "1.0");
    assert_eq!(serde_json::to_string(&received).unwrap(), golden.trim_end());
}

#[test]
fn a_receipt_is_made_once_under_its_id() {
    let order = three([announce("r", 3), receive("r", "e-1", Some(vec![units(1)]))]);
    assert_eq!(order.decide(receive("r", "e-1", Some(vec![units(1)]))), Ok(vec![]));
    assert_eq!(order.decide(receive("r", "e-1", None)), Ok(vec![]));
    assert_eq!(order.decide(receive("r", "e-1", Some(vec![units(2)]))), Err(OrderError::IdTaken { what: "receipt" }));
    let events = order.decide(receive("r", "e-2", Some(vec![units(1)]))).unwrap();
    assert_eq!(events.len(), 1, "the same again under another id is another receipt");
}

#[test]
fn no_more_comes_back_than_was_announced() {
    let order = three([announce("r", 2), receive("r", "e-1", Some(vec![units(1)]))]);
    let too_many = |lines| order.decide(receive("r", "e-2", Some(lines)));
    assert_eq!(too_many(vec![units(2)]), Err(OrderError::TooMany { line_number: 1, left: Quantity::of(1, None) }));
    let damaged = ReceivedLine { condition: Some(ItemCondition::Damaged), ..units(1) };
    assert_eq!(
        too_many(vec![units(1), damaged.clone()]),
        Err(OrderError::TooMany { line_number: 1, left: Quantity::of(1, None) })
    );
    assert_eq!(too_many(vec![damaged.clone(), damaged]), Err(OrderError::LineTwice { line_number: 1 }));
    let other = ReceivedLine { line_number: 2, ..units(1) };
    assert_eq!(too_many(vec![other]), Err(OrderError::NoSuchLine { line_number: 2 }));
    assert_eq!(order.decide(receive("x", "e", None)), Err(OrderError::NoSuchReturn(return_id("x"))));

    let order = three([announce("r", 1), receive_all("r")]);
    let over = OrderError::ReturnIsClosed { return_id: return_id("r"), was: "received" };
    assert_eq!(over.to_string(), "the return r was received");
    assert_eq!(order.decide(receive("r", "e", None)), Err(over.clone()));
    assert_eq!(order.decide(cancel("r", None)), Err(over));
}

#[test]
fn a_return_that_is_cancelled_never_was() {
    let mut order = three([announce("r", 2)]);
    assert_eq!(
        order.decide(announce("q", 2)),
        Err(OrderError::TooMany { line_number: 1, left: Quantity::of(1, None) })
    );
    carry_out(&mut order, &cancel("r", Some("keeps it")));
    assert_eq!((order.returns_status(), order.returned(1)), (ReturnsStatus::None, 0));
    assert_eq!(order.decide(cancel("r", Some("another reason"))), Ok(vec![]), "the first reason stands");
    let over = OrderError::ReturnIsClosed { return_id: return_id("r"), was: "cancelled" };
    assert_eq!(order.decide(receive_all("r")), Err(over));
    assert_eq!(order.decide(cancel("x", None)), Err(OrderError::NoSuchReturn(return_id("x"))));
    carry_out(&mut order, &announce("q", 3));
    carry_out(&mut order, &receive_all("q"));
    assert_eq!((order.returns_status(), refunds(&order)), (ReturnsStatus::Returned, vec![("q".to_owned(), 1_000)]));
}

#[test]
fn a_return_of_which_the_rest_does_not_come_is_closed() {
    let commands = [announce("r", 3), receive("r", "e-1", Some(vec![units(1)])), cancel("r", None)];
    let mut order = three(commands);
    assert_eq!((order.returned(1), order.counts(1).received), (1, 1));
    assert_eq!(order.returns_status(), ReturnsStatus::PartiallyReturned);
    assert!(matches!(order.decide(receive_all("r")), Err(OrderError::ReturnIsClosed { was: "cancelled", .. })));
    carry_out(&mut order, &announce("q", 2));
    carry_out(&mut order, &receive_all("q"));
    assert_eq!(refunds(&order), [("r".to_owned(), 333), ("q".to_owned(), 667)]);
}

#[test]
fn an_id_that_a_receipt_needs_for_its_refund_is_not_taken_twice() {
    let taken = RefundId::of_receipt(&return_id("r"), &ReceiptId::parse("e-2").unwrap());
    let refund = RequestRefund { refund_id: taken, amount_minor: Some(1), reason: None };
    let order =
        three([announce("r", 3), receive("r", "e-1", Some(vec![units(1)])), OrderCommand::RequestRefund(refund)]);
    assert_eq!(order.decide(receive("r", "e-2", None)), Err(OrderError::IdTaken { what: "refund" }));
    assert!(order.decide(receive("r", "e-3", None)).is_ok());
}

#[test]
fn what_is_put_back_into_stock_is_said_line_by_line() {
    let mut order = three([announce("r", 3)]);
    let good = ReceivedLine { condition: Some(ItemCondition::Sellable), restock: true, ..units(1) };
    let unseen = ReceivedLine { restock: true, ..units(1) };
    let bad = ReceivedLine { condition: Some(ItemCondition::Damaged), ..units(1) };
    let events = carry_out(&mut order, &receive("r", "e", Some(vec![good, unseen, bad])));
    let order_id = OrderId::parse("o").unwrap();
    let (return_id, location) = (return_id("r"), LocationId::default());
    let returned = StockReturned { unit: None, order_id: order_id.clone(), return_id, quantity: 2, location };
    assert!(implies_stock_commands(&events[0]));
    assert_eq!(
        implied_stock_commands(&order_id, &order, &events[0]),
        [(Sku::parse("sku-123").unwrap(), StockCommand::PutBack(returned))]
    );
    let mut order = three([announce("r", 3)]);
    let events = carry_out(&mut order, &receive_all("r"));
    assert!(!implies_stock_commands(&events[0]));
    assert_eq!(implied_stock_commands(&order_id, &order, &events[0]), []);
}

#[test]
fn so_many_receipts_and_no_more_but_for_the_last_of_each_return() {
    let few = OrderGrowthLimits { receipts: 1, ..OrderGrowthLimits::default() };
    let order = three([announce("r", 3), receive("r", "e-1", Some(vec![units(1)]))]);
    let order = Order::Placed(Box::new(order));
    let limit = OrderError::TooManyOf { action: OrderAction::ReceiveReturn, limit: 1 };
    assert_eq!(few.decide(&order, receive("r", "e-2", Some(vec![units(1)]))), Err(limit));
    for last in [receive("r", "e-2", Some(vec![units(2)])), receive("r", "e-2", None), receive_all("r")] {
        assert_eq!(few.decide(&order, last).map(|events| events.len()), Ok(1));
    }
}

#[test]
fn what_a_receipt_and_a_cancellation_add_is_what_the_order_has_more_afterwards() {
    let mut order = three([announce("r", 3)]);
    for command in [receive("r", "e-1", Some(vec![units(1)])), cancel("r", Some("keeps the rest"))] {
        let before = Order::Placed(Box::new(order.clone()));
        carry_out(&mut order, &command);
        let bytes = order.attached_bytes();
        let kept = OrderGrowthLimits { bytes, ..OrderGrowthLimits::default() };
        let broken = OrderGrowthLimits { bytes: bytes - 1, ..OrderGrowthLimits::default() };
        assert_eq!(kept.decide(&before, command.clone()).map(|events| events.len()), Ok(1));
        assert_eq!(broken.decide(&before, command), Err(OrderError::TooMuch { limit_bytes: bytes - 1 }));
    }
}

#[test]
fn goods_by_measure_are_put_back_in_their_unit() {
    let Order::Placed(order) = given([OrderEvent::OrderCreated(by_weight())]) else { panic!("it is placed") };
    let back = ReceivedLine { line_number: 1, quantity: 200, condition: None, restock: true };
    assert_eq!(order.units_to_restock([&back]).into_values().collect::<Vec<_>>(), [200]);
}

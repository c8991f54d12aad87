//! Some of an order is cancelled: what will not be sent is not paid for, and the rest comes to its end.

use super::*;

fn cancel(id: &str, quantity: u32) -> OrderCommand {
    let cancellation_id = CancellationId::parse(id).unwrap();
    OrderCommand::CancelLines(CancelLines { cancellation_id, lines: line(quantity), reason: None })
}

fn cancel_the_rest() -> OrderCommand {
    OrderCommand::CancelOrder(CancellationRequested { reason: Some("sold out".into()) })
}

fn ship(id: &str, lines: Option<Vec<LineQuantity>>) -> OrderCommand {
    let shipment_id = ShipmentId::parse(id).unwrap();
    OrderCommand::ShipOrder(ShipOrder { shipment_id, lines, parcels: vec![], location: None })
}

fn captured(id: &str, amount_minor: i64) -> OrderCommand {
    let shipment_id = ShipmentId::parse(id).unwrap();
    OrderCommand::RecordPaymentCaptured(PaymentCaptured {
        payment_number: None,
        shipment_id,
        amount_minor,
        reference: "cap".into(),
    })
}

/// Two of one line at 10.00, promised; then these commands.
fn two(commands: impl IntoIterator<Item = OrderCommand>) -> PlacedOrder {
    let mut content = content();
    content.lines[0].quantity = 2;
    content.lines[0].unit_price_minor = 1_000;
    content.total_minor = 2_000;
    let held = OrderEvent::PaymentAuthorized(PaymentAuthorized {
        payment_number: None,
        reference: "pay-1".into(),
        amount_minor: 2_000,
    });
    let Order::Placed(mut order) = given([OrderEvent::OrderCreated(content), reserved(), held, confirmed()]) else {
        panic!("never placed")
    };
    for command in commands {
        let events = order.decide(command.clone()).unwrap_or_else(|refusal| panic!("{command:?}: {refusal}"));
        events.into_iter().for_each(|event| order.apply(event));
    }
    *order
}

#[test]
fn an_order_of_which_the_rest_cannot_ship_comes_to_its_end() {
    let order = two([ship("s", Some(line(1))), captured("s", 1_000)]);
    assert_eq!(
        (order.stage(), order.payment_status()),
        (OrderStage::PartiallyShipped, PaymentStatus::PartiallyCaptured)
    );

    let order = two([ship("s", Some(line(1))), captured("s", 1_000), cancel_the_rest()]);

    assert_eq!((order.stage(), order.fulfilment_status()), (OrderStage::Shipped, FulfilmentStatus::Shipped));
    assert_eq!((order.unshipped(), order.cancelled_minor()), (vec![], 1_000));
    // The other 10.00 are let go of, and what is left of the order is paid.
    assert!(order.has_rest_to_void());
    assert_eq!((order.held_minor(), order.payment_status()), (1_000, PaymentStatus::Captured));
    let voided = OrderCommand::RecordPaymentVoided(PaymentVoided::default());
    let order = two([ship("s", Some(line(1))), captured("s", 1_000), cancel_the_rest(), voided.clone()]);
    assert!(!order.has_rest_to_void());
    assert_eq!((order.held_minor(), order.payment_status()), (0, PaymentStatus::Captured));
    assert_eq!((order.decide(voided), order.decide(cancel_the_rest())), (Ok(vec![]), Ok(vec![])));
    assert_eq!(order.decide(OrderCommand::DeliverOrder), Ok(vec![OrderEvent::OrderDelivered(OrderDelivered {})]));
    // What was taken can go back as ever, and what was not sent can't.
    assert_eq!(order.refundable_minor(false), 1_000);
    let back = |quantity| {
        let return_id = ReturnId::parse("r").unwrap();
        OrderCommand::RequestReturn(ReturnRequested { return_id, lines: line(quantity), reason: None })
    };
    assert_eq!(order.decide(back(2)), Err(OrderError::TooMany { line_number: 1, left: Quantity::of(1, None) }));
}

#[test]
fn the_money_is_let_go_of_once_everything_that_was_sent_is_paid() {
    let order = two([ship("s", Some(line(1))), cancel_the_rest()]);
    assert!(!order.has_rest_to_void());
    assert_eq!(order.decide(OrderCommand::RecordPaymentVoided(PaymentVoided::default())), Err(OrderError::Stale));
}

#[test]
fn lines_are_cancelled_as_far_as_they_were_not_sent() {
    let order = two([cancel("c", 1)]);
    assert_eq!((order.stage(), order.unshipped()), (OrderStage::Confirmed, line(1)));
    assert_eq!(order.decide(cancel("c", 1)), Ok(vec![]));
    assert_eq!(order.decide(cancel("c", 2)), Err(OrderError::IdTaken { what: "cancellation" }));
    assert_eq!(order.decide(cancel("d", 2)), Err(OrderError::TooMany { line_number: 1, left: Quantity::of(1, None) }));
    assert_eq!(
        order.decide(ship("s", Some(line(2)))),
        Err(OrderError::TooMany { line_number: 1, left: Quantity::of(1, None) })
    );
    // Whoever cancels all of it cancels the order.
    assert_eq!(order.decide(cancel("d", 1)), Err(OrderError::AllOfIt));
    let all = order.decide(cancel_the_rest()).unwrap();
    assert_eq!(all.iter().map(OrderEvent::name).collect::<Vec<_>>(), ["CancellationRequested"]);

    let order = two([cancel("c", 1), ship("s", None), captured("s", 1_000)]);
    assert_eq!((order.stage(), order.payment_status()), (OrderStage::Shipped, PaymentStatus::Captured));
    let pending = given([created(), reserved()]);
    assert_eq!(decide(&pending, cancel("c", 1)), Err(OrderError::NotConfirmed));
}

#[test]
fn units_that_will_not_be_sent_go_back_and_those_that_were_sent_stay_set_aside_until_they_are_paid() {
    use crate::stock::StockCommand;
    let order_id = OrderId::parse("o").unwrap();
    let mut order = two([ship("s", Some(line(1)))]);
    let [event] = order.decide(cancel_the_rest()).unwrap().try_into().unwrap();
    order.apply(event.clone());
    let sku = Sku::parse("sku-123").unwrap();
    let beyond =
        |needed| StockCommand::ReleaseBeyond { order_id: order_id.clone(), location: LocationId::default(), needed };
    assert_eq!(implied_stock_commands(&order_id, &order, &event), [(sku, beyond(1))]);
}

#[test]
fn a_folded_order_that_a_build_without_cancellations_kept_is_read() {
    let order = two([ship("s", Some(line(1)))]);
    let stored = serde_json::to_string(&order).unwrap();
    assert!(!stored.contains("cancellations") && !stored.contains("rest_voided"), "{stored}");
    assert_eq!(serde_json::from_str::<PlacedOrder>(&stored).unwrap(), order);
}

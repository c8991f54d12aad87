//! A whole life of an order, step by step, as the other tests go through it.

use domain::ids::{RefundId, ReturnId, ShipmentId};
use domain::order::event::{LineQuantity, Parcel, ReturnRequested};
use domain::order::{OrderCommand, OrderStage, PaymentStatus, ReceiveReturn, RequestRefund, ReturnsStatus, ShipOrder};
use messaging::NotificationTemplate;

use crate::world::{PRICE, World};

pub(crate) fn units(quantity: u32) -> Vec<LineQuantity> {
    vec![LineQuantity { line_number: 1, quantity }]
}

pub(crate) fn ship(shipment: &str, lines: Option<Vec<LineQuantity>>) -> OrderCommand {
    let shipment_id = ShipmentId::parse(shipment).unwrap();
    let parcels = vec![Parcel { carrier: Some("c".into()), tracking: None }];
    OrderCommand::ShipOrder(ShipOrder { shipment_id, lines, parcels, location: None })
}

pub(crate) fn refund(refund: &str, amount_minor: Option<i64>) -> OrderCommand {
    OrderCommand::RequestRefund(RequestRefund {
        refund_id: RefundId::parse(refund).unwrap(),
        amount_minor,
        reason: Some("a scratch".into()),
    })
}

pub(crate) fn request_return(id: &str, lines: Vec<LineQuantity>) -> OrderCommand {
    let return_id = ReturnId::parse(id).unwrap();
    OrderCommand::RequestReturn(ReturnRequested { return_id, lines, reason: None })
}

pub(crate) fn receive_return(id: &str) -> OrderCommand {
    OrderCommand::ReceiveReturn(ReceiveReturn::all_of(ReturnId::parse(id).unwrap()))
}

/// What was held, taken and given back for an order in all.
pub(crate) fn money(world: &World, order_id: &str) -> (bool, i64, i64) {
    let payments = world.gateway.payments();
    let ours = payments.iter().filter(|(key, _)| key.split(':').next() == Some(order_id)).map(|(_, payment)| payment);
    ours.fold((false, 0, 0), |(held, captured, refunded), payment| {
        (held || payment.is_held(), captured + payment.captured, refunded + payment.refunded)
    })
}

#[tokio::test]
async fn each_shipment_takes_its_worth_and_its_units_and_what_comes_back_is_refunded_once() {
    let world = World::start().await;
    world.receive("s", 10).await;
    world.post("a", &[("s", 3)]).await;
    assert_eq!(world.mail().await.template, NotificationTemplate::OrderConfirmed);
    assert_eq!((world.stock("s").await.on_hand, world.stock("s").await.reserved), (10, 3));
    assert_eq!(money(&world, "a"), (true, 0, 0));

    world.ask("a", ship("s-1", Some(units(1)))).await.unwrap();
    assert_eq!(world.mail().await.template, NotificationTemplate::OrderShipped);
    assert_eq!((world.stock("s").await.on_hand, world.stock("s").await.reserved), (9, 2));
    assert_eq!(money(&world, "a"), (true, PRICE, 0));
    world.ask("a", ship("s-2", None)).await.unwrap();
    assert_eq!(world.mail().await.template, NotificationTemplate::OrderShipped);
    assert_eq!((world.stock("s").await.on_hand, world.stock("s").await.reserved), (7, 0));
    assert_eq!(money(&world, "a"), (false, 3 * PRICE, 0));

    world.ask("a", OrderCommand::DeliverOrder).await.unwrap();
    world.ask("a", request_return("r", units(1))).await.unwrap();
    world.ask("a", receive_return("r")).await.unwrap();
    assert_eq!(world.mail().await.refund_amount.as_deref(), Some("10.00"));
    world.ask("a", refund("f", Some(500))).await.unwrap();
    world.ask("a", refund("f", Some(500))).await.unwrap();
    assert_eq!(world.mail().await.refund_amount.as_deref(), Some("5.00"));
    world.eventually_nothing_waits().await;

    let order = world.order("a").await;
    assert_eq!((order.stage(), order.payment_status()), (OrderStage::Completed, PaymentStatus::PartiallyRefunded));
    assert_eq!(order.returns_status(), ReturnsStatus::PartiallyReturned);
    assert_eq!(money(&world, "a"), (false, 3 * PRICE, PRICE + 500));
    assert_eq!(world.requests_waiting().await, 0);
    world.end().await;
}

#[tokio::test]
async fn the_rest_that_cannot_ship_is_cancelled_with_its_money_and_its_units() {
    let world = World::start().await;
    world.receive("s", 10).await;
    world.promise("a", 2).await;
    world.ask("a", ship("s-1", Some(units(1)))).await.unwrap();
    assert_eq!(world.mail().await.template, NotificationTemplate::OrderShipped);
    world.eventually_nothing_waits().await;
    let order = world.order("a").await;
    assert_eq!(
        (order.stage(), order.payment_status()),
        (OrderStage::PartiallyShipped, PaymentStatus::PartiallyCaptured)
    );
    assert_eq!(money(&world, "a"), (true, PRICE, 0));

    world.cancel("a").await.unwrap();
    assert_eq!(world.stock("s").await.reserved, 0, "in the same moment");
    world.eventually_nothing_waits().await;
    world.cancel("a").await.unwrap();

    assert_eq!(money(&world, "a"), (false, PRICE, 0));
    assert_eq!((world.stock("s").await.on_hand, world.stock("s").await.sold), (9, 1));
    world.ask("a", OrderCommand::DeliverOrder).await.unwrap();
    world.eventually_nothing_waits().await;
    let order = world.order("a").await;
    assert_eq!((order.stage(), order.payment_status()), (OrderStage::Completed, PaymentStatus::Captured));
    let events = world.events("a").await;
    assert_eq!(events.iter().filter(|event| **event == "PaymentVoided").count(), 1, "{events:?}");
    assert_eq!(world.requests_waiting().await, 0);
    world.end().await;
}

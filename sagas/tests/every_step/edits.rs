//! Edits of an order: what they reserve, hold and let go of, whatever goes wrong.

use std::time::Duration;

use domain::ids::{EditId, LocationId};
use domain::order::event::{LineChange, OrderChanges, OrderLine};
use domain::order::{OrderCommand, OrderError, OrderStage, PaymentStatus, RequestEdit};
use messaging::{NotificationRequested, NotificationTemplate};
use sagas::SagaSettings;
use testkit::{PaymentCall, PaymentFault};

use crate::full_lifecycle::{ship, units};
use crate::world::{NEVER, PRICE, World};

/// Another quantity of the first line.
pub(crate) fn edit(id: &str, quantity: u32) -> OrderCommand {
    let change = LineChange { line_number: 1, quantity: Some(quantity), ..LineChange::default() };
    request(id, OrderChanges { lines: vec![change], ..OrderChanges::default() })
}

fn request(id: &str, changes: OrderChanges) -> OrderCommand {
    OrderCommand::RequestEdit(RequestEdit { edit_id: EditId::parse(id).unwrap(), changes, payment: None, reason: None })
}

/// What the provider holds for the order and has not taken.
fn held(world: &World, order_id: &str) -> i64 {
    let payments = world.gateway.payments().into_iter();
    let ours = payments.filter(|(key, _)| key.split([':', '#']).next() == Some(order_id));
    ours.filter(|(_, it)| it.is_held()).map(|(_, it)| it.authorized - it.captured).sum()
}

/// The customer hears of the edit, and then nothing waits.
async fn told(world: &World) -> NotificationRequested {
    let mail = world.mail().await;
    assert_eq!(mail.template, NotificationTemplate::OrderEdited);
    world.eventually_nothing_waits().await;
    mail
}

#[tokio::test]
async fn an_edit_holds_what_is_more_and_reserves_it_and_gives_back_what_is_less() {
    let world = World::start().await;
    world.receive("s", 10).await;
    world.receive("t", 10).await;
    world.promise("a", 2).await;

    world.ask("a", edit("up", 3)).await.unwrap();
    let mail = told(&world).await;
    assert_eq!(world.events("a").await[5..8], ["OrderEditRequested", "PaymentAuthorized", "OrderEdited"]);
    let told_of = mail.details.edit.unwrap();
    let line = &told_of.lines[0];
    assert_eq!((line.quantity_before.as_str(), line.quantity.as_str(), told_of.lines.len()), ("2", "3", 1));
    assert_eq!((told_of.total_before.as_str(), told_of.total_after.as_deref()), ("20.00", Some("30.00")));
    assert_eq!((told_of.added_payment.as_deref(), told_of.released), (Some("10.00"), None));
    assert_eq!((held(&world, "a"), world.stock("s").await.reserved), (3 * PRICE, 3));

    // Some of it ships. The other units become those of another SKU.
    world.ask("a", ship("s-1", Some(units(1)))).await.unwrap();
    assert_eq!(world.mail().await.template, NotificationTemplate::OrderShipped);
    let order = world.order("a").await;
    let line = OrderLine { sku: domain::ids::Sku::parse("t").unwrap(), quantity: 1, ..order.content.lines[0].clone() };
    let change = LineChange { line_number: 1, quantity: Some(1), ..LineChange::default() };
    let changes = OrderChanges { lines: vec![change], added_lines: vec![line], ..OrderChanges::default() };
    world.ask("a", request("other", changes)).await.unwrap();
    let told_of = told(&world).await.details.edit.unwrap();
    assert_eq!((told_of.added_payment, told_of.released.as_deref()), (None, Some("10.00")));
    assert_eq!(world.order("a").await.content.total_minor, 2 * PRICE);
    assert_eq!((world.stock("s").await.reserved, world.stock("t").await.reserved), (0, 1));

    world.ask("a", ship("s-2", None)).await.unwrap();
    assert_eq!(world.mail().await.template, NotificationTemplate::OrderShipped);
    world.eventually_nothing_waits().await;
    let order = world.order("a").await;
    assert_eq!((order.captured_minor(), order.payment_status()), (2 * PRICE, PaymentStatus::Captured));
    assert_eq!((held(&world, "a"), world.stock("t").await.on_hand), (0, 9));
    world.end().await;
}

#[tokio::test]
async fn units_that_an_edit_adds_come_from_where_they_are_and_go_back_there() {
    let world = World::start().await;
    world.receive("s", 3).await;
    world.promise("a", 2).await;
    world.receive_at("berlin", "s", 4).await;
    let reserved = async |location: &str| {
        let stock = world.stock("s").await;
        let here = stock.locations.get(&LocationId::parse(location).unwrap()).cloned().unwrap_or_default();
        (here.on_hand, here.reserved)
    };

    // Berlin has the most of what is missing.
    world.ask("a", edit("up", 5)).await.unwrap();
    told(&world).await;
    assert_eq!((reserved("default").await, reserved("berlin").await), ((3, 2), (4, 3)));
    world.ask("a", edit("down", 4)).await.unwrap();
    told(&world).await;
    assert_eq!((reserved("default").await, reserved("berlin").await), ((3, 2), (4, 2)));
    // At both there is too little, and nothing is reserved at one of them for nothing.
    world.ask("a", edit("more", 8)).await.unwrap();
    world.eventually_nothing_waits().await;
    assert_eq!(world.events("a").await.iter().filter(|name| **name == "OrderEditRejected").count(), 1);
    assert_eq!((reserved("default").await, reserved("berlin").await), ((3, 2), (4, 2)));

    world.ask("a", ship("s-1", Some(units(3)))).await.unwrap();
    assert_eq!(world.mail().await.template, NotificationTemplate::OrderShipped);
    world.eventually_nothing_waits().await;
    assert_eq!((reserved("default").await, reserved("berlin").await), ((1, 0), (3, 1)));
    world.ask("a", ship("s-2", None)).await.unwrap();
    assert_eq!(world.mail().await.template, NotificationTemplate::OrderShipped);
    world.eventually_nothing_waits().await;
    assert_eq!((reserved("default").await, reserved("berlin").await), ((1, 0), (2, 0)));
    let order = world.order("a").await;
    assert_eq!((held(&world, "a"), order.captured_minor()), (0, 4 * PRICE));
    world.end().await;
}

#[tokio::test]
async fn a_cancellation_while_an_edit_is_in_work_lets_go_of_all_that_is_held() {
    let world = World::start().await;
    world.receive("s", 10).await;
    world.promise("a", 2).await;
    // The provider holds the difference, and nobody hears of it.
    world.gateway.always(PaymentCall::Authorize, Some(PaymentFault::AnswerLost));
    world.gateway.always(PaymentCall::Find, Some(PaymentFault::Unavailable));
    world.ask("a", edit("e", 3)).await.unwrap();
    world.eventually_has("a", "PaymentOutcomeUnknown").await;
    let refused = world.ask("a", ship("s-1", None)).await;
    assert!(matches!(refused, Err(OrderError::NotAllowed { stage: OrderStage::Editing, .. })), "{refused:?}");

    world.cancel("a").await.unwrap();

    world.is_undone("a", NotificationTemplate::OrderCancelled, "changed my mind").await;
    assert_eq!((held(&world, "a"), world.stock("s").await.available()), (0, 10));
    world.end().await;
}

#[tokio::test]
async fn a_crash_at_any_step_of_an_edit_neither_loses_it_nor_makes_it_twice() {
    let call = Duration::from_millis(200);
    let settings = SagaSettings { reply_deadline: NEVER, payment_call_timeout: call, ..SagaSettings::default() };
    let mut world = World::with(settings).await;
    world.receive("s", 10).await;
    for event in ["PaymentAuthorized", "OrderEdited"] {
        let order_id = format!("before-{event}");
        world.promise(&order_id, 1).await;
        world.hang(event).await;
        world.ask(&order_id, edit("e", 2)).await.unwrap();
        world.crash_while_storing().await;
        told(&world).await;
        assert_eq!(world.events(&order_id).await[5..8], ["OrderEditRequested", "PaymentAuthorized", "OrderEdited"]);
        assert_eq!((held(&world, &order_id), world.stock("s").await.reserved), (2 * PRICE, 2), "{event}");
        world.cancel(&order_id).await.unwrap();
        world.is_undone(&order_id, NotificationTemplate::OrderCancelled, "changed my mind").await;
    }
    for event in ["OrderEditRejected", "PaymentVoided"] {
        let order_id = format!("before-{event}");
        world.promise(&order_id, 1).await;
        world.hang(event).await;
        world.ask(&order_id, edit("e", 12)).await.unwrap();
        world.crash_while_storing().await;
        world.eventually_nothing_waits().await;
        let events = ["OrderEditRequested", "PaymentAuthorized", "OrderEditRejected", "PaymentVoided"];
        assert_eq!(world.events(&order_id).await[5..], events, "{event}");
        assert_eq!((held(&world, &order_id), world.stock("s").await.reserved), (PRICE, 1), "{event}");
        world.cancel(&order_id).await.unwrap();
        world.is_undone(&order_id, NotificationTemplate::OrderCancelled, "changed my mind").await;
    }
    world.end().await;
}

#[tokio::test]
async fn what_is_counted_in_another_unit_than_it_was_ordered_in_is_not_reserved() {
    let world = World::start().await;
    world.post("a", &[("t", 1)]).await;
    assert_eq!(world.mail().await.template, NotificationTemplate::OrderConfirmed);
    world.eventually_nothing_waits().await;
    world.receive_in(Some("kg"), "default", "t", 9_000).await;

    world.ask("a", edit("e", 2)).await.unwrap();
    world.eventually_nothing_waits().await;

    let order = world.order("a").await;
    assert_eq!((order.stage(), order.content.total_minor), (OrderStage::Confirmed, PRICE));
    assert_eq!((held(&world, "a"), world.stock("t").await.reserved), (PRICE, 0));
    world.end().await;
}

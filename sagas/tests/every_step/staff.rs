//! The mail to the staff of the shop.

use messaging::NotificationTemplate;
use sagas::SagaSettings;

use crate::full_lifecycle::{ship, units};
use crate::world::{NEVER, World, sent};

async fn with_staff() -> World {
    let world = World::with(SagaSettings { reply_deadline: NEVER, mail_staff: true, ..SagaSettings::default() }).await;
    world.receive("s", 10).await;
    world
}

#[tokio::test]
async fn staff_are_told_once_and_no_customer_waits_for_their_mail() {
    let mut world = with_staff().await;
    world.post("a", &[("s", 3)]).await;
    assert_eq!(world.mail().await.template, NotificationTemplate::OrderConfirmed);
    let to_staff = world.unanswered_mail().await;
    assert_eq!((to_staff.template, to_staff.recipient.as_ref()), (NotificationTemplate::StaffNewOrder, None));

    // It has no answer, and the customer hears of the shipment all the same.
    world.ask("a", ship("s-1", Some(units(1)))).await.unwrap();
    assert_eq!(world.mail().await.template, NotificationTemplate::OrderShipped);

    world.crash().await;
    world.start_copy();
    world.answer("a", sent(&to_staff)).await;
    world.answer("a", sent(&to_staff)).await;
    world.eventually_nothing_waits().await;
    world.deliver_everything_again().await;
    world.eventually_nothing_waits().await;

    assert_eq!(world.requests_waiting().await, 0);
    let told = world.events("a").await.into_iter().filter(|event| *event == "NotificationSent").count();
    assert_eq!(told, 3);
    world.end().await;
}

#[tokio::test]
async fn staff_hear_nothing_of_an_order_that_is_not_confirmed() {
    let world = with_staff().await;
    world.post("short", &[("s", 11)]).await;
    world.is_undone("short", NotificationTemplate::OrderRejected, "not enough in stock: s").await;
    world.eventually_nothing_waits().await;
    assert_eq!(world.requests_waiting().await, 0);
    world.end().await;
}

//! What mails wait for, and for how long.

use std::time::Duration;

use domain::order::event::OrderNumbered;
use domain::order::{Order, OrderEvent};
use event_store::{Metadata, NewEvent, StreamAppend};
use messaging::NotificationTemplate;
use sagas::{AwaitedByMails, SagaSettings};

use crate::world::{NEVER, PATIENCE, World};

async fn numbered_within(at_most: Duration) -> World {
    let awaited_by_mails = AwaitedByMails { numbers: true, at_most, ..AwaitedByMails::default() };
    World::with(SagaSettings { reply_deadline: NEVER, awaited_by_mails, ..SagaSettings::default() }).await
}

/// As the follower that numbers orders does it.
async fn number(world: &World, order_id: &str, order_number: &str) {
    let number = OrderNumbered { order_number: order_number.to_owned(), series: "A-2026".to_owned(), sequence: 42 };
    let metadata = Metadata { actor: Some("order_numbers".to_owned()), ..Metadata::default() };
    let event = NewEvent::new(&OrderEvent::OrderNumbered(number), &metadata).unwrap();
    let append = StreamAppend {
        stream_type: <Order as cqrs_es::Aggregate>::TYPE,
        stream_id: order_id.to_owned(),
        expected_version: world.store.load::<Order>(order_id).await.unwrap().version,
        events: vec![event],
    };
    world.store.append(vec![append]).await.unwrap();
}

#[tokio::test]
async fn a_mail_waits_for_the_number_of_its_order_whoever_crashes_meanwhile() {
    let mut world = numbered_within(NEVER).await;
    world.post("a", &[("s", 1)]).await;
    let waits =
        "select count(*) from saga_work where order_id = 'a' and step = 'notify_customer' and sent = 0 and not stuck";
    testkit::eventually(PATIENCE, || async { world.count(waits).await == 1 }).await;
    world.crash().await;
    world.end_claims().await;
    world.start_copy();
    // It was looked at again.
    let looked_at = "update saga_work set due_at = now() - interval '1 minute' where order_id = 'a'";
    world.execute(looked_at).await;
    let later = "select count(*) from saga_work where order_id = 'a' and due_at > now() - interval '1 minute'";
    testkit::eventually(PATIENCE, || async { world.count(later).await == 1 }).await;
    assert_eq!((world.requests_waiting().await, world.count(waits).await), (0, 1));

    number(&world, "a", "A-2026-000042").await;
    let mail = world.mail().await;
    assert_eq!(mail.template, NotificationTemplate::OrderConfirmed);
    assert_eq!((mail.order_number.as_deref(), mail.attempt), (Some("A-2026-000042"), 1));
    world.eventually_nothing_waits().await;
    assert_eq!(world.requests_waiting().await, 0);
    world.end().await;
}

#[tokio::test]
async fn a_mail_goes_without_a_number_that_does_not_come_and_the_order_is_not_stuck() {
    let world = numbered_within(Duration::from_millis(1)).await;
    world.post("a", &[("s", 1)]).await;
    let mail = world.mail().await;
    assert_eq!((mail.template, mail.order_number), (NotificationTemplate::OrderConfirmed, None));
    world.eventually_nothing_waits().await;

    // One that comes later changes nothing, and the next mail has it.
    number(&world, "a", "A-2026-000043").await;
    world.eventually_nothing_waits().await;
    assert_eq!(world.requests_waiting().await, 0);
    world.cancel("a").await.unwrap();
    assert_eq!(world.mail().await.order_number.as_deref(), Some("A-2026-000043"));
    world.end().await;
}

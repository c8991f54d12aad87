//! What mails wait for, and for how long.

use std::time::Duration;

use domain::order::event::OrderNumbered;
use domain::order::{Order, OrderEvent};
use event_store::{Metadata, NewEvent, StreamAppend};
use messaging::NotificationTemplate;
use sagas::{AwaitedByMails, SagaSettings};

use crate::world::{NEVER, PATIENCE, World};

/// The follower that numbers orders.
const NUMBERS: &str = "order_numbers";

async fn numbered_within(at_most: Duration) -> World {
    let awaited_by_mails = AwaitedByMails { numbers: Some(NUMBERS), at_most, ..AwaitedByMails::default() };
    World::with(SagaSettings { reply_deadline: NEVER, awaited_by_mails, ..SagaSettings::default() }).await
}

/// The follower has come to a position.
async fn numbering_is_at(world: &World, position: i64) {
    world
        .execute(&format!(
            "insert into subscription_partitions (subscription, partition, position)
             select '{NUMBERS}', partition, {position} from generate_series(0, 15) as partition
             on conflict (subscription, partition) do update set position = excluded.position"
        ))
        .await;
}

/// As the follower that numbers orders does it.
async fn number(world: &World, order_id: &str, order_number: &str) {
    let number = OrderNumbered { order_number: order_number.to_owned(), series: "A-2026".to_owned(), sequence: 42 };
    let metadata = Metadata { actor: Some(NUMBERS.to_owned()), ..Metadata::default() };
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
    numbering_is_at(&world, 0).await;
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
    numbering_is_at(&world, 0).await;
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

#[tokio::test]
async fn a_mail_of_an_order_of_before_numbers_were_given_waits_for_none() {
    let world = numbered_within(NEVER).await;
    // The follower has not begun: it begins behind this order.
    world.post("a", &[("s", 1)]).await;
    assert_eq!(world.mail().await.order_number, None);
    world.eventually_nothing_waits().await;
    // It has begun there.
    numbering_is_at(&world, 1_000).await;
    world.cancel("a").await.unwrap();
    let mail = world.mail().await;
    assert_eq!((mail.template, mail.order_number), (NotificationTemplate::OrderCancelled, None));
    world.eventually_nothing_waits().await;
    world.end().await;
}

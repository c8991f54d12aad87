//! An order is cancelled at every point of its life. There is one winner: it is sent and paid, or nothing is left of it.

use std::sync::Arc;

use domain::order::OrderStage;
use futures_util::future::join_all;
use messaging::{NotificationFailed, NotificationRequested, NotificationTemplate};
use sagas::report::{GivenUpMailFilter, SagaState};
use testkit::PaymentCall;

use crate::copy::Copy;
use crate::full_lifecycle::{money, ship};
use crate::gate::{GatedGateway, Held};
use crate::world::{PRICE, World, sent};

const REASON: &str = "changed my mind";

#[tokio::test]
async fn before_each_event_that_would_have_come_next_it_is_undone() {
    let world = World::start().await;
    world.receive("s", 10).await;
    for event in ["StockReserved", "PaymentAuthorized", "OrderConfirmed"] {
        let order_id = format!("before-{event}");
        // Its effect is there already; that it is not recorded must not matter.
        world.refuse(event).await;
        world.post(&order_id, &[("s", 2)]).await;
        world.eventually_fails(&order_id).await;
        world.cancel(&order_id).await.unwrap();
        world.is_undone(&order_id, NotificationTemplate::OrderCancelled, REASON).await;
        assert_eq!(world.stock("s").await.available(), 10, "{event}");
        world.clear_the_way().await;
    }
    world.end().await;
}

#[tokio::test]
async fn after_its_promise_and_after_its_mail_it_is_undone_as_well() {
    let world = World::start().await;
    world.receive("s", 10).await;
    world.post("told", &[("s", 2)]).await;
    world.mail().await;
    world.eventually_nothing_waits().await;
    world.cancel("told").await.unwrap();
    assert_eq!(world.cancel("told").await, Ok(()), "it is so already");
    world.is_undone("told", NotificationTemplate::OrderCancelled, REASON).await;

    world.post("promised", &[("s", 2)]).await;
    testkit::eventually(crate::world::PATIENCE, || async { world.requests_waiting().await == 1 }).await;
    world.cancel("promised").await.unwrap();
    world.eventually_at("promised", OrderStage::Cancelled).await;
    // What it was told when it was true stands.
    let mails: Vec<NotificationTemplate> = world.mails(2).await.into_iter().map(|mail| mail.template).collect();
    assert_eq!(mails, [NotificationTemplate::OrderConfirmed, NotificationTemplate::OrderCancelled]);
    world.eventually_nothing_waits().await;
    world.holds_nothing("promised").await;
    assert_eq!(world.stock("s").await.available(), 10);
    world.end().await;
}

#[tokio::test]
async fn what_became_of_a_promise_that_was_taken_back_is_asked_for_until_it_is_known() {
    let world = World::start().await;
    world.receive("s", 10).await;
    for (order_id, went_out) in [("went-out", true), ("did-not", false)] {
        // The request, or its answer, is lost.
        world.post(order_id, &[("s", 2)]).await;
        let promised = world.unanswered_mail().await;
        world.cancel(order_id).await.unwrap();
        let cancelled = world.mail().await;
        assert_eq!(cancelled.template, NotificationTemplate::OrderCancelled);

        let asked = world.unanswered_mail().await;
        assert_eq!(
            (asked.notification_id, asked.template),
            (promised.notification_id, NotificationTemplate::OrderConfirmed)
        );
        assert_eq!((promised.withdraw, cancelled.withdraw, asked.withdraw), (false, false, true));
        assert_eq!(asked.recipient.as_deref(), Some(NotificationRequested::NOBODY));
        if went_out {
            world.answer(order_id, sent(&asked)).await;
        } else {
            let (notification_id, template) = (asked.notification_id, asked.template);
            let reason = "withdrawn before it was sent".to_owned();
            world.answer(order_id, NotificationFailed { notification_id, template, reason }).await;
        }
        world.eventually_nothing_waits().await;
        let last = if went_out { "NotificationSent" } else { "NotificationFailed" };
        let events = world.events(order_id).await;
        assert_eq!(events[events.len() - 3..], ["OrderCancelled", "NotificationSent", last]);

        // Nobody is to be told of it any more, so nobody has to look.
        let given_up = sagas::report::given_up(world.store.pool(), GivenUpMailFilter::default(), 0, 10).await.unwrap();
        assert_eq!(given_up, []);
        let report = sagas::report::read(&world.store, order_id).await.unwrap().unwrap();
        assert_eq!(report.state, SagaState::Compensated);
    }
    assert_eq!(world.requests_waiting().await, 0);
    world.end().await;
}

#[tokio::test]
async fn promises_that_an_earlier_build_did_not_ask_about_are_looked_at_after_the_upgrade() {
    let mut world = World::start().await;
    world.receive("s", 10).await;
    for order_id in ["answered", "lost"] {
        world.post(order_id, &[("s", 1)]).await;
        let promised = world.unanswered_mail().await;
        if order_id == "answered" {
            world.answer(order_id, sent(&promised)).await;
            world.eventually_has(order_id, "NotificationSent").await;
        }
        world.cancel(order_id).await.unwrap();
        assert_eq!(world.mail().await.template, NotificationTemplate::OrderCancelled);
    }
    assert!(world.unanswered_mail().await.withdraw);
    world.stop_copies().await;
    world.execute("delete from saga_work").await;

    world.execute(include_str!("../../../migrations/sql/0031_promises_taken_back.sql")).await;
    assert_eq!(world.count("select count(*) from saga_work where order_id <> 'lost'").await, 0);
    let in_an_hour = "select count(*) from saga_work where due_at > now() + interval '50 minutes'";
    assert_eq!(world.count(in_an_hour).await, 1, "a copy of the earlier build does not come across it");
    world.execute("update saga_work set due_at = now()").await;
    world.start_copy();
    let asked = "select count(*) from saga_work where step = 'notify_customer' and sent = 1";
    testkit::eventually(crate::world::PATIENCE, || async { world.count(asked).await == 1 }).await;
    world.end().await;
}

#[tokio::test]
async fn while_the_provider_is_being_asked_nothing_stays_held_whenever_the_call_arrives() {
    let mut world = World::start().await;
    world.stop_copies().await;
    let gateway = Arc::new(GatedGateway::new(world.gateway.clone()));
    world.copies.push(Copy::start(&world, gateway.clone()));
    world.receive("s", 10).await;
    for (order_id, held) in [("on-its-way", Held::Call), ("answered-late", Held::Answer)] {
        let asked = world.gateway.calls(PaymentCall::Authorize);
        let mut gate = gateway.hold(held, PaymentCall::Authorize);
        world.post(order_id, &[("s", 2)]).await;
        gate.reached().await;
        world.cancel(order_id).await.unwrap();
        world.is_undone(order_id, NotificationTemplate::OrderCancelled, REASON).await;
        gate.open();
        testkit::eventually(crate::world::PATIENCE, || async {
            world.gateway.calls(PaymentCall::Authorize) == asked + 1
        })
        .await;
        world.holds_nothing(order_id).await;
    }
    world.deliver_everything_again().await;
    world.holds_nothing("on-its-way").await;
    world.holds_nothing("answered-late").await;
    assert_eq!(world.stock("s").await.available(), 10);
    world.end().await;
}

#[tokio::test]
async fn an_answer_that_comes_by_itself_carries_the_order_on() {
    let mut world = World::start().await;
    world.stop_copies().await;
    let gateway = Arc::new(GatedGateway::new(world.gateway.clone()));
    world.copies.push(Copy::start(&world, gateway.clone()));
    let mut gate = gateway.hold(Held::Answer, PaymentCall::Authorize);
    world.post("slow", &[("s", 1)]).await;
    gate.reached().await;
    // Others do not wait for it.
    world.post("quick", &[("s", 1)]).await;
    assert_eq!(world.mail().await.order_id, "quick");
    gate.open();
    assert_eq!(world.mail().await.order_id, "slow");
    assert_eq!(world.gateway.calls(PaymentCall::Authorize), 2);
    world.end().await;
}

#[tokio::test]
async fn racing_the_promise_it_is_never_promised_after_it_was_cancelled() {
    let mut world = World::start().await;
    world.start_copy();
    world.receive("s", 100).await;
    let ids: Vec<String> = (0..30).map(|n| format!("o-{n}")).collect();
    let world_ref = &world;
    join_all(ids.iter().enumerate().map(|(n, id)| async move {
        world_ref.post(id, &[("s", 2)]).await;
        if n % 3 > 0 {
            world_ref.eventually_has(id, ["StockReserved", "PaymentAuthorized"][n % 2]).await;
        }
        world_ref.cancel(id).await.unwrap();
    }))
    .await;
    let mails = world.mails_to_the_end().await;
    for id in &ids {
        let events = world.events(id).await;
        let at = |name| events.iter().position(|event| *event == name);
        assert!(at("OrderConfirmed") < at("CancellationRequested"), "{events:?}");
        let told = |template| mails.iter().filter(|it| it.order_id == *id && it.template == template).count();
        assert_eq!(told(NotificationTemplate::OrderCancelled), 1, "{events:?}");
        assert!(told(NotificationTemplate::OrderConfirmed) <= 1, "{events:?}");
        world.holds_nothing(id).await;
    }
    assert_eq!(world.stock("s").await.available(), 100);
    world.end().await;
}

#[tokio::test]
async fn racing_its_shipment_one_of_the_two_wins() {
    let world = World::start().await;
    world.receive("s", 100).await;
    let ids: Vec<String> = (0..10).map(|n| format!("o-{n}")).collect();
    for id in &ids {
        world.post(id, &[("s", 1)]).await;
    }
    world.mails(ids.len()).await;
    let world_ref = &world;
    let shipped = join_all(ids.iter().map(|id| async move {
        let (cancelled, shipped) = tokio::join!(world_ref.cancel(id), world_ref.ask(id, ship("s-1", None)));
        assert_ne!(cancelled.is_ok(), shipped.is_ok());
        shipped.is_ok()
    }))
    .await;
    world.mails_to_the_end().await;
    for (id, shipped) in ids.iter().zip(&shipped) {
        if *shipped {
            assert_eq!(money(&world, id), (false, PRICE, 0));
        } else {
            world.holds_nothing(id).await;
        }
    }
    let sent = i64::try_from(shipped.iter().filter(|shipped| **shipped).count()).unwrap();
    assert_eq!((world.stock("s").await.on_hand, world.stock("s").await.reserved), (100 - sent, 0));
    world.end().await;
}

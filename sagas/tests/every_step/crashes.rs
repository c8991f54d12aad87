//! The power goes after a step's effect and before its record; others carry on, and nothing happens twice.

use std::time::Duration;

use domain::order::OrderStage;
use messaging::NotificationTemplate;
use sagas::SagaSettings;
use testkit::{PaymentCall, PaymentFault};

use crate::full_lifecycle::{money, refund, ship, units};
use crate::world::{NEVER, PRICE, World};

const CONFIRMED: [&str; 5] =
    ["OrderCreated", "StockReserved", "PaymentAuthorized", "OrderConfirmed", "NotificationSent"];

fn settings() -> SagaSettings {
    SagaSettings { reply_deadline: NEVER, payment_call_timeout: Duration::from_millis(200), ..SagaSettings::default() }
}

impl World {
    /// Has the copies crash once something hangs that they want to store, and others go on.
    pub(crate) async fn crash_while_storing(&mut self) {
        self.eventually_hangs().await;
        self.crash().await;
        self.end_claims().await;
        self.clear_the_way().await;
        self.start_copy();
    }
}

#[tokio::test]
async fn what_was_done_and_not_recorded_is_neither_lost_nor_done_again() {
    let mut world = World::with(settings()).await;
    world.receive("s", 10).await;
    for event in ["StockReserved", "PaymentAuthorized", "OrderConfirmed"] {
        let order_id = format!("before-{event}");
        world.hang(event).await;
        world.post(&order_id, &[("s", 1)]).await;
        world.crash_while_storing().await;
        assert_eq!(world.mail().await.template, NotificationTemplate::OrderConfirmed);
        world.eventually_nothing_waits().await;
        assert_eq!(world.events(&order_id).await, CONFIRMED, "{event}");
        assert_eq!(world.stock("s").await.reserved, 1, "{event}");

        world.cancel(&order_id).await.unwrap();
        world.is_undone(&order_id, NotificationTemplate::OrderCancelled, "changed my mind").await;
        assert_eq!(world.stock("s").await.available(), 10, "{event}");
    }
    for event in ["StockReleased", "PaymentVoided", "OrderCancelled"] {
        let order_id = format!("before-{event}");
        world.promise(&order_id, 1).await;
        world.hang(event).await;
        world.cancel(&order_id).await.unwrap();
        world.crash_while_storing().await;
        world.is_undone(&order_id, NotificationTemplate::OrderCancelled, "changed my mind").await;
        let undone = ["CancellationRequested", "StockReleased", "PaymentVoided", "OrderCancelled", "NotificationSent"];
        assert_eq!(world.events(&order_id).await[5..], undone, "{event}");
        assert_eq!(world.stock("s").await.available(), 10, "{event}");
    }
    world.post("sent", &[("s", 1)]).await;
    world.hang("NotificationSent").await;
    world.mail().await;
    world.crash_while_storing().await;
    world.eventually_nothing_waits().await;
    assert_eq!(world.events("sent").await, CONFIRMED);

    world.hang("PaymentCaptured").await;
    world.ask("sent", ship("s-1", None)).await.unwrap();
    world.crash_while_storing().await;
    assert_eq!(world.mail().await.template, NotificationTemplate::OrderShipped);
    assert_eq!((money(&world, "sent"), world.stock("s").await.on_hand), ((false, PRICE, 0), 9));

    world.hang("PaymentRefunded").await;
    world.ask("sent", refund("f", None)).await.unwrap();
    world.crash_while_storing().await;
    assert_eq!(world.mail().await.template, NotificationTemplate::OrderRefunded);
    world.eventually_nothing_waits().await;
    assert_eq!((money(&world, "sent"), world.stock("s").await.on_hand), ((false, PRICE, PRICE), 9));
    assert_eq!(world.requests_waiting().await, 0);
    world.end().await;
}

#[tokio::test]
async fn a_call_that_was_never_answered_is_made_again_under_its_key() {
    let mut world = World::with(settings()).await;
    world.receive("s", 10).await;
    world.gateway.next(PaymentCall::Authorize, PaymentFault::NoAnswer);
    world.post("a", &[("s", 1)]).await;
    world.crash_at(PaymentCall::Authorize, 1).await;
    world.mail().await;
    world.eventually_nothing_waits().await;
    assert_eq!(world.events("a").await, CONFIRMED);
    assert_eq!(world.gateway.payments().len(), 1);

    world.gateway.next(PaymentCall::Void, PaymentFault::NoAnswer);
    world.cancel("a").await.unwrap();
    world.crash_at(PaymentCall::Void, 1).await;
    world.is_undone("a", NotificationTemplate::OrderCancelled, "changed my mind").await;

    world.promise("b", 1).await;
    world.gateway.next(PaymentCall::Capture, PaymentFault::NoAnswer);
    world.ask("b", ship("s-1", None)).await.unwrap();
    world.crash_at(PaymentCall::Capture, 1).await;
    world.mail().await;
    assert_eq!(money(&world, "b"), (false, PRICE, 0));

    world.gateway.next(PaymentCall::Refund, PaymentFault::NoAnswer);
    world.ask("b", refund("f", None)).await.unwrap();
    world.crash_at(PaymentCall::Refund, 1).await;
    assert_eq!(world.mail().await.template, NotificationTemplate::OrderRefunded);
    world.eventually_nothing_waits().await;
    assert_eq!(money(&world, "b"), (false, PRICE, PRICE));
    world.end().await;
}

impl World {
    /// Has the copies crash once the provider has been asked so often, and others go on.
    async fn crash_at(&mut self, call: PaymentCall, times: usize) {
        testkit::eventually(crate::world::PATIENCE, || async { self.gateway.calls(call) >= times }).await;
        self.crash().await;
        self.end_claims().await;
        self.start_copy();
    }
}

#[tokio::test]
async fn a_crash_before_anything_of_a_whole_life_is_noted_changes_nothing() {
    let mut world = World::start().await;
    world.receive("s", 10).await;
    let mut nobody_notes = world.database.pool().begin().await.unwrap();
    sqlx::query("lock table saga_work in exclusive mode").execute(&mut *nobody_notes).await.unwrap();
    world.post("a", &[("s", 1)]).await;
    testkit::eventually(crate::world::PATIENCE, || async { world.requests_waiting().await == 1 }).await;
    let books = world.books().await;

    world.crash().await;
    world
        .execute(
            "select pg_terminate_backend(pid) from pg_locks where relation = 'saga_work'::regclass and not granted
                and database = (select oid from pg_database where datname = current_database())",
        )
        .await;
    nobody_notes.rollback().await.unwrap();
    world.start_copy();
    world.eventually_caught_up().await;
    assert_eq!(world.books().await, books);
    assert_eq!(world.requests_waiting().await, 1, "the queue drops what it has had already");
    assert_eq!(world.gateway.calls(PaymentCall::Authorize), 1);
    world.mail().await;
    world.eventually_nothing_waits().await;
    world.end().await;
}

#[tokio::test]
async fn money_that_was_let_go_of_and_not_recorded_is_let_go_of_once() {
    let mut world = World::with(settings()).await;
    world.receive("s", 10).await;
    world.promise("a", 2).await;
    world.ask("a", ship("s-1", Some(units(1)))).await.unwrap();
    assert_eq!(world.mail().await.template, NotificationTemplate::OrderShipped);
    world.eventually_nothing_waits().await;

    world.hang("PaymentVoided").await;
    world.cancel("a").await.unwrap();
    world.crash_while_storing().await;
    world.eventually_nothing_waits().await;

    assert_eq!(world.events("a").await[8..], ["LinesCancelled", "PaymentVoided"]);
    assert_eq!((money(&world, "a"), world.stock("s").await.reserved), ((false, PRICE, 0), 0));
    world.end().await;
}

#[tokio::test]
async fn several_copies_that_crash_in_turn_bring_every_order_to_its_end_once() {
    const ORDERS: usize = 40;
    let mut world = World::with(settings()).await;
    world.receive("s", 30).await;
    world.start_copy();
    for fault in [PaymentFault::AnswerLost, PaymentFault::Lost, PaymentFault::Unavailable, PaymentFault::NoAnswer] {
        for call in [PaymentCall::Authorize, PaymentCall::Void, PaymentCall::Find] {
            (0..3).for_each(|_| world.gateway.next(call, fault));
        }
    }
    let ids: Vec<String> = (0..ORDERS).map(|n| format!("o-{n}")).collect();
    for (n, id) in ids.iter().enumerate() {
        world.post(id, &[("s", 1)]).await;
        if n % 4 == 1 {
            // It may be too late for it: no units, and the order is closed.
            let _ = world.cancel(id).await;
        }
        if n % 10 == 9 {
            world.start_copy();
            world.crash_oldest().await;
        }
    }
    let mails = world.mails_to_the_end().await;

    let mut confirmed = 0;
    for id in &ids {
        let stage = world.order(id).await.stage();
        let told = |template| mails.iter().filter(|it| it.order_id == *id && it.template == template).count();
        if stage == OrderStage::Confirmed {
            confirmed += 1;
            assert_eq!(told(NotificationTemplate::OrderConfirmed), 1, "{id}");
            assert_eq!(money(&world, id), (true, 0, 0), "{id}");
        } else {
            assert_eq!(
                told(NotificationTemplate::OrderRejected) + told(NotificationTemplate::OrderCancelled),
                1,
                "{id}"
            );
            world.holds_nothing(id).await;
        }
    }
    let stock = world.stock("s").await;
    assert_eq!((stock.reserved, stock.on_hand), (confirmed, 30));
    assert_eq!(world.gateway.payments().values().map(|payment| payment.captured).sum::<i64>(), 0);
    world.end().await;
}

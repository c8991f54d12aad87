//! What is due is looked at again: whoever is in the way holds up nobody else.

use domain::ids::ShipmentId;
use domain::order::OrderCommand;
use domain::order::event::{PaymentAuthorized, PaymentCaptured, StockReserved};
use futures_util::future::join_all;
use testkit::{PaymentCall, PaymentFault};
use uuid::Uuid;

use crate::full_lifecycle::{refund, ship, units};
use crate::world::{NEVER, PATIENCE, PRICE, World};
use sagas::SagaSettings;

#[tokio::test]
async fn rows_of_a_saga_that_this_build_does_not_know_stay_as_they_are_and_are_in_nobodys_way() {
    let world = World::start().await;
    world.promise("a", 1).await;
    world
        .execute(
            "insert into saga_work (saga, order_id, step, due_at)
             select 'gift_wrapping', 'o-' || n, 'wrap', now() - interval '1 day' from generate_series(1, 150) as n",
        )
        .await;
    world.gateway.next(PaymentCall::Capture, PaymentFault::Unavailable);
    world.ask("a", ship("s-1", None)).await.unwrap();
    assert_eq!(world.mail().await.order_id, "a");
    world.eventually_has("a", "PaymentCaptured").await;
    let untouched = "select count(*) from saga_work
                      where saga = 'gift_wrapping' and due_at < now() - interval '23 hours' and claimed_by is null";
    assert_eq!(world.count(untouched).await, 150);
    world.end().await;
}

#[tokio::test]
async fn a_row_that_always_fails_holds_up_no_other() {
    let world = World::start().await;
    for order in ["poison", "good"] {
        world.promise(order, 1).await;
    }
    world.gateway.always(PaymentCall::Capture, Some(PaymentFault::Unavailable));
    for order in ["poison", "good"] {
        world.ask(order, ship("s-1", None)).await.unwrap();
        world.eventually_fails(order).await;
    }
    world
        .execute(
            "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'not this one'; end $$",
        )
        .await;
    world
        .execute(
            "create trigger refuse before update on saga_work for each row
               when (old.order_id = 'poison' and new.failures > old.failures) execute function refuse()",
        )
        .await;
    world.execute("update saga_work set due_at = now() - interval '1 second'").await;
    // It is looked at in the same batch as the other, and nothing that comes of it can be stored.
    testkit::eventually(PATIENCE, || async {
        world.count("select failures::bigint from saga_work where order_id = 'good'").await > 1
    })
    .await;
    world.execute("drop trigger refuse on saga_work").await;
    world.gateway.always(PaymentCall::Capture, None);
    world.end_claims().await;
    world.mails_to_the_end().await;
    for order in ["poison", "good"] {
        assert!(world.events(order).await.contains(&"PaymentCaptured"), "{order}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_mail_that_was_never_asked_for_is_not_given_up_with_the_one_before_it() {
    let world = World::start().await;
    world.promise("a", 2).await;
    world.ask("a", ship("s-1", Some(units(1)))).await.unwrap();
    let first = world.unanswered_mail().await;
    world.ask("a", ship("s-2", None)).await.unwrap();
    world.eventually_caught_up().await;
    assert_eq!(world.count("select count(*) from saga_work where sent > 0 and failures = 0").await, 1);

    // As if an hour and a half of requests had passed.
    world.execute("update saga_work set sent = 14, due_at = now()").await;
    let second = world.unanswered_mail().await;
    assert!(second.notification_id != first.notification_id && second.attempt == 1, "{second:?}");
    world.eventually_has("a", "NotificationFailed").await;
    let asked_once = "select count(*) from saga_work where sent = 1 and failures = 0 and due_at > now()";
    testkit::eventually(PATIENCE, || async { world.count(asked_once).await == 1 }).await;

    // As if it was come across before it was noted, and what was noted of the other is still there.
    let not_noted =
        "update saga_work set sent = 14, seen = seen - 1, since = since - interval '1 hour', due_at = now()";
    world.execute(not_noted).await;
    testkit::eventually(PATIENCE, || async { world.count(asked_once).await == 1 }).await;
    let given_up = world.events("a").await.into_iter().filter(|event| *event == "NotificationFailed");
    assert_eq!(given_up.count(), 1);
    world.end().await;
}

#[tokio::test]
async fn two_copies_that_have_both_rows_of_an_order_between_them_do_not_wait_for_each_other() {
    const ORDERS: usize = 120;
    let mut world = World::with(SagaSettings { reply_deadline: NEVER, ..SagaSettings::default() }).await;
    world.stop_copies().await;
    let ids: Vec<String> = (0..ORDERS).map(|n| format!("o-{n}")).collect();
    join_all(ids.iter().map(|id| owes_a_capture_and_a_refund(&world, id))).await;
    for call in [PaymentCall::Capture, PaymentCall::Refund] {
        world.gateway.always(call, Some(PaymentFault::Unavailable));
    }
    world.start_copy();
    world.start_copy();
    let tried = |times: i64| {
        let (world, all) = (&world, i64::try_from(2 * ORDERS).unwrap());
        let query = format!("select count(*) from saga_work where failures >= {times}");
        testkit::eventually(PATIENCE, move || {
            let query = query.clone();
            async move { world.count(&query).await == all }
        })
    };
    tried(1).await;
    for round in 2..4 {
        // Batches that begin with the rows of one saga and end with those of the other.
        world
            .execute(
                "update saga_work set due_at = now() - case saga when 'order_fulfilment' then 2 else 1 end * interval '1 second'",
            )
            .await;
        tried(round).await;
    }
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    assert_eq!(world.count(deadlocks).await, 0);

    for call in [PaymentCall::Capture, PaymentCall::Refund] {
        world.gateway.always(call, None);
    }
    world.mails_to_the_end().await;
    for id in &ids {
        let events = world.events(id).await;
        let times = |event| events.iter().filter(|it| **it == event).count();
        assert_eq!((times("PaymentCaptured"), times("PaymentRefunded")), (2, 1), "{events:?}");
    }
    world.end().await;
}

/// One unit was sent and paid, and is to be paid back; another was sent and is not paid.
async fn owes_a_capture_and_a_refund(world: &World, id: &str) {
    let authorization = payments::AuthorizationRequest {
        key: format!("{id}:authorize:0"),
        order_id: id.to_owned(),
        amount_minor: 2 * PRICE,
        currency: "USD".to_owned(),
        token: None,
    };
    let reference = payments::PaymentGateway::authorize(&world.gateway, &authorization).await.unwrap().reference;
    let capture = payments::CaptureRequest {
        key: format!("{id}:capture:s-1"),
        reference: reference.clone(),
        amount_minor: PRICE,
        currency: "USD".to_owned(),
        last: false,
        recorded_minor: 0,
        retries: 0,
    };
    payments::PaymentGateway::capture(&world.gateway, &capture).await.unwrap();
    let authorized = PaymentAuthorized { payment_number: None, reference: reference.clone(), amount_minor: 2 * PRICE };
    let captured = PaymentCaptured {
        payment_number: None,
        shipment_id: ShipmentId::parse("s-1").unwrap(),
        amount_minor: PRICE,
        reference,
    };
    let sent = |template| {
        OrderCommand::RecordNotificationSent(domain::order::event::NotificationSent {
            notification_id: Uuid::now_v7(),
            template,
            recipient: "ada@example.com".to_owned(),
            provider_message_id: "m".to_owned(),
            nth: None,
        })
    };
    world.post(id, &[("untracked", 2)]).await;
    let expires_at = chrono::Utc::now() + chrono::TimeDelta::hours(1);
    for command in [
        OrderCommand::RecordStockReserved(StockReserved { units: vec![], expires_at, backorders: vec![] }),
        OrderCommand::RecordPaymentAuthorized(authorized),
        OrderCommand::ConfirmOrder { mail_staff: false },
        sent(domain::order::event::MailTemplate::OrderConfirmed),
        ship("s-1", Some(units(1))),
        OrderCommand::RecordPaymentCaptured(captured),
        sent(domain::order::event::MailTemplate::OrderShipped),
        refund("f", Some(PRICE)),
        ship("s-2", None),
    ] {
        world.ask(id, command).await.unwrap();
    }
}

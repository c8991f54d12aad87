//! Each step fails for good, in the way its table says, and what was done before it is undone.

use std::time::Duration;

use domain::order::event::MailTemplate;
use domain::order::saga::{OperatorDecision, SagaStep};
use domain::order::{Order, OrderStage};
use messaging::{NotificationFailed, NotificationRequested, NotificationTemplate};
use sagas::operator::InterventionError;
use sagas::{SAGAS, SagaSettings, StepKind, StepUndo};
use testkit::{PaymentCall, PaymentFault};
use uuid::Uuid;

use crate::edits::edit;
use crate::full_lifecycle::{money, refund, ship, units};
use crate::world::{NEVER, PATIENCE, PRICE, SORRY, World, sent};

/// Patient with answers, and with nothing else: what fails twice is stuck.
fn impatient() -> SagaSettings {
    SagaSettings { reply_deadline: NEVER, step_deadline: Duration::ZERO, ..SagaSettings::default() }
}

#[tokio::test]
async fn every_step_that_fails_for_good_leaves_nothing_half_done() {
    let world = World::with(impatient()).await;
    world.receive("s", 10).await;
    for (saga, step) in SAGAS.iter().flat_map(|saga| saga.steps.iter().map(move |step| (saga, step))) {
        match step.name {
            SagaStep::AuthorizePayment if saga.name == "order_edits" => an_edit_that_is_not_paid(&world).await,
            SagaStep::ApplyEdit => an_edit_without_units(&world).await,
            SagaStep::ReserveStock => a_shortage(&world).await,
            SagaStep::AuthorizePayment => a_refusal_to_pay(&world).await,
            SagaStep::ConfirmOrder => a_promise_that_is_not_stored(&world).await,
            SagaStep::CapturePayment => money_that_is_not_taken(&world).await,
            SagaStep::VoidRest => money_that_is_not_let_go_of(&world).await,
            SagaStep::RefundPayment => money_that_does_not_go_back(&world).await,
            SagaStep::NotifyCustomer => a_mail_that_is_given_up(&world, saga.name).await,
            // It is never tried: see `payments.rs`.
            SagaStep::RefundManually => {}
            undo @ (SagaStep::ReleaseStock | SagaStep::VoidPayment | SagaStep::CloseOrder) => {
                panic!("{} is no step", undo.name())
            }
        }
        if let StepUndo::By(undo) = &step.undo
            && saga.name == "order_edits"
        {
            assert_eq!(undo.name, SagaStep::VoidPayment);
            an_edits_money_that_is_not_let_go_of(&world).await;
        } else if let StepUndo::By(undo) = &step.undo {
            assert_eq!(step.kind, StepKind::Compensable);
            let event = match undo.name {
                SagaStep::VoidPayment => "PaymentVoided",
                SagaStep::ReleaseStock => "StockReleased",
                step @ (SagaStep::ReserveStock
                | SagaStep::AuthorizePayment
                | SagaStep::ConfirmOrder
                | SagaStep::ApplyEdit
                | SagaStep::CapturePayment
                | SagaStep::VoidRest
                | SagaStep::RefundPayment
                | SagaStep::RefundManually
                | SagaStep::CloseOrder
                | SagaStep::NotifyCustomer) => panic!("{} undoes nothing", step.name()),
            };
            an_undo_that_is_not_stored(&world, undo.name.name(), event).await;
        }
        let stock = world.stock("s").await;
        assert_eq!(stock.reserved, 0, "after {}: {stock:?}", step.name.name());
    }
    an_undo_that_is_not_stored(&world, SagaStep::CloseOrder.name(), "OrderCancelled").await;
    world.end().await;
}

async fn a_shortage(world: &World) {
    world.receive("plenty", 5).await;
    world.post("short", &[("plenty", 1), ("s", 11)]).await;
    world.is_undone("short", NotificationTemplate::OrderRejected, "not enough in stock: s").await;
    assert_eq!(world.stock("plenty").await.available(), 5, "all lines or none");
    assert_eq!(world.gateway.calls(PaymentCall::Authorize), 0);
}

async fn a_refusal_to_pay(world: &World) {
    world.gateway.next(PaymentCall::Authorize, PaymentFault::Declined);
    world.post("poor", &[("s", 2)]).await;
    world.is_undone("poor", NotificationTemplate::OrderRejected, "the payment was declined").await;
    assert_eq!(world.stock("s").await.available(), 10);
}

/// The order is as it was before, and its customer keeps it.
async fn an_edit_that_is_not_paid(world: &World) {
    world.promise("unedited", 2).await;
    world.gateway.next(PaymentCall::Authorize, PaymentFault::Declined);
    world.ask("unedited", edit("e", 3)).await.unwrap();
    world.eventually_nothing_waits().await;
    assert_eq!(world.events("unedited").await[5..], ["OrderEditRequested", "PaymentDeclined", "OrderEditRejected"]);
    let order = world.order("unedited").await;
    assert_eq!((order.stage(), order.content.total_minor), (OrderStage::Confirmed, 2 * PRICE));
    // Stripe takes a means of payment that no customer has once.
    world.gateway.next(PaymentCall::Authorize, PaymentFault::Refused);
    world.ask("unedited", edit("f", 3)).await.unwrap();
    world.eventually_nothing_waits().await;
    assert_eq!(world.events("unedited").await[8..], ["OrderEditRequested", "PaymentDeclined", "OrderEditRejected"]);
    assert_eq!((world.order("unedited").await.stage(), world.stock("s").await.reserved), (OrderStage::Confirmed, 2));
    world.cancel("unedited").await.unwrap();
    world.is_undone("unedited", NotificationTemplate::OrderCancelled, "changed my mind").await;
}

/// The money that was held for the difference is let go of.
async fn an_edit_without_units(world: &World) {
    world.promise("greedy", 2).await;
    world.ask("greedy", edit("e", 11)).await.unwrap();
    world.eventually_nothing_waits().await;
    let events = ["OrderEditRequested", "PaymentAuthorized", "OrderEditRejected", "PaymentVoided"];
    assert_eq!(world.events("greedy").await[5..], events);
    assert_eq!((world.order("greedy").await.held_minor(), world.stock("s").await.reserved), (2 * PRICE, 2));
    world.cancel("greedy").await.unwrap();
    world.is_undone("greedy", NotificationTemplate::OrderCancelled, "changed my mind").await;
}

/// Everybody can see that more is held than is needed. The order goes on beside that.
async fn an_edits_money_that_is_not_let_go_of(world: &World) {
    world.promise("held", 2).await;
    world.gateway.next(PaymentCall::Void, PaymentFault::Declined);
    world.ask("held", edit("e", 11)).await.unwrap();
    let why = world.eventually_stuck("held", SagaStep::VoidPayment).await;
    assert!(why.contains("no funds"), "{why}");
    assert_eq!(world.order("held").await.stage(), OrderStage::Confirmed);
    // It holds up no other edit.
    world.gateway.always(PaymentCall::Void, Some(PaymentFault::Declined));
    world.ask("held", edit("f", 1)).await.unwrap();
    world.eventually_has("held", "OrderEdited").await;
    assert_eq!(world.mail().await.template, NotificationTemplate::OrderEdited);
    world.eventually_stuck("held", SagaStep::VoidPayment).await;
    let order = world.order("held").await;
    assert_eq!((order.stage(), order.content.total_minor), (OrderStage::Confirmed, PRICE));
    world.gateway.always(PaymentCall::Void, None);
    let retry = OperatorDecision::Retry { payment_token: None };
    let decided = world.try_intervene_on("held", SagaStep::VoidPayment, retry, Some(2)).await;
    // Every event of the order has the step tried again as well: that of the mail may have come before.
    let may_be =
        |error: &InterventionError| matches!(error, InterventionError::Stale(_) | InterventionError::Refused(_));
    assert!(decided.as_ref().err().is_none_or(may_be), "{decided:?}");
    world.eventually_nothing_waits().await;
    assert_eq!(world.order("held").await.held_minor(), 2 * PRICE);
    world.cancel("held").await.unwrap();
    world.is_undone("held", NotificationTemplate::OrderCancelled, "changed my mind").await;
}

/// The pivot is tried until an operator decides: here, to give the order up.
async fn a_promise_that_is_not_stored(world: &World) {
    world.refuse("OrderConfirmed").await;
    world.post("unpromised", &[("s", 2)]).await;
    assert!(!world.eventually_stuck_anywhere("unpromised").await.is_empty());
    world.clear_the_way().await;
    world.intervene("unpromised", SagaStep::ConfirmOrder, OperatorDecision::Compensate).await;
    world.is_undone("unpromised", NotificationTemplate::OrderRejected, SORRY).await;
}

/// After the pivot nothing is undone: the shipment waits for its money, and everybody can see that.
async fn money_that_is_not_taken(world: &World) {
    world.promise("unpaid", 2).await;
    world.gateway.next(PaymentCall::Capture, PaymentFault::Declined);
    world.ask("unpaid", ship("s-1", None)).await.unwrap();
    let why = world.eventually_stuck("unpaid", SagaStep::CapturePayment).await;
    assert!(why.contains("no funds"), "{why}");
    assert_eq!(world.order("unpaid").await.stage(), OrderStage::Shipped);
    world.intervene("unpaid", SagaStep::CapturePayment, OperatorDecision::Retry { payment_token: None }).await;
    assert_eq!(world.mail().await.template, NotificationTemplate::OrderShipped);
    world.eventually_nothing_waits().await;
    assert_eq!(money(world, "unpaid"), (false, 2 * PRICE, 0));
}

/// What was sent is paid for, and everybody can see that more is held.
async fn money_that_is_not_let_go_of(world: &World) {
    world.promise("rest", 2).await;
    world.ask("rest", ship("s-1", Some(units(1)))).await.unwrap();
    assert_eq!(world.mail().await.template, NotificationTemplate::OrderShipped);
    world.eventually_nothing_waits().await;
    world.gateway.next(PaymentCall::Void, PaymentFault::Declined);
    world.cancel("rest").await.unwrap();
    let why = world.eventually_stuck("rest", SagaStep::VoidRest).await;
    assert!(why.contains("no funds"), "{why}");
    assert_eq!(money(world, "rest"), (true, PRICE, 0));
    world.intervene("rest", SagaStep::VoidRest, OperatorDecision::Retry { payment_token: None }).await;
    world.eventually_nothing_waits().await;
    assert_eq!(money(world, "rest"), (false, PRICE, 0));
}

async fn money_that_does_not_go_back(world: &World) {
    world.gateway.next(PaymentCall::Refund, PaymentFault::Declined);
    world.ask("unpaid", refund("f", None)).await.unwrap();
    let why = world.eventually_stuck("unpaid", SagaStep::RefundPayment).await;
    assert!(why.contains("no funds"), "{why}");
    world.intervene("unpaid", SagaStep::RefundPayment, OperatorDecision::Retry { payment_token: None }).await;
    assert_eq!(world.mail().await.template, NotificationTemplate::OrderRefunded);
    world.eventually_nothing_waits().await;
    assert_eq!(money(world, "unpaid"), (false, 2 * PRICE, 2 * PRICE));
}

/// The order stands, and an operator can have its customer told after all.
async fn a_mail_that_is_given_up(world: &World, order_id: &str) {
    world.post(order_id, &[("untracked", 1)]).await;
    assert_eq!(world.mail().await.template, NotificationTemplate::OrderConfirmed);
    world.eventually_nothing_waits().await;
    world.ask(order_id, ship("s-1", None)).await.unwrap();
    let mail = world.unanswered_mail().await;
    let reason = "no such mailbox".to_owned();
    let (id, shipped) = (mail.notification_id, mail.template);
    world.answer(order_id, NotificationFailed { notification_id: id, template: shipped, reason }).await;
    world.eventually_has(order_id, "NotificationFailed").await;
    world.eventually_nothing_waits().await;
    assert_eq!(world.order(order_id).await.stage(), OrderStage::Shipped);
    assert_eq!(money(world, order_id), (false, PRICE, 0));

    world.intervene(order_id, SagaStep::NotifyCustomer, OperatorDecision::Retry { payment_token: None }).await;
    let again = world.mail().await;
    assert_eq!(again.template, NotificationTemplate::OrderShipped);
    assert_ne!(again.notification_id, id, "it is another mail");
    world.eventually_nothing_waits().await;
}

#[tokio::test]
async fn answers_to_a_mail_that_was_wanted_again_twice_do_not_stand_for_the_next() {
    let world = World::start().await;
    world.promise("a", 2).await;
    world.ask("a", ship("s-1", Some(units(1)))).await.unwrap();
    let first = world.unanswered_mail().await;
    let (notification_id, template) = (first.notification_id, first.template);
    let reason = "no such mailbox".to_owned();
    world.answer("a", NotificationFailed { notification_id, template, reason }).await;
    world.eventually_has("a", "NotificationFailed").await;
    world.intervene("a", SagaStep::NotifyCustomer, OperatorDecision::Retry { payment_token: None }).await;
    let again = world.unanswered_mail().await;
    // It is on its way. An earlier build asked for it once more, by a name that follows from this decision.
    world.intervene("a", SagaStep::NotifyCustomer, OperatorDecision::Retry { payment_token: None }).await;
    let decided = world.store.read_stream::<Order>("a").await.unwrap().pop().unwrap();
    let name = format!("{}0", MailTemplate::OrderShipped.name());
    let notification_id = Uuid::new_v5(&decided.event_id, name.as_bytes());
    let by_earlier_build = NotificationRequested { notification_id, ..again.clone() };
    world.answer("a", sent(&again)).await;
    world.eventually_has("a", "NotificationSent").await;
    world.ask("a", ship("s-2", None)).await.unwrap();
    let second = world.unanswered_mail().await;
    assert_ne!(second.notification_id, again.notification_id, "it was asked for once more");

    world.answer("a", sent(&by_earlier_build)).await;
    testkit::eventually(PATIENCE, || async { world.answers_waiting().await == 0 }).await;
    assert_eq!(world.order("a").await.owed_mail(), Some((MailTemplate::OrderShipped, 1)));
    world.answer("a", sent(&second)).await;
    world.eventually_nothing_waits().await;
    assert_eq!(world.order("a").await.mails[&MailTemplate::OrderShipped].len(), 2);
    world.end().await;
}

/// An undo is tried until it is stuck, and is then one operator's word away from the end.
async fn an_undo_that_is_not_stored(world: &World, order_id: &str, event: &str) {
    world.promise(order_id, 2).await;
    world.refuse(event).await;
    world.cancel(order_id).await.unwrap();
    let why = world.eventually_stuck_anywhere(order_id).await;
    world.clear_the_way().await;
    // What is recorded decides what the operator is asked about.
    let order = world.order(order_id).await;
    let open = if order.holds_units() {
        SagaStep::ReleaseStock
    } else if order.may_hold_money() {
        SagaStep::VoidPayment
    } else {
        SagaStep::CloseOrder
    };
    assert!(why.contains("database"), "{why}");
    world.intervene(order_id, open, OperatorDecision::Retry { payment_token: None }).await;
    world.is_undone(order_id, NotificationTemplate::OrderCancelled, "changed my mind").await;
}

#[tokio::test]
async fn a_provider_that_is_away_is_asked_until_it_is_back_and_nothing_is_charged_twice() {
    let world = World::start().await;
    world.receive("s", 100).await;
    let down = |fault| {
        for call in [PaymentCall::Authorize, PaymentCall::Find, PaymentCall::Capture, PaymentCall::Void] {
            world.gateway.always(call, fault);
        }
    };
    let ids: Vec<String> = (0..10).map(|n| format!("o-{n}")).collect();
    down(Some(PaymentFault::Unavailable));
    for id in &ids {
        world.post(id, &[("s", 1)]).await;
    }
    world.hurried(|| async { world.gateway.calls(PaymentCall::Authorize) > 20 }).await;
    // One wants out meanwhile: it can't be closed before the provider has let go.
    world.cancel("o-0").await.unwrap();
    world.hurried(|| async { world.gateway.calls(PaymentCall::Void) > 1 }).await;
    assert!(!world.events("o-0").await.contains(&"OrderCancelled"));

    down(None);
    let mails = world.hurried_mails(10).await;
    assert_eq!(mails.iter().filter(|mail| mail.template == NotificationTemplate::OrderConfirmed).count(), 9);
    world.eventually_nothing_waits().await;
    world.holds_nothing("o-0").await;
    let held = world.gateway.payments().values().filter(|payment| payment.is_held()).count();
    assert_eq!((held, world.stock("s").await.reserved), (9, 9));
    world.end().await;
}

#[tokio::test]
async fn units_go_back_when_an_order_is_not_paid_in_time() {
    let settings =
        SagaSettings { reply_deadline: NEVER, reservation_hold: Duration::from_millis(500), ..SagaSettings::default() };
    let world = World::with(settings).await;
    world.receive("s", 5).await;
    // It holds the money, and nobody hears of it.
    world.gateway.always(PaymentCall::Authorize, Some(PaymentFault::AnswerLost));
    world.gateway.always(PaymentCall::Find, Some(PaymentFault::Unavailable));
    world.post("a", &[("s", 5)]).await;
    world.is_undone("a", NotificationTemplate::OrderRejected, "could not be completed in time").await;
    assert_eq!(world.stock("s").await.available(), 5);
    world.end().await;
}

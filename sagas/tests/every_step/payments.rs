//! Several payments of one order, and what was paid elsewhere.

use domain::ids::RefundId;
use domain::order::event::OperatorIntervened;
use domain::order::saga::{OperatorDecision, SagaStep};
use domain::order::{OrderCommand, OrderStage, PaymentStatus};
use event_store::StreamLocks;
use messaging::NotificationTemplate;
use sagas::operator::ManualRefundName;
use serde_json::{Value, json};
use testkit::{Payment, PaymentCall, PaymentFault};

use crate::full_lifecycle::{receive_return, refund, request_return, ship, units};
use crate::world::{PRICE, World};

fn two_cards() -> Value {
    json!([
        { "method": "giftCard", "token": "tok_gift", "amount": "15.00" },
        { "method": "card", "token": "tok_card", "amount": "15.00" },
    ])
}

/// What the provider knows of the payment under this key.
fn account(world: &World, key: &str) -> Payment {
    world.gateway.payments().get(key).cloned().unwrap_or_default()
}

/// What was taken and given back of both.
fn both(world: &World, order_id: &str) -> [(i64, i64); 2] {
    let keys = [format!("{order_id}:authorize:0"), format!("{order_id}#2:authorize:0")];
    keys.map(|key| account(world, &key)).map(|payment| (payment.captured, payment.refunded))
}

#[tokio::test]
async fn two_payments_are_taken_in_their_order_and_refunded_in_the_reverse_order() {
    let world = World::start().await;
    world.receive("s", 10).await;
    world.post_paid("a", &[("s", 3)], &two_cards()).await;
    assert_eq!(world.mail().await.template, NotificationTemplate::OrderConfirmed);
    assert_eq!(both(&world, "a"), [(0, 0), (0, 0)]);
    let authorized = world.gateway.payments().values().map(|it| it.authorized).collect::<Vec<_>>();
    assert_eq!(authorized, [1_500, 1_500]);

    world.ask("a", ship("s-1", Some(units(1)))).await.unwrap();
    assert_eq!(world.mail().await.template, NotificationTemplate::OrderShipped);
    world.eventually_nothing_waits().await;
    assert_eq!(both(&world, "a"), [(PRICE, 0), (0, 0)]);
    assert_eq!(world.gateway.calls(PaymentCall::Capture), 1, "nothing is asked for nothing");

    // Half of the second shipment is on each. The answer to the second half is lost.
    world.gateway.next(PaymentCall::Capture, PaymentFault::AnswerLost);
    world.ask("a", ship("s-2", Some(units(1)))).await.unwrap();
    world.hurried(|| async { both(&world, "a") == [(1_500, 0), (500, 0)] }).await;
    assert_eq!(world.mail().await.template, NotificationTemplate::OrderShipped);
    assert!(!account(&world, "a:authorize:0").is_held());
    world.ask("a", ship("s-3", None)).await.unwrap();
    assert_eq!(world.mail().await.template, NotificationTemplate::OrderShipped);
    world.eventually_nothing_waits().await;
    assert_eq!(both(&world, "a"), [(1_500, 0), (1_500, 0)]);
    assert_eq!((world.stock("s").await.on_hand, world.stock("s").await.reserved), (7, 0));

    world.ask("a", request_return("r", units(1))).await.unwrap();
    world.ask("a", receive_return("r")).await.unwrap();
    assert_eq!(world.mail().await.refund_amount.as_deref(), Some("10.00"));
    world.ask("a", refund("f", Some(800))).await.unwrap();
    let mails = world.mails(2).await;
    let told: Vec<_> = mails.iter().map(|mail| mail.refund_amount.as_deref().unwrap_or_default()).collect();
    assert_eq!(told, ["5.00", "3.00"]);
    world.eventually_nothing_waits().await;
    assert_eq!(both(&world, "a"), [(1_500, 300), (1_500, 1_500)]);
    assert_eq!(world.order("a").await.payment_status(), PaymentStatus::PartiallyRefunded);
    world.end().await;
}

#[tokio::test]
async fn a_second_payment_that_is_declined_has_the_first_let_go_of() {
    let world = World::start().await;
    world.receive("s", 10).await;
    // The first is answered, and the second declined.
    world.gateway.next(PaymentCall::Authorize, PaymentFault::AnswerLost);
    world.post_paid("a", &[("s", 3)], &two_cards()).await;
    world.eventually_fails("a").await;
    world.gateway.always(PaymentCall::Authorize, Some(PaymentFault::Declined));
    world.hurried(|| async { world.order("a").await.stage() == OrderStage::Rejected }).await;
    assert_eq!(world.mail().await.template, NotificationTemplate::OrderRejected);
    world.eventually_nothing_waits().await;
    assert!(world.gateway.payments().values().all(|payment| !payment.is_held()));
    assert_eq!(world.stock("s").await.reserved, 0);
    let order = world.order("a").await;
    let states: Vec<_> = order.payments.iter().map(|payment| order.status_of_payment(payment)).collect();
    assert_eq!(states, [PaymentStatus::Voided, PaymentStatus::Declined]);
    world.end().await;
}

#[tokio::test]
async fn what_was_paid_elsewhere_waits_for_a_person_to_give_it_back_and_holds_up_nothing() {
    let world = World::start().await;
    world.receive("s", 10).await;
    let payments = json!([
        { "method": "card", "token": "tok_card", "amount": "10.00" },
        { "method": "bankTransfer", "amount": "20.00", "reference": "RF18" },
    ]);
    world.post_paid("a", &[("s", 3)], &payments).await;
    assert_eq!(world.mail().await.template, NotificationTemplate::OrderConfirmed);
    world.ask("a", ship("s-1", None)).await.unwrap();
    assert_eq!(world.mail().await.template, NotificationTemplate::OrderShipped);
    world.eventually_nothing_waits().await;
    assert_eq!((world.gateway.calls(PaymentCall::Authorize), world.gateway.calls(PaymentCall::Capture)), (1, 1));
    assert_eq!(world.order("a").await.captured_minor(), 3 * PRICE);

    // Of this, 20.00 go back by a person. The provider's part does not wait for that.
    world.ask("a", refund("f", Some(2_500))).await.unwrap();
    assert_eq!(world.mail().await.refund_amount.as_deref(), Some("5.00"));
    let row = "select count(*) from saga_work where order_id = 'a' and step = 'refund_manually' and not stuck";
    testkit::eventually(crate::world::PATIENCE, || async { world.count(row).await == 1 }).await;
    transferred(&world, "a", Some(2), ManualRefundName::Refund(RefundId::parse("f").unwrap())).await;
    assert_eq!(world.mail().await.refund_amount.as_deref(), Some("20.00"));
    world.eventually_nothing_waits().await;
    let order = world.order("a").await;
    assert_eq!(order.payments.iter().map(|it| it.refunded_minor).collect::<Vec<_>>(), [500, 2_000]);

    // A cancelled order ends, and what was paid for it is still listed.
    let all = json!([{ "method": "invoice", "amount": "10.00", "reference": "INV-7" }]);
    world.post_paid("b", &[("s", 1)], &all).await;
    assert_eq!(world.mail().await.template, NotificationTemplate::OrderConfirmed);
    world.cancel("b").await.unwrap();
    let mail = world.mail().await;
    assert_eq!((mail.template, mail.paid_elsewhere), (NotificationTemplate::OrderCancelled, true));
    let row = "select count(*) from saga_work where order_id = 'b' and step = 'refund_manually' and not stuck";
    testkit::eventually(crate::world::PATIENCE, || async { world.count(row).await == 1 }).await;
    assert_eq!(world.order("b").await.stage(), OrderStage::Cancelled);
    transferred(&world, "b", None, ManualRefundName::Rest).await;
    let mail = world.mail().await;
    assert_eq!((mail.template, mail.paid_elsewhere), (NotificationTemplate::PaymentReleased, true));
    assert_eq!(mail.refund_amount.as_deref(), Some("10.00"));
    world.eventually_nothing_waits().await;
    assert_eq!(world.order("b").await.payment_status(), PaymentStatus::Voided);
    world.end().await;
}

async fn transferred(world: &World, order_id: &str, payment_number: Option<u32>, what: ManualRefundName) {
    let stock = StreamLocks::new(world.store.clone(), 100);
    let decided = OperatorIntervened {
        decision: OperatorDecision::MarkSucceeded { reference: "transfer-7".to_owned() },
        step: SagaStep::RefundManually,
        actor: "ann".to_owned(),
        reason: "sent it".to_owned(),
        customer_message: None,
        notification_id: None,
        payment_number,
    };
    sagas::operator::intervene(&world.store, &stock, order_id, decided, Some(what)).await.unwrap();
}

#[tokio::test]
async fn the_report_names_the_payment_of_an_attempt_and_what_can_be_decided_about_it() {
    let world = World::start().await;
    world.receive("s", 10).await;
    world.gateway.always(PaymentCall::Capture, Some(PaymentFault::Refused));
    world.post_paid("a", &[("s", 3)], &two_cards()).await;
    world.mail().await;
    world.ask("a", ship("s-1", None)).await.unwrap();
    world.eventually_stuck("a", SagaStep::CapturePayment).await;
    let report = sagas::report::read(&world.store, "a").await.unwrap().unwrap();
    let authorized = report.progress(SagaStep::AuthorizePayment).unwrap();
    let texts: Vec<_> = authorized.messages.iter().map(|message| message.text.as_deref().unwrap_or_default()).collect();
    assert!(texts[0].starts_with("payment 1: ") && texts[1].starts_with("payment 2: "), "{texts:?}");
    let remedy = report.remedies.iter().find(|remedy| remedy.step == SagaStep::CapturePayment).unwrap();
    assert_eq!((remedy.payment_number, remedy.verbs.contains(&"mark-failed")), (Some(1), true));
    world.end().await;
}

#[tokio::test]
async fn an_order_of_one_payment_has_the_keys_that_it_always_had() {
    let world = World::start().await;
    world.receive("s", 10).await;
    world.promise("a", 1).await;
    world.ask("a", ship("s-1", None)).await.unwrap();
    world.mail().await;
    let shipped = OrderCommand::DeliverOrder;
    world.ask("a", shipped).await.unwrap();
    world.ask("a", refund("f", None)).await.unwrap();
    world.mail().await;
    assert_eq!(world.gateway.payments().into_keys().collect::<Vec<_>>(), ["a:authorize:0"]);
    let events = world.count("select count(*) from events where aggregate_type = 'order' and event_version <> '1.0' and event_type <> 'OrderShipped'");
    assert_eq!(events.await, 0);
    world.end().await;
}

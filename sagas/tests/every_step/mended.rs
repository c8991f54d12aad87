//! A saga that is stuck can be seen with its reason, and every decision that applies to the step ends it.

use domain::ids::PaymentToken;
use domain::order::saga::{OperatorDecision, SagaStep};
use domain::order::{OrderStage, PaymentStatus};
use messaging::NotificationTemplate;
use payments::{AuthorizationRequest, PaymentGateway};
use testkit::{PaymentCall, PaymentFault};

use crate::full_lifecycle::{money, receive_return, refund, request_return, ship, units};
use crate::world::{PRICE, SORRY, World};

fn retry() -> OperatorDecision {
    OperatorDecision::Retry { payment_token: None }
}

fn other_means() -> OperatorDecision {
    OperatorDecision::Retry { payment_token: Some(PaymentToken::parse("tok_other").unwrap()) }
}

fn it_was_done(reference: &str) -> OperatorDecision {
    OperatorDecision::MarkSucceeded { reference: reference.to_owned() }
}

#[tokio::test]
async fn an_authorization_that_the_provider_does_not_understand() {
    let world = World::start().await;
    world.receive("s", 10).await;
    let request = AuthorizationRequest {
        key: "it-was-done:authorize:0".into(),
        order_id: "it-was-done".into(),
        amount_minor: PRICE,
        currency: "USD".into(),
        token: None,
    };
    let decisions = [
        ("retry", retry(), None),
        ("other-means", other_means(), None),
        ("skip", OperatorDecision::Skip, None),
        ("it-was-done", it_was_done(&request.key), None),
        ("failed", OperatorDecision::MarkFailed, Some(SORRY)),
        ("given-up", OperatorDecision::Compensate, Some(SORRY)),
    ];
    for (order_id, decision, undone) in decisions {
        world.gateway.next(PaymentCall::Authorize, PaymentFault::Refused);
        world.post(order_id, &[("s", 1)]).await;
        let why = world.eventually_stuck(order_id, SagaStep::AuthorizePayment).await;
        assert!(why.contains("no such token"), "{why}");
        if order_id == "it-was-done" {
            world.gateway.authorize(&request).await.unwrap();
        }
        world.intervene(order_id, SagaStep::AuthorizePayment, decision).await;
        if let Some(why) = undone {
            world.is_undone(order_id, NotificationTemplate::OrderRejected, why).await;
            continue;
        }
        assert_eq!(world.mail().await.template, NotificationTemplate::OrderConfirmed);
        world.eventually_nothing_waits().await;
        assert_eq!(money(&world, order_id), (order_id != "skip", 0, 0), "{order_id}");
    }
    assert_eq!(world.stock("s").await.reserved, 4);
    world.end().await;
}

#[tokio::test]
async fn means_of_payment_that_were_replaced_hold_nothing_whenever_their_answer_comes() {
    let world = World::start().await;
    for (order_id, cancels) in [("goes-on", false), ("cancelled", true)] {
        let asked = world.gateway.calls(PaymentCall::Authorize);
        // The money is held, and the answer never comes.
        world.gateway.next(PaymentCall::Authorize, PaymentFault::NoAnswer);
        world.post(order_id, &[("s", 1)]).await;
        testkit::eventually(crate::world::PATIENCE, || async {
            world.gateway.calls(PaymentCall::Authorize) == asked + 1
        })
        .await;
        assert_eq!(money(&world, order_id), (true, 0, 0));
        world.intervene(order_id, SagaStep::AuthorizePayment, other_means()).await;
        if cancels {
            world.cancel(order_id).await.unwrap();
            world.eventually_at(order_id, OrderStage::Cancelled).await;
            world.mails_to_the_end().await;
            world.holds_nothing(order_id).await;
            continue;
        }
        assert_eq!(world.mail().await.template, NotificationTemplate::OrderConfirmed);
        let payments = world.gateway.payments();
        assert!(!payments["goes-on:authorize:0"].is_held(), "{payments:?}");
        assert!(payments["goes-on:authorize:1"].is_held(), "{payments:?}");
    }
    world.end().await;
}

#[tokio::test]
async fn money_that_the_provider_does_not_let_go_of() {
    let world = World::start().await;
    world.receive("s", 10).await;
    for (order_id, decision) in
        [("retry", retry()), ("skip", OperatorDecision::Skip), ("it-was-done", it_was_done("v-1"))]
    {
        world.promise(order_id, 1).await;
        world.gateway.next(PaymentCall::Void, PaymentFault::Refused);
        world.cancel(order_id).await.unwrap();
        world.eventually_stuck(order_id, SagaStep::VoidPayment).await;
        assert_eq!(world.order(order_id).await.stage(), OrderStage::Undoing);
        assert_eq!(world.stock("s").await.available(), 10, "others can have its units meanwhile");
        world.intervene(order_id, SagaStep::VoidPayment, decision.clone()).await;
        assert_eq!(world.mail().await.template, NotificationTemplate::OrderCancelled);
        // Nobody says that money is free because an operator goes on without it.
        if matches!(decision, OperatorDecision::MarkSucceeded { .. }) {
            let mail = world.mail().await;
            assert_eq!(
                (mail.template, mail.refund_amount.as_deref()),
                (NotificationTemplate::PaymentReleased, Some("10.00"))
            );
        }
        world.eventually_nothing_waits().await;
        assert_eq!(world.order(order_id).await.payment_status(), PaymentStatus::Voided);
        assert_eq!(world.stock("s").await.available(), 10);
    }
    world.holds_nothing("retry").await;
    world.end().await;
}

#[tokio::test]
async fn money_that_the_provider_does_not_take_or_give_back() {
    let world = World::start().await;
    world.receive("s", 10).await;
    let decisions = [
        ("retry", retry(), PRICE),
        ("it-was-not", OperatorDecision::MarkFailed, 0),
        ("it-was-done", it_was_done("c-1"), PRICE),
    ];
    for (order_id, decision, recorded) in decisions.clone() {
        world.promise(order_id, 1).await;
        world.gateway.next(PaymentCall::Capture, PaymentFault::Kept);
        world.ask(order_id, ship("s-1", None)).await.unwrap();
        world.eventually_stuck(order_id, SagaStep::CapturePayment).await;
        world.intervene(order_id, SagaStep::CapturePayment, decision).await;
        assert_eq!(world.mail().await.template, NotificationTemplate::OrderShipped);
        world.eventually_nothing_waits().await;
        assert_eq!(world.order(order_id).await.captured_minor(), recorded, "{order_id}");
    }
    assert_eq!((world.stock("s").await.on_hand, world.stock("s").await.reserved), (7, 0));

    for (order_id, decision, recorded) in decisions {
        let order_id = format!("refund-{order_id}");
        world.promise(&order_id, 1).await;
        world.ask(&order_id, ship("s-1", None)).await.unwrap();
        world.mail().await;
        world.eventually_nothing_waits().await;
        world.gateway.next(PaymentCall::Refund, PaymentFault::Kept);
        world.ask(&order_id, refund("f", None)).await.unwrap();
        world.eventually_stuck(&order_id, SagaStep::RefundPayment).await;
        world.intervene(&order_id, SagaStep::RefundPayment, decision).await;
        if recorded > 0 {
            assert_eq!(world.mail().await.template, NotificationTemplate::OrderRefunded);
        }
        world.eventually_nothing_waits().await;
        assert_eq!(world.order(&order_id).await.refunded_minor(), recorded, "{order_id}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_refund_of_money_that_was_never_taken_is_not_stuck_in_silence() {
    let world = World::start().await;
    world.promise("a", 2).await;
    world.gateway.always(PaymentCall::Capture, Some(PaymentFault::Refused));
    world.ask("a", ship("s-1", None)).await.unwrap();
    world.eventually_stuck("a", SagaStep::CapturePayment).await;
    // It comes back before it is paid; then an operator does without the money.
    world.ask("a", request_return("r", units(1))).await.unwrap();
    world.ask("a", receive_return("r")).await.unwrap();
    world.eventually_stuck("a", SagaStep::CapturePayment).await;
    world.intervene("a", SagaStep::CapturePayment, OperatorDecision::MarkFailed).await;
    assert_eq!(world.mail().await.template, NotificationTemplate::OrderShipped);
    let why = world.eventually_stuck("a", SagaStep::RefundPayment).await;
    assert!(why.contains("was taken"), "{why}");
    world.intervene("a", SagaStep::RefundPayment, OperatorDecision::Skip).await;
    world.eventually_nothing_waits().await;
    world.end().await;
}

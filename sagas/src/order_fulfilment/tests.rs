use domain::{
    MailTemplate, NotificationFailed, NotificationSent, Order, OrderConfirmed, OrderEvent, PostedOrder, evolve,
};
use uuid::Uuid;

use super::*;

fn after(events: impl IntoIterator<Item = OrderEvent>) -> PlacedOrder {
    let posted = PostedOrder::parse(include_bytes!("../../../domain/golden/posted/demo-order.json")).unwrap();
    let mut order = Order::default();
    evolve(&mut order, OrderEvent::OrderCreated(posted.content));
    events.into_iter().for_each(|event| evolve(&mut order, event));
    let Order::Placed(placed) = order else { panic!("not placed") };
    *placed
}

fn confirmed() -> OrderEvent {
    OrderEvent::OrderConfirmed(OrderConfirmed {})
}

fn next(order: &PlacedOrder) -> Option<&'static str> {
    next_step(order).map(|(_, step)| step.name)
}

#[test]
fn a_new_order_is_confirmed_then_its_customer_told_then_nothing() {
    let sent = OrderEvent::NotificationSent(NotificationSent {
        notification_id: Uuid::nil(),
        template: MailTemplate::OrderConfirmed,
        recipient: "a@example.com".into(),
        provider_message_id: "m".into(),
    });
    assert_eq!(next(&after([])), Some("confirm"));
    assert_eq!(next(&after([confirmed()])), Some("notify"));
    assert_eq!(next(&after([confirmed(), sent])), None);
}

#[test]
fn a_mail_that_was_given_up_ends_the_saga_and_the_order_stands() {
    let failed = OrderEvent::NotificationFailed(NotificationFailed {
        notification_id: Uuid::nil(),
        template: MailTemplate::OrderConfirmed,
        reason: "no such mailbox".into(),
    });
    let order = after([confirmed(), failed]);
    assert_eq!(next(&order), None);
    assert_eq!(order.status, domain::OrderStatus::Confirmed);
}

#[test]
fn no_customer_is_told_anything_before_the_pivot() {
    let pivot = STEPS.iter().position(|step| step.kind == Kind::Pivot).unwrap();
    let notify = STEPS.iter().position(|step| step.name == "notify").unwrap();
    assert!(pivot < notify);
    assert!(STEPS[pivot + 1..].iter().all(|step| step.kind == Kind::ForwardOnly));
}

#[test]
fn every_step_says_how_it_is_undone_or_why_it_is_not() {
    for step in &STEPS {
        match step.undo {
            Undo::Nothing { because } => assert!(!because.is_empty(), "{}", step.name),
        }
    }
}

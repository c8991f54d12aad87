//! The mail to the staff of the shop about a new order.

use super::operators::{placed, shipped};
use super::*;
use crate::order::mail_triggers::MailTriggers;

fn ready() -> Order {
    given([created(), reserved(), authorized()])
}

/// An order that is confirmed with a mail to staff, and whose customer knows it.
fn told() -> Order {
    let mut order = ready();
    let confirmed = decide(&order, OrderCommand::ConfirmOrder { mail_staff: true }).unwrap();
    assert_eq!(confirmed, [OrderEvent::OrderConfirmed(OrderConfirmed { mail_staff: true })]);
    confirmed.into_iter().for_each(|event| evolve(&mut order, event));
    assert_eq!(placed(&order).owed_mail(), Some((MailTemplate::OrderConfirmed, 0)));
    evolve(&mut order, OrderEvent::NotificationSent(sent()));
    order
}

fn staff_mail() -> NotificationSent {
    NotificationSent {
        notification_id: Uuid::from_u128(77),
        template: MailTemplate::StaffNewOrder,
        recipient: "staff".into(),
        nth: Some(0),
        ..sent()
    }
}

#[test]
fn staff_are_told_of_an_order_once_if_it_was_confirmed_with_a_mail_to_them() {
    let mut order = told();
    assert_eq!(placed(&order).owed_mail(), Some((MailTemplate::StaffNewOrder, 0)));
    assert_eq!(decide(&order, OrderCommand::ConfirmOrder { mail_staff: true }), Ok(vec![]));

    evolve(&mut order, OrderEvent::NotificationSent(staff_mail()));
    assert_eq!(placed(&order).owed_mail(), None);
    // Its answer comes again.
    assert_eq!(decide(&order, OrderCommand::RecordNotificationSent(staff_mail())), Ok(vec![]));

    let without = given(promised().into_iter().chain([OrderEvent::NotificationSent(sent())]));
    assert_eq!(placed(&without).owed_mail(), None);
    assert_eq!(decide(&without, OrderCommand::ConfirmOrder { mail_staff: true }), Ok(vec![]));
}

#[test]
fn no_customer_waits_for_a_mail_to_staff() {
    let mut order = told();
    evolve(&mut order, shipped());
    assert_eq!(placed(&order).owed_mail(), Some((MailTemplate::OrderShipped, 0)));
    let told = NotificationSent { notification_id: Uuid::from_u128(8), template: MailTemplate::OrderShipped, ..sent() };
    evolve(&mut order, OrderEvent::NotificationSent(told));
    assert_eq!(placed(&order).owed_mail(), Some((MailTemplate::StaffNewOrder, 0)));
}

#[test]
fn staff_are_not_told_of_an_order_that_is_cancelled_before_and_an_answer_that_comes_late_is_recorded() {
    let mut order = told();
    let cancelled = OrderEvent::CancellationRequested(CancellationRequested { reason: None });
    evolve(&mut order, cancelled);
    assert!(placed(&order).owed_mail().is_none_or(|(template, _)| template != MailTemplate::StaffNewOrder));
    let recorded = decide(&order, OrderCommand::RecordNotificationSent(staff_mail())).unwrap();
    assert_eq!(recorded, [OrderEvent::NotificationSent(staff_mail())]);
    recorded.into_iter().for_each(|event| evolve(&mut order, event));
    assert_eq!(decide(&order, OrderCommand::RecordNotificationSent(staff_mail())), Ok(vec![]));
}

#[test]
fn a_mail_to_staff_that_is_on_its_way_is_withdrawn_once_the_order_is_cancelled() {
    let mut order = told();
    evolve(&mut order, OrderEvent::CancellationRequested(CancellationRequested { reason: None }));
    evolve(&mut order, OrderEvent::OrderCancelled(OrderCancelled { reason: None }));
    let told =
        NotificationSent { notification_id: Uuid::from_u128(9), template: MailTemplate::OrderCancelled, ..sent() };
    evolve(&mut order, OrderEvent::NotificationSent(told));

    assert_eq!(placed(&order).owed_mail(), Some((MailTemplate::StaffNewOrder, 0)));
    assert!(placed(&order).is_withdrawn(MailTemplate::StaffNewOrder));
}

#[test]
fn the_mail_to_staff_has_an_id_of_its_own_from_the_same_event() {
    let (mut order, mut triggers) = (Order::Absent, MailTriggers::default());
    let confirmed = OrderEvent::OrderConfirmed(OrderConfirmed { mail_staff: true });
    for (id, event) in (100..).zip([created(), reserved(), authorized(), confirmed]) {
        triggers.apply(Uuid::from_u128(id), &event);
        evolve(&mut order, event);
    }
    let to_customer = triggers.owed_mail(placed(&order)).unwrap();
    evolve(&mut order, OrderEvent::NotificationSent(sent()));
    let to_staff = triggers.owed_mail(placed(&order)).unwrap();

    assert_eq!(to_staff.template, MailTemplate::StaffNewOrder);
    assert_eq!(to_staff.cause, to_customer.cause);
    assert_eq!(to_staff.notification_id, Uuid::new_v5(&to_staff.cause, b"staff-new-order"));
    let asked = triggers.requested_mail(placed(&order), MailTemplate::StaffNewOrder, to_staff.notification_id);
    assert_eq!(asked, Some(0));
}

#[test]
fn an_order_without_a_mail_to_staff_is_confirmed_as_before_to_the_byte() {
    use cqrs_es::DomainEvent as _;

    let golden = include_str!("../../../golden/events/OrderConfirmed-1.0.json").trim_end();
    assert_eq!((&*serde_json::to_string(&confirmed()).unwrap(), &*confirmed().event_version()), (golden, "1.0"));
    let of_staff = OrderEvent::OrderConfirmed(OrderConfirmed { mail_staff: true });
    assert_eq!(of_staff.event_version(), "2.0");
}

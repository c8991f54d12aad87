//! A mail is sent once more because somebody asked for it.

use super::operators::{intervene, placed, shipped};
use super::*;
use crate::order::mail_triggers::{MailTriggers, OwedMail};

fn sent_as(n: u128, template: MailTemplate, nth: usize) -> OrderEvent {
    OrderEvent::NotificationSent(NotificationSent {
        notification_id: Uuid::from_u128(n),
        template,
        nth: Some(nth),
        ..sent()
    })
}

fn failed_as(n: u128) -> NotificationFailed {
    NotificationFailed { notification_id: Uuid::from_u128(n), nth: Some(0), ..failed() }
}

fn resend(n: u128) -> OrderCommand {
    OrderCommand::ResendMail(Uuid::from_u128(n))
}

/// An order of which the customer was told that it is confirmed and that it was shipped.
fn told() -> Vec<OrderEvent> {
    let mails = [sent_as(1, MailTemplate::OrderConfirmed, 0), shipped(), sent_as(2, MailTemplate::OrderShipped, 0)];
    promised().into_iter().chain(mails).collect()
}

fn carry_out(order: &mut Order, command: OrderCommand) -> usize {
    let events = decide(order, command).unwrap();
    let count = events.len();
    events.into_iter().for_each(|event| evolve(order, event));
    count
}

#[test]
fn a_mail_that_went_out_goes_out_once_more_under_another_id() {
    let mut order = given(told());
    assert_eq!(placed(&order).owed_mail(), None);
    assert_eq!(carry_out(&mut order, resend(1)), 1);
    assert_eq!(placed(&order).owed_mail(), Some((MailTemplate::OrderConfirmed, 0)));
    assert_eq!(carry_out(&mut order, resend(1)), 0, "it is on its way");
    // The answer to the first request says nothing of the second.
    let OrderEvent::NotificationSent(first) = sent_as(1, MailTemplate::OrderConfirmed, 0) else { unreachable!() };
    assert_eq!(carry_out(&mut order, OrderCommand::RecordNotificationSent(first)), 0);
    assert_eq!(placed(&order).owed_mail(), Some((MailTemplate::OrderConfirmed, 0)));
    let OrderEvent::NotificationSent(second) = sent_as(3, MailTemplate::OrderConfirmed, 0) else { unreachable!() };
    assert_eq!(carry_out(&mut order, OrderCommand::RecordNotificationSent(second)), 1);
    assert_eq!(placed(&order).owed_mail(), None);
    // It has both ids.
    assert_eq!([carry_out(&mut order, resend(1)), carry_out(&mut order, resend(3))], [1, 0]);
}

#[test]
fn one_that_fails_the_second_time_is_given_up_and_can_be_wanted_again() {
    let mut order = given(told());
    carry_out(&mut order, resend(1));
    assert_eq!(carry_out(&mut order, OrderCommand::RecordNotificationFailed(failed_as(3))), 1);
    assert!(placed(&order).has_failed_mail());
    assert_eq!(placed(&order).owed_mail(), None);
    assert_eq!(carry_out(&mut order, resend(3)), 1);
    evolve(&mut order, sent_as(4, MailTemplate::OrderConfirmed, 0));
    assert!(!placed(&order).has_failed_mail());
}

#[test]
fn what_is_not_there_or_not_true_is_not_sent() {
    let order = given(told());
    assert_eq!(decide(&order, resend(9)), Err(OrderError::NoSuchMail(Uuid::from_u128(9))));
    let cancelled = OrderEvent::OrderCancelled(OrderCancelled { reason: None });
    let order = given(promised().into_iter().chain([sent_as(1, MailTemplate::OrderConfirmed, 0), cancelled]));
    assert_eq!(decide(&order, resend(1)), Err(OrderError::MailWithdrawn));
}

#[test]
fn mails_are_sent_once_more_so_often_and_no_more() {
    let few = OrderGrowthLimits { resends: 2, ..OrderGrowthLimits::default() };
    let mut order = given(told());
    for (wanted, template) in [(1, MailTemplate::OrderConfirmed), (2, MailTemplate::OrderShipped)] {
        let events = few.decide(&order, resend(wanted)).unwrap();
        events.into_iter().for_each(|event| evolve(&mut order, event));
        evolve(&mut order, sent_as(wanted + 10, template, 0));
    }
    let limit = OrderError::TooManyOf { action: OrderAction::ResendMail, limit: 2 };
    assert_eq!(few.decide(&order, resend(1)), Err(limit));
}

/// Stores events under ids that count up from 100.
#[derive(Default)]
struct StoredOrder {
    order: Order,
    triggers: MailTriggers,
    stored: u128,
}

impl StoredOrder {
    fn of(events: impl IntoIterator<Item = OrderEvent>) -> Self {
        let mut stored = Self::default();
        events.into_iter().for_each(|event| stored.add(event));
        stored
    }

    fn add(&mut self, event: OrderEvent) {
        self.triggers.apply(Uuid::from_u128(100 + self.stored), &event);
        self.stored += 1;
        evolve(&mut self.order, event);
    }

    fn does(&mut self, command: OrderCommand) {
        decide(&self.order, command).unwrap().into_iter().for_each(|event| self.add(event));
    }

    fn owed(&self) -> OwedMail {
        self.triggers.owed_mail(placed(&self.order)).unwrap()
    }
}

fn retry() -> OrderCommand {
    OrderCommand::Intervene(intervene(OperatorDecision::Retry { payment_token: None }, SagaStep::NotifyCustomer))
}

/// An order with two shipments. The customer was told of the first, and the mail about the second was given up.
fn told_of_one_of_two() -> StoredOrder {
    let second =
        OrderShipped { shipment_id: ShipmentId::parse("t").unwrap(), lines: line(1), parcels: vec![], location: None };
    let given_up = NotificationFailed {
        notification_id: Uuid::from_u128(3),
        template: MailTemplate::OrderShipped,
        nth: Some(1),
        ..failed()
    };
    let events = [OrderEvent::OrderShipped(second), OrderEvent::NotificationFailed(given_up)];
    StoredOrder::of(told().into_iter().chain(events))
}

#[test]
fn an_operators_retry_of_another_mail_leaves_one_that_somebody_wants_again() {
    let mut order = told_of_one_of_two();
    order.does(resend(2));
    let wanted = order.owed();
    assert_eq!((wanted.template, wanted.nth), (MailTemplate::OrderShipped, 0));

    order.does(retry());

    // It may be requested already, so it keeps its id.
    assert_eq!(order.owed(), wanted);
    order.does(OrderCommand::RecordNotificationSent(NotificationSent {
        notification_id: wanted.notification_id,
        template: MailTemplate::OrderShipped,
        nth: Some(0),
        ..sent()
    }));
    let retried = order.owed();
    assert_eq!((retried.template, retried.nth), (MailTemplate::OrderShipped, 1));
    // A second retry does not send it once more.
    order.does(retry());
    assert_eq!(order.owed(), retried);
}

#[test]
fn an_answer_to_the_name_that_earlier_builds_gave_a_mail_is_about_it() {
    let mut order = told_of_one_of_two();
    order.does(retry());
    let name = order.owed().notification_id;
    order.does(retry());
    let last_resend = Uuid::from_u128(100 + order.stored - 1);
    let earlier = Uuid::new_v5(&last_resend, format!("{}1", MailTemplate::OrderShipped.name()).as_bytes());
    for name in [name, earlier] {
        let about = order.triggers.requested_mail(placed(&order.order), MailTemplate::OrderShipped, name);
        assert_eq!(about, Some(1));
    }
}

#[test]
fn the_id_of_each_follows_from_the_event_that_wants_that_mail() {
    let (mut order, mut triggers) = (Order::Absent, MailTriggers::default());
    let mut store = |order: &mut Order, id: u128, event: OrderEvent| {
        triggers.apply(Uuid::from_u128(id), &event);
        evolve(order, event);
        triggers.clone()
    };
    for (id, event) in (100..).zip(told()) {
        store(&mut order, id, event);
    }
    let [first] = decide(&order, resend(1)).unwrap().try_into().unwrap();
    let known = store(&mut order, 200, first);
    let confirmation = known.owed_mail(placed(&order)).unwrap();
    // Another is wanted before that went out.
    let [second] = decide(&order, resend(2)).unwrap().try_into().unwrap();
    let known = store(&mut order, 201, second);

    assert_eq!(known.owed_mail(placed(&order)).unwrap(), confirmation);
    let requested = known.requested_mail(placed(&order), MailTemplate::OrderConfirmed, confirmation.notification_id);
    assert_eq!(requested, Some(0));
    let sent = NotificationSent { notification_id: confirmation.notification_id, nth: Some(0), ..sent() };
    let known = store(&mut order, 202, OrderEvent::NotificationSent(sent));
    let shipment = known.owed_mail(placed(&order)).unwrap();
    assert_eq!((shipment.template, shipment.nth), (MailTemplate::OrderShipped, 0));
    assert_ne!(shipment.notification_id, confirmation.notification_id);
}

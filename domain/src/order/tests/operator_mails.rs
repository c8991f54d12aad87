//! What operators may decide about mails, and whose answer is whose afterwards.

use super::operators::{intervene, order_after, placed, shipped};
use super::*;

#[test]
fn a_mail_that_was_given_up_is_owed_again_once_an_operator_says_so() {
    let mut order = given(promised().into_iter().chain([OrderEvent::NotificationFailed(failed())]));
    let owed = |order: &Order| match order {
        Order::Placed(placed) => placed.owed_mail(),
        Order::Absent => None,
    };
    assert_eq!(owed(&order), None);
    let again = intervene(OperatorDecision::Retry { payment_token: None }, SagaStep::NotifyCustomer);
    evolve(&mut order, OrderEvent::OperatorIntervened(again));
    assert_eq!(owed(&order), Some((MailTemplate::OrderConfirmed, 0)));
    // It goes out as another mail.
    let another = NotificationSent { notification_id: Uuid::from_u128(8), ..sent() };
    evolve(&mut order, OrderEvent::NotificationSent(another));
    assert_eq!(owed(&order), None);
}

#[test]
fn the_answer_to_a_mail_that_was_skipped_does_not_stand_for_the_next() {
    let sent_as = |n: u128| NotificationSent {
        notification_id: Uuid::from_u128(n),
        template: MailTemplate::OrderShipped,
        ..sent()
    };
    let mut events = promised();
    events.push(OrderEvent::NotificationSent(sent()));
    events.push(shipped());
    let mut order = order_after(events, OperatorDecision::Skip, SagaStep::NotifyCustomer);
    assert_eq!(placed(&order).owed_mail(), None);
    // When it went out after all, and says so twice.
    for repeated in [false, true] {
        let events = decide(&order, OrderCommand::RecordNotificationSent(sent_as(1_000))).unwrap();
        assert_eq!(events.is_empty(), repeated);
        events.into_iter().for_each(|event| evolve(&mut order, event));
    }
    let shipment_id = ShipmentId::parse("t").unwrap();
    evolve(
        &mut order,
        OrderEvent::OrderShipped(OrderShipped { shipment_id, lines: line(1), parcels: vec![], location: None }),
    );
    assert_eq!(placed(&order).owed_mail(), Some((MailTemplate::OrderShipped, 1)));
    // One that was to be sent again and was skipped then is the same mail.
    evolve(
        &mut order,
        OrderEvent::NotificationFailed(NotificationFailed {
            notification_id: Uuid::from_u128(1_001),
            template: MailTemplate::OrderShipped,
            reason: "no".into(),
            nth: None,
        }),
    );
    for decision in [OperatorDecision::Retry { payment_token: None }, OperatorDecision::Skip] {
        evolve(&mut order, OrderEvent::OperatorIntervened(intervene(decision, SagaStep::NotifyCustomer)));
    }
    evolve(&mut order, OrderEvent::NotificationSent(sent_as(1_002)));
    assert_eq!(placed(&order).mails[&MailTemplate::OrderShipped].len(), 2);
}

#[test]
fn the_answer_to_the_mail_after_one_that_was_skipped_is_its_own() {
    let sent_as = |n: u128| NotificationSent {
        notification_id: Uuid::from_u128(n),
        template: MailTemplate::OrderShipped,
        ..sent()
    };
    let mut events = promised();
    events.push(OrderEvent::NotificationSent(sent()));
    events.push(shipped());
    let mut order = order_after(events, OperatorDecision::Skip, SagaStep::NotifyCustomer);
    let shipment_id = ShipmentId::parse("t").unwrap();
    evolve(
        &mut order,
        OrderEvent::OrderShipped(OrderShipped { shipment_id, lines: line(1), parcels: vec![], location: None }),
    );

    evolve(&mut order, OrderEvent::NotificationSent(sent_as(1_001)));

    assert_eq!(placed(&order).owed_mail(), None);
    assert_eq!(placed(&order).mails[&MailTemplate::OrderShipped].len(), 2);
    // And should the one that was skipped have gone out after all, it takes its place.
    evolve(&mut order, OrderEvent::NotificationSent(sent_as(1_000)));
    let mails = &placed(&order).mails[&MailTemplate::OrderShipped];
    assert!(mails.len() == 2 && mails.iter().all(|mail| mail.outcome == MailOutcome::Sent), "{mails:?}");
}

#[test]
fn the_late_answer_to_a_mail_that_was_skipped_is_about_that_one_whatever_is_owed_since() {
    let sent_as = |n: u128| NotificationSent {
        notification_id: Uuid::from_u128(n),
        template: MailTemplate::OrderShipped,
        ..sent()
    };
    let mut order = Order::Absent;
    promised().into_iter().for_each(|event| evolve(&mut order, event));
    evolve(&mut order, OrderEvent::NotificationSent(sent()));
    evolve(&mut order, shipped());
    let skip = |id| OperatorIntervened {
        payment_number: None,
        notification_id: Some(Uuid::from_u128(id)),
        ..intervene(OperatorDecision::Skip, SagaStep::NotifyCustomer)
    };
    evolve(&mut order, OrderEvent::OperatorIntervened(skip(1_000)));
    let shipment_id = ShipmentId::parse("t").unwrap();
    evolve(
        &mut order,
        OrderEvent::OrderShipped(OrderShipped { shipment_id, lines: line(1), parcels: vec![], location: None }),
    );

    // It comes while the next is owed and nobody knows the name of that.
    evolve(&mut order, OrderEvent::NotificationSent(sent_as(1_000)));
    assert_eq!(placed(&order).owed_mail(), Some((MailTemplate::OrderShipped, 1)));

    // The same of one that was to be sent again, under another name.
    let failed = NotificationFailed {
        notification_id: Uuid::from_u128(1_001),
        template: MailTemplate::OrderShipped,
        reason: "no".into(),
        nth: None,
    };
    evolve(&mut order, OrderEvent::NotificationFailed(failed));
    let retry = intervene(OperatorDecision::Retry { payment_token: None }, SagaStep::NotifyCustomer);
    evolve(&mut order, OrderEvent::OperatorIntervened(retry));
    evolve(&mut order, OrderEvent::OperatorIntervened(skip(1_002)));
    let shipment_id = ShipmentId::parse("u").unwrap();
    evolve(
        &mut order,
        OrderEvent::OrderShipped(OrderShipped { shipment_id, lines: line(1), parcels: vec![], location: None }),
    );
    for late in [1_001, 1_002] {
        evolve(&mut order, OrderEvent::NotificationSent(sent_as(late)));
        assert_eq!(placed(&order).owed_mail(), Some((MailTemplate::OrderShipped, 2)), "{late}");
    }
    let again = decide(&order, OrderCommand::RecordNotificationSent(sent_as(1_001))).unwrap();
    assert!(again.is_empty(), "{again:?}");
}

#[test]
fn the_late_answer_to_a_mail_that_was_sent_again_meanwhile_does_not_stand_for_the_next() {
    let of_shipment = |n: u128| NotificationSent {
        notification_id: Uuid::from_u128(n),
        template: MailTemplate::OrderShipped,
        ..sent()
    };
    let mut order = Order::Absent;
    promised().into_iter().for_each(|event| evolve(&mut order, event));
    evolve(&mut order, OrderEvent::NotificationSent(sent()));
    evolve(&mut order, shipped());
    let failed = NotificationFailed {
        notification_id: Uuid::from_u128(1_000),
        template: MailTemplate::OrderShipped,
        reason: "no".into(),
        nth: None,
    };
    evolve(&mut order, OrderEvent::NotificationFailed(failed));
    let retry = intervene(OperatorDecision::Retry { payment_token: None }, SagaStep::NotifyCustomer);
    evolve(&mut order, OrderEvent::OperatorIntervened(retry));
    evolve(&mut order, OrderEvent::NotificationSent(of_shipment(1_001)));
    let shipment_id = ShipmentId::parse("t").unwrap();
    evolve(
        &mut order,
        OrderEvent::OrderShipped(OrderShipped { shipment_id, lines: line(1), parcels: vec![], location: None }),
    );

    let late = decide(&order, OrderCommand::RecordNotificationSent(of_shipment(1_000))).unwrap();
    late.into_iter().for_each(|event| evolve(&mut order, event));
    assert_eq!(placed(&order).owed_mail(), Some((MailTemplate::OrderShipped, 1)));
}

#[test]
fn each_answer_to_a_mail_that_was_wanted_again_twice_is_about_that_mail() {
    let of_shipment = |n: u128, nth| NotificationSent {
        notification_id: Uuid::from_u128(n),
        template: MailTemplate::OrderShipped,
        nth,
        ..sent()
    };
    let another_shipment = || {
        let shipment_id = ShipmentId::parse("t").unwrap();
        OrderEvent::OrderShipped(OrderShipped { shipment_id, lines: line(1), parcels: vec![], location: None })
    };
    let mut order = Order::Absent;
    promised().into_iter().for_each(|event| evolve(&mut order, event));
    evolve(&mut order, OrderEvent::NotificationSent(sent()));
    evolve(&mut order, shipped());
    let failed = NotificationFailed {
        notification_id: Uuid::from_u128(1_000),
        template: MailTemplate::OrderShipped,
        reason: "no".into(),
        nth: None,
    };
    evolve(&mut order, OrderEvent::NotificationFailed(failed.clone()));
    for _ in 0..2 {
        let retry = intervene(OperatorDecision::Retry { payment_token: None }, SagaStep::NotifyCustomer);
        evolve(&mut order, OrderEvent::OperatorIntervened(retry));
    }
    evolve(&mut order, OrderEvent::NotificationSent(of_shipment(1_001, None)));

    // As earlier builds recorded it.
    let mut recorded_before = order.clone();
    evolve(&mut recorded_before, OrderEvent::NotificationSent(of_shipment(1_002, None)));
    evolve(&mut recorded_before, another_shipment());
    assert_eq!(placed(&recorded_before).owed_mail(), Some((MailTemplate::OrderShipped, 1)));

    // While another is owed already.
    evolve(&mut order, another_shipment());
    evolve(&mut order, OrderEvent::NotificationSent(of_shipment(1_002, Some(0))));
    assert_eq!(placed(&order).owed_mail(), Some((MailTemplate::OrderShipped, 1)));

    // What went out stays so, and is no news under another name.
    let failed = NotificationFailed { notification_id: Uuid::from_u128(1_003), nth: Some(0), ..failed };
    assert_eq!(decide(&order, OrderCommand::RecordNotificationFailed(failed.clone())).unwrap(), []);
    evolve(&mut order, OrderEvent::NotificationFailed(failed));
    assert!(!placed(&order).has_failed_mail());
}

#[test]
fn a_mail_is_sent_again_a_hundred_times_and_no_more() {
    let failed_as = |n: u128| {
        OrderEvent::NotificationFailed(NotificationFailed {
            notification_id: Uuid::from_u128(n),
            nth: Some(0),
            ..failed()
        })
    };
    let again = || intervene(OperatorDecision::Retry { payment_token: None }, SagaStep::NotifyCustomer);
    let mut order = given(promised().into_iter().chain([failed_as(1_000)]));
    for n in 1..=100 {
        let events = decide(&order, OrderCommand::Intervene(again())).unwrap();
        events.into_iter().chain([failed_as(1_000 + n)]).for_each(|event| evolve(&mut order, event));
    }

    let Err(OrderError::CannotIntervene(why)) = decide(&order, OrderCommand::Intervene(again())) else {
        panic!("it was sent again");
    };
    assert_eq!(why, "a mail of the order was sent again 100 times: skip it");
    assert_eq!(placed(&order).mails[&MailTemplate::OrderConfirmed][0].former_ids.len(), 100);
    // Whatever the log holds is folded all the same.
    evolve(&mut order, OrderEvent::OperatorIntervened(again()));
    evolve(&mut order, failed_as(2_000));
    assert_eq!(placed(&order).mails[&MailTemplate::OrderConfirmed][0].former_ids.len(), 101);
    let skip = intervene(OperatorDecision::Skip, SagaStep::NotifyCustomer);
    assert!(decide(&order, OrderCommand::Intervene(skip)).is_ok());
}

//! The mail about an edit.

use super::*;
use crate::order::mail_triggers::{MailTrigger, MailTriggers};
use crate::order::{EditOutcome, EditedQuantity};

fn told(order: &mut Order, template: MailTemplate, id: u128) {
    let notification_id = Uuid::from_u128(id);
    evolve(order, OrderEvent::NotificationSent(NotificationSent { notification_id, template, ..sent() }));
}

/// Its customer knows that it is confirmed.
fn told_of_order() -> Order {
    let mut order = ordered("");
    told(&mut order, MailTemplate::OrderConfirmed, 1);
    order
}

fn outcome(order: &Order, nth: usize) -> &EditOutcome {
    placed(order).edits_to_mail().nth(nth).unwrap().outcome.as_ref().unwrap()
}

#[test]
fn each_edit_that_is_made_is_told_of_once_and_no_other() {
    let mut order = told_of_order();
    asks(&mut order, "e", CARD);
    assert_eq!(placed(&order).owed_mail(), None);
    pays(&mut order, 2, 1_000);
    applies(&mut order, "e", &[("a", 1)]);
    assert_eq!(placed(&order).owed_mail(), Some((MailTemplate::OrderEdited, 0)));
    asks(&mut order, "f", r#"{"lines":[{"lineNumber":1,"quantity":1}]}"#);
    applies(&mut order, "f", &[]);
    told(&mut order, MailTemplate::OrderEdited, 2);
    assert_eq!(placed(&order).owed_mail(), Some((MailTemplate::OrderEdited, 1)));
    told(&mut order, MailTemplate::OrderEdited, 3);
    assert_eq!(placed(&order).owed_mail(), None);

    // One that is not made is no news.
    asks(&mut order, "g", r#"{"lines":[{"lineNumber":1,"quantity":9}]}"#);
    let declined = PaymentDeclined { code: "no".into(), message: "no".into(), payment_number: Some(3) };
    take(&mut order, OrderCommand::RecordPaymentDeclined(declined));
    assert_eq!(placed(&order).owed_mail(), None);
}

#[test]
fn an_edit_knows_what_it_changed_and_what_that_takes_or_sets_free() {
    let mut order = told_of_order();
    asks(&mut order, "e", CARD);
    pays(&mut order, 2, 1_000);
    applies(&mut order, "e", &[("a", 1)]);
    let more = EditOutcome {
        total_before_minor: 2_000,
        total_after_minor: 3_000,
        quantities: vec![EditedQuantity { line_number: 1, before: 2, after: 3 }],
        released_minor: 0,
        refunded_minor: 0,
    };
    assert_eq!(outcome(&order, 0), &more);
    let other = r#"{"lines":[{"lineNumber":1,"quantity":0}],"addedLines":[{"sku":"b","title":"B","quantity":1,"unitPrice":5}]}"#;
    asks(&mut order, "f", other);
    applies(&mut order, "f", &[("b", 1)]);
    let less = EditOutcome {
        total_before_minor: 3_000,
        total_after_minor: 500,
        quantities: vec![
            EditedQuantity { line_number: 1, before: 3, after: 0 },
            EditedQuantity { line_number: 2, before: 0, after: 1 },
        ],
        released_minor: 2_500,
        refunded_minor: 0,
    };
    assert_eq!(outcome(&order, 1), &less);
    assert_eq!(outcome(&order, 0), &more);
}

#[test]
fn nobody_is_told_of_an_edit_of_an_order_that_is_cancelled_nor_of_one_that_an_earlier_build_made() {
    let mut order = told_of_order();
    asks(&mut order, "e", CARD);
    pays(&mut order, 2, 1_000);
    let mut by_earlier_build = order.clone();
    applies(&mut order, "e", &[("a", 1)]);
    take(&mut order, OrderCommand::CancelOrder(CancellationRequested { reason: None }));
    assert!(placed(&order).owed_mail().is_none_or(|(template, _)| template != MailTemplate::OrderEdited));

    let events = decide(&by_earlier_build, edited("e", vec![units_at("default", "a", 1)])).unwrap();
    let [OrderEvent::OrderEdited(edited)] = &events[..] else { panic!("{events:?}") };
    let edited = OrderEvent::OrderEdited(OrderEdited { mail_customer: false, ..edited.clone() });
    assert_eq!((cqrs_es::DomainEvent::event_version(&edited), MailTrigger::of(&edited)), ("1.0".to_owned(), None));
    evolve(&mut by_earlier_build, edited);
    assert_eq!(placed(&by_earlier_build).owed_mail(), None);
}

#[test]
fn the_mail_about_an_edit_has_its_id_from_the_event_that_changed_the_order() {
    let mut order = told_of_order();
    asks(&mut order, "e", CARD);
    pays(&mut order, 2, 1_000);
    let events = decide(&order, edited("e", vec![units_at("default", "a", 1)])).unwrap();
    let (mut triggers, id) = (MailTriggers::default(), Uuid::from_u128(7));
    triggers.apply(id, &events[0]);
    events.into_iter().for_each(|event| evolve(&mut order, event));
    let mail = triggers.owed_mail(placed(&order)).unwrap();
    assert_eq!((mail.cause, mail.notification_id), (id, Uuid::new_v5(&id, b"order-edited")));
}

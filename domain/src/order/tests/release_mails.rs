//! The mail about money that a person set free, or gave back of what was paid elsewhere.

use super::operators::{intervene, placed, shipped};
use super::payments::{captured, does, reserved_nothing, transferred};
use super::*;
use crate::order::mail_triggers::{MailTrigger, MailTriggers};

fn set_free(step: SagaStep) -> OrderCommand {
    OrderCommand::Intervene(intervene(OperatorDecision::MarkSucceeded { reference: "void-1".into() }, step))
}

fn released_minor(events: &[OrderEvent]) -> Vec<Option<i64>> {
    let voided = |event: &OrderEvent| {
        let OrderEvent::PaymentVoided(voided) = event else { return None };
        Some(voided.released_minor)
    };
    events.iter().filter_map(voided).collect()
}

fn told(order: &mut Order, template: MailTemplate) {
    let notification_id = Uuid::new_v5(&Uuid::nil(), template.name().as_bytes());
    evolve(order, OrderEvent::NotificationSent(NotificationSent { notification_id, template, ..sent() }));
}

/// Cancelled, and the money is still held.
fn undoing() -> Order {
    given(promised().into_iter().chain([OrderEvent::CancellationRequested(CancellationRequested { reason: None })]))
}

fn close(order: &mut Order) {
    does(order, OrderCommand::RecordStockReleased(StockReleased { expired: false }));
    does(order, OrderCommand::CloseOrder);
    told(order, MailTemplate::OrderCancelled);
    told(order, MailTemplate::OrderConfirmed);
}

#[test]
fn a_customer_is_told_how_much_an_operator_set_free() {
    let mut order = undoing();
    let events = does(&mut order, set_free(SagaStep::VoidPayment));
    assert_eq!(released_minor(&events), [Some(12_999)]);
    close(&mut order);

    assert_eq!(placed(&order).owed_mail(), Some((MailTemplate::PaymentReleased, 0)));
    let release = placed(&order).manual_releases[0];
    assert_eq!((release.amount_minor, placed(&order).was_given_back(&release)), (12_999, false));
    told(&mut order, MailTemplate::PaymentReleased);
    assert_eq!(placed(&order).owed_mail(), None);
}

#[test]
fn what_the_provider_sets_free_is_no_news_and_neither_is_what_nobody_knows_to_have_been_held() {
    let mut by_provider = undoing();
    let voided = OrderCommand::RecordPaymentVoided(PaymentVoided::default());
    assert_eq!(released_minor(&does(&mut by_provider, voided)), [None]);
    close(&mut by_provider);
    assert_eq!(placed(&by_provider).owed_mail(), None);

    let unknown =
        OrderEvent::PaymentOutcomeUnknown(PaymentOutcomeUnknown { payment_number: None, reason: "no".into() });
    let cancelled = OrderEvent::CancellationRequested(CancellationRequested { reason: None });
    let mut unknown = given([created(), reserved(), unknown, cancelled]);
    assert_eq!(released_minor(&does(&mut unknown, set_free(SagaStep::VoidPayment))), [None]);
    assert_eq!(placed(&unknown).manual_releases, []);

    // Nobody set anything free.
    let mut skipped = undoing();
    let skip = OrderCommand::Intervene(intervene(OperatorDecision::Skip, SagaStep::VoidPayment));
    assert_eq!(released_minor(&does(&mut skipped, skip)), []);
    close(&mut skipped);
    assert_eq!(placed(&skipped).owed_mail(), None);
}

#[test]
fn a_customer_is_told_what_a_person_gave_back_of_what_was_paid_elsewhere() {
    let mut order = given([OrderEvent::OrderCreated(paid_elsewhere()), reserved_nothing(), confirmed()]);
    does(&mut order, OrderCommand::CancelOrder(CancellationRequested { reason: None }));
    close(&mut order);
    assert_eq!(placed(&order).owed_mail(), None);
    assert_eq!(released_minor(&does(&mut order, transferred(None))), [Some(1_200)]);

    assert_eq!(placed(&order).owed_mail(), Some((MailTemplate::PaymentReleased, 0)));
    let release = placed(&order).manual_releases[0];
    assert_eq!((release.amount_minor, placed(&order).was_given_back(&release)), (1_200, true));
}

#[test]
fn the_rest_of_an_authorization_that_an_operator_set_free_is_what_was_not_captured() {
    let mut content = content();
    content.lines[0].quantity = 2;
    content.total_minor = 25_998;
    let authorized = OrderEvent::PaymentAuthorized(PaymentAuthorized {
        payment_number: None,
        reference: "pay-1".into(),
        amount_minor: 25_998,
    });
    let mut order = given([OrderEvent::OrderCreated(content), reserved_nothing(), authorized, confirmed(), shipped()]);
    does(&mut order, OrderCommand::CancelOrder(CancellationRequested { reason: None }));
    does(&mut order, OrderCommand::RecordPaymentCaptured(captured("s", None, 12_999)));
    assert_eq!(released_minor(&does(&mut order, set_free(SagaStep::VoidRest))), [Some(12_999)]);
}

#[test]
fn the_mail_has_its_id_from_the_event_and_one_that_says_no_amount_calls_for_none() {
    let released = |released_minor| OrderEvent::PaymentVoided(PaymentVoided { payment_number: None, released_minor });
    assert_eq!(MailTrigger::of(&released(None)), None);
    assert_eq!(MailTrigger::of(&released(Some(5))), Some(MailTrigger::Mail(MailTemplate::PaymentReleased)));

    let (mut order, mut triggers) = (undoing(), MailTriggers::default());
    let id = Uuid::from_u128(7);
    let [_, voided] = &does(&mut order, set_free(SagaStep::VoidPayment))[..] else { panic!("one event more") };
    triggers.apply(id, voided);
    close(&mut order);
    let mail = triggers.owed_mail(placed(&order)).unwrap();
    assert_eq!((mail.cause, mail.notification_id), (id, Uuid::new_v5(&id, b"payment-released")));
}

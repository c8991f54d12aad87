use chrono::{DateTime, TimeDelta, Utc};
use domain::order::event::{
    CancellationRequested, MailTemplate, NotificationFailed, NotificationSent, PaymentAuthorized, PaymentVoided,
    StockReleased, StockReserved,
};
use domain::order::parse::PostedOrder;
use domain::order::saga::SagaStep;
use domain::order::{OrderCommand, OrderEvent, PlacedOrder};
use uuid::Uuid;

use crate::saga::{StepKind, StepUndo};
use crate::{SAGAS, order_fulfilment::SAGA};

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn after(commands: impl IntoIterator<Item = OrderCommand>) -> PlacedOrder {
    let posted = PostedOrder::parse(include_bytes!("../../../domain/golden/posted/demo-order.json")).unwrap();
    let mut order = domain::order::Order::Absent;
    domain::order::evolve(&mut order, OrderEvent::OrderCreated(posted.content));
    let domain::order::Order::Placed(mut order) = order else { panic!("not placed") };
    for command in commands {
        for event in order.decide(command).unwrap() {
            order.apply(event);
        }
    }
    *order
}

fn reserved() -> OrderCommand {
    let expires_at = now() + TimeDelta::minutes(30);
    OrderCommand::RecordStockReserved(StockReserved { units: vec![], expires_at, backorders: vec![] })
}

fn authorized() -> OrderCommand {
    OrderCommand::RecordPaymentAuthorized(PaymentAuthorized {
        payment_number: None,
        reference: "pay-1".into(),
        amount_minor: 12_999,
    })
}

fn cancelled() -> OrderCommand {
    OrderCommand::CancelOrder(CancellationRequested { reason: None })
}

fn next(order: &PlacedOrder) -> Option<&'static str> {
    SAGA.next(order, now()).step().map(SagaStep::name)
}

#[test]
fn an_order_goes_through_the_steps_and_its_customer_is_told_last() {
    let sent = OrderCommand::RecordNotificationSent(NotificationSent {
        notification_id: Uuid::nil(),
        template: MailTemplate::OrderConfirmed,
        recipient: "a@example.com".into(),
        provider_message_id: "m".into(),
        nth: None,
    });
    assert_eq!(next(&after([])), Some("reserve_stock"));
    assert_eq!(next(&after([reserved()])), Some("authorize_payment"));
    assert_eq!(next(&after([reserved(), authorized()])), Some("confirm_order"));
    assert_eq!(
        next(&after([reserved(), authorized(), OrderCommand::ConfirmOrder { mail_staff: false }])),
        Some("notify_customer")
    );
    assert_eq!(next(&after([reserved(), authorized(), OrderCommand::ConfirmOrder { mail_staff: false }, sent])), None);
}

#[test]
fn what_was_done_is_undone_and_the_units_are_free_before_the_provider_is_asked() {
    let released = OrderCommand::RecordStockReleased(StockReleased::default());
    assert_eq!(next(&after([cancelled()])), Some("close_order"));
    assert_eq!(next(&after([reserved(), authorized(), cancelled()])), Some("release_stock"));
    let freed = [reserved(), authorized(), cancelled(), released];
    assert_eq!(next(&after(freed.clone())), Some("void_payment"));
    assert_eq!(
        next(&after(freed.into_iter().chain([OrderCommand::RecordPaymentVoided(PaymentVoided::default())]))),
        Some("close_order")
    );
}

#[test]
fn a_payment_that_may_have_been_asked_for_is_let_go_of() {
    let released = OrderCommand::RecordStockReleased(StockReleased::default());
    assert_eq!(next(&after([reserved(), cancelled(), released])), Some("void_payment"));
}

#[test]
fn units_go_back_when_the_order_is_not_promised_in_time() {
    let order = after([reserved()]);
    let late = now() + TimeDelta::minutes(30);
    assert_eq!(SAGA.next(&order, late).step(), Some(SagaStep::ReleaseStock));
    // A promise has no end.
    let order = after([reserved(), authorized(), OrderCommand::ConfirmOrder { mail_staff: false }]);
    assert_eq!(SAGA.next(&order, late).step(), Some(SagaStep::NotifyCustomer));
}

#[test]
fn a_mail_that_was_given_up_ends_the_saga_and_the_order_stands() {
    let failed = OrderCommand::RecordNotificationFailed(NotificationFailed {
        notification_id: Uuid::nil(),
        template: MailTemplate::OrderConfirmed,
        reason: "no such mailbox".into(),
        nth: None,
    });
    let order = after([reserved(), authorized(), OrderCommand::ConfirmOrder { mail_staff: false }, failed]);
    assert_eq!(next(&order), None);
    assert_eq!(order.status, domain::order::OrderStatus::Confirmed);
}

#[test]
fn no_customer_is_told_anything_before_the_pivot() {
    let pivot = SAGA.steps.iter().position(|step| step.kind == StepKind::Pivot).unwrap();
    let notify = SAGA.steps.iter().position(|step| step.name == SagaStep::NotifyCustomer).unwrap();
    assert!(pivot < notify);
    assert!(SAGA.steps[pivot + 1..].iter().all(|step| step.kind == StepKind::Retriable));
    assert!(SAGA.steps[..pivot].iter().all(|step| step.kind == StepKind::Compensable));
}

#[test]
fn every_step_that_can_be_undone_says_how_and_every_other_why_not() {
    for step in SAGAS.iter().flat_map(|saga| saga.steps) {
        match &step.undo {
            StepUndo::By(undo) => {
                assert_eq!(step.kind, StepKind::Compensable, "{:?}", step.name);
                assert_ne!(undo.name, step.name);
            }
            StepUndo::Nothing { because } => {
                assert_ne!(step.kind, StepKind::Compensable, "{:?}", step.name);
                assert!(!because.is_empty(), "{:?}", step.name);
            }
        }
    }
}

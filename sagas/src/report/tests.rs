use chrono::{DateTime, TimeDelta, Utc};
use domain::ids::{HoldId, PaymentToken};
use domain::order::event::{
    CancellationRequested, MailTemplate, NotificationFailed, NotificationSent, OperatorIntervened, OrderHeld,
    PaymentAuthorized, PaymentVoided, StockReleased, StockReserved,
};
use domain::order::parse::PostedOrder;
use domain::order::saga::{OperatorDecision, SagaStep};
use domain::order::{Order, OrderCommand, OrderEvent};
use event_store::StoredEvent;
use serde_json::{json, value::to_raw_value};
use uuid::Uuid;

use super::{OrderSagasReport, SagaState, StepState, WaitingSagaRow, report};

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

/// The stored events of the demo order after some commands.
pub(crate) fn after(commands: impl IntoIterator<Item = OrderCommand>) -> Vec<StoredEvent> {
    let posted = PostedOrder::parse(include_bytes!("../../../domain/golden/posted/demo-order.json")).unwrap();
    let (mut order, mut events) = (Order::Absent, Vec::new());
    for command in [OrderCommand::CreateOrder(posted.content)].into_iter().chain(commands) {
        for event in domain::order::decide(&order, command).unwrap() {
            domain::order::evolve(&mut order, event.clone());
            events.push(event);
        }
    }
    (1..).zip(events).map(|(version, event)| stored(version, &event)).collect()
}

fn stored(version: i64, event: &OrderEvent) -> StoredEvent {
    StoredEvent {
        position: version,
        stream_type: "order".into(),
        stream_id: "o-1".into(),
        version,
        event_type: event.name().into(),
        event_version: "1.0".into(),
        payload: to_raw_value(event).unwrap(),
        metadata: to_raw_value(&json!({ "actor": "someone" })).unwrap(),
        event_id: Uuid::nil(),
        recorded_at: now() + TimeDelta::seconds(version),
    }
}

fn row(step: &str) -> WaitingSagaRow {
    WaitingSagaRow {
        saga: "order_fulfilment".into(),
        order_id: "o-1".into(),
        step: step.into(),
        attempts: 3,
        failures: 0,
        since: now(),
        next_try_at: Some(now()),
        stuck: false,
        last_error: None,
    }
}

fn stuck(step: &str) -> WaitingSagaRow {
    WaitingSagaRow { failures: 3, next_try_at: None, stuck: true, last_error: Some("no such card".into()), ..row(step) }
}

pub(crate) fn reserved() -> OrderCommand {
    let expires_at = now() + TimeDelta::minutes(30);
    OrderCommand::RecordStockReserved(StockReserved { units: vec![], expires_at, backorders: vec![] })
}

pub(crate) fn authorized() -> OrderCommand {
    OrderCommand::RecordPaymentAuthorized(PaymentAuthorized {
        payment_number: None,
        reference: "pay-1".into(),
        amount_minor: 12_999,
    })
}

fn decided(decision: OperatorDecision, step: SagaStep) -> OrderCommand {
    let (actor, reason) = ("ada".to_owned(), "she said so".to_owned());
    OrderCommand::Intervene(OperatorIntervened {
        payment_number: None,
        decision,
        step,
        actor,
        reason,
        customer_message: None,
        notification_id: None,
    })
}

fn of(commands: impl IntoIterator<Item = OrderCommand>, rows: &[WaitingSagaRow]) -> OrderSagasReport {
    report(&after(commands), rows, now()).unwrap().unwrap()
}

fn state(report: &OrderSagasReport, step: SagaStep) -> StepState {
    report.progress(step).unwrap().state
}

#[test]
fn an_order_that_was_never_posted_has_no_report() {
    assert_eq!(report(&[], &[], now()).unwrap(), None);
}

#[test]
fn a_step_without_a_row_is_due_and_those_after_it_have_their_time() {
    let report = of([reserved()], &[]);
    assert_eq!((report.state, report.waits_for), (SagaState::Running, Some(SagaStep::AuthorizePayment)));
    assert_eq!(state(&report, SagaStep::ReserveStock), StepState::Done);
    assert_eq!(state(&report, SagaStep::ReleaseStock), StepState::NotNeeded);
    assert_eq!(state(&report, SagaStep::AuthorizePayment), StepState::Due);
    assert_eq!(state(&report, SagaStep::ConfirmOrder), StepState::NotYet);
    assert_eq!(state(&report, SagaStep::NotifyCustomer), StepState::NotYet);
}

#[test]
fn a_step_with_a_row_waits_is_retried_or_is_stuck() {
    let step = SagaStep::AuthorizePayment;
    let waiting = of([reserved()], &[row("authorize_payment")]);
    assert_eq!((state(&waiting, step), waiting.state), (StepState::Waiting, SagaState::Running));
    let retrying = of([reserved()], &[WaitingSagaRow { failures: 1, ..row("authorize_payment") }]);
    assert_eq!((state(&retrying, step), retrying.state), (StepState::Retrying, SagaState::Running));

    let stuck = of([reserved()], &[stuck("authorize_payment")]);
    assert_eq!((state(&stuck, step), stuck.state), (StepState::Stuck, SagaState::Stuck));
    let waiting = stuck.progress(step).unwrap().waiting.as_ref().unwrap();
    assert_eq!((waiting.attempts, waiting.last_error.as_deref()), (3, Some("no such card")));
    assert_eq!(stuck.waits_for, Some(step));
    assert_eq!(stuck.remedies.len(), 1);
    assert_eq!(stuck.remedies[0].verbs, ["retry", "skip", "compensate", "mark-succeeded", "mark-failed"]);
    assert_eq!(stuck.remedies[0].inputs, ["paymentToken"]);
}

#[test]
fn a_row_about_a_step_that_the_order_is_past_says_nothing() {
    let report = of([reserved(), authorized()], &[stuck("authorize_payment")]);
    assert_eq!((report.state, report.waits_for), (SagaState::Running, Some(SagaStep::ConfirmOrder)));
    assert_eq!(state(&report, SagaStep::AuthorizePayment), StepState::Done);
}

#[test]
fn what_was_undone_says_so_and_the_order_is_compensated_once_the_customer_knows() {
    let cancel = OrderCommand::CancelOrder(CancellationRequested { reason: None });
    let undoing = of([reserved(), authorized(), cancel.clone()], &[stuck("release_stock")]);
    assert_eq!((undoing.state, undoing.waits_for), (SagaState::Stuck, Some(SagaStep::ReleaseStock)));
    assert_eq!(state(&undoing, SagaStep::AuthorizePayment), StepState::Done);
    assert_eq!(state(&undoing, SagaStep::VoidPayment), StepState::Due);
    assert_eq!(state(&undoing, SagaStep::CloseOrder), StepState::NotYet);

    let released = OrderCommand::RecordStockReleased(StockReleased::default());
    let undoing = of([reserved(), authorized(), cancel.clone(), released.clone()], &[stuck("void_payment")]);
    assert_eq!((undoing.state, undoing.waits_for), (SagaState::Stuck, Some(SagaStep::VoidPayment)));
    assert_eq!(state(&undoing, SagaStep::ReleaseStock), StepState::Done);

    let closed =
        [reserved(), authorized(), cancel, released, OrderCommand::RecordPaymentVoided(PaymentVoided::default())];
    let closed = closed.into_iter().chain([OrderCommand::CloseOrder]);
    let failed = OrderCommand::RecordNotificationFailed(NotificationFailed {
        notification_id: Uuid::nil(),
        template: MailTemplate::OrderCancelled,
        reason: "no such mailbox".into(),
        nth: None,
    });
    let sent = OrderCommand::RecordNotificationSent(NotificationSent {
        notification_id: Uuid::nil(),
        template: MailTemplate::OrderCancelled,
        recipient: "c@example.com".into(),
        provider_message_id: "m-1".into(),
        nth: None,
    });
    assert_eq!(of(closed.clone().chain([failed.clone(), sent]), &[]).state, SagaState::Compensated);
    let report = of(closed.chain([failed]), &[]);
    assert_eq!((report.state, report.waits_for), (SagaState::Failed, None));
    assert_eq!(state(&report, SagaStep::ReserveStock), StepState::Undone);
    assert_eq!(state(&report, SagaStep::AuthorizePayment), StepState::Undone);
    assert_eq!(state(&report, SagaStep::ConfirmOrder), StepState::NotNeeded);
    assert_eq!(state(&report, SagaStep::CloseOrder), StepState::Done);
    // A mail that was given up can be sent after all, or done without.
    assert_eq!(state(&report, SagaStep::NotifyCustomer), StepState::Failed);
    assert_eq!(
        report.remedies.iter().map(|it| (it.step, &it.verbs[..])).collect::<Vec<_>>(),
        [(SagaStep::NotifyCustomer, &["retry", "skip"][..])]
    );
}

#[test]
fn an_order_that_waits_for_nothing_can_be_ended_also_on_hold() {
    let told = OrderCommand::RecordNotificationSent(NotificationSent {
        notification_id: Uuid::nil(),
        template: MailTemplate::OrderConfirmed,
        recipient: "c@example.com".into(),
        provider_message_id: "m-1".into(),
        nth: None,
    });
    let held = OrderHeld { hold_id: HoldId::parse("h-1").unwrap(), reason: "it may be fraud".into() };
    let confirmed = [reserved(), authorized(), OrderCommand::ConfirmOrder { mail_staff: false }, told];
    for hold in [None, Some(OrderCommand::HoldOrder(held))] {
        let report = of(confirmed.clone().into_iter().chain(hold), &[]);
        assert_eq!(report.waits_for, None);
        let verbs = report.remedies.iter().flat_map(|remedy| &remedy.verbs).copied().collect::<Vec<_>>();
        assert_eq!(verbs, ["compensate"], "{}", report.stage);
    }
}

#[test]
fn what_operators_decided_is_shown_but_not_what_pays_for_the_order() {
    let token = PaymentToken::parse("tok_secret").ok();
    let retry = decided(OperatorDecision::Retry { payment_token: token }, SagaStep::AuthorizePayment);
    let report = of([reserved(), retry, decided(OperatorDecision::Skip, SagaStep::AuthorizePayment)], &[]);

    let progress = report.progress(SagaStep::AuthorizePayment).unwrap();
    assert_eq!(progress.state, StepState::Skipped);
    let texts: Vec<_> = progress.messages.iter().filter_map(|message| message.text.as_deref()).collect();
    assert_eq!(texts, ["retry with another means of payment: she said so", "skip: she said so"]);
    assert_eq!(progress.messages[0].actor.as_deref(), Some("someone"));
    assert!(!format!("{report:?}").contains("tok_secret"));
}

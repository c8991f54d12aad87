//! The history of each step, from the events.

use domain::order::event::MailTemplate;
use domain::order::saga::{OperatorDecision, SagaStep};
use domain::order::{Order, OrderEvent, OrderStage, Payment};
use domain::quantity::Quantity;
use event_store::StoredEvent;

use super::{StepEvent, StepState};
use crate::{order_edits, order_fulfilment, order_refunds};

/// What the events of an order say about the steps of all its sagas, oldest first.
#[derive(Default)]
pub(super) struct SagaStepHistory(Vec<HistoryEntry>);

struct HistoryEntry {
    saga: &'static str,
    step: SagaStep,
    outcome: Option<StepState>,
    message: StepEvent,
}

/// What an event says about a step.
struct StepMention {
    saga: &'static str,
    step: SagaStep,
    /// The step's outcome; `None`: none yet.
    outcome: Option<StepState>,
    text: Option<String>,
}

impl SagaStepHistory {
    /// Adds an event. `before` is the order before it.
    pub(super) fn add(&mut self, before: &Order, stored: &StoredEvent, event: &OrderEvent) {
        let Some(StepMention { saga, step, outcome, text }) = about(before, event) else { return };
        let actor = stored.metadata().actor;
        let message = StepEvent { version: stored.version, at: stored.recorded_at, event: event.name(), actor, text };
        self.0.push(HistoryEntry { saga, step, outcome, message });
    }

    /// The events about a step.
    pub(super) fn of(&self, saga: &str, step: SagaStep) -> Vec<StepEvent> {
        self.entries(saga, step).map(|entry| entry.message.clone()).collect()
    }

    /// The last outcome of a step, and its event.
    pub(super) fn outcome(&self, saga: &str, step: SagaStep) -> Option<(StepState, &StepEvent)> {
        self.entries(saga, step).filter_map(|entry| Some((entry.outcome?, &entry.message))).last()
    }

    fn entries(&self, saga: &str, step: SagaStep) -> impl Iterator<Item = &HistoryEntry> {
        self.0.iter().filter(move |entry| entry.saga == saga && entry.step == step)
    }
}

fn about(before: &Order, event: &OrderEvent) -> Option<StepMention> {
    use StepState::{Done, Failed, Skipped};
    let fulfilment = order_fulfilment::SAGA.name;
    let (step, outcome, text) = match event {
        OrderEvent::StockReserved(reserved) => {
            let unit = |sku| if let Order::Placed(placed) = before { placed.unit_of(sku) } else { None };
            let reserved = reserved.units.iter().map(|it| (Quantity::of(it.quantity, unit(&it.sku)), &it.sku));
            let units: Vec<_> = reserved.map(|(quantity, sku)| format!("{quantity} × {sku}")).collect();
            (SagaStep::ReserveStock, Some(Done), (!units.is_empty()).then(|| units.join(", ")))
        }
        OrderEvent::StockReservationFailed(failed) => {
            (SagaStep::ReserveStock, Some(Failed), Some(failed.reason().in_words()))
        }
        OrderEvent::StockReleased(released) => {
            let text = released.expired.then(|| "the reservation had run out".to_owned());
            (SagaStep::ReleaseStock, Some(Done), text)
        }
        OrderEvent::OrderEditRequested(requested) => {
            return edit(SagaStep::ApplyEdit, None, Some(format!("edit {}", requested.edit_id)));
        }
        OrderEvent::OrderEdited(edited) => {
            return edit(SagaStep::ApplyEdit, Some(Done), Some(format!("edit {}", edited.edit_id)));
        }
        OrderEvent::OrderEditRejected(rejected) => {
            let text = format!("edit {}: {}", rejected.edit_id, rejected.reason.in_words());
            return edit(SagaStep::ApplyEdit, Some(Failed), Some(text));
        }
        OrderEvent::PaymentAuthorized(authorized) if is_of_edit(before, authorized.payment_number) => {
            let text = of_payment(authorized.payment_number, authorized.reference.clone());
            return edit(SagaStep::AuthorizePayment, Some(Done), Some(text));
        }
        OrderEvent::PaymentDeclined(declined) if is_of_edit(before, declined.payment_number) => {
            let text = of_payment(declined.payment_number, format!("{} ({})", declined.message, declined.code));
            return edit(SagaStep::AuthorizePayment, Some(Failed), Some(text));
        }
        OrderEvent::PaymentOutcomeUnknown(unknown) if is_of_edit(before, unknown.payment_number) => {
            let text = of_payment(unknown.payment_number, unknown.reason.clone());
            return edit(SagaStep::AuthorizePayment, None, Some(text));
        }
        OrderEvent::PaymentAuthorized(authorized) => {
            let text = of_payment(authorized.payment_number, authorized.reference.clone());
            let is_held = is_all_held_with(before, authorized.payment_number);
            (SagaStep::AuthorizePayment, is_held.then_some(Done), Some(text))
        }
        OrderEvent::PaymentDeclined(declined) => {
            let text = of_payment(declined.payment_number, format!("{} ({})", declined.message, declined.code));
            (SagaStep::AuthorizePayment, Some(Failed), Some(text))
        }
        OrderEvent::PaymentOutcomeUnknown(unknown) => {
            let text = of_payment(unknown.payment_number, unknown.reason.clone());
            (SagaStep::AuthorizePayment, None, Some(text))
        }
        OrderEvent::PaymentVoided(voided) => {
            let text = voided.payment_number.map(|number| format!("payment {number}"));
            let is_undone = before.stage() == Some(OrderStage::Undoing);
            if is_paid_elsewhere(before, voided.payment_number) {
                return refund(SagaStep::RefundManually, Some(Done), text);
            }
            if !is_undone && is_abandoned(before, voided.payment_number) {
                return edit(SagaStep::VoidPayment, Some(Done), text);
            }
            (if is_undone { SagaStep::VoidPayment } else { SagaStep::VoidRest }, Some(Done), text)
        }
        OrderEvent::LinesCancelled(cancelled) => (SagaStep::VoidRest, None, cancelled.reason.clone()),
        OrderEvent::OrderConfirmed(_) => (SagaStep::ConfirmOrder, Some(Done), None),
        OrderEvent::OrderRejected(rejected) => (SagaStep::CloseOrder, Some(Done), Some(rejected.reason.in_words())),
        OrderEvent::CancellationRequested(requested) => (SagaStep::CloseOrder, None, requested.reason.clone()),
        OrderEvent::OrderCancelled(cancelled) => (SagaStep::CloseOrder, Some(Done), cancelled.reason.clone()),
        OrderEvent::OrderShipped(shipped) => {
            (SagaStep::CapturePayment, None, Some(format!("shipment {}", shipped.shipment_id)))
        }
        OrderEvent::PaymentCaptured(captured) => {
            let text = format!("shipment {}, {}", captured.shipment_id, captured.reference);
            let text = of_payment(captured.payment_number, text);
            (SagaStep::CapturePayment, Some(Done), Some(text))
        }
        OrderEvent::RefundRequested(requested) => {
            return refund(SagaStep::RefundPayment, None, Some(format!("refund {}", requested.refund_id)));
        }
        OrderEvent::ReturnReceived(received) if received.refund_minor > 0 => {
            return refund(SagaStep::RefundPayment, None, Some(format!("return {}", received.return_id)));
        }
        OrderEvent::PaymentRefunded(refunded) => {
            let text = format!("refund {}, {}", refunded.refund_id, refunded.reference);
            let is_manual = is_paid_elsewhere(before, refunded.payment_number);
            let step = if is_manual { SagaStep::RefundManually } else { SagaStep::RefundPayment };
            return refund(step, Some(Done), Some(of_payment(refunded.payment_number, text)));
        }
        OrderEvent::NotificationSent(sent) => {
            let text = format!("{} to {}", sent.template.name(), sent.recipient);
            return Some(mail(sent.template, Done, text));
        }
        OrderEvent::NotificationFailed(failed) => {
            let is_wanted = !matches!(before, Order::Placed(order) if order.is_withdrawn(failed.template));
            let text = format!("{}: {}", failed.template.name(), failed.reason);
            let about = mail(failed.template, Failed, text);
            return Some(StepMention { outcome: about.outcome.filter(|_| is_wanted), ..about });
        }
        OrderEvent::OperatorIntervened(it) => {
            let moves_money =
                matches!(it.step, SagaStep::CapturePayment | SagaStep::RefundPayment | SagaStep::RefundManually);
            let outcome = match it.decision {
                OperatorDecision::Skip => Some(Skipped),
                // The order goes on without the money. The failure of an authorization is an event of its own.
                OperatorDecision::MarkFailed => moves_money.then_some(Skipped),
                OperatorDecision::Retry { .. }
                | OperatorDecision::Compensate
                | OperatorDecision::MarkSucceeded { .. } => None,
            };
            let text = format!("{}: {}", decision_text(&it.decision), it.reason);
            let text = Some(of_payment(it.payment_number, text));
            return Some(StepMention { saga: saga_of(before, it.step), step: it.step, outcome, text });
        }
        OrderEvent::OrderCreated(_)
        | OrderEvent::ShipmentDelivered(_)
        | OrderEvent::ShipmentTrackingChanged(_)
        | OrderEvent::OrderHeld(_)
        | OrderEvent::OrderReleased(_)
        | OrderEvent::OrderDelivered(_)
        | OrderEvent::ReturnRequested(_)
        | OrderEvent::ReturnReceived(_)
        | OrderEvent::ReturnCancelled(_)
        | OrderEvent::MailResendRequested(_)
        | OrderEvent::NoteAdded(_)
        | OrderEvent::InvoiceIssued(_)
        | OrderEvent::CreditNoteIssued(_)
        | OrderEvent::OrderNumbered(_) => return None,
    };
    Some(StepMention { saga: fulfilment, step, outcome, text })
}

fn refund(step: SagaStep, outcome: Option<StepState>, text: Option<String>) -> Option<StepMention> {
    Some(StepMention { saga: order_refunds::SAGA.name, step, outcome, text })
}

fn edit(step: SagaStep, outcome: Option<StepState>, text: Option<String>) -> Option<StepMention> {
    Some(StepMention { saga: order_edits::SAGA.name, step, outcome, text })
}

/// Whether an edit added the payment that an event names.
fn is_of_edit(before: &Order, payment_number: Option<u32>) -> bool {
    let Order::Placed(order) = before else { return false };
    let payment = order.payment(payment_number);
    payment.is_some_and(|it| order.edits.iter().any(|edit| edit.payment_number == Some(it.number)))
}

/// Whether the payment that an event names is of an edit that was rejected.
fn is_abandoned(before: &Order, payment_number: Option<u32>) -> bool {
    matches!(before, Order::Placed(order) if order.payment(payment_number).is_some_and(|it| it.abandoned))
}

/// A text about one of several payments.
fn of_payment(payment_number: Option<u32>, text: String) -> String {
    match payment_number {
        Some(number) => format!("payment {number}: {text}"),
        None => text,
    }
}

/// Whether all payments are held once this one is.
fn is_all_held_with(before: &Order, payment_number: Option<u32>) -> bool {
    let Order::Placed(order) = before else { return true };
    let mut others = order.payments.iter().filter(|it| order.payment_name(it.number) != payment_number);
    others.all(Payment::is_paid)
}

fn is_paid_elsewhere(before: &Order, payment_number: Option<u32>) -> bool {
    matches!(before, Order::Placed(order) if order.payment(payment_number).is_some_and(Payment::is_paid_elsewhere))
}

fn mail(template: MailTemplate, outcome: StepState, text: String) -> StepMention {
    StepMention {
        saga: notifying_saga(template),
        step: SagaStep::NotifyCustomer,
        outcome: Some(outcome),
        text: Some(text),
    }
}

pub(super) fn notifying_saga(template: MailTemplate) -> &'static str {
    match template {
        MailTemplate::OrderRefunded => order_refunds::SAGA.name,
        MailTemplate::OrderConfirmed
        | MailTemplate::OrderRejected
        | MailTemplate::OrderCancelled
        | MailTemplate::OrderShipped
        | MailTemplate::OrderEdited
        | MailTemplate::PaymentReleased
        | MailTemplate::StaffNewOrder => order_fulfilment::SAGA.name,
    }
}

/// The saga that a step belongs to. Both sagas notify the customer: then it is the saga whose mail is owed, or was given up.
fn saga_of(before: &Order, step: SagaStep) -> &'static str {
    match step {
        SagaStep::RefundPayment | SagaStep::RefundManually => order_refunds::SAGA.name,
        SagaStep::NotifyCustomer => {
            let Order::Placed(order) = before else { return order_fulfilment::SAGA.name };
            let owed = order.owed_mail().map(|(template, _)| template);
            let template = owed.or_else(|| order.failed_mails().next());
            template.map_or(order_fulfilment::SAGA.name, notifying_saga)
        }
        SagaStep::ApplyEdit => order_edits::SAGA.name,
        SagaStep::AuthorizePayment | SagaStep::VoidPayment if matches!(before, Order::Placed(order) if order.is_editing() || order.next_abandoned().is_some()) => {
            order_edits::SAGA.name
        }
        SagaStep::ReserveStock
        | SagaStep::ReleaseStock
        | SagaStep::AuthorizePayment
        | SagaStep::VoidPayment
        | SagaStep::ConfirmOrder
        | SagaStep::CapturePayment
        | SagaStep::VoidRest
        | SagaStep::CloseOrder => order_fulfilment::SAGA.name,
    }
}

/// The decision, for people. The means of payment is kept from them.
fn decision_text(decision: &OperatorDecision) -> String {
    match decision {
        OperatorDecision::Retry { payment_token: None } => "retry".to_owned(),
        OperatorDecision::Retry { payment_token: Some(_) } => "retry with another means of payment".to_owned(),
        OperatorDecision::Skip => "skip".to_owned(),
        OperatorDecision::Compensate => "compensate".to_owned(),
        OperatorDecision::MarkSucceeded { reference } => format!("mark-succeeded under {reference}"),
        OperatorDecision::MarkFailed => "mark-failed".to_owned(),
    }
}

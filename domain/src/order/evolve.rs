//! Applies events to the order.

mod payments;

use uuid::Uuid;

use super::event::{MailTemplate, OperatorIntervened, OrderEvent, PaymentAuthorized, RefundRequested, RejectionReason};
use super::holds::Hold;
use super::lines::count;
use super::mails::{MailOutcome, MailWithOutcome};
use super::payments::AuthorizationState;
use super::saga::{OperatorDecision, SagaStep};
use super::state::{LineCancellation, Order, OrderStatus, OrderStockState, PlacedOrder, Shipment, UndoReason};

/// Applies an event to an order. An order that was never created ignores it: [`super::decide`] makes no such event.
pub fn evolve(order: &mut Order, event: OrderEvent) {
    match (order, event) {
        (order, OrderEvent::OrderCreated(content)) => *order = Order::Placed(Box::new(PlacedOrder::new(content))),
        (Order::Placed(placed), event) => placed.apply(event),
        (Order::Absent, _) => {}
    }
}

impl PlacedOrder {
    /// Changes the order as the event says. An event that does not fit changes nothing.
    pub fn apply(&mut self, event: OrderEvent) {
        match event {
            OrderEvent::OrderCreated(_) => {}
            OrderEvent::StockReserved(reserved) => {
                self.allocate(&reserved);
                self.stock = OrderStockState::Reserved(reserved);
            }
            OrderEvent::StockReservationFailed(failed) => {
                self.stock = OrderStockState::Short;
                self.reject(failed.reason());
            }
            OrderEvent::StockReleased(released) => {
                self.stock = OrderStockState::Released;
                self.allocations.clear();
                if released.expired {
                    self.reject(RejectionReason::NotPaidInTime);
                }
            }
            OrderEvent::PaymentAuthorized(PaymentAuthorized { reference, amount_minor, payment_number }) => {
                self.set_authorization(payment_number, AuthorizationState::Authorized { reference, amount_minor });
            }
            OrderEvent::PaymentDeclined(declined) => {
                self.set_authorization(declined.payment_number, AuthorizationState::Declined);
                let is_of_edit = self.payment(declined.payment_number).is_some_and(|it| self.is_added(it));
                if !is_of_edit {
                    self.reject(RejectionReason::PaymentDeclined { message: declined.message });
                }
            }
            OrderEvent::PaymentOutcomeUnknown(unknown) => {
                self.set_authorization(unknown.payment_number, AuthorizationState::Unknown);
            }
            OrderEvent::PaymentVoided(voided) => {
                self.note_release(&voided);
                self.void_payment(voided.payment_number);
            }
            OrderEvent::PaymentCaptured(captured) => {
                if let Some(payment) = self.payment_mut(captured.payment_number) {
                    payment.captured_minor += captured.amount_minor;
                }
                let is_it = |shipment: &Shipment| shipment.id == captured.shipment_id;
                self.settle_capture(is_it, captured.payment_number, false);
            }
            OrderEvent::RefundRequested(RefundRequested { refund_id, amount_minor, reason }) => {
                self.promise_refund(&refund_id, amount_minor, reason.as_ref(), false);
            }
            OrderEvent::PaymentRefunded(refunded) => {
                if let Some(payment) = self.payment_mut(refunded.payment_number) {
                    payment.refunded_minor += refunded.amount_minor;
                }
                self.settle_refund(refunded);
            }
            OrderEvent::OrderConfirmed(confirmed) => {
                (self.status, self.mails_staff) = (OrderStatus::Confirmed, confirmed.mail_staff);
            }
            OrderEvent::OrderRejected(_) => self.status = OrderStatus::Rejected,
            OrderEvent::CancellationRequested(requested) => {
                self.note_for_customer(requested.reason.as_ref());
                self.undoing = Some(UndoReason::Cancelled(requested.reason));
            }
            OrderEvent::OrderCancelled(_) => {
                self.was_promised = self.status == OrderStatus::Confirmed;
                self.status = OrderStatus::Cancelled;
            }
            OrderEvent::OrderEditRequested(requested) => self.apply_edit_requested(requested),
            OrderEvent::OrderEdited(edited) => self.apply_edited(edited),
            OrderEvent::OrderEditRejected(rejected) => self.apply_edit_rejected(&rejected),
            OrderEvent::OrderShipped(shipped) => {
                count(&mut self.counts, &shipped.lines, |it| &mut it.shipped);
                let taken = self.ship_allocated(&shipped.lines, shipped.location.as_ref());
                self.shipments.push(Shipment {
                    id: shipped.shipment_id,
                    taken,
                    location: shipped.location,
                    lines: shipped.lines,
                    parcels: shipped.parcels,
                    delivered: false,
                    captures: vec![],
                    tracking_changes: None,
                });
                self.expect_captures();
            }
            OrderEvent::LinesCancelled(cancelled) => {
                count(&mut self.counts, &cancelled.lines, |it| &mut it.cancelled);
                self.cancel_allocated(&cancelled.lines);
                self.cancellations.push(LineCancellation {
                    id: cancelled.cancellation_id,
                    lines: cancelled.lines,
                    reason: cancelled.reason,
                });
            }
            OrderEvent::ShipmentDelivered(delivered) => {
                let shipment = self.shipments.iter_mut().find(|shipment| shipment.id == delivered.shipment_id);
                shipment.into_iter().for_each(|shipment| shipment.delivered = true);
            }
            OrderEvent::ShipmentTrackingChanged(changed) => self.change_tracking_of(changed),
            OrderEvent::OrderHeld(held) => {
                self.holds.push(Hold { id: held.hold_id, reason: held.reason, released: false });
            }
            OrderEvent::OrderReleased(released) => {
                let hold = self.holds.iter_mut().find(|hold| hold.id == released.hold_id);
                hold.into_iter().for_each(|hold| hold.released = true);
            }
            OrderEvent::OrderDelivered(_) => self.status = OrderStatus::Completed,
            OrderEvent::ReturnRequested(requested) => self.apply_return_requested(requested),
            OrderEvent::ReturnReceived(received) => self.apply_return_received(received),
            OrderEvent::ReturnCancelled(cancelled) => self.apply_return_cancelled(cancelled),
            OrderEvent::NotificationSent(sent) => {
                self.record_mail(sent.template, sent.nth, sent.notification_id, MailOutcome::Sent);
            }
            OrderEvent::NotificationFailed(failed) => {
                self.record_mail(failed.template, failed.nth, failed.notification_id, MailOutcome::Failed);
            }
            OrderEvent::MailResendRequested(wanted) => {
                let resend = self.next_resend();
                let mails = self.mails.get_mut(&wanted.template);
                mails.and_then(|mails| mails.get_mut(wanted.nth)).into_iter().for_each(|mail| mail.want_again(resend));
            }
            OrderEvent::NoteAdded(note) => {
                self.notes.insert(note.note_id.clone(), note);
            }
            OrderEvent::OperatorIntervened(intervened) => self.apply_decision(intervened),
            OrderEvent::InvoiceIssued(issued) => self.documents.push(issued.into()),
            OrderEvent::CreditNoteIssued(issued) => self.documents.push(issued.into()),
            OrderEvent::OrderNumbered(numbered) => self.number = Some(numbered),
        }
    }

    /// Has the order undone. The first reason stands.
    fn reject(&mut self, reason: RejectionReason) {
        self.undoing.get_or_insert(UndoReason::Rejected(reason));
    }

    /// A reply says which mail it is about. Replies that earlier builds recorded do not. If such a reply has an id that the order does not
    /// know, it is about the mail that waits for its reply. If none waits, it is about a mail that an operator skipped without its id, or
    /// that was sent again before.
    fn record_mail(&mut self, template: MailTemplate, nth: Option<usize>, notification_id: Uuid, outcome: MailOutcome) {
        let is_waited_for = self.owes_mail(template);
        let mails = self.mails.entry(template).or_default();
        let known = mails.iter().position(|known| known.is(notification_id));
        let wanted = || mails.iter().position(|known| known.again);
        let skipped = || mails.iter().position(|known| known.skipped);
        let failed = || mails.iter().rposition(|known| known.outcome == MailOutcome::Failed);
        let decided = || skipped().or_else(failed).or(mails.len().checked_sub(1)).filter(|_| !is_waited_for);
        let about = known.or_else(|| nth.map_or_else(|| wanted().or_else(decided), Some));
        match about.and_then(|at| mails.get_mut(at)) {
            Some(mail) => {
                mail.rename(notification_id);
                // One that went out, and was wanted once more, may fail the second time.
                let was_sent = mail.outcome == MailOutcome::Sent && !mail.again;
                let outcome = if was_sent { MailOutcome::Sent } else { outcome };
                (mail.outcome, mail.again, mail.skipped) = (outcome, false, false);
            }
            None => mails.push(MailWithOutcome::new(notification_id, outcome)),
        }
    }

    /// What the customer is told of why the order is undone, if it is not being undone already. The last message stands.
    fn note_for_customer(&mut self, message: Option<&String>) {
        if self.undoing.is_none() && message.is_some() {
            self.customer_message = message.cloned();
        }
    }

    fn apply_decision(&mut self, intervened: OperatorIntervened) {
        let OperatorIntervened { decision, step, reason, customer_message, notification_id, payment_number, actor: _ } =
            intervened;
        match decision {
            OperatorDecision::Retry { payment_token: Some(token) } => {
                if let Some(payment) = self.payment_mut(payment_number) {
                    let replaced = payment.token.replace(token);
                    payment.replaced_tokens.push(replaced);
                    payment.replaced += 1;
                }
            }
            OperatorDecision::Retry { payment_token: None } => self.retry(step, payment_number),
            OperatorDecision::Skip => self.skip(step, payment_number, notification_id),
            OperatorDecision::Compensate => {
                // Only the edit is undone then, by an event of its own.
                if self.open_edit().is_some() {
                    return;
                }
                self.note_for_customer(customer_message.as_ref());
                let undo = match self.status {
                    OrderStatus::Pending => UndoReason::Rejected(RejectionReason::GivenUp { reason }),
                    OrderStatus::Confirmed
                    | OrderStatus::Completed
                    | OrderStatus::Rejected
                    | OrderStatus::Cancelled => UndoReason::Cancelled(Some(reason)),
                };
                self.undoing.get_or_insert(undo);
            }
            OperatorDecision::MarkFailed => {
                self.note_for_customer(customer_message.as_ref());
                self.give_up(step, payment_number);
            }
            // Its outcome is an event of its own.
            OperatorDecision::MarkSucceeded { .. } => {}
        }
    }

    fn retry(&mut self, step: SagaStep, payment_number: Option<u32>) {
        match step {
            SagaStep::NotifyCustomer => {
                let resend = self.next_resend();
                let failed: Vec<MailTemplate> = self.failed_mails().collect();
                let mails = self.mails.iter_mut().filter(|(template, _)| failed.contains(template));
                let mails = mails.flat_map(|(_, mails)| mails).filter(|mail| mail.outcome == MailOutcome::Failed);
                mails.for_each(|mail| mail.want_again(resend));
            }
            SagaStep::CapturePayment => self.retry_capture(payment_number),
            SagaStep::RefundPayment => self.retry_refund(payment_number),
            SagaStep::ReserveStock
            | SagaStep::ReleaseStock
            | SagaStep::AuthorizePayment
            | SagaStep::VoidPayment
            | SagaStep::VoidRest
            | SagaStep::RefundManually
            | SagaStep::ConfirmOrder
            | SagaStep::ApplyEdit
            | SagaStep::CloseOrder => {}
        }
    }

    /// The number of the event that has mails sent again. `MailTriggers` counts the same events.
    fn next_resend(&mut self) -> usize {
        let resend = self.resends;
        self.resends += 1;
        resend
    }

    /// The order goes on without the movement of money that is next.
    fn give_up(&mut self, step: SagaStep, payment_number: Option<u32>) {
        match step {
            SagaStep::CapturePayment => {
                self.settle_capture(|shipment| !shipment.is_settled(), payment_number, true);
            }
            SagaStep::RefundPayment => self.give_up_refund(payment_number),
            SagaStep::RefundManually => self.give_up_manual_refund(payment_number),
            // Its outcome is an event of its own.
            SagaStep::AuthorizePayment
            | SagaStep::ReserveStock
            | SagaStep::ReleaseStock
            | SagaStep::VoidPayment
            | SagaStep::VoidRest
            | SagaStep::ConfirmOrder
            | SagaStep::ApplyEdit
            | SagaStep::NotifyCustomer
            | SagaStep::CloseOrder => {}
        }
    }

    fn skip(&mut self, step: SagaStep, payment_number: Option<u32>, notification_id: Option<Uuid>) {
        match step {
            SagaStep::ReserveStock => self.stock = OrderStockState::NotNeeded,
            SagaStep::ReleaseStock => {
                self.stock = OrderStockState::Released;
                self.allocations.clear();
            }
            SagaStep::AuthorizePayment => self.set_authorization(payment_number, AuthorizationState::NotNeeded),
            SagaStep::VoidPayment | SagaStep::VoidRest => self.void_payment(payment_number),
            SagaStep::CapturePayment | SagaStep::RefundPayment | SagaStep::RefundManually => {
                self.give_up(step, payment_number);
            }
            SagaStep::NotifyCustomer => self.skip_mail(notification_id),
            SagaStep::ConfirmOrder | SagaStep::ApplyEdit | SagaStep::CloseOrder => {}
        }
    }

    /// The order goes on without the mail that it owes next.
    fn skip_mail(&mut self, notification_id: Option<Uuid>) {
        let Some((template, nth)) = self.owed_mail() else { return };
        let mails = self.mails.entry(template).or_default();
        match mails.get_mut(nth) {
            Some(wanted_again) => {
                notification_id.into_iter().for_each(|id| wanted_again.rename(id));
                (wanted_again.again, wanted_again.skipped) = (false, notification_id.is_none());
            }
            None => {
                let nobody = Uuid::from_u128(u128::try_from(nth).unwrap_or_default());
                let mail = MailWithOutcome::new(notification_id.unwrap_or(nobody), MailOutcome::Failed);
                mails.push(MailWithOutcome { skipped: notification_id.is_none(), ..mail });
            }
        }
    }
}

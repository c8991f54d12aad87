//! Applies events to the order.

use uuid::Uuid;

use super::event::{MailTemplate, OperatorIntervened, OrderEvent, RejectionReason};
use super::lines::count;
use super::mails::{MailOutcome, MailWithOutcome};
use super::saga::{OperatorDecision, SagaStep};
use super::state::{
    AuthorizationState, LineCancellation, Order, OrderStatus, OrderStockState, PlacedOrder, Refund, Shipment,
    UndoReason,
};
use crate::ids::RefundId;

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
            OrderEvent::StockReserved(reserved) => self.stock = OrderStockState::Reserved(reserved),
            OrderEvent::StockReservationFailed(failed) => {
                self.stock = OrderStockState::Short;
                self.reject(RejectionReason::OutOfStock { shortages: failed.shortages });
            }
            OrderEvent::StockReleased(released) => {
                self.stock = OrderStockState::Released;
                if released.expired {
                    self.reject(RejectionReason::NotPaidInTime);
                }
            }
            OrderEvent::PaymentAuthorized(authorized) => {
                self.payment.state = AuthorizationState::Authorized {
                    reference: authorized.reference,
                    amount_minor: authorized.amount_minor,
                };
            }
            OrderEvent::PaymentDeclined(declined) => {
                self.payment.state = AuthorizationState::Declined;
                self.reject(RejectionReason::PaymentDeclined { message: declined.message });
            }
            OrderEvent::PaymentOutcomeUnknown(_) => self.payment.state = AuthorizationState::Unknown,
            OrderEvent::PaymentVoided(_) => self.void_payment(),
            OrderEvent::PaymentCaptured(captured) => {
                self.payment.captured_minor += captured.amount_minor;
                self.settle_shipment(|shipment| shipment.id == captured.shipment_id, false);
            }
            OrderEvent::RefundRequested(requested) => self.refunds.push(Refund {
                id: requested.refund_id,
                amount_minor: requested.amount_minor,
                reason: requested.reason,
                settled: false,
                reference: None,
                retries: 0,
            }),
            OrderEvent::PaymentRefunded(refunded) => {
                self.payment.refunded_minor += refunded.amount_minor;
                self.settle_refund(&refunded.refund_id, refunded.reference);
            }
            OrderEvent::OrderConfirmed(_) => self.status = OrderStatus::Confirmed,
            OrderEvent::OrderRejected(_) => self.status = OrderStatus::Rejected,
            OrderEvent::CancellationRequested(requested) => {
                self.note_for_customer(requested.reason.as_ref());
                self.undoing = Some(UndoReason::Cancelled(requested.reason));
            }
            OrderEvent::OrderCancelled(_) => {
                self.was_promised = self.status == OrderStatus::Confirmed;
                self.status = OrderStatus::Cancelled;
            }
            OrderEvent::OrderShipped(shipped) => {
                count(&mut self.counts, &shipped.lines, |it| &mut it.shipped);
                self.shipments.push(Shipment {
                    id: shipped.shipment_id,
                    lines: shipped.lines,
                    parcels: shipped.parcels,
                    settled: false,
                    given_up: false,
                    delivered: false,
                    retries: 0,
                });
            }
            OrderEvent::LinesCancelled(cancelled) => {
                count(&mut self.counts, &cancelled.lines, |it| &mut it.cancelled);
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
            OrderEvent::NoteAdded(note) => {
                self.notes.insert(note.note_id.clone(), note);
            }
            OrderEvent::OperatorIntervened(intervened) => self.apply_decision(intervened),
        }
    }

    /// Has the order undone. The first reason stands.
    fn reject(&mut self, reason: RejectionReason) {
        self.undoing.get_or_insert(UndoReason::Rejected(reason));
    }

    /// An order that is not undone keeps its payment: some of it was captured, and can be refunded.
    fn void_payment(&mut self) {
        if self.undoing.is_some() {
            self.payment.state = AuthorizationState::Voided;
        } else {
            self.payment.rest_voided = true;
        }
    }

    /// The money for a shipment was taken, or was given up.
    fn settle_shipment(&mut self, which: impl Fn(&Shipment) -> bool, given_up: bool) {
        let Some(shipment) = self.shipments.iter_mut().find(|shipment| which(shipment)) else { return };
        if !shipment.settled {
            count(&mut self.counts, &shipment.lines, |it| &mut it.settled);
        }
        (shipment.settled, shipment.given_up) = (true, given_up);
    }

    /// Settled refunds come first, in the order in which they were settled: the customer is told of them in this order.
    fn settle_refund(&mut self, id: &RefundId, reference: String) {
        let refund = match self.refunds.iter().position(|refund| !refund.settled && refund.id == *id) {
            Some(at) => self.refunds.remove(at),
            None => match self.given_up.iter().position(|refund| refund.id == *id) {
                Some(at) => self.given_up.remove(at),
                None => return,
            },
        };
        let at = self.refunds.iter().position(|refund| !refund.settled).unwrap_or(self.refunds.len());
        self.refunds.insert(at, Refund { settled: true, reference: Some(reference), ..refund });
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
                let was_sent = mail.outcome == MailOutcome::Sent;
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
        let OperatorIntervened { decision, step, reason, customer_message, notification_id, actor: _ } = intervened;
        match decision {
            OperatorDecision::Retry { payment_token: Some(token) } => {
                let replaced = self.payment.token.replace(token);
                self.payment.replaced_tokens.push(replaced);
                self.payment.replaced += 1;
            }
            OperatorDecision::Retry { payment_token: None } => self.retry(step),
            OperatorDecision::Skip => self.skip(step, notification_id),
            OperatorDecision::Compensate => {
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
                self.give_up(step);
            }
            // Its outcome is an event of its own.
            OperatorDecision::MarkSucceeded { .. } => {}
        }
    }

    fn retry(&mut self, step: SagaStep) {
        match step {
            SagaStep::NotifyCustomer => {
                let failed: Vec<MailTemplate> = self.failed_mails().collect();
                let mails = self.mails.iter_mut().filter(|(template, _)| failed.contains(template));
                for mail in mails.flat_map(|(_, mails)| mails) {
                    mail.again = mail.outcome == MailOutcome::Failed;
                }
            }
            SagaStep::CapturePayment => {
                self.shipments.iter_mut().find(|it| !it.settled).into_iter().for_each(|it| it.retries += 1);
            }
            SagaStep::RefundPayment => {
                self.refunds.iter_mut().find(|it| !it.settled).into_iter().for_each(|it| it.retries += 1);
            }
            SagaStep::ReserveStock
            | SagaStep::ReleaseStock
            | SagaStep::AuthorizePayment
            | SagaStep::VoidPayment
            | SagaStep::VoidRest
            | SagaStep::ConfirmOrder
            | SagaStep::CloseOrder => {}
        }
    }

    /// The order goes on without the movement of money that is next.
    fn give_up(&mut self, step: SagaStep) {
        match step {
            SagaStep::CapturePayment => self.settle_shipment(|shipment| !shipment.settled, true),
            SagaStep::RefundPayment => {
                // The customer gets no mail about it.
                if let Some(at) = self.refunds.iter().position(|refund| !refund.settled) {
                    self.given_up.push(self.refunds.remove(at));
                }
            }
            // Its outcome is an event of its own.
            SagaStep::AuthorizePayment
            | SagaStep::ReserveStock
            | SagaStep::ReleaseStock
            | SagaStep::VoidPayment
            | SagaStep::VoidRest
            | SagaStep::ConfirmOrder
            | SagaStep::NotifyCustomer
            | SagaStep::CloseOrder => {}
        }
    }

    fn skip(&mut self, step: SagaStep, notification_id: Option<Uuid>) {
        match step {
            SagaStep::ReserveStock => self.stock = OrderStockState::NotNeeded,
            SagaStep::ReleaseStock => self.stock = OrderStockState::Released,
            SagaStep::AuthorizePayment => self.payment.state = AuthorizationState::NotNeeded,
            SagaStep::VoidPayment | SagaStep::VoidRest => self.void_payment(),
            SagaStep::CapturePayment | SagaStep::RefundPayment => self.give_up(step),
            SagaStep::NotifyCustomer => self.skip_mail(notification_id),
            SagaStep::ConfirmOrder | SagaStep::CloseOrder => {}
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

//! Decides on commands: each becomes events, or is refused. `fulfilment` decides on goods: shipped, delivered, cancelled.
//! `payments` decides on what is reported of the payments. `holds` decides on what keeps goods from being shipped.

mod fulfilment;
mod holds;
mod payments;

use std::collections::HashSet;

use uuid::Uuid;

use super::command::{OrderCommand, RequestRefund};
use super::error::OrderError;
use super::event::{
    LineQuantity, MailTemplate, NoteAdded, NotificationFailed, NotificationSent, OrderCancelled, OrderConfirmed,
    OrderEvent, OrderRejected, RefundRequested, StockReleased,
};
use super::intervene::intervene;
use super::mails::MailOutcome;
use super::state::{Order, OrderStatus, OrderStockState, PlacedOrder, UndoReason};
use super::transitions::{OrderAction, OrderStage, TRANSITIONS, allowed_at};
use crate::ids::RefundId;
use crate::quantity::Quantity;

/// The events that a command leads to. There are none if it changes nothing. So every command can be repeated.
pub fn decide(order: &Order, command: OrderCommand) -> Result<Vec<OrderEvent>, OrderError> {
    match (order, command) {
        (Order::Absent, OrderCommand::CreateOrder(content)) => Ok(vec![OrderEvent::OrderCreated(content)]),
        (Order::Absent, _) => Err(OrderError::NoSuchOrder),
        (Order::Placed(placed), command) => placed.decide(command),
    }
}

/// Mostly one event, or none if nothing changes.
type OrderDecision = Result<Vec<OrderEvent>, OrderError>;

/// The order is as the command wants it already.
const UNCHANGED: OrderDecision = Ok(vec![]);

fn one(event: OrderEvent) -> OrderDecision {
    Ok(vec![event])
}

impl PlacedOrder {
    /// The events that carry the command out; none if it was carried out before.
    ///
    /// # Errors
    /// The order is not where the command could be carried out, or the command does not fit it.
    pub fn decide(&self, command: OrderCommand) -> Result<Vec<OrderEvent>, OrderError> {
        let action = command.action();
        let events = self.events_of(command)?;
        // Commands check this where it fits among their other refusals. One that forgets it changes nothing all the same.
        if let Some(action) = action.filter(|_| !events.is_empty()) {
            self.check(action)?;
        }
        Ok(events)
    }

    fn events_of(&self, command: OrderCommand) -> OrderDecision {
        match command {
            OrderCommand::CreateOrder(content) if *self.as_posted() == content => UNCHANGED,
            OrderCommand::CreateOrder(_) => Err(OrderError::ExistsWithOtherContent),
            OrderCommand::CancelOrder(requested) => self.cancel(requested),
            OrderCommand::CancelLines(command) => self.cancel_lines(command),
            OrderCommand::RequestEdit(command) => self.request_edit(&command),
            OrderCommand::ShipOrder(command) => self.ship(command),
            OrderCommand::DeliverOrder => self.deliver(),
            OrderCommand::DeliverShipment(command) => self.deliver_shipment(command),
            OrderCommand::ChangeTracking(changed) => self.change_tracking(changed),
            OrderCommand::HoldOrder(held) => self.hold(held),
            OrderCommand::ReleaseOrder(hold_id) => self.release(hold_id),
            OrderCommand::RequestReturn(requested) => self.request_return(requested),
            OrderCommand::ReceiveReturn(command) => self.receive_return(command),
            OrderCommand::CancelReturn(cancelled) => self.cancel_return(cancelled),
            OrderCommand::RequestRefund(command) => self.request_refund(command),
            OrderCommand::ResendMail(notification_id) => self.resend_mail(notification_id),
            OrderCommand::AddNote(note) => self.add_note(note),
            OrderCommand::RecordStockReserved(reserved) => {
                self.settle_stock(&OrderStockState::Reserved(reserved.clone()), OrderEvent::StockReserved(reserved))
            }
            OrderCommand::RecordStockReservationFailed(failed) => {
                self.settle_stock(&OrderStockState::Short, OrderEvent::StockReservationFailed(failed))
            }
            OrderCommand::RecordStockReleased(released) => self.release_stock(released),
            OrderCommand::RecordPaymentAuthorized(authorized) => self.record_authorized(authorized),
            OrderCommand::RecordPaymentDeclined(declined) => self.record_declined(declined),
            OrderCommand::RecordPaymentOutcomeUnknown(unknown) => self.record_unknown(unknown),
            OrderCommand::RecordPaymentVoided(voided) => self.record_voided(voided),
            OrderCommand::ConfirmOrder { mail_staff } => self.confirm(mail_staff),
            OrderCommand::RecordOrderEdited { edit_id, units } => self.record_edited(&edit_id, units),
            OrderCommand::RecordOrderEditRejected(rejected) => self.record_edit_rejected(rejected),
            OrderCommand::RecordPaymentCaptured(captured) => self.record_captured(captured),
            OrderCommand::RecordPaymentRefunded(refunded) => self.record_refunded(refunded),
            OrderCommand::CloseOrder => self.close(),
            OrderCommand::RecordNotificationSent(sent) => self.record_mail_sent(sent),
            OrderCommand::RecordNotificationFailed(failed) => self.record_mail_failed(failed),
            OrderCommand::Intervene(intervention) => intervene(self, intervention),
        }
    }

    /// Refuses an action that [`TRANSITIONS`] does not allow at the order's stage.
    pub(super) fn check(&self, action: OrderAction) -> Result<(), OrderError> {
        let stage = self.stage();
        if TRANSITIONS.iter().any(|(known, stages)| *known == action && stages.contains(&stage)) {
            return Ok(());
        }
        Err(OrderError::NotAllowed { action, stage, allowed: allowed_at(stage) })
    }

    fn request_refund(&self, RequestRefund { refund_id, amount_minor, reason }: RequestRefund) -> OrderDecision {
        if let Some((known_minor, known_reason)) = self.refund_demand(&refund_id) {
            let same = amount_minor.is_none_or(|amount| amount == known_minor) && known_reason == reason.as_ref();
            return if same { UNCHANGED } else { Err(OrderError::IdTaken { what: "refund" }) };
        }
        self.check(OrderAction::Refund)?;
        if self.returns.iter().any(|back| RefundId::of_return(&back.id) == refund_id) {
            return Err(OrderError::IdTaken { what: "return" });
        }
        let left_minor = self.refundable_minor(false);
        let amount_minor = amount_minor.unwrap_or(left_minor);
        if amount_minor <= 0 || amount_minor > left_minor {
            return Err(OrderError::MoreThanCaptured { left_minor });
        }
        one(OrderEvent::RefundRequested(RefundRequested { refund_id, amount_minor, reason }))
    }

    /// What was asked for under the id of a refund: how much, and why. A refund that was given up keeps its id, because the provider may
    /// still know it.
    pub(super) fn refund_demand(&self, id: &RefundId) -> Option<(i64, Option<&String>)> {
        let shares = self.refunds.iter().chain(&self.given_up).filter(|refund| refund.id == *id);
        let reason = shares.clone().next()?.reason.as_ref();
        Some((shares.map(|share| share.amount_minor).sum(), reason))
    }

    fn add_note(&self, note: NoteAdded) -> OrderDecision {
        match self.notes.get(&note.note_id) {
            Some(known) if *known == note => UNCHANGED,
            Some(_) => Err(OrderError::IdTaken { what: "note" }),
            None => {
                self.check(OrderAction::AddNote)?;
                one(OrderEvent::NoteAdded(note))
            }
        }
    }

    /// Refuses lines that the order does not have, or of which fewer are left. The parser refuses an empty list.
    pub(super) fn check_lines(&self, lines: &[LineQuantity], left: impl Fn(u32, u32) -> u32) -> Result<(), OrderError> {
        let mut named = HashSet::with_capacity(lines.len());
        for &LineQuantity { line_number, quantity } in lines {
            let Some(line) = self.line(line_number) else { return Err(OrderError::NoSuchLine { line_number }) };
            if !named.insert(line_number) {
                return Err(OrderError::LineTwice { line_number });
            }
            let left = left(line_number, line.quantity);
            if quantity > left {
                let left = Quantity::of(left, line.unit);
                return Err(OrderError::TooMany { line_number, left });
            }
        }
        Ok(())
    }

    fn settle_stock(&self, to: &OrderStockState, event: OrderEvent) -> OrderDecision {
        match &self.stock {
            OrderStockState::None if self.stage() == OrderStage::Pending => one(event),
            stock if std::mem::discriminant(stock) == std::mem::discriminant(to) => UNCHANGED,
            OrderStockState::None
            | OrderStockState::Short
            | OrderStockState::Reserved(_)
            | OrderStockState::NotNeeded
            | OrderStockState::Released => Err(OrderError::Stale),
        }
    }

    fn release_stock(&self, released: StockReleased) -> OrderDecision {
        match &self.stock {
            OrderStockState::Released => UNCHANGED,
            // A reservation runs out only while the order is pending. Otherwise it is released because the order is undone.
            OrderStockState::Reserved(_)
                if self.undoing.is_some() || (released.expired && self.stage() == OrderStage::Pending) =>
            {
                one(OrderEvent::StockReleased(released))
            }
            OrderStockState::Reserved(_)
            | OrderStockState::None
            | OrderStockState::Short
            | OrderStockState::NotNeeded => Err(OrderError::Stale),
        }
    }

    fn confirm(&self, mail_staff: bool) -> OrderDecision {
        match self.stage() {
            OrderStage::Pending if self.is_stocked() && self.is_paid_for() => {
                one(OrderEvent::OrderConfirmed(OrderConfirmed { mail_staff }))
            }
            OrderStage::Confirmed
            | OrderStage::ConfirmedOnHold
            | OrderStage::Editing
            | OrderStage::PartiallyShippedEditing
            | OrderStage::PartiallyShipped
            | OrderStage::PartiallyShippedOnHold
            | OrderStage::Shipped
            | OrderStage::Completed => UNCHANGED,
            OrderStage::Pending | OrderStage::Undoing | OrderStage::Rejected | OrderStage::Cancelled => {
                Err(OrderError::Stale)
            }
        }
    }

    fn close(&self) -> OrderDecision {
        let Some(reason) = &self.undoing else { return Err(OrderError::Stale) };
        match self.status {
            OrderStatus::Rejected | OrderStatus::Cancelled => return UNCHANGED,
            OrderStatus::Pending | OrderStatus::Confirmed | OrderStatus::Completed => {}
        }
        if self.holds_units() || self.may_hold_money() {
            return Err(OrderError::Stale);
        }
        one(match reason.clone() {
            UndoReason::Rejected(reason) => OrderEvent::OrderRejected(OrderRejected { reason }),
            UndoReason::Cancelled(reason) => OrderEvent::OrderCancelled(OrderCancelled { reason }),
        })
    }

    /// A mail that was given up can still go out. A mail that went out can't fail any more.
    fn record_mail_sent(&self, sent: NotificationSent) -> OrderDecision {
        match self.outcome_of(sent.template, sent.notification_id, sent.nth) {
            None | Some(MailOutcome::Failed) => one(OrderEvent::NotificationSent(sent)),
            Some(MailOutcome::Sent) => UNCHANGED,
        }
    }

    fn record_mail_failed(&self, failed: NotificationFailed) -> OrderDecision {
        match self.outcome_of(failed.template, failed.notification_id, failed.nth) {
            None => one(OrderEvent::NotificationFailed(failed)),
            Some(MailOutcome::Sent | MailOutcome::Failed) => UNCHANGED,
        }
    }

    /// What became of a mail, under any of its ids; `None`: it has no outcome, or the order does not know it.
    fn outcome_of(&self, template: MailTemplate, notification_id: Uuid, nth: Option<usize>) -> Option<MailOutcome> {
        let mails = self.mails.get(&template)?;
        let known = mails.iter().find(|mail| mail.is(notification_id));
        let by_number = || nth.and_then(|nth| mails.get(nth)).filter(|mail| !mail.again);
        known.or_else(by_number).map(|mail| mail.outcome)
    }
}

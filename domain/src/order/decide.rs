//! What a command comes to: events, or a refusal that says why not.

use std::collections::HashSet;

use uuid::Uuid;

use super::command::{CancelLines, OrderCommand, RequestRefund, ShipOrder};
use super::error::OrderError;
use super::event::{
    CancellationRequested, LineQuantity, LinesCancelled, MailTemplate, NoteAdded, NotificationFailed, NotificationSent,
    OrderCancelled, OrderConfirmed, OrderDelivered, OrderEvent, OrderRejected, OrderShipped, PaymentAuthorized,
    PaymentCaptured, PaymentDeclined, PaymentOutcomeUnknown, PaymentRefunded, PaymentVoided, RefundRequested,
    ReturnReceived, ReturnRequested, StockReleased,
};
use super::intervene::intervene;
use super::state::{MailOutcome, Order, OrderStatus, PaymentState, PlacedOrder, Refund, StockState, UndoReason};
use super::transitions::{OrderAction, Stage, TRANSITIONS, allowed_at};
use crate::ids::{CancellationId, RefundId, ReturnId};

/// What a command changes: the events that come of it, none when what it asks for is already so.
///
/// Every command can thus be given twice; the second time changes nothing.
pub fn decide(order: &Order, command: OrderCommand) -> Result<Vec<OrderEvent>, OrderError> {
    match (order, command) {
        (Order::Absent, OrderCommand::CreateOrder(content)) => Ok(vec![OrderEvent::OrderCreated(content)]),
        (Order::Absent, _) => Err(OrderError::NoSuchOrder),
        (Order::Placed(placed), command) => placed.decide(command),
    }
}

/// What a command comes to: mostly one event or, if it is so already, none.
type Decision = Result<Vec<OrderEvent>, OrderError>;

/// It is so already.
const UNCHANGED: Decision = Ok(vec![]);

fn one(event: OrderEvent) -> Decision {
    Ok(vec![event])
}

impl PlacedOrder {
    /// What a command changes, as [`decide`] has it.
    pub fn decide(&self, command: OrderCommand) -> Result<Vec<OrderEvent>, OrderError> {
        match command {
            OrderCommand::CreateOrder(content) if self.content == content => UNCHANGED,
            OrderCommand::CreateOrder(_) => Err(OrderError::ExistsWithOtherContent),
            OrderCommand::CancelOrder(requested) => self.cancel(requested),
            OrderCommand::CancelLines(demand) => self.cancel_lines(demand),
            OrderCommand::ShipOrder(demand) => self.ship(demand),
            OrderCommand::DeliverOrder => self.deliver(),
            OrderCommand::RequestReturn(requested) => self.request_return(requested),
            OrderCommand::ReceiveReturn(return_id) => self.receive_return(return_id),
            OrderCommand::RequestRefund(demand) => self.request_refund(demand),
            OrderCommand::AddNote(note) => self.add_note(note),
            OrderCommand::RecordStockReserved(reserved) => {
                self.settle_stock(&StockState::Reserved(reserved.clone()), OrderEvent::StockReserved(reserved))
            }
            OrderCommand::RecordStockReservationFailed(failed) => {
                self.settle_stock(&StockState::Short, OrderEvent::StockReservationFailed(failed))
            }
            OrderCommand::RecordStockReleased(released) => self.release_stock(released),
            OrderCommand::RecordPaymentAuthorized(authorized) => self.authorized(authorized),
            OrderCommand::RecordPaymentDeclined(declined) => self.declined(declined),
            OrderCommand::RecordPaymentOutcomeUnknown(unknown) => self.unknown(unknown),
            OrderCommand::RecordPaymentVoided => self.voided(),
            OrderCommand::ConfirmOrder => self.confirm(),
            OrderCommand::RecordPaymentCaptured(captured) => self.captured(captured),
            OrderCommand::RecordPaymentRefunded(refunded) => self.refunded(refunded),
            OrderCommand::CloseOrder => self.close(),
            OrderCommand::RecordNotificationSent(sent) => self.mail_sent(sent),
            OrderCommand::RecordNotificationFailed(failed) => self.mail_failed(failed),
            OrderCommand::Intervene(intervention) => intervene(self, intervention),
        }
    }

    /// Refuses what the table does not have.
    fn check(&self, action: OrderAction) -> Result<(), OrderError> {
        let stage = self.stage();
        if TRANSITIONS.iter().any(|(known, stages)| *known == action && stages.contains(&stage)) {
            return Ok(());
        }
        Err(OrderError::NotAllowed { action, stage, allowed: allowed_at(stage) })
    }

    fn cancel(&self, requested: CancellationRequested) -> Decision {
        if matches!(self.undoing, Some(UndoReason::Cancelled(_))) {
            return UNCHANGED;
        }
        // What was sent stays sent: it is the rest that is called off.
        if !self.shipments.is_empty() {
            return self.cancel_the_rest(requested.reason);
        }
        self.check(OrderAction::Cancel)?;
        one(OrderEvent::CancellationRequested(requested))
    }

    fn cancel_the_rest(&self, reason: Option<String>) -> Decision {
        let (cancellation_id, lines) = (CancellationId::of_the_rest(), self.unshipped());
        if lines.is_empty() && self.cancellations.iter().any(|known| known.id == cancellation_id) {
            return UNCHANGED;
        }
        self.check(OrderAction::Cancel)?;
        self.cancel_lines(CancelLines { cancellation_id, lines, reason })
    }

    fn cancel_lines(&self, CancelLines { cancellation_id, lines, reason }: CancelLines) -> Decision {
        if let Some(known) = self.cancellations.iter().find(|known| known.id == cancellation_id) {
            let same = (&known.lines, &known.reason) == (&lines, &reason);
            return if same { UNCHANGED } else { Err(OrderError::IdTaken { what: "cancellation" }) };
        }
        if self.stage() == Stage::Pending {
            return Err(OrderError::NotConfirmed);
        }
        self.check(OrderAction::Cancel)?;
        self.check_lines(&lines, |line_number, ordered| self.left_of(line_number, ordered))?;
        let units = |lines: &[LineQuantity]| lines.iter().map(|line| u64::from(line.quantity)).sum::<u64>();
        if self.shipments.is_empty() && units(&lines) == units(&self.unshipped()) {
            return Err(OrderError::AllOfIt);
        }
        one(OrderEvent::LinesCancelled(LinesCancelled { cancellation_id, lines, reason }))
    }

    fn ship(&self, ShipOrder { shipment_id, lines, parcels }: ShipOrder) -> Decision {
        if let Some(known) = self.shipments.iter().find(|shipment| shipment.id == shipment_id) {
            let same = lines.is_none_or(|lines| lines == known.lines) && parcels == known.parcels;
            return if same { UNCHANGED } else { Err(OrderError::IdTaken { what: "shipment" }) };
        }
        self.check(OrderAction::Ship)?;
        let lines = lines.unwrap_or_else(|| self.unshipped());
        self.check_lines(&lines, |line_number, ordered| self.left_of(line_number, ordered))?;
        one(OrderEvent::OrderShipped(OrderShipped { shipment_id, lines, parcels }))
    }

    fn deliver(&self) -> Decision {
        if self.status == OrderStatus::Completed {
            return UNCHANGED;
        }
        self.check(OrderAction::Deliver)?;
        one(OrderEvent::OrderDelivered(OrderDelivered {}))
    }

    fn request_return(&self, requested: ReturnRequested) -> Decision {
        if let Some(known) = self.returns.iter().find(|back| back.id == requested.return_id) {
            let same = (&known.lines, &known.reason) == (&requested.lines, &requested.reason);
            return if same { UNCHANGED } else { Err(OrderError::IdTaken { what: "return" }) };
        }
        self.check(OrderAction::RequestReturn)?;
        // What it will be worth goes back under this name.
        if self.refund(&RefundId::of_return(&requested.return_id)).is_some() {
            return Err(OrderError::IdTaken { what: "refund" });
        }
        self.check_lines(&requested.lines, |line_number, _| self.shipped(line_number) - self.returned(line_number))?;
        one(OrderEvent::ReturnRequested(requested))
    }

    fn receive_return(&self, return_id: ReturnId) -> Decision {
        let Some(back) = self.returns.iter().find(|back| back.id == return_id) else {
            self.check(OrderAction::ReceiveReturn)?;
            return Err(OrderError::NoSuchReturn(return_id));
        };
        if back.received {
            return UNCHANGED;
        }
        self.check(OrderAction::ReceiveReturn)?;
        let uncaptured: i64 =
            self.shipments.iter().filter(|it| !it.settled).map(|it| self.worth_minor(&it.lines)).sum();
        let refund_minor = self.worth_minor(&back.lines).min(self.refundable_minor() + uncaptured).max(0);
        one(OrderEvent::ReturnReceived(ReturnReceived { return_id, refund_minor }))
    }

    fn request_refund(&self, RequestRefund { refund_id, amount_minor, reason }: RequestRefund) -> Decision {
        if let Some(known) = self.refund(&refund_id) {
            let same = amount_minor.is_none_or(|amount| amount == known.amount_minor) && known.reason == reason;
            return if same { UNCHANGED } else { Err(OrderError::IdTaken { what: "refund" }) };
        }
        self.check(OrderAction::Refund)?;
        if self.returns.iter().any(|back| RefundId::of_return(&back.id) == refund_id) {
            return Err(OrderError::IdTaken { what: "return" });
        }
        let left_minor = self.refundable_minor();
        let amount_minor = amount_minor.unwrap_or(left_minor);
        if amount_minor <= 0 || amount_minor > left_minor {
            return Err(OrderError::MoreThanCaptured { left_minor });
        }
        one(OrderEvent::RefundRequested(RefundRequested { refund_id, amount_minor, reason }))
    }

    /// The refund of a name. One that was given up keeps its name: the provider may still know it by it.
    fn refund(&self, id: &RefundId) -> Option<&Refund> {
        self.refunds.iter().chain(&self.given_up).find(|refund| refund.id == *id)
    }

    fn add_note(&self, note: NoteAdded) -> Decision {
        match self.notes.get(&note.note_id) {
            Some(known) if *known == note => UNCHANGED,
            Some(_) => Err(OrderError::IdTaken { what: "note" }),
            None => {
                self.check(OrderAction::AddNote)?;
                one(OrderEvent::NoteAdded(note))
            }
        }
    }

    /// Refuses lines that are not there, or of which there is less. Never empty: that is refused where it is read.
    fn check_lines(&self, lines: &[LineQuantity], left: impl Fn(u32, u32) -> u32) -> Result<(), OrderError> {
        let mut named = HashSet::with_capacity(lines.len());
        for &LineQuantity { line_number, quantity } in lines {
            let Some(line) = self.line(line_number) else { return Err(OrderError::NoSuchLine { line_number }) };
            if !named.insert(line_number) {
                return Err(OrderError::LineTwice { line_number });
            }
            let left = left(line_number, line.quantity);
            if quantity > left {
                return Err(OrderError::TooMany { line_number, left });
            }
        }
        Ok(())
    }

    fn settle_stock(&self, to: &StockState, event: OrderEvent) -> Decision {
        match &self.stock {
            StockState::None if self.stage() == Stage::Pending => one(event),
            stock if std::mem::discriminant(stock) == std::mem::discriminant(to) => UNCHANGED,
            StockState::None
            | StockState::Short
            | StockState::Reserved(_)
            | StockState::NotNeeded
            | StockState::Released => Err(OrderError::Stale),
        }
    }

    fn release_stock(&self, released: StockReleased) -> Decision {
        match &self.stock {
            StockState::Released => UNCHANGED,
            // A reservation runs out only as long as nothing is promised; anything else is undone for a reason.
            StockState::Reserved(_)
                if self.undoing.is_some() || (released.expired && self.stage() == Stage::Pending) =>
            {
                one(OrderEvent::StockReleased(released))
            }
            StockState::Reserved(_) | StockState::None | StockState::Short | StockState::NotNeeded => {
                Err(OrderError::Stale)
            }
        }
    }

    /// Recorded while it is undone, too: what is held has to be known to be let go of.
    fn authorized(&self, authorized: PaymentAuthorized) -> Decision {
        match &self.payment.state {
            PaymentState::None | PaymentState::Unknown if self.may_hold_money() => {
                one(OrderEvent::PaymentAuthorized(authorized))
            }
            // An operator went on without, and it is held after all.
            PaymentState::NotNeeded if self.status == OrderStatus::Pending => {
                one(OrderEvent::PaymentAuthorized(authorized))
            }
            PaymentState::Authorized { reference, .. } if *reference == authorized.reference => UNCHANGED,
            PaymentState::None
            | PaymentState::Unknown
            | PaymentState::Authorized { .. }
            | PaymentState::Declined
            | PaymentState::NotNeeded
            | PaymentState::Voided => Err(OrderError::Stale),
        }
    }

    fn declined(&self, declined: PaymentDeclined) -> Decision {
        match self.payment.state {
            PaymentState::None | PaymentState::Unknown if self.may_hold_money() => {
                one(OrderEvent::PaymentDeclined(declined))
            }
            PaymentState::Declined => UNCHANGED,
            PaymentState::None
            | PaymentState::Unknown
            | PaymentState::Authorized { .. }
            | PaymentState::NotNeeded
            | PaymentState::Voided => Err(OrderError::Stale),
        }
    }

    fn unknown(&self, unknown: PaymentOutcomeUnknown) -> Decision {
        match self.payment.state {
            PaymentState::None if self.may_hold_money() => one(OrderEvent::PaymentOutcomeUnknown(unknown)),
            PaymentState::Unknown => UNCHANGED,
            PaymentState::None
            | PaymentState::Authorized { .. }
            | PaymentState::Declined
            | PaymentState::NotNeeded
            | PaymentState::Voided => Err(OrderError::Stale),
        }
    }

    fn voided(&self) -> Decision {
        if self.payment.state == PaymentState::Voided || self.payment.rest_voided {
            return UNCHANGED;
        }
        let is_undone = self.undoing.is_some() && self.may_hold_money();
        if !is_undone && !self.has_rest_to_void() {
            return Err(OrderError::Stale);
        }
        one(OrderEvent::PaymentVoided(PaymentVoided {}))
    }

    fn confirm(&self) -> Decision {
        match self.stage() {
            Stage::Pending if self.is_stocked() && self.is_paid_for() => {
                one(OrderEvent::OrderConfirmed(OrderConfirmed {}))
            }
            Stage::Confirmed | Stage::PartiallyShipped | Stage::Shipped | Stage::Completed => UNCHANGED,
            Stage::Pending | Stage::Undoing | Stage::Rejected | Stage::Cancelled => Err(OrderError::Stale),
        }
    }

    /// Money that moved is recorded, even if an operator did without it meanwhile.
    fn captured(&self, captured: PaymentCaptured) -> Decision {
        match self.shipments.iter().find(|shipment| shipment.id == captured.shipment_id) {
            Some(shipment) if shipment.settled && !shipment.given_up => UNCHANGED,
            Some(shipment) if captured.amount_minor <= self.worth_minor(&shipment.lines) => {
                one(OrderEvent::PaymentCaptured(captured))
            }
            Some(_) | None => Err(OrderError::Stale),
        }
    }

    fn refunded(&self, refunded: PaymentRefunded) -> Decision {
        match self.refund(&refunded.refund_id) {
            Some(refund) if refund.settled => UNCHANGED,
            Some(refund)
                if refund.amount_minor == refunded.amount_minor && refunded.amount_minor <= self.kept_minor() =>
            {
                one(OrderEvent::PaymentRefunded(refunded))
            }
            Some(_) | None => Err(OrderError::Stale),
        }
    }

    fn close(&self) -> Decision {
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

    /// A mail that was given up and then went out after all did go out; the other way round nothing is news.
    fn mail_sent(&self, sent: NotificationSent) -> Decision {
        match self.outcome_of(sent.template, sent.notification_id, sent.nth) {
            None | Some(MailOutcome::Failed) => one(OrderEvent::NotificationSent(sent)),
            Some(MailOutcome::Sent) => UNCHANGED,
        }
    }

    fn mail_failed(&self, failed: NotificationFailed) -> Decision {
        match self.outcome_of(failed.template, failed.notification_id, failed.nth) {
            None => one(OrderEvent::NotificationFailed(failed)),
            Some(MailOutcome::Sent | MailOutcome::Failed) => UNCHANGED,
        }
    }

    /// What became of a mail, under whatever name; `None`: that is waited for, or it is not known here.
    fn outcome_of(&self, template: MailTemplate, notification_id: Uuid, nth: Option<usize>) -> Option<MailOutcome> {
        let mails = self.mails.get(&template)?;
        let known = mails.iter().find(|mail| mail.is(notification_id));
        let named_anew = || nth.and_then(|nth| mails.get(nth)).filter(|mail| !mail.again);
        known.or_else(named_anew).map(|mail| mail.outcome)
    }
}

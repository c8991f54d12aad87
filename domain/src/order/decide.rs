//! What a command comes to: events, or a refusal that says why not.

use std::collections::HashSet;

use super::event::{
    CancellationRequested, LineQuantity, LinesCancelled, NoteAdded, NotificationFailed, NotificationSent,
    OperatorIntervened, OrderCancelled, OrderConfirmed, OrderCreated, OrderDelivered, OrderEvent, OrderRejected,
    OrderShipped, Parcel, PaymentAuthorized, PaymentCaptured, PaymentDeclined, PaymentOutcomeUnknown, PaymentRefunded,
    PaymentVoided, RefundRequested, ReturnReceived, ReturnRequested, StockReleased, StockReservationFailed,
    StockReserved,
};
use super::intervene::intervene;
use super::state::{MailOutcome, Order, OrderStatus, PaymentState, PlacedOrder, Refund, StockState, UndoReason};
use super::transitions::{OrderAction, Stage, TRANSITIONS, allowed_at};
use crate::{CancellationId, RefundId, ReturnId, ShipmentId};

/// What an order can be asked to do. What somebody reports is taken as it is reported.
#[derive(Debug, Clone, PartialEq)]
pub enum OrderCommand {
    /// Take the order as it was posted.
    CreateOrder(OrderCreated),
    /// Call it off; where some of it was sent already, the rest.
    CancelOrder(CancellationRequested),
    /// Call some of it off: what was not sent, or some of that.
    CancelLines(CancellationDemand),
    /// Send it, or some of it.
    ShipOrder(ShipmentDemand),
    /// Note that it arrived.
    DeliverOrder,
    /// Note that some of it will come back.
    RequestReturn(ReturnRequested),
    /// Note that this came back.
    ReceiveReturn(ReturnId),
    /// Give money back.
    RequestRefund(RefundDemand),
    /// Write something down.
    AddNote(NoteAdded),
    /// Note that its units are set aside.
    RecordStockReserved(StockReserved),
    /// Note that there are not enough.
    RecordStockReservationFailed(StockReservationFailed),
    /// Note that its units were put back.
    RecordStockReleased(StockReleased),
    /// Note that its money is held.
    RecordPaymentAuthorized(PaymentAuthorized),
    /// Note that its money is not held, for good.
    RecordPaymentDeclined(PaymentDeclined),
    /// Note that nobody knows whether its money is held.
    RecordPaymentOutcomeUnknown(PaymentOutcomeUnknown),
    /// Note that its money is not held any more, and will not be.
    RecordPaymentVoided,
    /// Promise it to the customer: from here on it is only carried forward.
    ConfirmOrder,
    /// Note that money was taken.
    RecordPaymentCaptured(PaymentCaptured),
    /// Note that money went back.
    RecordPaymentRefunded(PaymentRefunded),
    /// Say that all that was done for it is undone.
    CloseOrder,
    /// Note that a mail was accepted for delivery.
    RecordNotificationSent(NotificationSent),
    /// Note that a mail could not be sent, for good.
    RecordNotificationFailed(NotificationFailed),
    /// Do as an operator says.
    Intervene(OperatorIntervened),
}

/// What is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShipmentDemand {
    /// Names the shipment.
    pub shipment_id: ShipmentId,
    /// What; `None`: all that is left.
    pub lines: Option<Vec<LineQuantity>>,
    /// What it travels in, as far as it can be followed.
    pub parcels: Vec<Parcel>,
}

/// What is not to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancellationDemand {
    /// Names the cancellation.
    pub cancellation_id: CancellationId,
    /// What; some of what is left.
    pub lines: Vec<LineQuantity>,
    /// Why.
    pub reason: Option<String>,
}

/// What is to be given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundDemand {
    /// Names the refund.
    pub refund_id: RefundId,
    /// How much, in minor units; `None`: all that is left.
    pub amount_minor: Option<i64>,
    /// Why.
    pub reason: Option<String>,
}

/// Why a command was refused. Each states the fact that stands against it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is another order under this id.
    #[error("an order with this id and other content already exists")]
    ExistsWithOtherContent,
    /// There is no order to do this with.
    #[error("there is no such order")]
    NoSuchOrder,
    /// It is not the time for it.
    #[error("the order is {stage}: {action} is not possible{}", list(allowed))]
    NotAllowed {
        /// What was asked for.
        action: OrderAction,
        /// Where the order is.
        stage: Stage,
        /// What could be asked for instead.
        allowed: Vec<OrderAction>,
    },
    /// There is another shipment, cancellation, return, refund or note of the order under this id.
    #[error("there is another {what} with this id")]
    IdTaken {
        /// What has the id.
        what: &'static str,
    },
    /// The order has no such line.
    #[error("the order has no line {line_number}")]
    NoSuchLine {
        /// From 1.
        line_number: u32,
    },
    /// A line is named twice.
    #[error("line {line_number} is named twice")]
    LineTwice {
        /// From 1.
        line_number: u32,
    },
    /// There is less of the line than that.
    #[error("of line {line_number} only {left} are left")]
    TooMany {
        /// From 1.
        line_number: u32,
        /// How many there are.
        left: u32,
    },
    /// It is too early for single lines.
    #[error("single lines can be cancelled once the order is confirmed; all of it can be now")]
    NotConfirmed,
    /// That is no part of the order.
    #[error("this is all of the order: cancel it without lines")]
    AllOfIt,
    /// There is no such return.
    #[error("the order has no return {0}")]
    NoSuchReturn(ReturnId),
    /// That is more than the customer paid and did not get back.
    #[error("only {left_minor} minor units can be refunded")]
    MoreThanCaptured {
        /// In minor units.
        left_minor: i64,
    },
    /// Enough of this hangs on the order.
    #[error("an order takes {limit} {action} at the most, and this one has as many")]
    TooManyOf {
        /// What was asked for.
        action: OrderAction,
        /// How many there may be.
        limit: u32,
    },
    /// What hangs on the order would take too much room.
    #[error("what hangs on an order takes {limit_bytes} bytes at the most, and this would be more")]
    TooMuch {
        /// How many bytes there may be.
        limit_bytes: u64,
    },
    /// The order went another way while this was being done.
    #[error("the order has gone another way")]
    Overtaken,
    /// An operator can't do this with the step.
    #[error("{0}")]
    CannotIntervene(String),
}

fn list(allowed: &[OrderAction]) -> String {
    let names: Vec<&str> = allowed.iter().map(|action| action.name()).collect();
    if names.is_empty() { String::new() } else { format!("; possible: {}", names.join(", ")) }
}

/// What a command changes: the events that come of it, none when what it asks for is already so.
///
/// Every command can thus be given twice; the second time changes nothing.
pub fn decide(order: &Order, command: OrderCommand) -> Result<Vec<OrderEvent>, Refusal> {
    match (order, command) {
        (Order::Absent, OrderCommand::CreateOrder(content)) => Ok(vec![OrderEvent::OrderCreated(content)]),
        (Order::Absent, _) => Err(Refusal::NoSuchOrder),
        (Order::Placed(placed), command) => placed.decide(command),
    }
}

/// What a command comes to: mostly one event or, if it is so already, none.
type Decision = Result<Vec<OrderEvent>, Refusal>;

/// It is so already.
const UNCHANGED: Decision = Ok(vec![]);

fn one(event: OrderEvent) -> Decision {
    Ok(vec![event])
}

impl PlacedOrder {
    /// What a command changes, as [`decide`] has it.
    pub fn decide(&self, command: OrderCommand) -> Result<Vec<OrderEvent>, Refusal> {
        match command {
            OrderCommand::CreateOrder(content) if self.content == content => UNCHANGED,
            OrderCommand::CreateOrder(_) => Err(Refusal::ExistsWithOtherContent),
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
    fn check(&self, action: OrderAction) -> Result<(), Refusal> {
        let stage = self.stage();
        if TRANSITIONS.iter().any(|(known, stages)| *known == action && stages.contains(&stage)) {
            return Ok(());
        }
        Err(Refusal::NotAllowed { action, stage, allowed: allowed_at(stage) })
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
        self.cancel_lines(CancellationDemand { cancellation_id, lines, reason })
    }

    fn cancel_lines(&self, CancellationDemand { cancellation_id, lines, reason }: CancellationDemand) -> Decision {
        if let Some(known) = self.cancellations.iter().find(|known| known.id == cancellation_id) {
            let same = (&known.lines, &known.reason) == (&lines, &reason);
            return if same { UNCHANGED } else { Err(Refusal::IdTaken { what: "cancellation" }) };
        }
        if self.stage() == Stage::Pending {
            return Err(Refusal::NotConfirmed);
        }
        self.check(OrderAction::Cancel)?;
        self.check_lines(&lines, |line_number, ordered| self.left_of(line_number, ordered))?;
        let units = |lines: &[LineQuantity]| lines.iter().map(|line| u64::from(line.quantity)).sum::<u64>();
        if self.shipments.is_empty() && units(&lines) == units(&self.unshipped()) {
            return Err(Refusal::AllOfIt);
        }
        one(OrderEvent::LinesCancelled(LinesCancelled { cancellation_id, lines, reason }))
    }

    fn ship(&self, ShipmentDemand { shipment_id, lines, parcels }: ShipmentDemand) -> Decision {
        if let Some(known) = self.shipments.iter().find(|shipment| shipment.id == shipment_id) {
            let same = lines.is_none_or(|lines| lines == known.lines) && parcels == known.parcels;
            return if same { UNCHANGED } else { Err(Refusal::IdTaken { what: "shipment" }) };
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
            return if same { UNCHANGED } else { Err(Refusal::IdTaken { what: "return" }) };
        }
        self.check(OrderAction::RequestReturn)?;
        // What it will be worth goes back under this name.
        if self.refund(&RefundId::of_return(&requested.return_id)).is_some() {
            return Err(Refusal::IdTaken { what: "refund" });
        }
        self.check_lines(&requested.lines, |line_number, _| self.shipped(line_number) - self.returned(line_number))?;
        one(OrderEvent::ReturnRequested(requested))
    }

    fn receive_return(&self, return_id: ReturnId) -> Decision {
        let Some(back) = self.returns.iter().find(|back| back.id == return_id) else {
            self.check(OrderAction::ReceiveReturn)?;
            return Err(Refusal::NoSuchReturn(return_id));
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

    fn request_refund(&self, RefundDemand { refund_id, amount_minor, reason }: RefundDemand) -> Decision {
        if let Some(known) = self.refund(&refund_id) {
            let same = amount_minor.is_none_or(|amount| amount == known.amount_minor) && known.reason == reason;
            return if same { UNCHANGED } else { Err(Refusal::IdTaken { what: "refund" }) };
        }
        self.check(OrderAction::Refund)?;
        if self.returns.iter().any(|back| RefundId::of_return(&back.id) == refund_id) {
            return Err(Refusal::IdTaken { what: "return" });
        }
        let left_minor = self.refundable_minor();
        let amount_minor = amount_minor.unwrap_or(left_minor);
        if amount_minor <= 0 || amount_minor > left_minor {
            return Err(Refusal::MoreThanCaptured { left_minor });
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
            Some(_) => Err(Refusal::IdTaken { what: "note" }),
            None => {
                self.check(OrderAction::AddNote)?;
                one(OrderEvent::NoteAdded(note))
            }
        }
    }

    /// Refuses lines that are not there, or of which there is less. Never empty: that is refused where it is read.
    fn check_lines(&self, lines: &[LineQuantity], left: impl Fn(u32, u32) -> u32) -> Result<(), Refusal> {
        let mut named = HashSet::with_capacity(lines.len());
        for &LineQuantity { line_number, quantity } in lines {
            let Some(line) = self.line(line_number) else { return Err(Refusal::NoSuchLine { line_number }) };
            if !named.insert(line_number) {
                return Err(Refusal::LineTwice { line_number });
            }
            let left = left(line_number, line.quantity);
            if quantity > left {
                return Err(Refusal::TooMany { line_number, left });
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
            | StockState::Released => Err(Refusal::Overtaken),
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
                Err(Refusal::Overtaken)
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
            | PaymentState::Voided => Err(Refusal::Overtaken),
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
            | PaymentState::Voided => Err(Refusal::Overtaken),
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
            | PaymentState::Voided => Err(Refusal::Overtaken),
        }
    }

    fn voided(&self) -> Decision {
        if self.payment.state == PaymentState::Voided || self.payment.rest_voided {
            return UNCHANGED;
        }
        let is_undone = self.undoing.is_some() && self.may_hold_money();
        if !is_undone && !self.has_rest_to_void() {
            return Err(Refusal::Overtaken);
        }
        one(OrderEvent::PaymentVoided(PaymentVoided {}))
    }

    fn confirm(&self) -> Decision {
        match self.stage() {
            Stage::Pending if self.is_stocked() && self.is_paid_for() => {
                one(OrderEvent::OrderConfirmed(OrderConfirmed {}))
            }
            Stage::Confirmed | Stage::PartiallyShipped | Stage::Shipped | Stage::Completed => UNCHANGED,
            Stage::Pending | Stage::Undoing | Stage::Rejected | Stage::Cancelled => Err(Refusal::Overtaken),
        }
    }

    /// Money that moved is recorded, even if an operator did without it meanwhile.
    fn captured(&self, captured: PaymentCaptured) -> Decision {
        match self.shipments.iter().find(|shipment| shipment.id == captured.shipment_id) {
            Some(shipment) if shipment.settled && !shipment.given_up => UNCHANGED,
            Some(shipment) if captured.amount_minor <= self.worth_minor(&shipment.lines) => {
                one(OrderEvent::PaymentCaptured(captured))
            }
            Some(_) | None => Err(Refusal::Overtaken),
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
            Some(_) | None => Err(Refusal::Overtaken),
        }
    }

    fn close(&self) -> Decision {
        let Some(reason) = &self.undoing else { return Err(Refusal::Overtaken) };
        match self.status {
            OrderStatus::Rejected | OrderStatus::Cancelled => return UNCHANGED,
            OrderStatus::Pending | OrderStatus::Confirmed | OrderStatus::Completed => {}
        }
        if self.holds_units() || self.may_hold_money() {
            return Err(Refusal::Overtaken);
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
    fn outcome_of(
        &self,
        template: super::MailTemplate,
        notification_id: uuid::Uuid,
        nth: Option<usize>,
    ) -> Option<MailOutcome> {
        let mails = self.mails.get(&template)?;
        let known = mails.iter().find(|mail| mail.is(notification_id));
        let named_anew = || nth.and_then(|nth| mails.get(nth)).filter(|mail| !mail.again);
        known.or_else(named_anew).map(|mail| mail.outcome)
    }
}

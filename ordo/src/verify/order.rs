//! An order by itself: its fold, and what its events tell beyond that.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use domain::ids::{LocationId, OrderId, Sku};
use domain::order::event::{MailTemplate, NotificationSent};
use domain::order::saga::{OperatorDecision, SagaStep};
use domain::order::units::implied_stock_commands;
use domain::order::{
    AuthorizationState, Order, OrderEditStatus, OrderEvent, OrderStatus, OrderTotals, Payment, PlacedOrder, Shipment,
};
use domain::stock::StockCommand;
use sagas::SAGAS;
use sagas::report::OrderGivenUpMails;

use super::findings::Findings;

/// An order whose events have all been read.
#[derive(Debug)]
pub(super) struct AuditedOrder {
    pub(super) id: String,
    pub(super) placed: PlacedOrder,
    /// Of its last event.
    pub(super) last_position: i64,
    pub(super) last_at: DateTime<Utc>,
    /// The number of mails of each kind that the events call for.
    pub(super) owed: BTreeMap<MailTemplate, usize>,
    /// The mails that the order says were sent.
    pub(super) sent: Vec<NotificationSent>,
    /// The mails that were given up.
    pub(super) given_up: OrderGivenUpMails,
    /// The steps that an operator decided about. Payments and units may differ from them.
    pub(super) by_hand: BTreeSet<SagaStep>,
    /// The units that were to be put back into the stock after they had come back, and where.
    pub(super) put_back: BTreeMap<(Sku, LocationId), i64>,
}

/// An order whose events are being read.
pub(super) struct OrderAudit {
    id: String,
    order: Order,
    last_position: i64,
    last_at: DateTime<Utc>,
    owed: BTreeMap<MailTemplate, usize>,
    sent: Vec<NotificationSent>,
    given_up: OrderGivenUpMails,
    by_hand: BTreeSet<SagaStep>,
    put_back: BTreeMap<(Sku, LocationId), i64>,
}

/// What is held, captured and refunded of many orders in one currency, in minor units.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct CurrencyPaymentTotals {
    pub(super) held: i64,
    pub(super) captured: i64,
    pub(super) refunded: i64,
}

impl OrderAudit {
    pub(super) fn of(order_id: &str) -> Self {
        Self {
            id: order_id.to_owned(),
            order: Order::Absent,
            last_position: 0,
            last_at: DateTime::UNIX_EPOCH,
            owed: BTreeMap::new(),
            sent: Vec::new(),
            given_up: OrderGivenUpMails::default(),
            by_hand: BTreeSet::new(),
            put_back: BTreeMap::new(),
        }
    }

    pub(super) fn apply(&mut self, event: OrderEvent, position: i64, at: DateTime<Utc>) {
        (self.last_position, self.last_at) = (position, at);
        self.given_up.add(&event);
        if let Some(template) = owed_mail(&event) {
            *self.owed.entry(template).or_default() += 1;
        }
        if let OrderEvent::OrderConfirmed(confirmed) = &event
            && confirmed.mail_staff
        {
            *self.owed.entry(MailTemplate::StaffNewOrder).or_default() += 1;
        }
        if let OrderEvent::NotificationSent(sent) = &event {
            self.sent.push(sent.clone());
        }
        if let OrderEvent::OperatorIntervened(it) = &event {
            match it.decision {
                OperatorDecision::Skip | OperatorDecision::MarkSucceeded { .. } | OperatorDecision::MarkFailed => {
                    self.by_hand.insert(it.step);
                }
                OperatorDecision::Retry { .. } | OperatorDecision::Compensate => {}
            }
        }
        let receipt = matches!(event, OrderEvent::ReturnReceived(_)).then(|| event.clone());
        domain::order::evolve(&mut self.order, event);
        if let (Some(receipt), Order::Placed(placed)) = (receipt, &self.order) {
            add_put_back(&mut self.put_back, placed, &self.id, &receipt);
        }
    }

    /// `None`: the order was never created.
    pub(super) fn finish(self, findings: &mut Findings) -> Option<AuditedOrder> {
        let Self { id, order, last_position, last_at, owed, sent, given_up, by_hand, put_back } = self;
        match order {
            Order::Placed(placed) => {
                let placed = *placed;
                Some(AuditedOrder { id, placed, last_position, last_at, owed, sent, given_up, by_hand, put_back })
            }
            Order::Absent => {
                findings.add(format!("order {id}"), "it has events, but was never created");
                None
            }
        }
    }
}

/// Adds what a receipt puts back: to the location that it names, or to where the units were sent from.
fn add_put_back(
    put_back: &mut BTreeMap<(Sku, LocationId), i64>,
    order: &PlacedOrder,
    order_id: &str,
    receipt: &OrderEvent,
) {
    let Ok(order_id) = OrderId::parse(order_id) else { return };
    for (sku, command) in implied_stock_commands(&order_id, order, receipt) {
        if let StockCommand::PutBack(returned) = command {
            *put_back.entry((sku, returned.location)).or_default() += i64::from(returned.quantity);
        }
    }
}

/// The mail that an event calls for. The audit says so by itself: a mistake of the sagas must not hide here.
fn owed_mail(event: &OrderEvent) -> Option<MailTemplate> {
    match event {
        OrderEvent::OrderConfirmed(_) => Some(MailTemplate::OrderConfirmed),
        OrderEvent::OrderRejected(_) => Some(MailTemplate::OrderRejected),
        OrderEvent::OrderCancelled(_) => Some(MailTemplate::OrderCancelled),
        OrderEvent::OrderShipped(_) => Some(MailTemplate::OrderShipped),
        OrderEvent::PaymentRefunded(_) => Some(MailTemplate::OrderRefunded),
        OrderEvent::OrderEdited(edited) => edited.mail_customer.then_some(MailTemplate::OrderEdited),
        OrderEvent::PaymentVoided(voided) => voided.released_minor.map(|_| MailTemplate::PaymentReleased),
        OrderEvent::MailResendRequested(wanted) => Some(wanted.template),
        OrderEvent::OrderCreated(_)
        | OrderEvent::StockReserved(_)
        | OrderEvent::StockReservationFailed(_)
        | OrderEvent::StockReleased(_)
        | OrderEvent::PaymentAuthorized(_)
        | OrderEvent::PaymentDeclined(_)
        | OrderEvent::PaymentOutcomeUnknown(_)
        | OrderEvent::PaymentCaptured(_)
        | OrderEvent::RefundRequested(_)
        | OrderEvent::CancellationRequested(_)
        | OrderEvent::OrderEditRequested(_)
        | OrderEvent::OrderEditRejected(_)
        | OrderEvent::LinesCancelled(_)
        | OrderEvent::ShipmentDelivered(_)
        | OrderEvent::ShipmentTrackingChanged(_)
        | OrderEvent::OrderHeld(_)
        | OrderEvent::OrderReleased(_)
        | OrderEvent::OrderDelivered(_)
        | OrderEvent::ReturnRequested(_)
        | OrderEvent::ReturnReceived(_)
        | OrderEvent::ReturnCancelled(_)
        | OrderEvent::NotificationSent(_)
        | OrderEvent::NotificationFailed(_)
        | OrderEvent::NoteAdded(_)
        | OrderEvent::OperatorIntervened(_)
        | OrderEvent::InvoiceIssued(_)
        | OrderEvent::CreditNoteIssued(_)
        | OrderEvent::OrderNumbered(_) => None,
    }
}

impl AuditedOrder {
    pub(super) fn about(&self) -> String {
        format!("order {}", self.id)
    }

    /// Whether the order was rejected or cancelled.
    pub(super) fn is_undone(&self) -> bool {
        match self.placed.status {
            OrderStatus::Rejected | OrderStatus::Cancelled => true,
            OrderStatus::Pending | OrderStatus::Confirmed | OrderStatus::Completed => false,
        }
    }

    /// Whether an operator decided about its payment.
    pub(super) fn money_is_by_hand(&self) -> bool {
        [
            SagaStep::AuthorizePayment,
            SagaStep::VoidPayment,
            SagaStep::CapturePayment,
            SagaStep::VoidRest,
            SagaStep::RefundPayment,
        ]
        .iter()
        .any(|step| self.by_hand.contains(step))
    }

    /// Whether no step is due but a mail or what a person does, so that neither units nor the provider's money change.
    pub(super) fn is_at_rest(&self, now: DateTime<Utc>) -> bool {
        let due = SAGAS.iter().filter_map(|saga| saga.next(&self.placed, now).step());
        due.into_iter().all(|step| matches!(step, SagaStep::NotifyCustomer | SagaStep::RefundManually))
    }

    /// Checks the order against its own events.
    pub(super) fn check(&self, findings: &mut Findings) {
        let placed = &self.placed;
        let mut wrong = |what: String| findings.add(self.about(), what);
        for (number, line) in placed.numbered_lines() {
            let (shipped, returned) = (placed.shipped(number), placed.returned(number));
            let (cancelled, received) = (placed.counts(number).cancelled, placed.counts(number).received);
            let is_too_much = i64::from(shipped) + i64::from(cancelled) > i64::from(line.quantity);
            if is_too_much || returned > shipped || received > returned {
                let ordered = line.quantity;
                let but = if cancelled > 0 { format!(", {cancelled} cancelled") } else { String::new() };
                let back = if received > returned { format!(", {received} received") } else { String::new() };
                wrong(format!("line {number}: {ordered} ordered, {shipped} shipped, {returned} returned{but}{back}"));
            }
        }
        let is_here = placed.shipments.iter().all(|shipment| placed.is_delivered(shipment));
        let is_over = !placed.shipments.is_empty() && placed.is_all_shipped() && is_here;
        if is_over && placed.status != OrderStatus::Completed {
            wrong("all of it was shipped and arrived, and it is not completed".to_owned());
        }
        let total = placed.content.total_minor;
        match OrderTotals::of(&placed.content) {
            Some(totals) if totals.total_minor == total => {}
            Some(totals) => wrong(format!("its parts come to {}, and its total is {total}", totals.total_minor)),
            None => wrong(format!("its parts come to more than any amount, and its total is {total}")),
        }
        let of_payments: i64 = placed.counted_payments().map(|payment| payment.amount_minor).sum();
        // An edit that makes an order cheaper leaves its payments as they are.
        let is_edited = placed.edits.iter().any(|edit| edit.status == OrderEditStatus::Applied);
        let is_enough = is_edited && of_payments >= total - placed.cancelled_minor();
        if of_payments != total && !is_enough {
            wrong(format!("its payments come to {of_payments}, and its total is {total}"));
        }
        // One that makes it dearer adds what is missing, and no more.
        let (mut before, mut posted) = (0, 0);
        for payment in placed.counted_payments() {
            let amount = payment.amount_minor;
            let edit = placed.edits.iter().find(|edit| edit.payment_number == Some(payment.number));
            match edit.map(|edit| edit.requested.as_deref().map_or(0, |requested| requested.total_minor)) {
                None => posted += amount,
                Some(total) if amount > 0 && amount <= total - before => {}
                Some(total) => wrong(format!("{amount} were added to payments of {before} for a total of {total}")),
            }
            before += amount;
        }
        let total = placed.as_posted().total_minor;
        if is_edited && posted != total {
            wrong(format!("its payments came to {posted} before any edit, and its total was {total}"));
        }
        for payment in &placed.payments {
            let Payment { captured_minor: captured, refunded_minor: refunded, .. } = payment;
            if refunded > captured {
                wrong(format!("{}{refunded} were refunded of {captured} captured", self.of_payment(payment)));
            }
        }
        if self.money_is_by_hand() {
            return;
        }
        placed.payments.iter().for_each(|payment| self.check_payment(payment, findings));
    }

    fn check_payment(&self, payment: &Payment, findings: &mut Findings) {
        let placed = &self.placed;
        let mut wrong = |what: String| findings.add(self.about(), format!("{}{what}", self.of_payment(payment)));
        let (captured, refunded) = (payment.captured_minor, payment.refunded_minor);
        let (authorized, is_held) = match &payment.state {
            AuthorizationState::Authorized { amount_minor, .. } => (*amount_minor, true),
            AuthorizationState::PaidElsewhere => (payment.amount_minor, true),
            AuthorizationState::None
            | AuthorizationState::Unknown
            | AuthorizationState::Declined
            | AuthorizationState::NotNeeded
            | AuthorizationState::Voided => (0, false),
        };
        if captured > authorized {
            wrong(format!("{captured} were captured of {authorized} authorized"));
        }
        // What a shipment is worth is shared out over the payments. The shares are asked for one by one, and compared with the sum.
        let is_settled =
            |it: &&Shipment| it.captures.iter().any(|it| it.settled && it.payment_number == payment.number);
        let settled = placed.shipments.iter().filter(is_settled);
        let shipped: i64 = settled.map(|shipment| placed.capture_minor(&shipment.id, payment.number)).sum();
        if is_held && captured != shipped {
            wrong(format!("what was shipped and settled is worth {shipped}, and {captured} were captured"));
        }
        let paid_back = placed.refunds.iter().filter(|it| it.settled && it.payment_number == payment.number);
        let paid_back: i64 = paid_back.map(|it| it.amount_minor).sum();
        if refunded != paid_back {
            wrong(format!("its refunds come to {paid_back}, and {refunded} were refunded"));
        }
    }

    /// What a finding begins with that is about one of several payments.
    pub(super) fn of_payment(&self, payment: &Payment) -> String {
        self.placed.payment_name(payment.number).map_or_else(String::new, |number| format!("payment {number}: "))
    }
}

impl CurrencyPaymentTotals {
    pub(super) fn add(&mut self, placed: &PlacedOrder) {
        // The last capture releases the rest.
        if !placed.is_all_shipped() || placed.has_rest_to_void() {
            self.held += placed.held_minor();
        } else {
            let abandoned = placed.payments.iter().filter(|payment| payment.abandoned);
            self.held += abandoned.map(Payment::held_minor).sum::<i64>();
        }
        self.captured += placed.captured_minor();
        self.refunded += placed.refunded_minor();
    }
}

//! What an order is, and what can be asked of that.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use super::event::{LineQuantity, MailTemplate, NoteAdded, OrderCreated, Parcel, RejectionReason, StockReserved};
use super::lines::LineCounts;
use crate::ids::{CancellationId, NoteId, PaymentToken, RefundId, ReturnId, ShipmentId};

/// An order, folded from its events.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum Order {
    /// Nothing was posted under this id.
    #[default]
    Absent,
    /// It was posted, and this became of it.
    Placed(Box<PlacedOrder>),
}

/// An order that was posted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct PlacedOrder {
    /// What was posted.
    pub content: OrderCreated,
    /// How far it is.
    pub status: OrderStatus,
    /// Why what was done for it is being undone, or was; `None`: it goes forward.
    pub undoing: Option<UndoReason>,
    /// Its units.
    pub stock: StockState,
    /// Its money.
    pub payment: Payment,
    /// What was sent, in order.
    pub shipments: Vec<Shipment>,
    /// What will not be sent, in order. A build that did not know of it kept a folded order without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cancellations: Vec<Cancellation>,
    /// What came back or is to, in order.
    pub returns: Vec<Return>,
    /// What was given back or is to be, in order.
    pub refunds: Vec<Refund>,
    /// What was to be given back and was given up. Should the provider have done it all the same, it belongs to the others again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given_up: Vec<Refund>,
    /// What became of each mail that was asked for, in order.
    pub mails: BTreeMap<MailTemplate, Vec<Mail>>,
    /// Whether it had been promised when it was cancelled: the mail that says so may be out, or on its way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub was_promised: bool,
    /// What people wrote down.
    pub notes: BTreeMap<NoteId, NoteAdded>,
    /// What became of each line, in the order of the lines: see [`PlacedOrder::counts`]. Not stored: it follows from the rest.
    #[serde(skip)]
    pub counts: Vec<LineCounts>,
}

impl Serialize for PlacedOrder {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The derived one, under the same name.
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for PlacedOrder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut order = Self::deserialize(deserializer)?;
        order.recount();
        Ok(order)
    }
}

/// How far an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderStatus {
    /// Accepted and stored; nothing is promised to the customer yet.
    Pending,
    /// Promised to the customer.
    Confirmed,
    /// All of it arrived.
    Completed,
    /// It could not be promised.
    Rejected,
    /// It was called off.
    Cancelled,
}

/// Why an order is undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum UndoReason {
    /// It can't be promised.
    Rejected(RejectionReason),
    /// Somebody called it off; why, in their words.
    Cancelled(Option<String>),
}

/// The units of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StockState {
    /// Not asked for yet.
    None,
    /// There were not enough.
    Short,
    /// Set aside.
    Reserved(StockReserved),
    /// An operator goes on without.
    NotNeeded,
    /// Put back.
    Released,
}

/// The money of an order, in minor units of its currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// How the authorization stands.
    pub state: PaymentState,
    /// The means of payment: the customer's, or one that an operator gave instead.
    pub token: Option<PaymentToken>,
    /// How many means of payment were tried before this one. Each is asked for under a key of its own.
    pub replaced: u32,
    /// How much was taken.
    pub captured_minor: i64,
    /// How much of that was given back.
    pub refunded_minor: i64,
    /// Whether what was held beyond what was taken was let go of.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rest_voided: bool,
}

/// How an authorization stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PaymentState {
    /// No answer is recorded. It may have been asked for all the same.
    None,
    /// It was asked for, and the answer never came.
    Unknown,
    /// Refused for good.
    Declined,
    /// Held.
    Authorized {
        /// The provider's id of it.
        reference: String,
        /// How much.
        amount_minor: i64,
    },
    /// An operator goes on without.
    NotNeeded,
    /// Let go of.
    Voided,
}

/// A part of the order that was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shipment {
    /// Its name.
    pub id: ShipmentId,
    /// What was sent.
    pub lines: Vec<LineQuantity>,
    /// What it travels in. A build that knew of one parcel only kept a folded order without it.
    #[serde(default)]
    pub parcels: Vec<Parcel>,
    /// Whether its money was taken, or an operator does without.
    pub settled: bool,
    /// Whether an operator does without its money. Should the provider have taken it all the same, that is still to be recorded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub given_up: bool,
    /// How often an operator wanted it tried again after it had failed. Each is an attempt of its own for the provider.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: u32,
}

/// A part of the order that will not be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancellation {
    /// Its name.
    pub id: CancellationId,
    /// What will not be sent.
    pub lines: Vec<LineQuantity>,
    /// Why.
    pub reason: Option<String>,
}

/// A part of the order that comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Return {
    /// Its name.
    pub id: ReturnId,
    /// What comes back.
    pub lines: Vec<LineQuantity>,
    /// Why.
    pub reason: Option<String>,
    /// Whether it is here.
    pub received: bool,
}

/// Money that goes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// Its name.
    pub id: RefundId,
    /// How much.
    pub amount_minor: i64,
    /// Why.
    pub reason: Option<String>,
    /// Whether the provider gave it back.
    pub settled: bool,
    /// How often an operator wanted it tried again after it had failed. Each is an attempt of its own for the provider.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: u32,
}

/// A mail that was asked for and decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// The mail.
    pub notification_id: Uuid,
    /// What became of it.
    pub outcome: MailOutcome,
    /// Whether an operator wants it sent again.
    pub again: bool,
    /// Whether an operator did without it before its answer came, by an event that does not name it. Should its answer come, that bears
    /// a name that is not known here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skipped: bool,
    /// What it was called when it was sent before, and given up: answers to those can still come.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_ids: Vec<Uuid>,
}

impl Mail {
    pub(super) fn new(notification_id: Uuid, outcome: MailOutcome) -> Self {
        Self { notification_id, outcome, again: false, skipped: false, former_ids: vec![] }
    }

    /// Whether it is or was called so.
    pub(super) fn is(&self, notification_id: Uuid) -> bool {
        self.notification_id == notification_id || self.former_ids.contains(&notification_id)
    }

    /// It is called so from now on.
    pub(super) fn rename(&mut self, notification_id: Uuid) {
        if !self.is(notification_id) {
            self.former_ids.push(std::mem::replace(&mut self.notification_id, notification_id));
        }
    }
}

/// What became of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailOutcome {
    /// The mail service took it.
    Sent,
    /// It was given up.
    Failed,
}

/// How the payment stands, as people are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PaymentStatus {
    /// Nothing is held.
    None,
    /// The provider did not answer.
    Unknown,
    /// Refused for good.
    Declined,
    /// Held.
    Authorized,
    /// Some of what the order comes to, less what was cancelled, was taken.
    PartiallyCaptured,
    /// All of that was taken.
    Captured,
    /// Some of it was given back.
    PartiallyRefunded,
    /// All that was taken was given back.
    Refunded,
    /// Let go of.
    Voided,
}

/// How far the goods are, as people are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FulfilmentStatus {
    /// Nothing is set aside.
    None,
    /// Set aside.
    Reserved,
    /// Some was sent.
    PartiallyShipped,
    /// All was sent.
    Shipped,
    /// All arrived.
    Delivered,
}

/// What comes back, as people are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReturnsStatus {
    /// Nothing.
    None,
    /// Something is to.
    Requested,
    /// Something did.
    PartiallyReturned,
    /// Everything did.
    Returned,
}

impl PlacedOrder {
    /// An order that was just posted.
    pub(super) fn new(content: OrderCreated) -> Self {
        let token = content.payment_token.clone();
        let counts = vec![LineCounts::default(); content.lines.len()];
        Self {
            content,
            status: OrderStatus::Pending,
            undoing: None,
            stock: StockState::None,
            payment: Payment {
                state: PaymentState::None,
                token,
                replaced: 0,
                captured_minor: 0,
                refunded_minor: 0,
                rest_voided: false,
            },
            shipments: vec![],
            cancellations: vec![],
            returns: vec![],
            refunds: vec![],
            given_up: vec![],
            mails: BTreeMap::new(),
            was_promised: false,
            notes: BTreeMap::new(),
            counts,
        }
    }

    /// Whether units are set aside for it.
    pub fn holds_units(&self) -> bool {
        matches!(self.stock, StockState::Reserved(_))
    }

    /// Whether the provider may hold money for it: an authorization may have been asked for and arrived although nobody
    /// recorded its answer. It is asked for once the units are settled, never before.
    pub fn may_hold_money(&self) -> bool {
        match self.payment.state {
            PaymentState::None => {
                self.content.total_minor > 0
                    && self.status == OrderStatus::Pending
                    && !matches!(self.stock, StockState::None | StockState::Short)
            }
            PaymentState::Unknown | PaymentState::Authorized { .. } => {
                self.payment.captured_minor == 0 && !self.payment.rest_voided
            }
            PaymentState::Declined | PaymentState::NotNeeded | PaymentState::Voided => false,
        }
    }

    /// How much is held and not taken, in minor units, as far as that is recorded.
    pub fn held_minor(&self) -> i64 {
        match self.payment.state {
            PaymentState::Authorized { amount_minor, .. } if !self.payment.rest_voided => {
                amount_minor - self.payment.captured_minor
            }
            PaymentState::Authorized { .. }
            | PaymentState::None
            | PaymentState::Unknown
            | PaymentState::Declined
            | PaymentState::NotNeeded
            | PaymentState::Voided => 0,
        }
    }

    /// Whether money is held that never will be taken: some of the order was cancelled, and the rest was sent and paid for.
    pub fn has_rest_to_void(&self) -> bool {
        self.undoing.is_none()
            && !self.cancellations.is_empty()
            && self.is_all_shipped()
            && self.unsettled_shipment().is_none()
            && self.held_minor() > 0
    }

    /// Whether its payment is settled as far as a promise needs it.
    pub fn is_paid_for(&self) -> bool {
        match self.payment.state {
            PaymentState::Authorized { .. } | PaymentState::NotNeeded => true,
            PaymentState::None => self.content.total_minor == 0,
            PaymentState::Unknown | PaymentState::Declined | PaymentState::Voided => false,
        }
    }

    /// Whether its units are settled as far as a promise needs it.
    pub fn is_stocked(&self) -> bool {
        matches!(self.stock, StockState::Reserved(_) | StockState::NotNeeded)
    }

    /// The first shipment whose money has not been taken.
    pub fn unsettled_shipment(&self) -> Option<&Shipment> {
        self.shipments.iter().find(|shipment| !shipment.settled)
    }

    /// The first refund that has not been paid.
    pub fn unsettled_refund(&self) -> Option<&Refund> {
        self.refunds.iter().find(|refund| !refund.settled)
    }

    /// How much was taken and has not gone back.
    pub fn kept_minor(&self) -> i64 {
        self.payment.captured_minor - self.payment.refunded_minor
    }

    /// Whether the provider may be asked for a refund, and may have been: as much as that was taken of what it holds.
    pub fn is_payable(&self, refund: &Refund) -> bool {
        matches!(self.payment.state, PaymentState::Authorized { .. }) && refund.amount_minor <= self.kept_minor()
    }

    /// How much more can be promised back: what was taken, less what went back or was promised back.
    pub fn refundable_minor(&self) -> i64 {
        let open: i64 = self.refunds.iter().filter(|it| !it.settled).map(|it| it.amount_minor).sum();
        self.kept_minor() - open
    }

    /// How many mails of each kind there are to be, by what happened. What became of a promise that was taken back has to be known, too:
    /// that is asked last, as it mostly is by then.
    fn mails_owed(&self) -> [(MailTemplate, usize); 6] {
        let stands = matches!(self.status, OrderStatus::Confirmed | OrderStatus::Completed) && self.undoing.is_none();
        [
            (MailTemplate::OrderConfirmed, usize::from(stands)),
            (MailTemplate::OrderRejected, usize::from(self.status == OrderStatus::Rejected)),
            (MailTemplate::OrderCancelled, usize::from(self.status == OrderStatus::Cancelled)),
            (MailTemplate::OrderShipped, self.shipments.len()),
            (MailTemplate::OrderRefunded, self.refunds.iter().filter(|refund| refund.settled).count()),
            (MailTemplate::OrderConfirmed, usize::from(self.was_promised)),
        ]
    }

    /// Whether nobody is to get such a mail any more: it would not be true.
    pub fn is_withdrawn(&self, template: MailTemplate) -> bool {
        template == MailTemplate::OrderConfirmed && self.status == OrderStatus::Cancelled
    }

    /// The mail that the customer is owed next: which of its kind, from 0.
    pub fn owed_mail(&self) -> Option<(MailTemplate, usize)> {
        self.mails_owed().into_iter().find_map(|(template, owed)| {
            let mails = self.mails.get(&template).map_or(&[][..], Vec::as_slice);
            let next = mails.iter().position(|mail| mail.again).unwrap_or(mails.len());
            (next < owed.max(mails.len())).then_some((template, next))
        })
    }

    /// Whether more mails of a kind are to be than were decided about.
    pub(super) fn owes_mail(&self, template: MailTemplate) -> bool {
        let decided = self.mails.get(&template).map_or(0, Vec::len);
        self.mails_owed().into_iter().any(|(kind, owed)| kind == template && decided < owed)
    }

    /// Whether a mail was given up that somebody should get.
    pub fn has_failed_mail(&self) -> bool {
        self.failed_mails().next().is_some()
    }

    /// The kinds of the mails that were given up and that somebody should get.
    pub fn failed_mails(&self) -> impl Iterator<Item = MailTemplate> {
        let wanted = self.mails.iter().filter(|(template, _)| !self.is_withdrawn(**template));
        let failed = wanted.filter(|(_, mails)| mails.iter().any(|mail| mail.outcome == MailOutcome::Failed));
        failed.map(|(template, _)| *template)
    }

    /// How the payment stands, as people are told.
    pub fn payment_status(&self) -> PaymentStatus {
        let Payment { captured_minor, refunded_minor, rest_voided, .. } = self.payment;
        match self.payment.state {
            PaymentState::None | PaymentState::NotNeeded => PaymentStatus::None,
            PaymentState::Unknown => PaymentStatus::Unknown,
            PaymentState::Declined => PaymentStatus::Declined,
            PaymentState::Voided => PaymentStatus::Voided,
            PaymentState::Authorized { .. } if captured_minor == 0 && rest_voided => PaymentStatus::Voided,
            PaymentState::Authorized { .. } if captured_minor == 0 => PaymentStatus::Authorized,
            PaymentState::Authorized { .. } if refunded_minor == 0 => {
                let owed_minor = self.content.total_minor - self.cancelled_minor();
                if captured_minor < owed_minor { PaymentStatus::PartiallyCaptured } else { PaymentStatus::Captured }
            }
            PaymentState::Authorized { .. } if refunded_minor < captured_minor => PaymentStatus::PartiallyRefunded,
            PaymentState::Authorized { .. } => PaymentStatus::Refunded,
        }
    }

    /// How far the goods are, as people are told.
    pub fn fulfilment_status(&self) -> FulfilmentStatus {
        if self.status == OrderStatus::Completed {
            FulfilmentStatus::Delivered
        } else if self.shipments.is_empty() {
            if self.holds_units() { FulfilmentStatus::Reserved } else { FulfilmentStatus::None }
        } else if self.is_all_shipped() {
            FulfilmentStatus::Shipped
        } else {
            FulfilmentStatus::PartiallyShipped
        }
    }

    /// What comes back, as people are told.
    pub fn returns_status(&self) -> ReturnsStatus {
        if self.returns.is_empty() {
            return ReturnsStatus::None;
        }
        let everything = self.numbered_lines().all(|(number, line)| {
            let counts = self.counts(number);
            counts.received + counts.cancelled >= line.quantity
        });
        if everything {
            ReturnsStatus::Returned
        } else if self.returns.iter().any(|back| back.received) {
            ReturnsStatus::PartiallyReturned
        } else {
            ReturnsStatus::Requested
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

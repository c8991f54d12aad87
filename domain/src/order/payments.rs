//! The payments of an order: the state of each, and what the order's money allows.
//!
//! They are authorized one after the other, in the order in which they were posted. Captures draw on them in that order too
//! (`worth`), refunds go back in the reverse order.

mod of_edits;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::event::{AddedPayment, OrderCreated, OrderPayment};
use super::state::{OrderStatus, OrderStockState, PlacedOrder, Refund, Shipment, is_zero};
use crate::ids::PaymentToken;

/// A payment of an order, in minor units of its currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// From 1, in the order in which they were posted. Not stored: it follows from its place.
    #[serde(skip)]
    pub number: u32,
    /// How much of the order's total it pays. Not stored: it follows from what was posted.
    #[serde(skip)]
    pub amount_minor: i64,
    /// The state of the authorization.
    pub state: AuthorizationState,
    /// The means of payment: the customer's, or one that an operator gave instead.
    pub token: Option<PaymentToken>,
    /// How many means of payment were tried before this one. Each has an idempotency key of its own.
    pub replaced: u32,
    /// The means of payment that operators replaced, oldest first. Not stored: only a fold of all events has them.
    #[serde(skip)]
    pub replaced_tokens: Vec<Option<PaymentToken>>,
    /// How much was captured.
    pub captured_minor: i64,
    /// How much of that was refunded.
    pub refunded_minor: i64,
    /// Whether the edit that added it was rejected. It pays for nothing, and what is held of it is let go of.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub abandoned: bool,
    /// Its amount, once the order was edited. `None`: it follows from what was posted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated_minor: Option<i64>,
    /// Whether the rest of the authorization, beyond what was captured, was voided.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rest_voided: bool,
}

/// The state of an authorization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthorizationState {
    /// No answer is recorded. The provider may have been asked all the same.
    None,
    /// The provider was asked, and its answer never came.
    Unknown,
    /// The provider refused, for good.
    Declined,
    /// The provider holds the money.
    Authorized {
        /// The provider's id of the authorization.
        reference: String,
        /// How much it holds.
        amount_minor: i64,
    },
    /// It was paid elsewhere. The provider is asked for nothing.
    PaidElsewhere,
    /// An operator skipped the payment.
    NotNeeded,
    /// The provider holds nothing any more. What was paid elsewhere went back, or an operator decided that it will not.
    Voided,
}

/// The capture of a payment's share of a shipment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShipmentCapture {
    /// The payment.
    pub payment_number: u32,
    /// Whether its money was captured, or given up by an operator.
    pub settled: bool,
    /// Whether an operator gave up its money. If the provider took it all the same, that is still recorded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub given_up: bool,
    /// How often an operator had the capture tried again after a failure. Each is a new attempt for the provider.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: u32,
}

impl OrderPayment {
    /// Whether it was paid elsewhere, so that the provider is asked for nothing.
    pub fn is_paid_elsewhere(&self) -> bool {
        self.reference.is_some()
    }
}

impl Payment {
    /// The payments of an order that was just posted.
    pub(super) fn all_of(content: &OrderCreated) -> Vec<Self> {
        let payment = |token: &Option<PaymentToken>, state| Self {
            number: 0,
            amount_minor: 0,
            state,
            token: token.clone(),
            replaced: 0,
            replaced_tokens: vec![],
            captured_minor: 0,
            refunded_minor: 0,
            abandoned: false,
            stated_minor: None,
            rest_voided: false,
        };
        let posted = content.payments.iter().map(|it| {
            let is_elsewhere = it.is_paid_elsewhere();
            payment(&it.token, if is_elsewhere { AuthorizationState::PaidElsewhere } else { AuthorizationState::None })
        });
        let mut payments: Vec<Self> = posted.collect();
        if payments.is_empty() {
            payments.push(payment(&content.payment_token, AuthorizationState::None));
        }
        Self::number(&mut payments, content);
        payments
    }

    /// A payment that an edit adds.
    pub(super) fn added(added: &AddedPayment) -> Self {
        Self {
            number: added.payment_number,
            amount_minor: added.amount_minor,
            state: AuthorizationState::None,
            token: added.token.clone(),
            replaced: 0,
            replaced_tokens: vec![],
            captured_minor: 0,
            refunded_minor: 0,
            abandoned: false,
            stated_minor: Some(added.amount_minor),
            rest_voided: false,
        }
    }

    /// Gives payments their numbers and amounts.
    pub(super) fn number(payments: &mut [Self], content: &OrderCreated) {
        let posted = content.payments.iter().map(|it| it.amount_minor);
        let posted = posted.chain(content.payments.is_empty().then_some(content.total_minor));
        let amounts = posted.map(Some).chain(std::iter::repeat(None));
        for ((number, posted), payment) in (1..).zip(amounts).zip(payments) {
            payment.number = number;
            payment.amount_minor = payment.stated_minor.or(posted).unwrap_or(0);
        }
    }

    /// Whether it was paid elsewhere, and not all that has to go back went back.
    pub fn is_paid_elsewhere(&self) -> bool {
        self.state == AuthorizationState::PaidElsewhere
    }

    /// How much is held that is not captured, in minor units, as far as that is recorded.
    pub fn held_minor(&self) -> i64 {
        match self.state {
            AuthorizationState::Authorized { amount_minor, .. } if !self.rest_voided => {
                amount_minor - self.captured_minor
            }
            AuthorizationState::PaidElsewhere if !self.rest_voided => self.amount_minor - self.captured_minor,
            AuthorizationState::Authorized { .. }
            | AuthorizationState::PaidElsewhere
            | AuthorizationState::None
            | AuthorizationState::Unknown
            | AuthorizationState::Declined
            | AuthorizationState::NotNeeded
            | AuthorizationState::Voided => 0,
        }
    }

    /// How much was captured and not refunded.
    pub(super) fn kept_minor(&self) -> i64 {
        self.captured_minor - self.refunded_minor
    }

    /// Whether it allows a confirmation.
    pub fn is_paid(&self) -> bool {
        if self.abandoned {
            return true;
        }
        match self.state {
            AuthorizationState::Authorized { .. }
            | AuthorizationState::PaidElsewhere
            | AuthorizationState::NotNeeded => true,
            AuthorizationState::None => self.amount_minor == 0,
            AuthorizationState::Unknown | AuthorizationState::Declined | AuthorizationState::Voided => false,
        }
    }
}

impl Shipment {
    /// Whether its money was captured, or given up by an operator.
    pub fn is_settled(&self) -> bool {
        self.captures.iter().all(|capture| capture.settled)
    }

    /// The capture from a payment.
    pub(super) fn capture(&self, payment_number: u32) -> Option<&ShipmentCapture> {
        self.captures.iter().find(|capture| capture.payment_number == payment_number)
    }
}

impl PlacedOrder {
    /// How much was captured, in minor units.
    pub fn captured_minor(&self) -> i64 {
        self.payments.iter().map(|payment| payment.captured_minor).sum()
    }

    /// How much of that was refunded.
    pub fn refunded_minor(&self) -> i64 {
        self.payments.iter().map(|payment| payment.refunded_minor).sum()
    }

    /// How much is held that is not captured, as far as that is recorded.
    pub fn held_minor(&self) -> i64 {
        self.payments.iter().map(Payment::held_minor).sum()
    }

    /// How many means of payment were replaced. An answer that was asked for before says nothing of those that are used now.
    pub fn replaced_means(&self) -> u32 {
        self.payments.iter().map(|payment| payment.replaced).sum()
    }

    /// The payment that the provider is asked for next: the first that does not allow a confirmation.
    pub fn next_to_authorize(&self) -> Option<&Payment> {
        self.payments.iter().find(|payment| !payment.is_paid())
    }

    /// Whether the payments allow a confirmation.
    pub fn is_paid_for(&self) -> bool {
        self.next_to_authorize().is_none()
    }

    /// The payment that is voided next: the last for which the provider may hold money.
    pub fn next_to_void(&self) -> Option<&Payment> {
        self.payments.iter().rev().find(|payment| self.may_hold(payment))
    }

    /// Whether the provider may hold money for it.
    pub fn may_hold_money(&self) -> bool {
        self.next_to_void().is_some()
    }

    /// Whether the provider may hold money for a payment. An authorization may have reached the provider although its answer is not
    /// recorded. The provider is never asked before the units are reserved, nor before the payments before are held.
    pub(super) fn may_hold(&self, payment: &Payment) -> bool {
        match payment.state {
            AuthorizationState::None if self.is_added(payment) => payment.abandoned || self.is_of_open_edit(payment),
            AuthorizationState::None => {
                payment.amount_minor > 0
                    && self.status == OrderStatus::Pending
                    && !matches!(self.stock, OrderStockState::None | OrderStockState::Short)
                    && self.payments.iter().take_while(|before| before.number < payment.number).all(Payment::is_paid)
            }
            AuthorizationState::Unknown | AuthorizationState::Authorized { .. } => {
                payment.captured_minor == 0 && !payment.rest_voided
            }
            AuthorizationState::PaidElsewhere
            | AuthorizationState::Declined
            | AuthorizationState::NotNeeded
            | AuthorizationState::Voided => false,
        }
    }

    /// Whether what is still held will never be captured: lines were cancelled or the order was edited, and all the
    /// others are shipped and paid for.
    pub(super) fn has_rest(&self) -> bool {
        self.undoing.is_none()
            && (!self.cancellations.is_empty() || self.is_edited())
            && self.is_all_shipped()
            && self.unsettled_shipment().is_none()
    }

    /// The payment whose rest is voided next: the last of which the provider holds money that will never be captured.
    pub fn next_rest_to_void(&self) -> Option<&Payment> {
        self.payments.iter().rev().find(|payment| self.is_rest_to_void(payment))
    }

    /// Whether the provider holds money of a payment that will never be captured.
    pub(super) fn is_rest_to_void(&self, payment: &Payment) -> bool {
        !payment.is_paid_elsewhere() && !payment.abandoned && payment.held_minor() > 0 && self.has_rest()
    }

    /// Whether the provider holds money that will never be captured.
    pub fn has_rest_to_void(&self) -> bool {
        self.next_rest_to_void().is_some()
    }

    /// The first shipment whose money is not captured.
    pub fn unsettled_shipment(&self) -> Option<&Shipment> {
        self.shipments.iter().find(|shipment| !shipment.is_settled())
    }

    /// The capture that is next, and its shipment.
    pub fn next_capture(&self) -> Option<(&Shipment, &ShipmentCapture)> {
        let shipment = self.unsettled_shipment()?;
        Some((shipment, shipment.captures.iter().find(|capture| !capture.settled)?))
    }

    /// The refund that the provider is asked for next. The refunds of a payment are made in the order in which they were asked for. A
    /// refund that waits for the capture of its payment holds up none of another payment.
    pub fn unsettled_refund(&self) -> Option<&Refund> {
        let unsettled = || self.refunds.iter().filter(|refund| !refund.settled && !self.is_manual(refund));
        let mut payments = BTreeSet::new();
        let mut first_of_each = unsettled().filter(|refund| payments.insert(refund.payment_number));
        first_of_each.find(|refund| self.is_payable(refund)).or_else(|| unsettled().next())
    }

    /// The provider's ids of the refunds of a payment that are recorded as made.
    pub fn refund_references(&self, payment_number: u32) -> impl Iterator<Item = &str> {
        let refunds = self.refunds.iter().filter(move |refund| refund.payment_number == payment_number);
        refunds.filter_map(|refund| refund.reference.as_deref())
    }

    /// Whether as much as the refund was captured of its payment and not refunded.
    pub fn is_captured(&self, refund: &Refund) -> bool {
        self.numbered(refund.payment_number).is_some_and(|payment| refund.amount_minor <= payment.kept_minor())
    }

    /// Whether the provider can be asked for a refund, and may have been: it holds a capture of at least that amount.
    pub fn is_payable(&self, refund: &Refund) -> bool {
        let is_held = |payment: &Payment| matches!(payment.state, AuthorizationState::Authorized { .. });
        self.numbered(refund.payment_number).is_some_and(is_held) && self.is_captured(refund)
    }

    /// How much more can be refunded: what was captured, less what was refunded or is to be. Goods that come back are also refunded from
    /// what will be captured.
    pub(super) fn refundable_minor(&self, from_uncaptured: bool) -> i64 {
        self.payments.iter().map(|payment| self.refundable_from(payment, from_uncaptured).max(0)).sum()
    }

    fn refundable_from(&self, payment: &Payment, from_uncaptured: bool) -> i64 {
        let open = self.refunds.iter().filter(|it| !it.settled && it.payment_number == payment.number);
        let open: i64 = open.map(|it| it.amount_minor).sum();
        let uncaptured = if from_uncaptured { self.uncaptured_minor(payment.number) } else { 0 };
        payment.kept_minor() + uncaptured - open
    }

    /// Divides a refund over the payments, the last one first. It is divided once, when it is asked for: a capture that comes later changes
    /// nothing about it.
    pub(super) fn divide_refund(&self, amount_minor: i64, from_uncaptured: bool) -> Vec<(u32, i64)> {
        let (mut parts, mut left) = (Vec::new(), amount_minor);
        for payment in self.payments.iter().rev() {
            // The first payment takes all that is left, although no more than there is was asked for.
            let part = match payment.number {
                1 => left,
                _ => self.refundable_from(payment, from_uncaptured).clamp(0, left.max(0)),
            };
            if part > 0 || (payment.number == 1 && parts.is_empty()) {
                parts.push((payment.number, part));
            }
            left -= part;
        }
        parts
    }
}

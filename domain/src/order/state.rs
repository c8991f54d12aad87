//! The state of an order, and questions about it.

use std::collections::BTreeMap;

use super::event::{LineQuantity, MailTemplate, NoteAdded, OrderCreated, Parcel, RejectionReason, StockReserved};
use super::lines::LineUnitCounts;
use super::mails::MailWithOutcome;
use super::returns::Return;
use crate::ids::{CancellationId, NoteId, PaymentToken, RefundId, ShipmentId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

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
    /// How far it has come.
    pub status: OrderStatus,
    /// Why the order is undone, or was; `None`: it goes forward.
    pub undoing: Option<UndoReason>,
    /// The state of its units.
    pub stock: OrderStockState,
    /// The state of its payment.
    pub payment: Payment,
    /// Its shipments, oldest first.
    pub shipments: Vec<Shipment>,
    /// The cancellations of lines, oldest first. Builds that did not know of them stored an order without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cancellations: Vec<LineCancellation>,
    /// Its returns, oldest first.
    pub returns: Vec<Return>,
    /// Its refunds: the settled ones first.
    pub refunds: Vec<Refund>,
    /// The refunds that an operator gave up. If the provider turns out to have made one, it moves to the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given_up: Vec<Refund>,
    /// The mails that have an outcome, by template, oldest first.
    pub mails: BTreeMap<MailTemplate, Vec<MailWithOutcome>>,
    /// Whether it was confirmed when it was cancelled. Then the mail that confirms it may have gone out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub was_promised: bool,
    /// What the shop or an operator wrote for the customer about why the order is undone. Not stored: only a fold of all events has it.
    #[serde(skip)]
    pub customer_message: Option<String>,
    /// The notes on it.
    pub notes: BTreeMap<NoteId, NoteAdded>,
    /// What became of each line: see [`PlacedOrder::counts`]. Not stored: it follows from the rest.
    #[serde(skip)]
    pub counts: Vec<LineUnitCounts>,
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

/// How far an order has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OrderStatus {
    /// It is stored. It is not confirmed to the customer yet.
    Pending,
    /// It is confirmed to the customer.
    Confirmed,
    /// All of it arrived.
    Completed,
    /// It could not be confirmed.
    Rejected,
    /// It was cancelled.
    Cancelled,
}

/// Why an order is undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum UndoReason {
    /// It can't be confirmed.
    Rejected(RejectionReason),
    /// Somebody cancelled it; why, in their words.
    Cancelled(Option<String>),
}

impl UndoReason {
    /// For the customer, where nobody wrote anything for them: no more than the kind of reason.
    pub fn for_customer(&self) -> Option<String> {
        match self {
            Self::Rejected(reason) => reason.for_customer(),
            Self::Cancelled(_) => None,
        }
    }
}

/// The state of an order's units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderStockState {
    /// No reservation was tried yet.
    None,
    /// There were not enough units.
    Short,
    /// The units are reserved.
    Reserved(StockReserved),
    /// An operator skipped the reservation.
    NotNeeded,
    /// The reservation was released.
    Released,
}

/// The payment of an order, in minor units of its currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
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
    /// An operator skipped the payment.
    NotNeeded,
    /// The provider holds nothing any more.
    Voided,
}

/// A shipment of the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shipment {
    /// The id of the shipment.
    pub id: ShipmentId,
    /// What was shipped.
    pub lines: Vec<LineQuantity>,
    /// Its parcels. Builds that knew of one parcel only stored an order without.
    #[serde(default)]
    pub parcels: Vec<Parcel>,
    /// Whether its money was captured, or given up by an operator.
    pub settled: bool,
    /// Whether an operator gave up its money. If the provider took it all the same, that is still recorded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub given_up: bool,
    /// Whether it is recorded that this shipment arrived. See [`PlacedOrder::is_delivered`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub delivered: bool,
    /// How often an operator had the capture tried again after a failure. Each is a new attempt for the provider.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: u32,
}

/// A cancellation of lines that were not shipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineCancellation {
    /// The id of the cancellation.
    pub id: CancellationId,
    /// What will not be shipped.
    pub lines: Vec<LineQuantity>,
    /// Why.
    pub reason: Option<String>,
}

/// A refund of money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// The id of the refund.
    pub id: RefundId,
    /// How much.
    pub amount_minor: i64,
    /// Why.
    pub reason: Option<String>,
    /// Whether the provider made it.
    pub settled: bool,
    /// The provider's id of it, once it is settled. It is not stored: only sagas need it, and they fold orders from their events.
    #[serde(skip)]
    pub reference: Option<String>,
    /// How often an operator had the refund tried again after a failure. Each is a new attempt for the provider.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: u32,
}

impl PlacedOrder {
    /// An order that was just posted.
    pub(super) fn new(content: OrderCreated) -> Self {
        let token = content.payment_token.clone();
        let counts = vec![LineUnitCounts::default(); content.lines.len()];
        Self {
            content,
            status: OrderStatus::Pending,
            undoing: None,
            stock: OrderStockState::None,
            payment: Payment {
                state: AuthorizationState::None,
                token,
                replaced: 0,
                replaced_tokens: vec![],
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
            customer_message: None,
            notes: BTreeMap::new(),
            counts,
        }
    }

    /// Whether units are reserved for it.
    pub fn holds_units(&self) -> bool {
        matches!(self.stock, OrderStockState::Reserved(_))
    }

    /// Whether the provider may hold money for it. An authorization may have reached the provider although its answer is not recorded.
    /// The provider is never asked before the units are reserved.
    pub fn may_hold_money(&self) -> bool {
        match self.payment.state {
            AuthorizationState::None => {
                self.content.total_minor > 0
                    && self.status == OrderStatus::Pending
                    && !matches!(self.stock, OrderStockState::None | OrderStockState::Short)
            }
            AuthorizationState::Unknown | AuthorizationState::Authorized { .. } => {
                self.payment.captured_minor == 0 && !self.payment.rest_voided
            }
            AuthorizationState::Declined | AuthorizationState::NotNeeded | AuthorizationState::Voided => false,
        }
    }

    /// How much the provider holds that is not captured, in minor units, as far as that is recorded.
    pub fn held_minor(&self) -> i64 {
        match self.payment.state {
            AuthorizationState::Authorized { amount_minor, .. } if !self.payment.rest_voided => {
                amount_minor - self.payment.captured_minor
            }
            AuthorizationState::Authorized { .. }
            | AuthorizationState::None
            | AuthorizationState::Unknown
            | AuthorizationState::Declined
            | AuthorizationState::NotNeeded
            | AuthorizationState::Voided => 0,
        }
    }

    /// Whether the provider holds money that will never be captured: lines were cancelled, and all others are shipped and paid for.
    pub fn has_rest_to_void(&self) -> bool {
        self.undoing.is_none()
            && !self.cancellations.is_empty()
            && self.is_all_shipped()
            && self.unsettled_shipment().is_none()
            && self.held_minor() > 0
    }

    /// Whether the payment allows a confirmation.
    pub fn is_paid_for(&self) -> bool {
        match self.payment.state {
            AuthorizationState::Authorized { .. } | AuthorizationState::NotNeeded => true,
            AuthorizationState::None => self.content.total_minor == 0,
            AuthorizationState::Unknown | AuthorizationState::Declined | AuthorizationState::Voided => false,
        }
    }

    /// Whether the units allow a confirmation.
    pub fn is_stocked(&self) -> bool {
        matches!(self.stock, OrderStockState::Reserved(_) | OrderStockState::NotNeeded)
    }

    /// Whether a shipment of the order arrived: by itself, or with all of the order.
    pub fn is_delivered(&self, shipment: &Shipment) -> bool {
        shipment.delivered || self.status == OrderStatus::Completed
    }

    /// The first shipment whose money is not captured.
    pub fn unsettled_shipment(&self) -> Option<&Shipment> {
        self.shipments.iter().find(|shipment| !shipment.settled)
    }

    /// The first refund that is not made.
    pub fn unsettled_refund(&self) -> Option<&Refund> {
        self.refunds.iter().find(|refund| !refund.settled)
    }

    /// The provider's ids of the refunds that are recorded as made.
    pub fn refund_references(&self) -> impl Iterator<Item = &str> {
        self.refunds.iter().filter_map(|refund| refund.reference.as_deref())
    }

    /// How much was captured and not refunded.
    pub fn kept_minor(&self) -> i64 {
        self.payment.captured_minor - self.payment.refunded_minor
    }

    /// Whether the provider can be asked for a refund, and may have been: it holds a capture of at least that amount.
    pub fn is_payable(&self, refund: &Refund) -> bool {
        matches!(self.payment.state, AuthorizationState::Authorized { .. }) && refund.amount_minor <= self.kept_minor()
    }

    /// How much more can be refunded: what was captured, less what was refunded or is to be.
    pub(super) fn refundable_minor(&self) -> i64 {
        let open: i64 = self.refunds.iter().filter(|it| !it.settled).map(|it| it.amount_minor).sum();
        self.kept_minor() - open
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

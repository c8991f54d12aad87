//! The state of an order, and questions about it.

use std::collections::BTreeMap;

use super::allocations::Allocation;
use super::documents::OrderDocument;
use super::edits::OrderEdit;
use super::event::{
    LineQuantity, MailTemplate, NoteAdded, OrderCreated, OrderNumbered, Parcel, RejectionReason, SkuQuantity,
    StockReserved,
};
use super::holds::Hold;
use super::lines::LineUnitCounts;
use super::mails::MailWithOutcome;
use super::manual_refunds::ManualRelease;
use super::payments::{Payment, ShipmentCapture};
use super::returns::Return;
use super::stored_payments;
use super::tracking::TrackingChanges;
use crate::ids::{CancellationId, LocationId, NoteId, RefundId, ShipmentId};
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
    /// What was posted, as edits changed it since.
    pub content: OrderCreated,
    /// How far it has come.
    pub status: OrderStatus,
    /// Why the order is undone, or was; `None`: it goes forward.
    pub undoing: Option<UndoReason>,
    /// The state of its units.
    pub stock: OrderStockState,
    /// Where its units are: those of a SKU in the order in which they are shipped. Empty if all of them are at the default location, or if
    /// none are reserved. Builds that knew no locations stored an order without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allocations: Vec<Allocation>,
    /// Its payments, in the order in which they were posted. Never empty.
    #[serde(rename = "payment", with = "stored_payments::payments")]
    pub payments: Vec<Payment>,
    /// Its shipments, oldest first.
    pub shipments: Vec<Shipment>,
    /// The cancellations of lines, oldest first. Builds that did not know of them stored an order without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cancellations: Vec<LineCancellation>,
    /// Its edits, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edits: Vec<OrderEdit>,
    /// What was posted, if it was edited since. Not stored: only commands need it, and they fold orders from their events.
    #[serde(skip)]
    pub posted: Option<Box<OrderCreated>>,
    /// Its holds, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<Hold>,
    /// Its returns, oldest first.
    pub returns: Vec<Return>,
    /// Its refunds: the settled ones first.
    pub refunds: Vec<Refund>,
    /// The refunds that an operator gave up. If the provider turns out to have made one, it moves to the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given_up: Vec<Refund>,
    /// What people set free or gave back of payments, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub manual_releases: Vec<ManualRelease>,
    /// The mails that have an outcome, by template, oldest first.
    pub mails: BTreeMap<MailTemplate, Vec<MailWithOutcome>>,
    /// How many events had mails sent again, of one mail or of all that were given up. Not stored: only sagas need it, and they fold
    /// orders from their events.
    #[serde(skip)]
    pub resends: usize,
    /// Whether it was confirmed when it was cancelled. Then the mail that confirms it may have gone out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub was_promised: bool,
    /// Whether the shop's staff get a mail about it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mails_staff: bool,
    /// What the shop or an operator wrote for the customer about why the order is undone. Not stored: only a fold of all events has it.
    #[serde(skip)]
    pub customer_message: Option<String>,
    /// The notes on it.
    pub notes: BTreeMap<NoteId, NoteAdded>,
    /// Its invoices and credit notes, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<OrderDocument>,
    /// Its number for people, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<OrderNumbered>,
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
        Payment::number(&mut order.payments, &order.content);
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
    /// From where it was sent, if somebody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<LocationId>,
    /// From which locations its units were taken. Empty if all of them came from the default one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken: Vec<SkuQuantity>,
    /// Whether it is recorded that this shipment arrived. See [`PlacedOrder::is_delivered`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub delivered: bool,
    /// What changed about its tracking. `None`: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking_changes: Option<TrackingChanges>,
    /// The captures of its money, one from each payment that pays for some of it. Never empty.
    #[serde(flatten, with = "stored_payments::captures")]
    pub captures: Vec<ShipmentCapture>,
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

/// A refund of money, or of a payment's share of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// The id of the refund.
    pub id: RefundId,
    /// The payment that the money goes back to. A refund to several payments is in the list once for each.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub payment_number: u32,
    /// How much.
    pub amount_minor: i64,
    /// Why.
    pub reason: Option<String>,
    /// Whether the provider made it, or a person.
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
        let payments = Payment::all_of(&content);
        let counts = vec![LineUnitCounts::default(); content.lines.len()];
        Self {
            content,
            status: OrderStatus::Pending,
            undoing: None,
            stock: OrderStockState::None,
            allocations: vec![],
            payments,
            shipments: vec![],
            cancellations: vec![],
            edits: vec![],
            posted: None,
            holds: vec![],
            returns: vec![],
            refunds: vec![],
            given_up: vec![],
            manual_releases: vec![],
            mails: BTreeMap::new(),
            resends: 0,
            was_promised: false,
            mails_staff: false,
            customer_message: None,
            notes: BTreeMap::new(),
            documents: vec![],
            number: None,
            counts,
        }
    }

    /// Its number for people.
    pub fn order_number(&self) -> Option<&str> {
        self.number.as_ref().map(|number| number.order_number.as_str())
    }

    /// Whether it is to be given a number. An order that was imported has one where it is from.
    pub fn wants_number(&self) -> bool {
        self.number.is_none() && !self.content.is_imported()
    }

    /// Whether units are reserved for it.
    pub fn holds_units(&self) -> bool {
        matches!(self.stock, OrderStockState::Reserved(_))
    }

    /// Whether the units allow a confirmation.
    pub fn is_stocked(&self) -> bool {
        matches!(self.stock, OrderStockState::Reserved(_) | OrderStockState::NotNeeded)
    }

    /// Whether a shipment of the order arrived: by itself, or with all of the order.
    pub fn is_delivered(&self, shipment: &Shipment) -> bool {
        shipment.delivered || self.status == OrderStatus::Completed
    }
}

fn first() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_first(payment_number: &u32) -> bool {
    *payment_number == 1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
pub(super) fn is_zero(n: &u32) -> bool {
    *n == 0
}

//! The stored bodies of the read model's items.

mod details_row;
mod edit_row;
mod hold_row;
mod line_row;
mod mail_row;
mod payment_row;
mod price_rows;
mod quantity_rows;
mod return_row;
mod shipment_row;

use chrono::{DateTime, Utc};
use domain::email::EmailAddress;
use domain::ids::{RefundId, Sku};
use domain::json_text::JsonObjectText;
use domain::money::{Currency, Money};
use domain::order::event::{LinesCancelled, NoteAdded, OrderCreated, OrderPayment, OrderSubject};
use domain::order::{
    FulfilmentStatus, Order, OrderStage, OrderStatus, OrderStockState, PaymentStatus, PlacedOrder, ReturnsStatus,
    UndoReason, evolve,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(super) use self::details_row::{AddressRow, DetailsRow, ExchangeKeyRow, NumberRow, TagRow};
use self::edit_row::EditRow;
use self::hold_row::HoldRow;
pub(super) use self::line_row::LineRow;
pub(super) use self::mail_row::MailRow;
pub(super) use self::payment_row::PaymentRow;
use self::quantity_rows::{LineQuantityRow, LineUnits};
pub(super) use self::return_row::ReturnRow;
pub(super) use self::shipment_row::ShipmentRow;
use super::view::OrderReader;
use crate::amount_view::AmountView;
use crate::keys::sortable;

type RecordedOrderEvent = crate::projection::DecodedEvent<Order>;

/// The order itself. Its lines, shipments and so on have rows of their own.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = OrderSummary)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrderRow {
    pub(super) order_id: String,
    /// The number for people, if orders are given numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "A-2026-000042")]
    pub(super) order_number: Option<String>,
    /// Who ordered. It is left out of a guest's order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) customer_id: Option<String>,
    pub(super) status: OrderStatus,
    /// Since when it has this status. `None`: an earlier build wrote the row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) status_since: Option<DateTime<Utc>>,
    #[serde(default = "none_paid")]
    pub(super) payment_status: PaymentStatus,
    #[serde(default = "none_sent")]
    pub(super) fulfilment_status: FulfilmentStatus,
    #[serde(default = "none_returned")]
    pub(super) returns_status: ReturnsStatus,
    /// Whether the saga is compensating.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    undoing: bool,
    /// The holds that keep it from being shipped, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    holds: Vec<HoldRow>,
    /// The latest edits, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    edits: Vec<EditRow>,
    /// Why the saga compensates, or did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    pub(super) version: i64,
    pub(super) created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    total: AmountView,
    /// What was captured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    captured: Option<AmountView>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refunded: Option<AmountView>,
    /// The price of the cancelled units. `None`: nothing was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cancelled: Option<AmountView>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(super) customer_email: Option<EmailAddress>,
    /// When the customer ordered, if the shop told us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    placed_at: Option<DateTime<Utc>>,
    /// The customer's own notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    notes: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    metadata: Option<JsonObjectText>,
    /// What somebody wrote for the customer about why the order is undone. Answers have it in the place of `reason`, or leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    customer_message: Option<String>,
    /// The folded order, from which the statuses follow. Answers leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    pub(super) folded: Option<Order>,
}

// For rows of earlier builds, which did not have these statuses.
fn none_paid() -> PaymentStatus {
    PaymentStatus::None
}
fn none_sent() -> FulfilmentStatus {
    FulfilmentStatus::None
}
fn none_returned() -> ReturnsStatus {
    ReturnsStatus::None
}

impl OrderRow {
    pub(super) fn new(recorded: &RecordedOrderEvent, content: &OrderCreated) -> Self {
        let mut item = Self {
            order_id: recorded.stream_id.clone(),
            order_number: None,
            customer_id: content.customer_id.as_ref().map(ToString::to_string),
            status: OrderStatus::Pending,
            status_since: Some(recorded.recorded_at),
            payment_status: none_paid(),
            fulfilment_status: none_sent(),
            returns_status: none_returned(),
            undoing: false,
            holds: vec![],
            edits: vec![],
            reason: None,
            version: recorded.version,
            created_at: recorded.recorded_at,
            updated_at: recorded.recorded_at,
            total: content.total().into(),
            captured: None,
            refunded: None,
            cancelled: None,
            customer_email: content.customer_email.clone(),
            placed_at: content.placed_at,
            notes: content.notes.clone(),
            metadata: content.metadata.clone(),
            customer_message: None,
            folded: Some(Order::Absent),
        };
        item.apply(recorded);
        item
    }

    /// Applies an event. False: the row has no folded order, because an earlier build wrote it.
    pub(super) fn apply(&mut self, recorded: &RecordedOrderEvent) -> bool {
        let Some(mut order) = self.folded.take() else { return false };
        let before = self.status;
        evolve(&mut order, recorded.event.clone());
        if let Order::Placed(placed) = &mut order {
            self.show(placed);
            self.show_holds(placed, recorded);
            if let OrderSubject::Edit(event) = recorded.event.subject() {
                self.show_edit(placed, recorded, event);
            }
            // The stored order has neither of these, so they are there only if the event brought them.
            if let Some(message) = placed.customer_message.take() {
                self.customer_message = Some(message);
            }
            if let Some(number) = placed.number.take() {
                self.order_number = Some(number.order_number);
            }
            strip_texts(placed);
        }
        self.folded = Some(order);
        if self.status != before {
            self.status_since = Some(recorded.recorded_at);
        }
        self.version = recorded.version;
        self.updated_at = recorded.recorded_at;
        true
    }

    /// Derives the fields that clients see from the folded order.
    fn show(&mut self, placed: &PlacedOrder) {
        let money = |minor| Some(Money::from_minor(minor, placed.content.currency).into());
        self.status = placed.status;
        self.total = placed.content.total().into();
        self.payment_status = placed.payment_status();
        self.fulfilment_status = placed.fulfilment_status();
        self.returns_status = placed.returns_status();
        self.captured = money(placed.captured_minor());
        self.refunded = money(placed.refunded_minor());
        self.cancelled = match placed.cancelled_minor() {
            0 => None,
            minor => money(minor),
        };
        self.undoing = placed.stage() == OrderStage::Undoing;
        self.reason = match &placed.undoing {
            None => None,
            Some(UndoReason::Rejected(reason)) => Some(reason.in_words()),
            Some(UndoReason::Cancelled(reason)) => reason.clone(),
        };
    }

    /// Takes out what answers do not have, and returns the folded order. Of why the order is undone, a customer is told the same as by
    /// mail.
    pub(super) fn show_to(&mut self, reader: OrderReader) -> Option<Box<PlacedOrder>> {
        let message = self.customer_message.take();
        let placed = match self.folded.take() {
            Some(Order::Placed(placed)) => Some(placed),
            Some(Order::Absent) | None => None,
        };
        if reader == OrderReader::Customer {
            let undoing = placed.as_ref().and_then(|placed| placed.undoing.as_ref());
            self.reason = undoing.and_then(|undoing| message.or_else(|| undoing.for_customer()));
        }
        placed
    }

    /// Whether all that will go back for a refund went back.
    pub(super) fn is_refunded(&self, refund_id: &RefundId) -> bool {
        let is_open = |placed: &PlacedOrder| placed.refunds.iter().any(|it| it.id == *refund_id && !it.settled);
        !matches!(&self.folded, Some(Order::Placed(placed)) if is_open(placed))
    }

    /// The sort key in indexes that are in the order of creation.
    pub(super) fn created_key(&self) -> String {
        format!("{}#{}", sortable(self.created_at), self.order_id)
    }

    pub(super) fn currency(&self) -> Currency {
        self.total.currency
    }

    /// In minor units of its currency. `None`: the row has no amount.
    pub(super) fn total_minor(&self) -> Option<i64> {
        Money::parse(&self.total.amount, self.total.currency).ok().map(Money::minor)
    }

    pub(super) fn has_line_of(&self, sku: &Sku) -> bool {
        match &self.folded {
            Some(Order::Placed(placed)) => placed.content.lines.iter().any(|line| line.sku == *sku),
            Some(Order::Absent) | None => false,
        }
    }
}

/// Removes what no status depends on, so that the row stays small. It is in other rows, or private.
fn strip_texts(placed: &mut PlacedOrder) {
    let content = &mut placed.content;
    (content.customer_email, content.payment_token, content.notes, content.metadata) = (None, None, None, None);
    (content.customer, content.billing_address, content.shipping_address) = (None, None, None);
    (content.channel, content.source, content.exchange_for) = (None, None, None);
    content.tags.clear();
    // Only how much of the total each of them pays.
    for payment in &mut content.payments {
        *payment = OrderPayment { amount_minor: payment.amount_minor, ..OrderPayment::default() };
    }
    content.merge_amounts();
    for line in &mut content.lines {
        line.title.clear();
        line.metadata = None;
        line.variant = None;
        line.attributes.clear();
        (line.requires_shipping, line.gift_card) = (true, false);
    }
    placed.payments.iter_mut().for_each(|payment| payment.token = None);
    placed.edits.iter_mut().for_each(|edit| edit.requested = None);
    placed.posted = None;
    placed.mails.clear();
    (placed.was_promised, placed.mails_staff) = (false, false);
    placed.notes.clear();
    if let OrderStockState::Reserved(reserved) = &mut placed.stock {
        reserved.units.clear();
    }
    for shipment in &mut placed.shipments {
        shipment.parcels.clear();
        shipment.captures.iter_mut().for_each(|capture| capture.retries = 0);
        shipment.tracking_changes = None;
    }
    placed.holds.iter_mut().for_each(|hold| hold.reason.clear());
    placed.cancellations.iter_mut().for_each(|cancelled| cancelled.reason = None);
    placed.returns.iter_mut().for_each(|back| (back.reason, back.cancellation_reason) = (None, None));
    for refund in placed.refunds.iter_mut().chain(&mut placed.given_up) {
        (refund.reason, refund.retries) = (None, 0);
    }
}

/// A cancellation of lines.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Cancellation)]
#[serde(rename_all = "camelCase")]
pub(super) struct CancellationRow {
    cancellation_id: String,
    lines: Vec<LineQuantityRow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    pub(super) cancelled_at: DateTime<Utc>,
}

impl CancellationRow {
    pub(super) fn new(recorded: &RecordedOrderEvent, cancelled: &LinesCancelled, units: &LineUnits) -> Self {
        Self {
            cancellation_id: cancelled.cancellation_id.to_string(),
            lines: units.rows(&cancelled.lines),
            reason: cancelled.reason.clone(),
            cancelled_at: recorded.recorded_at,
        }
    }
}

/// A refund, requested or made.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = RefundContent)]
#[serde(rename_all = "camelCase")]
pub(super) struct RefundRow {
    pub(super) refund_id: String,
    amount: AmountView,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    pub(super) requested_at: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) refunded_at: Option<DateTime<Utc>>,
}

impl RefundRow {
    pub(super) fn new(
        recorded: &RecordedOrderEvent,
        refund_id: &RefundId,
        amount_minor: i64,
        currency: Currency,
        reason: Option<String>,
    ) -> Self {
        Self {
            refund_id: refund_id.to_string(),
            amount: Money::from_minor(amount_minor, currency).into(),
            reason,
            requested_at: recorded.recorded_at,
            refunded_at: None,
        }
    }
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Note)]
#[serde(rename_all = "camelCase")]
pub(super) struct NoteRow {
    note_id: String,
    text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    author: Option<String>,
    pub(super) at: DateTime<Utc>,
}

impl NoteRow {
    pub(super) fn new(recorded: &RecordedOrderEvent, note: &NoteAdded) -> Self {
        Self {
            note_id: note.note_id.to_string(),
            text: note.text.clone(),
            author: note.author.clone(),
            at: recorded.recorded_at,
        }
    }
}

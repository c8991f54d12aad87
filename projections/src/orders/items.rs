//! The items of the read model, as they are stored.

use chrono::{DateTime, Utc};
use domain::email::EmailAddress;
use domain::ids::{RefundId, Sku};
use domain::json_text::JsonText;
use domain::money::{Currency, Money};
use domain::order::event::{
    LineQuantity, LinesCancelled, NoteAdded, NotificationFailed, NotificationSent, OrderCreated, OrderLine,
    OrderShipped, Parcel, ReturnRequested,
};
use domain::order::{
    FulfilmentStatus, MailOutcome, Order, OrderStatus, PaymentStatus, PlacedOrder, ReturnsStatus, Stage, StockState,
    UndoReason, evolve,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Fact;

/// The order itself, without what its other items hold.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrderItem {
    pub(super) order_id: String,
    pub(super) customer_id: String,
    pub(super) status: OrderStatus,
    /// Since when it has this status; `None`: an earlier build folded it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) status_since: Option<DateTime<Utc>>,
    #[serde(default = "none_paid")]
    payment_status: PaymentStatus,
    #[serde(default = "none_sent")]
    fulfilment_status: FulfilmentStatus,
    #[serde(default = "none_returned")]
    returns_status: ReturnsStatus,
    /// Whether what was done for it is being undone right now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    undoing: bool,
    /// Why it is being undone, or was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    pub(super) version: i64,
    pub(super) created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    total: Amount,
    /// What was taken of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    captured: Option<Amount>,
    /// What of that was given back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refunded: Option<Amount>,
    /// What nobody pays for, because it was cancelled; `None`: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cancelled: Option<Amount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    customer_email: Option<EmailAddress>,
    /// When the customer ordered, if the shop said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    placed_at: Option<DateTime<Utc>>,
    /// The customer's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    notes: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<JsonText>,
    /// What the statuses follow from; not shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) folded: Option<Order>,
}

// What is not known of an order that an earlier build folded.
fn none_paid() -> PaymentStatus {
    PaymentStatus::None
}
fn none_sent() -> FulfilmentStatus {
    FulfilmentStatus::None
}
fn none_returned() -> ReturnsStatus {
    ReturnsStatus::None
}

impl OrderItem {
    pub(super) fn new(fact: &Fact, content: &OrderCreated) -> Self {
        let mut item = Self {
            order_id: fact.stream_id.clone(),
            customer_id: content.customer_id.to_string(),
            status: OrderStatus::Pending,
            status_since: Some(fact.recorded_at),
            payment_status: none_paid(),
            fulfilment_status: none_sent(),
            returns_status: none_returned(),
            undoing: false,
            reason: None,
            version: fact.version,
            created_at: fact.recorded_at,
            updated_at: fact.recorded_at,
            total: content.total().into(),
            captured: None,
            refunded: None,
            cancelled: None,
            customer_email: content.customer_email.clone(),
            placed_at: content.placed_at,
            notes: content.notes.clone(),
            metadata: content.metadata.clone(),
            folded: Some(Order::Absent),
        };
        item.apply(fact);
        item
    }

    /// The order after an event. False: what it has to be folded into was not kept.
    pub(super) fn apply(&mut self, fact: &Fact) -> bool {
        let Some(mut order) = self.folded.take() else { return false };
        let before = self.status;
        evolve(&mut order, fact.event.clone());
        if let Order::Placed(placed) = &mut order {
            self.tell(placed);
            forget_texts(placed);
        }
        self.folded = Some(order);
        if self.status != before {
            self.status_since = Some(fact.recorded_at);
        }
        self.version = fact.version;
        self.updated_at = fact.recorded_at;
        true
    }

    /// What there is to be told of it, in the domain's terms.
    fn tell(&mut self, placed: &PlacedOrder) {
        let money = |minor| Some(Money::from_minor(minor, placed.content.currency).into());
        self.status = placed.status;
        self.payment_status = placed.payment_status();
        self.fulfilment_status = placed.fulfilment_status();
        self.returns_status = placed.returns_status();
        self.captured = money(placed.payment.captured_minor);
        self.refunded = money(placed.payment.refunded_minor);
        self.cancelled = match placed.cancelled_minor() {
            0 => None,
            minor => money(minor),
        };
        self.undoing = placed.stage() == Stage::Undoing;
        self.reason = match &placed.undoing {
            None => None,
            Some(UndoReason::Rejected(reason)) => Some(reason.in_words()),
            Some(UndoReason::Cancelled(reason)) => reason.clone(),
        };
    }

    pub(super) fn currency(&self) -> Currency {
        self.total.currency
    }

    /// Whether one of its lines is of this SKU.
    pub(super) fn has(&self, sku: &Sku) -> bool {
        match &self.folded {
            Some(Order::Placed(placed)) => placed.content.lines.iter().any(|line| line.sku == *sku),
            Some(Order::Absent) | None => false,
        }
    }
}

/// What no status follows from is in other items, or nobody's business; an order's item does not grow with it.
fn forget_texts(placed: &mut PlacedOrder) {
    let content = &mut placed.content;
    (content.customer_email, content.payment_token, content.notes, content.metadata) = (None, None, None, None);
    for line in &mut content.lines {
        line.title.clear();
        line.metadata = None;
    }
    placed.payment.token = None;
    placed.mails.clear();
    placed.was_promised = false;
    placed.notes.clear();
    if let StockState::Reserved(reserved) = &mut placed.stock {
        reserved.units.clear();
    }
    for shipment in &mut placed.shipments {
        shipment.parcels.clear();
        shipment.retries = 0;
    }
    placed.cancellations.iter_mut().for_each(|cancelled| cancelled.reason = None);
    placed.returns.iter_mut().for_each(|back| back.reason = None);
    for refund in placed.refunds.iter_mut().chain(&mut placed.given_up) {
        (refund.reason, refund.retries) = (None, 0);
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LineItem {
    pub(super) line_number: u32,
    sku: String,
    title: String,
    quantity: u32,
    unit_price: Amount,
    line_total: Amount,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<JsonText>,
}

impl LineItem {
    pub(super) fn new(line_number: u32, line: &OrderLine, currency: Currency) -> Self {
        Self {
            line_number,
            sku: line.sku.to_string(),
            title: line.title.clone(),
            quantity: line.quantity,
            unit_price: line.unit_price(currency).into(),
            line_total: line.total(currency).into(),
            metadata: line.metadata.clone(),
        }
    }
}

/// What was sent together.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ShipmentItem {
    pub(super) shipment_id: String,
    lines: Vec<LineQuantity>,
    /// What its parcel is followed by; of several, the first.
    #[serde(flatten)]
    first: Parcel,
    /// Missing where an earlier build wrote the item: it knew of one parcel at most.
    #[serde(default)]
    parcels: Vec<Parcel>,
    pub(super) shipped_at: DateTime<Utc>,
}

impl ShipmentItem {
    pub(super) fn new(fact: &Fact, shipped: &OrderShipped) -> Self {
        Self {
            shipment_id: shipped.shipment_id.to_string(),
            lines: shipped.lines.clone(),
            first: shipped.parcels.first().cloned().unwrap_or_default(),
            parcels: shipped.parcels.clone(),
            shipped_at: fact.recorded_at,
        }
    }

    /// As it would be if this build had written it.
    pub(super) fn brought_up(mut self) -> Self {
        if self.parcels.is_empty() && self.first != Parcel::default() {
            self.parcels.push(self.first.clone());
        }
        self
    }
}

/// What will not be sent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CancellationItem {
    cancellation_id: String,
    lines: Vec<LineQuantity>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    pub(super) cancelled_at: DateTime<Utc>,
}

impl CancellationItem {
    pub(super) fn new(fact: &Fact, cancelled: &LinesCancelled) -> Self {
        Self {
            cancellation_id: cancelled.cancellation_id.to_string(),
            lines: cancelled.lines.clone(),
            reason: cancelled.reason.clone(),
            cancelled_at: fact.recorded_at,
        }
    }
}

/// What comes back together.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReturnItem {
    return_id: String,
    lines: Vec<LineQuantity>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    pub(super) requested_at: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) received_at: Option<DateTime<Utc>>,
}

impl ReturnItem {
    pub(super) fn new(fact: &Fact, requested: &ReturnRequested) -> Self {
        Self {
            return_id: requested.return_id.to_string(),
            lines: requested.lines.clone(),
            reason: requested.reason.clone(),
            requested_at: fact.recorded_at,
            received_at: None,
        }
    }
}

/// Money that goes back.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RefundItem {
    pub(super) refund_id: String,
    amount: Amount,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    pub(super) requested_at: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) refunded_at: Option<DateTime<Utc>>,
}

impl RefundItem {
    pub(super) fn new(
        fact: &Fact,
        refund_id: &RefundId,
        amount_minor: i64,
        currency: Currency,
        reason: Option<String>,
    ) -> Self {
        Self {
            refund_id: refund_id.to_string(),
            amount: Money::from_minor(amount_minor, currency).into(),
            reason,
            requested_at: fact.recorded_at,
            refunded_at: None,
        }
    }
}

/// What somebody wrote down.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NoteItem {
    note_id: String,
    text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    author: Option<String>,
    pub(super) at: DateTime<Utc>,
}

impl NoteItem {
    pub(super) fn new(fact: &Fact, note: &NoteAdded) -> Self {
        Self {
            note_id: note.note_id.to_string(),
            text: note.text.clone(),
            author: note.author.clone(),
            at: fact.recorded_at,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MailItem {
    notification_id: Uuid,
    template: String,
    status: MailOutcome,
    pub(super) at: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recipient: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provider_message_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl MailItem {
    pub(super) fn sent(fact: &Fact, sent: &NotificationSent) -> Self {
        Self {
            notification_id: sent.notification_id,
            template: sent.template.name().to_owned(),
            status: MailOutcome::Sent,
            at: fact.recorded_at,
            recipient: Some(sent.recipient.clone()),
            provider_message_id: Some(sent.provider_message_id.clone()),
            reason: None,
        }
    }

    pub(super) fn failed(fact: &Fact, failed: &NotificationFailed) -> Self {
        Self {
            notification_id: failed.notification_id,
            template: failed.template.name().to_owned(),
            status: MailOutcome::Failed,
            at: fact.recorded_at,
            recipient: None,
            provider_message_id: None,
            reason: Some(failed.reason.clone()),
        }
    }
}

/// An amount as answers have it: a decimal text with its currency.
#[derive(Debug, Serialize, Deserialize)]
struct Amount {
    amount: String,
    currency: Currency,
}

impl From<Money> for Amount {
    fn from(money: Money) -> Self {
        Self { amount: money.to_string(), currency: money.currency() }
    }
}

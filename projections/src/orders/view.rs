//! An order as it is answered: its items put together.

use domain::order::{Order, PlacedOrder};
use read_models::Item;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::META;
use super::items::{CancellationItem, LineItem, MailItem, NoteItem, OrderItem, RefundItem, ReturnItem, ShipmentItem};

/// How many of each kind of what hangs on an order are shown with it.
const SHOWN: usize = 100;

/// An order with what hangs on it, each kind in the order in which it came; of many the latest.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrderView {
    #[serde(flatten)]
    pub(super) order: OrderItem,
    lines: Vec<LineView>,
    shipments: Vec<ShipmentView>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cancellations: Vec<CancellationItem>,
    returns: Vec<ReturnItem>,
    refunds: Vec<RefundView>,
    added_notes: Vec<NoteItem>,
    mails: Vec<MailItem>,
    /// What there is more of than is shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    more: Vec<&'static str>,
}

#[derive(Serialize)]
struct LineView {
    #[serde(flatten)]
    line: LineItem,
    /// How many were sent.
    shipped: u32,
    /// How many will not be.
    #[serde(skip_serializing_if = "is_none")]
    cancelled: u32,
    /// How many of those came back.
    returned: u32,
}

#[derive(Serialize)]
pub(super) struct ShipmentView {
    #[serde(flatten)]
    shipment: ShipmentItem,
    /// Whether its money was taken, or an operator does without.
    settled: bool,
}

#[derive(Serialize)]
pub(super) struct RefundView {
    #[serde(flatten)]
    refund: RefundItem,
    status: RefundStatus,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum RefundStatus {
    /// It will be paid.
    Requested,
    /// It was paid.
    Refunded,
    /// An operator does without.
    Skipped,
}

impl OrderView {
    /// The order of a collection's items; `None`: there is none.
    pub(crate) fn of(items: &[Item]) -> Result<Option<Self>, serde_json::Error> {
        let Some(meta) = items.iter().find(|item| item.key.sk == META) else { return Ok(None) };
        let mut order: OrderItem = meta.read()?;
        let placed = placed(&mut order);
        let placed = placed.as_deref();
        let mut shipments: Vec<ShipmentItem> = kind(items, "SHIPMENT#")?;
        shipments.sort_by_key(|shipment| shipment.shipped_at);
        let mut cancellations: Vec<CancellationItem> = kind(items, "CANCELLATION#")?;
        cancellations.sort_by_key(|cancelled| cancelled.cancelled_at);
        let mut returns: Vec<ReturnItem> = kind(items, "RETURN#")?;
        returns.sort_by_key(|back| back.requested_at);
        let mut refunds: Vec<RefundItem> = kind(items, "REFUND#")?;
        refunds.sort_by_key(|refund| refund.requested_at);
        let mut added_notes: Vec<NoteItem> = kind(items, "NOTE#")?;
        added_notes.sort_by_key(|note| note.at);
        let mut mails: Vec<MailItem> = kind(items, "MAIL#")?;
        mails.sort_by_key(|mail| mail.at);
        let mut more = Vec::new();
        keep_latest(&mut shipments, "shipments", &mut more);
        keep_latest(&mut cancellations, "cancellations", &mut more);
        keep_latest(&mut returns, "returns", &mut more);
        keep_latest(&mut refunds, "refunds", &mut more);
        keep_latest(&mut added_notes, "addedNotes", &mut more);
        keep_latest(&mut mails, "mails", &mut more);
        Ok(Some(Self {
            order,
            lines: kind(items, "LINE#")?.into_iter().map(|line| LineView::of(line, placed)).collect(),
            shipments: shipments.into_iter().map(|shipment| ShipmentView::of(shipment, placed)).collect(),
            cancellations,
            returns,
            refunds: refunds.into_iter().map(|refund| RefundView::of(refund, placed)).collect(),
            added_notes,
            mails,
            more,
        }))
    }
}

impl LineView {
    fn of(line: LineItem, placed: Option<&PlacedOrder>) -> Self {
        let counts = placed.map(|placed| placed.counts(line.line_number)).unwrap_or_default();
        Self { line, shipped: counts.shipped, cancelled: counts.cancelled, returned: counts.received }
    }
}

impl ShipmentView {
    pub(super) fn of(shipment: ShipmentItem, placed: Option<&PlacedOrder>) -> Self {
        let known = placed.and_then(|it| it.shipments.iter().find(|it| it.id.as_str() == shipment.shipment_id));
        Self { settled: known.is_some_and(|known| known.settled), shipment: shipment.brought_up() }
    }
}

impl RefundView {
    pub(super) fn of(refund: RefundItem, placed: Option<&PlacedOrder>) -> Self {
        let known = placed.and_then(|it| it.refunds.iter().find(|it| it.id.as_str() == refund.refund_id));
        let status = match known {
            Some(known) if known.settled => RefundStatus::Refunded,
            Some(_) => RefundStatus::Requested,
            // It is not owed any more.
            None => RefundStatus::Skipped,
        };
        Self { refund, status }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
fn is_none(units: &u32) -> bool {
    *units == 0
}

/// The folded order that an order's item has with it; it is not shown.
pub(super) fn placed(order: &mut OrderItem) -> Option<Box<PlacedOrder>> {
    match order.folded.take() {
        Some(Order::Placed(placed)) => Some(placed),
        Some(Order::Absent) | None => None,
    }
}

fn keep_latest<T>(items: &mut Vec<T>, name: &'static str, more: &mut Vec<&'static str>) {
    let too_many = items.len().saturating_sub(SHOWN);
    if too_many > 0 {
        items.drain(..too_many);
        more.push(name);
    }
}

/// The items of a kind.
fn kind<T: DeserializeOwned>(items: &[Item], prefix: &str) -> Result<Vec<T>, serde_json::Error> {
    items.iter().filter(|item| item.key.sk.starts_with(prefix)).map(Item::read).collect()
}

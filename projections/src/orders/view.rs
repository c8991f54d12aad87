//! The answer of `GET /orders/{id}`, made of the order's rows.

mod money;

use std::collections::BTreeSet;

use access_control::AuthorizedCaller;
use chrono::{DateTime, Utc};
use domain::ids::LocationId;
use domain::money::Money;
use domain::order::event::{BackorderedUnits, OrderCreated, SkuQuantity};
use domain::order::{Allocation, OrderTotals, PlacedOrder, Shipment};
use domain::quantity::Quantity;
use read_models::Item;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use utoipa::ToSchema;

pub(super) use self::money::{PaymentView, RefundView};
use super::rows::{
    CancellationRow, DetailsRow, LineRow, MailRow, NoteRow, OrderRow, RefundRow, ReturnRow, ShipmentRow,
};
use super::{DETAILS, META};
use crate::amount_view::AmountView;
use crate::described;
use crate::timeline::TimelinePage;

/// How many shipments, returns and so on are shown with an order, of each kind the latest.
const SHOWN: usize = 100;

/// For whom an order is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OrderReader {
    Customer,
    /// The shop, and who works for it.
    Shop,
}

impl From<&AuthorizedCaller> for OrderReader {
    fn from(caller: &AuthorizedCaller) -> Self {
        if caller.only_customer().is_some() { Self::Customer } else { Self::Shop }
    }
}

/// An order with its lines, shipments, returns and so on, in the order in which they were recorded.
#[derive(Serialize, ToSchema)]
#[schema(as = Order)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrderView {
    #[serde(flatten)]
    pub(super) order: OrderRow,
    #[serde(flatten)]
    details: DetailsRow,
    /// What the total is made of, where that is more than the items.
    #[serde(skip_serializing_if = "Option::is_none")]
    totals: Option<TotalsView>,
    /// Its payments, in the order in which money is taken, if it was posted with them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    payments: Vec<PaymentView>,
    lines: Vec<LineView>,
    /// At which location its units are, if any is at a named one: those of a SKU in the order in which they are shipped. Customers do not
    /// see it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    allocations: Vec<AllocationView>,
    /// The units that were not on hand when they were reserved, and were not shipped yet. They can be shipped once enough were received.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    backorders: Vec<BackorderView>,
    shipments: Vec<ShipmentView>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cancellations: Vec<CancellationRow>,
    returns: Vec<ReturnRow>,
    #[schema(required = false)]
    refunds: Vec<RefundView>,
    added_notes: Vec<NoteRow>,
    mails: Vec<MailRow>,
    /// The kinds of which not all are shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) more: Vec<&'static str>,
    /// The first page of its timeline, with `expand=events`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = TimelinePage, required = false)]
    pub(super) events: Option<TimelinePage>,
    /// The report on its sagas, with `expand=saga`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = described::sagas_report, required = false)]
    pub(super) saga: Option<Box<RawValue>>,
}

/// The parts of an order's total: items − discounts + shipping + taxes.
#[derive(Serialize, ToSchema)]
#[schema(as = Totals)]
#[serde(rename_all = "camelCase")]
struct TotalsView {
    /// Quantity × unit price of all lines.
    items: AmountView,
    /// All discounts, of lines and of the order.
    discounts: AmountView,
    /// Postage.
    shipping: AmountView,
    /// The taxes that are paid on top.
    taxes: AmountView,
    /// The taxes that are in the prices already.
    included_taxes: AmountView,
    total: AmountView,
}

/// A line of an order.
#[derive(Serialize, ToSchema)]
#[schema(as = Line)]
pub(super) struct LineView {
    #[serde(flatten)]
    line: LineRow,
    /// How much was sent.
    shipped: Quantity,
    /// How much was cancelled.
    #[serde(skip_serializing_if = "Quantity::is_zero")]
    #[schema(required = false)]
    cancelled: Quantity,
    /// How much came back.
    returned: Quantity,
}

/// Units of a SKU that an order has at a location.
#[derive(Serialize, ToSchema)]
#[schema(as = Allocation)]
struct AllocationView {
    sku: String,
    location: String,
    /// How much, without what was cancelled.
    quantity: Quantity,
    /// How much of that was sent.
    shipped: Quantity,
}

/// Units of a SKU that had to be waited for.
#[derive(Serialize, ToSchema)]
#[schema(as = Backorder)]
#[serde(rename_all = "camelCase")]
struct BackorderView {
    sku: String,
    quantity: Quantity,
    /// When they are expected, as it was known when the order was confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    available_at: Option<DateTime<Utc>>,
    /// Where they are expected. Customers do not see it.
    location: String,
}

/// A shipment, as `GET /orders/{id}` answers it.
#[derive(Serialize, ToSchema)]
#[schema(as = Shipment)]
pub(super) struct ShipmentView {
    #[serde(flatten)]
    shipment: ShipmentRow,
    /// Whether its amount was captured or given up by an operator.
    #[schema(required = false)]
    settled: bool,
    /// From which location it was sent. It is left out of what came from several, or from `default` where the order has no units at named
    /// locations. Customers do not see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    location: Option<String>,
    /// What came from where, if it came from several locations. Customers do not see it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    allocations: Vec<ShippedUnitsView>,
}

/// Units of a SKU that were sent from a location.
#[derive(Serialize, ToSchema)]
#[schema(as = ShippedUnits)]
struct ShippedUnitsView {
    sku: String,
    location: String,
    quantity: Quantity,
}

impl OrderView {
    /// The order whose rows these are. `None`: there is no such order.
    pub(crate) fn of(items: &[Item], reader: OrderReader) -> Result<Option<Self>, serde_json::Error> {
        let Some(meta) = items.iter().find(|item| item.key.sk == META) else { return Ok(None) };
        let mut order: OrderRow = meta.read()?;
        let placed = order.show_to(reader);
        let placed = placed.as_deref();
        let details = items.iter().find(|item| item.key.sk == DETAILS).map(Item::read::<DetailsRow>).transpose()?;
        let mut details = details.unwrap_or_default();
        let payments = std::mem::take(&mut details.payments);
        let mut shipments: Vec<ShipmentRow> = rows(items, "SHIPMENT#")?;
        shipments.sort_by_key(|shipment| shipment.shipped_at);
        let mut cancellations: Vec<CancellationRow> = rows(items, "CANCELLATION#")?;
        cancellations.sort_by_key(|cancelled| cancelled.cancelled_at);
        let mut returns: Vec<ReturnRow> = rows(items, "RETURN#")?;
        returns.sort_by_key(|back| back.requested_at);
        let mut refunds: Vec<RefundRow> = rows(items, "REFUND#")?;
        refunds.sort_by_key(|refund| refund.requested_at);
        let mut added_notes: Vec<NoteRow> = rows(items, "NOTE#")?;
        added_notes.sort_by_key(|note| note.at);
        let mut mails: Vec<MailRow> = rows(items, "MAIL#")?;
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
            details,
            payments: PaymentView::all(payments, placed),
            totals: placed.and_then(|placed| TotalsView::of(&placed.content)),
            lines: rows(items, "LINE#")?.into_iter().map(|line| LineView::of(line, placed)).collect(),
            allocations: AllocationView::all(placed),
            backorders: BackorderView::all(placed),
            shipments: shipments.into_iter().map(|shipment| ShipmentView::of(shipment, placed)).collect(),
            cancellations,
            returns,
            refunds: refunds.into_iter().map(|refund| RefundView::of(refund, placed)).collect(),
            added_notes,
            mails,
            more,
            events: None,
            saga: None,
        }))
    }
}

impl TotalsView {
    fn of(content: &OrderCreated) -> Option<Self> {
        let totals = OrderTotals::of(content)?;
        if !totals.has_more_than_items() {
            return None;
        }
        let amount = |minor| Money::from_minor(minor, content.currency).into();
        Some(Self {
            items: amount(totals.items_minor),
            discounts: amount(totals.discounts_minor),
            shipping: amount(totals.shipping_minor),
            taxes: amount(totals.taxes_minor),
            included_taxes: amount(totals.included_taxes_minor),
            total: amount(totals.total_minor),
        })
    }
}

impl LineView {
    pub(super) fn of(line: LineRow, placed: Option<&PlacedOrder>) -> Self {
        let counts = placed.map(|placed| placed.counts(line.line_number)).unwrap_or_default();
        let [shipped, cancelled, returned] =
            [counts.shipped, counts.cancelled, counts.received].map(|count| Quantity::of(count, line.unit));
        Self { line, shipped, cancelled, returned }
    }
}

impl AllocationView {
    fn all(placed: Option<&PlacedOrder>) -> Vec<Self> {
        let Some(placed) = placed else { return vec![] };
        let view = |it: &Allocation| {
            let [quantity, shipped] =
                [it.quantity, it.shipped].map(|units| Quantity::of(units, placed.unit_of(&it.sku)));
            Self { sku: it.sku.to_string(), location: it.location.to_string(), quantity, shipped }
        };
        placed.allocations.iter().map(view).collect()
    }
}

impl BackorderView {
    fn all(placed: Option<&PlacedOrder>) -> Vec<Self> {
        let Some(placed) = placed else { return vec![] };
        let view = |it: BackorderedUnits| {
            let quantity = Quantity::of(it.quantity, placed.unit_of(&it.sku));
            let (sku, location) = (it.sku.to_string(), it.location.to_string());
            Self { sku, quantity, available_at: it.available_at, location }
        };
        placed.backorders().map(view).collect()
    }
}

impl ShipmentView {
    pub(super) fn of(shipment: ShipmentRow, placed: Option<&PlacedOrder>) -> Self {
        let known = placed.and_then(|it| it.shipments.iter().find(|it| it.id.as_str() == shipment.shipment_id));
        let from: BTreeSet<&LocationId> = known.into_iter().flat_map(Shipment::locations).collect();
        let (location, allocations) = match (placed, known) {
            (Some(placed), Some(known)) if from.len() > 1 => (None, ShippedUnitsView::all(placed, known)),
            (_, _) => (from.first().map(ToString::to_string), vec![]),
        };
        Self { settled: known.is_some_and(Shipment::is_settled), shipment: shipment.upcast(), location, allocations }
    }
}

impl ShippedUnitsView {
    fn all(placed: &PlacedOrder, shipment: &Shipment) -> Vec<Self> {
        let view = |it: &SkuQuantity| {
            let quantity = Quantity::of(it.quantity, placed.unit_of(&it.sku));
            Self { sku: it.sku.to_string(), location: it.location.to_string(), quantity }
        };
        shipment.taken.iter().map(view).collect()
    }
}

fn keep_latest<T>(items: &mut Vec<T>, name: &'static str, more: &mut Vec<&'static str>) {
    let too_many = items.len().saturating_sub(SHOWN);
    if too_many > 0 {
        items.drain(..too_many);
        more.push(name);
    }
}

/// The rows whose sort keys begin with a prefix.
fn rows<T: DeserializeOwned>(items: &[Item], prefix: &str) -> Result<Vec<T>, serde_json::Error> {
    items.iter().filter(|item| item.key.sk.starts_with(prefix)).map(Item::read).collect()
}

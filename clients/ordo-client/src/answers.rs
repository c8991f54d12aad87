//! What the server answers. Fields of later servers are passed over; what a role may not see is not there.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Address, CustomerDetails, Discount, ExchangeFor, Hold, Line, Payment, Problem, Quantity, Refund, Return,
    ShippedUnits, Shipping, Totals,
};

/// A command that is stored.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AcceptedCommand {
    /// Of the order or the SKU.
    pub version: i64,
    /// Of its event in the log: see [`ReadRequest::min_position`](crate::ReadRequest::min_position).
    pub position: i64,
    #[serde(default)]
    pub order_id: Option<String>,
    #[serde(default)]
    pub sku: Option<String>,
    // The id of what the command made.
    #[serde(default)]
    pub shipment_id: Option<String>,
    #[serde(default)]
    pub cancellation_id: Option<String>,
    #[serde(default)]
    pub hold_id: Option<String>,
    #[serde(default)]
    pub return_id: Option<String>,
    #[serde(default)]
    pub receipt_id: Option<String>,
    #[serde(default)]
    pub refund_id: Option<String>,
    #[serde(default)]
    pub note_id: Option<String>,
}

/// What became of the orders of a batch.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct PlacedOrders {
    /// How many are stored.
    pub accepted: u32,
    pub refused: u32,
    /// In the order in which they were posted.
    pub results: Vec<PlacementResult>,
}

/// What became of one order of a batch.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PlacementResult {
    /// 201: it is stored.
    pub status: u16,
    #[serde(default)]
    pub order_id: Option<String>,
    #[serde(default)]
    pub version: Option<i64>,
    /// Of its event in the log.
    #[serde(default)]
    pub position: Option<i64>,
    /// Why it was refused.
    #[serde(default)]
    pub problem: Option<Problem>,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Where the next page begins; `None`: this is the last one.
    #[serde(default = "Option::default")]
    pub cursor: Option<String>,
}

/// An amount as a decimal, with its ISO 4217 currency.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Money {
    pub amount: String,
    pub currency: String,
}

/// An order. In lists it has those of its lines, shipments and so on that [`expand`](crate::OrderListQuery::expand) names.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct OrderView {
    pub order_id: String,
    /// The number for people, if orders are given numbers and it has come.
    #[serde(default)]
    pub order_number: Option<String>,
    /// Who ordered; `None`: a guest.
    #[serde(default)]
    pub customer_id: Option<String>,
    /// Such as `pending`, `confirmed` or `cancelled`; a later server may have others.
    pub status: String,
    #[serde(default)]
    pub status_since: Option<DateTime<Utc>>,
    #[serde(default)]
    pub payment_status: Option<String>,
    #[serde(default)]
    pub fulfilment_status: Option<String>,
    #[serde(default)]
    pub returns_status: Option<String>,
    /// Why it was rejected or cancelled.
    #[serde(default)]
    pub reason: Option<String>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    #[serde(default)]
    pub updated_at: Option<DateTime<Utc>>,
    pub total: Money,
    #[serde(default)]
    pub captured: Option<Money>,
    #[serde(default)]
    pub refunded: Option<Money>,
    #[serde(default)]
    pub cancelled: Option<Money>,
    #[serde(default)]
    pub customer_email: Option<String>,
    #[serde(default)]
    pub placed_at: Option<DateTime<Utc>>,
    #[serde(default)]
    pub notes: Option<String>,
    #[serde(default)]
    pub metadata: Option<Value>,
    #[serde(default)]
    pub customer: Option<CustomerDetails>,
    #[serde(default)]
    pub billing_address: Option<Address>,
    #[serde(default)]
    pub shipping_address: Option<Address>,
    #[serde(default)]
    pub channel: Option<String>,
    #[serde(default)]
    pub source: Option<String>,
    #[serde(default)]
    pub tags: Vec<String>,
    /// For which goods, that come back from another order, it is the exchange.
    #[serde(default)]
    pub exchange_for: Option<ExchangeFor>,
    #[serde(default)]
    pub shipping: Option<Shipping>,
    #[serde(default)]
    pub discounts: Vec<Discount>,
    /// What keeps it from being shipped.
    #[serde(default)]
    pub holds: Vec<Hold>,
    /// There if the total is made of more than items.
    #[serde(default)]
    pub totals: Option<Totals>,
    /// In the order in which money is taken. There if the order was posted with them.
    #[serde(default)]
    pub payments: Vec<Payment>,
    #[serde(default)]
    pub lines: Vec<Line>,
    /// At which location its units are. Empty while all are at the default one.
    #[serde(default)]
    pub allocations: Vec<Allocation>,
    #[serde(default)]
    pub shipments: Vec<Shipment>,
    #[serde(default)]
    pub cancellations: Vec<Cancellation>,
    #[serde(default)]
    pub returns: Vec<Return>,
    #[serde(default)]
    pub refunds: Vec<Refund>,
    #[serde(default)]
    pub added_notes: Vec<Note>,
    #[serde(default)]
    pub mails: Vec<Mail>,
    /// The kinds of which not all are here.
    #[serde(default)]
    pub more: Vec<String>,
    /// The first page of its timeline, if it was asked for: the cursor is one of [`Client::timeline`](crate::Client::timeline).
    #[serde(default)]
    pub events: Option<Page<Event>>,
    /// The report on its sagas, if it was asked for.
    #[serde(default)]
    pub saga: Option<Value>,
}

/// How much of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LineQuantity {
    pub line_number: u32,
    pub quantity: Quantity,
}

/// How a parcel can be tracked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct TrackingInfo {
    #[serde(default)]
    pub carrier: Option<String>,
    #[serde(default)]
    pub tracking: Option<String>,
}

/// Units that were sent together.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Shipment {
    pub shipment_id: String,
    #[serde(default)]
    pub lines: Vec<LineQuantity>,
    #[serde(default)]
    pub parcels: Vec<TrackingInfo>,
    pub shipped_at: DateTime<Utc>,
    /// Whether its amount was captured or given up.
    #[serde(default)]
    pub settled: bool,
    /// From where it was sent, if that was one location. `None` where all units of the order are at the default one.
    #[serde(default)]
    pub location: Option<String>,
    /// What came from where, if it came from several locations.
    #[serde(default)]
    pub allocations: Vec<ShippedUnits>,
    /// When it arrived. `None`: not yet, or with all of the order, which is completed then.
    #[serde(default)]
    pub delivered_at: Option<DateTime<Utc>>,
}

/// Units that were cancelled together.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Cancellation {
    pub cancellation_id: String,
    #[serde(default)]
    pub lines: Vec<LineQuantity>,
    #[serde(default)]
    pub reason: Option<String>,
    pub cancelled_at: DateTime<Utc>,
}

/// A note on an order.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Note {
    pub note_id: String,
    pub text: String,
    #[serde(default)]
    pub author: Option<String>,
    pub at: DateTime<Utc>,
}

/// A mail about an order.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Mail {
    pub notification_id: String,
    pub template: String,
    pub status: String,
    pub at: DateTime<Utc>,
    #[serde(default)]
    pub recipient: Option<String>,
}

/// An event of an order's timeline or of the live stream.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Event {
    pub position: i64,
    /// Of the order or the SKU after the event.
    pub version: i64,
    #[serde(rename = "type")]
    pub event_type: String,
    pub event_id: String,
    pub recorded_at: DateTime<Utc>,
    /// In the live stream: `order` or `stock`.
    #[serde(default)]
    pub stream_type: Option<String>,
    /// In the live stream: the order's id or the SKU.
    #[serde(default)]
    pub stream_id: Option<String>,
    /// Who caused it, and its trace.
    #[serde(default)]
    pub metadata: Value,
    /// What an event of this type has; the schemas of all events are in Ordo's documentation.
    #[serde(default)]
    pub data: Value,
}

/// Units of a SKU that an order has at a location.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Allocation {
    pub sku: String,
    pub location: String,
    /// Units, without those that were cancelled.
    pub quantity: Quantity,
    /// Units of those that were sent.
    pub shipped: Quantity,
}

/// What was ordered on some days.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Sales {
    /// The first day.
    pub from: String,
    /// The day after the last one.
    pub to: String,
    #[serde(default)]
    pub hours: Vec<HourlySalesGroup>,
    #[serde(default)]
    pub totals: Vec<CurrencySalesTotal>,
}

/// The orders that were created in one hour, of one status and one currency.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct HourlySalesGroup {
    pub hour: DateTime<Utc>,
    pub status: String,
    pub currency: String,
    pub orders: i64,
    pub total: Money,
}

/// The orders of the period that are in one currency: how many, and their sum.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct CurrencySalesTotal {
    pub currency: String,
    pub orders: i64,
    pub total: Money,
}

//! What is sent. Amounts are decimals, such as `129.99`, with at most the decimals that the currency has.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Address, CustomerDetails, LineQuantity, NewDiscount, NewPayment, NewShipping, NewTax, Quantity, ReceivedLine,
};

/// An order to be placed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewOrder {
    /// The shop's. It makes placing the order idempotent.
    pub order_id: String,
    /// `None`: a guest, of whom `customer` and `customer_email` have to be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// Where mails about the order go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_email: Option<String>,
    /// What the parts come to: items, less discounts, with shipping and the taxes that are not included.
    pub total_amount: String,
    /// ISO 4217.
    pub currency: String,
    pub items: Vec<NewOrderItem>,
    /// The customer's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// What the payment provider takes the money from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment_token: Option<String>,
    /// When the customer ordered.
    #[serde(rename = "createdAtIso", skip_serializing_if = "Option::is_none")]
    pub placed_at: Option<DateTime<Utc>>,
    /// The shop's own, kept as they are.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerDetails>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billing_address: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shipping_address: Option<Address>,
    /// Through which of the shop's channels the order came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Where the customer came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The shop's labels, each once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shipping: Option<NewShipping>,
    /// What is taken off the whole order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub discounts: Vec<NewDiscount>,
    /// What it is paid with, in place of `payment_token`. Together they come to the total.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub payments: Vec<NewPayment>,
    /// For which goods, that come back from another order, it is the exchange.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exchange_for: Option<ExchangeFor>,
}

/// The goods for which an order is the exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExchangeFor {
    /// The order from which they come back.
    pub order_id: String,
    /// The return of that order.
    pub return_id: String,
}

/// An item of an order to be placed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewOrderItem {
    pub sku: String,
    /// As customers see it; without it, the SKU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    pub quantity: Quantity,
    /// The unit of measure of goods that are not sold by the piece: `kg`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The price of one piece, or of one unit of measure. The latter has up to four decimals.
    pub unit_price: String,
    /// The shop's own, kept as they are.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, Value>,
    /// Which variant of the goods, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// What else describes the goods, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// Whether a parcel is sent for it; yes if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requires_shipping: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gift_card: Option<bool>,
    /// What is taken off the line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub discounts: Vec<NewDiscount>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub taxes: Vec<NewTax>,
}

impl NewOrder {
    /// An order with what every order has.
    pub fn new(
        order_id: impl Into<String>,
        customer_id: impl Into<String>,
        total_amount: impl Into<String>,
        currency: impl Into<String>,
        items: impl IntoIterator<Item = NewOrderItem>,
    ) -> Self {
        Self {
            order_id: order_id.into(),
            customer_id: Some(customer_id.into()),
            customer_email: None,
            total_amount: total_amount.into(),
            currency: currency.into(),
            items: items.into_iter().collect(),
            notes: None,
            payment_token: None,
            placed_at: None,
            metadata: BTreeMap::new(),
            customer: None,
            billing_address: None,
            shipping_address: None,
            channel: None,
            source: None,
            tags: vec![],
            shipping: None,
            discounts: vec![],
            payments: vec![],
            exchange_for: None,
        }
    }

    /// The order of a guest, who has an e-mail address and no customer id.
    pub fn of_guest(
        order_id: impl Into<String>,
        email: impl Into<String>,
        total_amount: impl Into<String>,
        currency: impl Into<String>,
        items: impl IntoIterator<Item = NewOrderItem>,
    ) -> Self {
        Self {
            customer_id: None,
            customer_email: Some(email.into()),
            customer: Some(CustomerDetails::default()),
            ..Self::new(order_id, "", total_amount, currency, items)
        }
    }
}

impl NewOrderItem {
    pub fn new(sku: impl Into<String>, quantity: u32, unit_price: impl Into<String>) -> Self {
        Self {
            sku: sku.into(),
            title: None,
            quantity: quantity.into(),
            unit: None,
            unit_price: unit_price.into(),
            metadata: BTreeMap::new(),
            variant: None,
            attributes: BTreeMap::new(),
            requires_shipping: None,
            gift_card: None,
            discounts: vec![],
            taxes: vec![],
        }
    }

    /// Goods by measure: so much of a unit such as `kg`.
    pub fn by_measure(
        sku: impl Into<String>,
        quantity: impl Into<String>,
        unit: impl Into<String>,
        unit_price: impl Into<String>,
    ) -> Self {
        let quantity = Quantity::ByMeasure(quantity.into());
        Self { quantity, unit: Some(unit.into()), ..Self::new(sku, 1, unit_price) }
    }
}

/// What is cancelled; by default all that was not sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewCancellation {
    /// For the customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// These units only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<LineQuantity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancellation_id: Option<String>,
}

/// What is sent to the customer; by default all that is left.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewShipment {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shipment_id: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<LineQuantity>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parcels: Vec<NewTrackingInfo>,
    /// From where it is sent; without lines it is then what is left there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

/// When a shipment arrived; by default now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewDelivery {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<DateTime<Utc>>,
}

/// All parcels that a shipment is followed by; by default there is nothing to follow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct NewTracking {
    pub parcels: Vec<NewTrackingInfo>,
}

/// Why nothing of an order is to be shipped for now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewHold {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_id: Option<String>,
    /// For those who work for the shop; customers do not see it.
    pub reason: String,
}

/// Which hold is over; by default all are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewRelease {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_id: Option<String>,
}

/// How a parcel can be tracked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct NewTrackingInfo {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracking: Option<String>,
}

/// What will come back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewReturn {
    pub lines: Vec<LineQuantity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_id: Option<String>,
}

/// What is here of a return; by default all that was still to come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewReceipt {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_id: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<ReceivedLine>,
    /// Where it is; `None`: what goes back into stock goes to where it was sent from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

/// Why the rest of a return is not coming.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewReturnCancellation {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What the customer gets back; by default all that is left.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewRefund {
    /// In the order's currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refund_id: Option<String>,
}

/// A note on an order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewNote {
    pub text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note_id: Option<String>,
}

//! Where the goods of an order are, what came back, and what was made of the order later.

use serde::Deserialize;

use super::LineQuantity;
use crate::display::{Instant, Text};
use crate::pages::{Amount, query};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::pages::order) struct Edit {
    pub(in crate::pages::order) edit_id: Text,
    pub(in crate::pages::order) status: Text,
    /// The order's total with it.
    pub(in crate::pages::order) total: Amount,
    /// The payment that it added.
    pub(in crate::pages::order) payment_number: Option<Text>,
    pub(in crate::pages::order) reason: Option<Text>,
    pub(in crate::pages::order) requested_at: Instant,
    pub(in crate::pages::order) ended_at: Option<Instant>,
    pub(in crate::pages::order) rejection: Option<Text>,
}

/// Units of a SKU at a location, or sent from there.
#[derive(Deserialize)]
pub(in crate::pages::order) struct Allocation {
    pub(in crate::pages::order) sku: Option<Text>,
    pub(in crate::pages::order) location: Option<Text>,
    pub(in crate::pages::order) quantity: Option<Text>,
    pub(in crate::pages::order) shipped: Option<Text>,
}

/// Units that were not on hand when they were reserved.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::pages::order) struct Backorder {
    pub(in crate::pages::order) sku: Text,
    pub(in crate::pages::order) quantity: Text,
    pub(in crate::pages::order) available_at: Option<Instant>,
    pub(in crate::pages::order) location: Option<Text>,
}

impl Backorder {
    /// The question for the orders of the SKU.
    pub(in crate::pages::order) fn orders(&self) -> String {
        query([("sku", self.sku.as_str())])
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::pages::order) struct Return {
    pub(in crate::pages::order) return_id: Text,
    #[serde(default)]
    pub(in crate::pages::order) lines: Vec<LineQuantity>,
    pub(in crate::pages::order) reason: Option<Text>,
    pub(in crate::pages::order) requested_at: Instant,
    pub(in crate::pages::order) received_at: Option<Instant>,
    #[serde(default)]
    pub(in crate::pages::order) receipts: Vec<Receipt>,
    pub(in crate::pages::order) cancelled_at: Option<Instant>,
    pub(in crate::pages::order) cancellation_reason: Option<Text>,
}

impl Return {
    pub(in crate::pages::order) fn state(&self) -> &'static str {
        match (self.cancelled_at, self.received_at) {
            (Some(_), _) => "cancelled",
            (None, Some(_)) => "received",
            (None, None) => "requested",
        }
    }
}

/// Goods of a return that came.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::pages::order) struct Receipt {
    pub(in crate::pages::order) receipt_id: Text,
    #[serde(default)]
    pub(in crate::pages::order) lines: Vec<ReceivedLine>,
    /// `None`: nothing was paid back for it, or the reader sees nothing of refunds.
    pub(in crate::pages::order) refund_id: Option<Text>,
    pub(in crate::pages::order) location: Option<Text>,
    pub(in crate::pages::order) received_at: Instant,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::pages::order) struct ReceivedLine {
    pub(in crate::pages::order) line_number: Text,
    pub(in crate::pages::order) quantity: Text,
    pub(in crate::pages::order) condition: Option<Text>,
    pub(in crate::pages::order) restock: Option<bool>,
}

#[derive(Deserialize)]
pub(in crate::pages::order) struct DocumentsAnswer {
    pub(in crate::pages::order) items: Vec<Document>,
    /// There are more.
    pub(in crate::pages::order) cursor: Option<Text>,
}

/// An invoice or a credit note.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::pages::order) struct Document {
    pub(in crate::pages::order) document_id: Text,
    pub(in crate::pages::order) kind: Text,
    pub(in crate::pages::order) number: Text,
    pub(in crate::pages::order) issued_on: Text,
    pub(in crate::pages::order) shipment_id: Option<Text>,
    pub(in crate::pages::order) refund_id: Option<Text>,
    pub(in crate::pages::order) total: Amount,
}

/// The goods for which an order is the exchange.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::pages::order) struct ExchangeFor {
    pub(in crate::pages::order) order_id: Text,
    pub(in crate::pages::order) return_id: Text,
}

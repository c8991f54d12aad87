//! An order's invoices and credit notes.

use chrono::NaiveDate;
use serde::Deserialize;
use serde_json::Value;

use crate::{Client, Money, PagedQuery, ReadRequest};

impl Client {
    /// The invoices and credit notes of an order, oldest first.
    pub fn documents(&self, order_id: &str) -> PagedQuery<DocumentSummary> {
        PagedQuery::new(self, &["orders", order_id, "documents"])
    }

    /// All that an invoice or a credit note says.
    pub fn document(&self, order_id: &str, document_id: &str) -> ReadRequest<Document> {
        ReadRequest::new(self, &["orders", order_id, "documents", document_id])
    }
}

/// What names an invoice or a credit note.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DocumentSummary {
    pub document_id: String,
    /// `invoice` or `creditNote`.
    pub kind: String,
    /// For people.
    pub number: String,
    /// The day of issue (UTC).
    pub issued_on: NaiveDate,
    /// The shipment that an invoice is for.
    #[serde(default)]
    pub shipment_id: Option<String>,
    /// The refund that a credit note is for.
    #[serde(default)]
    pub refund_id: Option<String>,
    /// With taxes.
    pub total: Money,
}

/// An invoice or a credit note.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Document {
    #[serde(flatten)]
    pub summary: DocumentSummary,
    pub order_id: String,
    #[serde(default)]
    pub order_number: Option<String>,
    /// The numbers of the invoices that a credit note takes some back of.
    #[serde(default)]
    pub invoices: Vec<String>,
    /// Without taxes.
    pub net: Money,
    /// All taxes.
    pub tax: Money,
    pub lines: Vec<DocumentLine>,
    /// What else it says: seller, buyer, taxes by rate.
    #[serde(flatten)]
    pub others: serde_json::Map<String, Value>,
}

/// Goods, or postage: that has no SKU.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DocumentLine {
    #[serde(default)]
    pub sku: Option<String>,
    pub title: String,
    /// A decimal number: of pieces, or of `unit`.
    pub quantity: String,
    #[serde(default)]
    pub unit: Option<String>,
    /// Before discounts; `None`: an earlier build issued it.
    #[serde(default)]
    pub unit_price: Option<Money>,
    /// What is taken off.
    #[serde(default)]
    pub discount: Option<Money>,
    /// Without taxes.
    pub net: Money,
    /// With taxes.
    pub total: Money,
}

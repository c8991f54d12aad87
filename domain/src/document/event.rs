//! The documents as they are stored. Each version of each event has a golden file in `domain/golden/document-events/`, and stays
//! readable forever.

use chrono::NaiveDate;
use event_versions::Upcast;
use serde::{Deserialize, Serialize};

use super::DocumentKind;
use crate::events::events;
use crate::ids::{DocumentId, OrderId, RefundId, ShipmentId, Sku};
use crate::locale::Locale;
use crate::money::{Currency, Money};
use crate::order::event::{Address, TaxRate};
use crate::quantity::UnitOfMeasure;

/// Every change of their shapes; those of the same event oldest first. So far all are as they began.
pub(super) const UPCASTS: &[Upcast] = &[];

events! {
    /// Something that happened to a series of documents.
    DocumentEvent, UPCASTS {
        /// A document was issued.
        DocumentIssued,
    }
}

/// An invoice or a credit note, with all that it says. Nothing about it is looked up later: the seller may move, and the order may
/// change. Amounts are minor units of `currency`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DocumentIssued {
    pub document_id: DocumentId,
    pub kind: DocumentKind,
    /// The series that numbers it.
    pub series: String,
    /// Its place in the series, from 1.
    pub sequence: i64,
    /// The number for people, made of both.
    pub number: String,
    /// The day of issue (UTC).
    pub issued_on: NaiveDate,
    /// The day on which the goods were sent (UTC), of an invoice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supplied_on: Option<NaiveDate>,
    /// What it is about.
    pub order_id: OrderId,
    /// The order's number for people, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_number: Option<String>,
    /// The shipment that an invoice is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipment_id: Option<ShipmentId>,
    /// The refund that a credit note is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund_id: Option<RefundId>,
    /// The numbers of the invoices that a credit note takes some back of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invoices: Vec<String>,
    /// Why money went back, if it was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub seller: Seller,
    pub buyer: Buyer,
    /// The language that the buyer reads. Documents of earlier builds have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<Locale>,
    pub currency: Currency,
    /// What an invoice asks money for, or the goods that came back. A credit note over any other amount has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<DocumentLine>,
    /// The taxes of all lines, one of each kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taxes: Vec<DocumentTax>,
    /// Without taxes.
    pub net_minor: i64,
    /// All taxes.
    pub tax_minor: i64,
    /// With taxes.
    pub total_minor: i64,
}

impl DocumentIssued {
    /// An amount of it.
    pub fn money(&self, minor: i64) -> Money {
        Money::from_minor(minor, self.currency)
    }
}

/// Who sells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Seller {
    pub name: String,
    /// As it is printed; its lines are joined by commas.
    pub address: String,
    /// The number under which the seller is known to the tax office, such as one for VAT.
    pub tax_id: String,
}

/// Who buys, as far as the shop said so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Buyer {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The number under which the buyer is known to the tax office.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
}

/// Goods of a shipment or of a return, or postage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DocumentLine {
    /// `None`: postage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<Sku>,
    pub title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// A decimal number: of pieces, or of `unit`.
    pub quantity: String,
    /// What the goods are measured in, if they are not sold by the piece.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitOfMeasure>,
    /// The price of one piece or one `unit`, as it was posted: a decimal number. Documents of earlier builds have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_price: Option<String>,
    /// What is taken off the price: its share of the discounts of the line and of the order.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub discount_minor: i64,
    /// The taxes on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taxes: Vec<DocumentTax>,
    /// Less all discounts, without taxes.
    pub net_minor: i64,
    /// Less all discounts, with taxes.
    pub total_minor: i64,
}

/// A tax, and what it is taken of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DocumentTax {
    pub name: String,
    pub rate: TaxRate,
    /// What it is taken of.
    pub net_minor: i64,
    pub amount_minor: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(minor: &i64) -> bool {
    *minor == 0
}

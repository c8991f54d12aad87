//! Documents about the order: their numbers. What they say is stored in the series that numbers them, by the same append.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::ids::{DocumentId, RefundId, ShipmentId};

/// An invoice was issued for a shipment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct InvoiceIssued {
    pub document_id: DocumentId,
    /// For people: `INV-2026-000042`.
    pub number: String,
    /// The series that numbers it.
    pub series: String,
    /// Its place in the series, from 1.
    pub sequence: i64,
    pub issued_on: NaiveDate,
    pub shipment_id: ShipmentId,
    /// With taxes, in minor units of the order's currency.
    pub total_minor: i64,
}

/// A credit note was issued for a refund.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CreditNoteIssued {
    pub document_id: DocumentId,
    /// For people: `CN-2026-000007`.
    pub number: String,
    /// The series that numbers it.
    pub series: String,
    /// Its place in the series, from 1.
    pub sequence: i64,
    pub issued_on: NaiveDate,
    pub refund_id: RefundId,
    /// With taxes, in minor units of the order's currency.
    pub total_minor: i64,
}

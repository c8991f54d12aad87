//! Invoices and credit notes: what each says, and the series that number them. Which ones an order calls for is said by the order
//! (`order::documents`).
//!
//! A series is a stream. The number of a document is its version in the stream of its series, and the order's stream names the
//! document in the same append. So a number is taken if and only if its document is stored: no number is missing, and none is there
//! twice.

mod event;

use chrono::{Datelike, NaiveDate};
use cqrs_es::event_sink::EventSink;
use event_versions::{Snapshotted, Upcast, Upcastable};
use serde::{Deserialize, Serialize};

pub use event::{Buyer, DocumentEvent, DocumentIssued, DocumentLine, DocumentTax, Seller};

use crate::ids::{DocumentId, OrderId, RefundId, ShipmentId};

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum DocumentKind {
    /// Asks for the price of goods that were sent.
    Invoice,
    /// Takes some of invoices back, because money went back.
    CreditNote,
}

impl DocumentKind {
    /// What the numbers of its series begin with.
    fn prefix(self) -> &'static str {
        match self {
            Self::Invoice => "INV",
            Self::CreditNote => "CN",
        }
    }
}

/// The series of the documents of a kind in the year of a day: `INV-2026`.
pub fn series_of(kind: DocumentKind, day: NaiveDate) -> String {
    format!("{}-{:04}", kind.prefix(), day.year())
}

/// Whether a series has a name as series of documents have.
pub(crate) fn is_series_of_documents(name: &str) -> bool {
    let kinds = [DocumentKind::Invoice, DocumentKind::CreditNote];
    kinds.iter().any(|kind| name.split('-').next() == Some(kind.prefix()))
}

/// The number at a place of a series, for people: `INV-2026-000042`. Whatever the series, no two have the same.
pub fn number_of(series: &str, sequence: i64) -> String {
    format!("{series}-{sequence:06}")
}

impl DocumentId {
    /// The invoice for a shipment. It is the same whenever it is asked for.
    pub(crate) fn of_shipment(order_id: &OrderId, shipment_id: &ShipmentId) -> Self {
        // No id has a slash.
        Self::derived(&format!("orders/{order_id}/shipments/{shipment_id}/invoice"))
    }

    /// The credit note for a refund, after so many others for the same refund.
    pub(crate) fn of_refund(order_id: &OrderId, refund_id: &RefundId, others: usize) -> Self {
        Self::derived(&format!("orders/{order_id}/refunds/{refund_id}/credit-notes/{others}"))
    }

    fn derived(name: &str) -> Self {
        Self::from(uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, name.as_bytes()))
    }
}

/// A series, folded from its events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DocumentSeries {
    /// How many documents it has.
    pub issued: i64,
    /// The day of the last one.
    pub last_issued_on: Option<NaiveDate>,
}

/// Why a series refuses a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentSeriesError {
    /// Its number is not the next one.
    #[error("number {next} comes next")]
    NotNext {
        /// The next number.
        next: i64,
    },
    /// It is older than the last one.
    #[error("the last document is of {last}: none before that can follow")]
    TooEarly {
        /// The day of the last one.
        last: NaiveDate,
    },
}

impl DocumentSeries {
    /// The number of the next document.
    pub(crate) fn next_sequence(&self) -> i64 {
        self.issued.saturating_add(1)
    }

    /// The day of a document that is issued on a day by somebody's clock: days ascend with the numbers, whatever clocks say.
    pub(crate) fn day_of_next(&self, today: NaiveDate) -> NaiveDate {
        self.last_issued_on.map_or(today, |last| last.max(today))
    }

    /// The event of a document that is issued.
    pub fn decide(&self, document: DocumentIssued) -> Result<DocumentEvent, DocumentSeriesError> {
        let next = self.next_sequence();
        if document.sequence != next {
            return Err(DocumentSeriesError::NotNext { next });
        }
        match self.last_issued_on.filter(|last| document.issued_on < *last) {
            Some(last) => Err(DocumentSeriesError::TooEarly { last }),
            None => Ok(DocumentEvent::DocumentIssued(document)),
        }
    }

    /// Applies an event.
    pub fn evolve(&mut self, event: &DocumentEvent) {
        match event {
            DocumentEvent::DocumentIssued(document) => {
                self.issued = self.next_sequence();
                self.last_issued_on = Some(document.issued_on);
            }
        }
    }
}

/// The series as cqrs-es sees it: a shell that passes on.
impl cqrs_es::Aggregate for DocumentSeries {
    const TYPE: &'static str = "document_series";
    type Command = DocumentIssued;
    type Event = DocumentEvent;
    type Error = DocumentSeriesError;
    type Services = ();

    async fn handle(
        &mut self,
        document: DocumentIssued,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), DocumentSeriesError> {
        let issued = self.decide(document)?;
        sink.write(issued, self).await;
        Ok(())
    }

    fn apply(&mut self, event: DocumentEvent) {
        self.evolve(&event);
    }
}

impl Upcastable for DocumentSeries {
    const UPCASTS: &'static [Upcast] = event::UPCASTS;
}

impl Snapshotted for DocumentSeries {
    const STATE_VERSION: i32 = 1;
}

#[cfg(test)]
mod tests;

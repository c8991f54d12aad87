//! The documents of every series, and those that orders name, are the same; and each comes to what it is for.
//!
//! Of each document no more than a digest is kept until its order is read. Streams are read by their types, so all series come first.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use domain::document::{DocumentEvent, DocumentKind, DocumentSeries, number_of, series_of};
use domain::order::{DocumentCause, OrderDocument, PlacedOrder, Shipment};

use super::findings::Findings;
use super::order::AuditedOrder;

/// The documents of all series, to see that orders name each of them once.
#[derive(Debug, Default)]
pub(super) struct DocumentReconciliation {
    /// By series, in the order of their numbers. `None`: an order named it.
    numbered: BTreeMap<String, Vec<Option<u64>>>,
    /// How many there are.
    pub(super) documents: u64,
}

/// A series whose events are being read.
pub(super) struct SeriesAudit {
    name: String,
    series: DocumentSeries,
    digests: Vec<Option<u64>>,
}

impl SeriesAudit {
    pub(super) fn of(name: &str) -> Self {
        Self { name: name.to_owned(), series: DocumentSeries::default(), digests: Vec::new() }
    }

    pub(super) fn apply(&mut self, event: &DocumentEvent, version: i64, findings: &mut Findings) {
        let DocumentEvent::DocumentIssued(document) = event;
        let mut wrong = |what: String| findings.add(format!("series {}", self.name), what);
        if document.sequence != version {
            wrong(format!("version {version} has number {}", document.sequence));
        }
        let is_of_series = series_of(document.kind, document.issued_on) == self.name;
        if !is_of_series || document.series != self.name || document.number != number_of(&self.name, version) {
            let what = format!(
                "version {version} is {} of {}, of series {}",
                document.number, document.issued_on, document.series
            );
            wrong(what);
        }
        if let Some(last) = self.series.last_issued_on.filter(|last| document.issued_on < *last) {
            wrong(format!("version {version} is of {}, and the one before of {last}", document.issued_on));
        }
        let lines: i64 = document.lines.iter().map(|line| line.total_minor).sum();
        let taxes: i64 = document.taxes.iter().map(|tax| tax.amount_minor).sum();
        let is_over_amount = document.kind == DocumentKind::CreditNote && document.lines.is_empty();
        let is_added_up = document.net_minor + document.tax_minor == document.total_minor
            && taxes == document.tax_minor
            && (is_over_amount || lines == document.total_minor);
        if !is_added_up {
            wrong(format!("version {version} does not come to its total of {}", document.total_minor));
        }
        let (order_id, total_minor) = (document.order_id.as_str(), document.total_minor);
        self.digests.push(Some(digest(document.document_id.as_str(), order_id, total_minor)));
        self.series.evolve(event);
    }
}

impl DocumentReconciliation {
    /// Adds a series all of whose events were read.
    pub(super) fn add_series(&mut self, audit: SeriesAudit) {
        self.documents += audit.digests.len() as u64;
        self.numbered.insert(audit.name, audit.digests);
    }

    /// Checks an order's documents against their series, and against what they are for.
    pub(super) fn add_order(&mut self, order: &AuditedOrder, findings: &mut Findings) {
        let placed = &order.placed;
        for document in &placed.documents {
            let mut wrong = |what: &str| findings.add(order.about(), format!("{}: {what}", document.number));
            let at = usize::try_from(document.sequence).ok().and_then(|sequence| sequence.checked_sub(1));
            let numbered = self.numbered.get_mut(&document.series);
            let numbered = numbered.zip(at).and_then(|(series, at)| series.get_mut(at)).and_then(Option::take);
            if numbered != Some(digest(document.id.as_str(), &order.id, document.total_minor)) {
                wrong("its series has another document under this number, or none");
            }
            if !is_for_something(placed, document) {
                wrong("what it is for is not there, not settled, or worth something else");
            }
        }
        let [invoiced, credited] =
            [DocumentKind::Invoice, DocumentKind::CreditNote].map(|kind| placed.documents_minor(kind));
        if credited > invoiced {
            findings.add(order.about(), format!("{credited} are on credit notes, and {invoiced} on invoices"));
        }
    }

    /// Checks that orders name each document.
    pub(super) fn check(&self, findings: &mut Findings) {
        for (name, digests) in &self.numbered {
            for (sequence, _) in (1_i64..).zip(digests).filter(|(_, digest)| digest.is_some()) {
                findings.add(format!("series {name}"), format!("no order names {}", number_of(name, sequence)));
            }
        }
    }
}

/// Whether an invoice comes to what its shipment is worth, and a credit note to no more than its refund.
fn is_for_something(placed: &PlacedOrder, document: &OrderDocument) -> bool {
    match &document.cause {
        DocumentCause::Shipment(id) => {
            let worth = |shipment: &Shipment| -> i64 {
                placed.payments.iter().map(|payment| placed.capture_minor(&shipment.id, payment.number)).sum()
            };
            let shipment = placed.shipments.iter().find(|shipment| shipment.id == *id);
            shipment.is_some_and(|shipment| shipment.is_settled() && worth(shipment) == document.total_minor)
        }
        DocumentCause::Refund(id) => {
            let settled = placed.refunds.iter().filter(|refund| refund.id == *id && refund.settled);
            let settled: i64 = settled.map(|refund| refund.amount_minor).sum();
            let credited = placed.documents.iter().filter(|it| it.cause == document.cause);
            credited.map(|it| it.total_minor).sum::<i64>() <= settled
        }
    }
}

fn digest(document_id: &str, order_id: &str, total_minor: i64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (document_id, order_id, total_minor).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;

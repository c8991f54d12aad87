//! Which invoices and credit notes an order calls for, and what each says.
//!
//! - An invoice for each shipment, once its money was captured or given up: what the customer pays for its goods. Postage is on that of
//!   the first shipment.
//! - A credit note for each refund, once all of it went back, as far as it was on invoices.
//!
//! So the invoices come to what the goods that went out cost, and the credit notes to what went back of that.

mod amounts;

use std::collections::{BTreeMap, HashSet};

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use self::amounts::{DocumentAmounts, DocumentParts};
use super::event::{CreditNoteIssued, InvoiceIssued, OrderEvent};
use super::state::{PlacedOrder, Shipment};
use crate::document::{Buyer, DocumentIssued, DocumentKind, DocumentSeries, Seller, number_of, series_of};
use crate::ids::{DocumentId, OrderId, RefundId, ShipmentId};

/// A document about the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderDocument {
    /// The id of the document.
    pub id: DocumentId,
    /// What called for it.
    pub cause: DocumentCause,
    /// For people.
    pub number: String,
    /// The series that numbers it.
    pub series: String,
    /// Its place in the series, from 1.
    pub sequence: i64,
    /// The day of issue.
    pub issued_on: NaiveDate,
    /// With taxes.
    pub total_minor: i64,
}

/// What calls for a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DocumentCause {
    /// A shipment: for an invoice.
    Shipment(ShipmentId),
    /// A refund: for a credit note.
    Refund(RefundId),
}

impl DocumentCause {
    /// What the document is.
    pub fn kind(&self) -> DocumentKind {
        match self {
            Self::Shipment(_) => DocumentKind::Invoice,
            Self::Refund(_) => DocumentKind::CreditNote,
        }
    }
}

/// A document that an order calls for and that is not issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueDocument {
    /// What calls for it.
    pub cause: DocumentCause,
    /// What it comes to, with taxes.
    pub total_minor: i64,
}

/// What a document needs to know beside the order.
#[derive(Debug, Clone, Copy)]
pub struct DocumentFacts<'a> {
    /// The order's id.
    pub order_id: &'a OrderId,
    /// Who sells.
    pub seller: &'a Seller,
    /// The series that will number it, as it is.
    pub series: &'a DocumentSeries,
    /// The day, by somebody's clock.
    pub today: NaiveDate,
    /// The day on which the goods were sent, for an invoice.
    pub supplied_on: Option<NaiveDate>,
}

impl From<InvoiceIssued> for OrderDocument {
    fn from(it: InvoiceIssued) -> Self {
        Self {
            id: it.document_id,
            cause: DocumentCause::Shipment(it.shipment_id),
            number: it.number,
            series: it.series,
            sequence: it.sequence,
            issued_on: it.issued_on,
            total_minor: it.total_minor,
        }
    }
}

impl From<CreditNoteIssued> for OrderDocument {
    fn from(it: CreditNoteIssued) -> Self {
        Self {
            id: it.document_id,
            cause: DocumentCause::Refund(it.refund_id),
            number: it.number,
            series: it.series,
            sequence: it.sequence,
            issued_on: it.issued_on,
            total_minor: it.total_minor,
        }
    }
}

impl PlacedOrder {
    /// The document that is due next: invoices first, so that a credit note finds them. Without `invoices` it is a credit note: a refund
    /// calls for no invoice of goods that were sent, and invoiced elsewhere, before there was a seller.
    pub fn next_due_document(&self, invoices: bool) -> Option<DueDocument> {
        self.due_invoice().filter(|_| invoices).or_else(|| self.due_credit_note())
    }

    fn due_invoice(&self) -> Option<DueDocument> {
        let cause = |document: &OrderDocument| match &document.cause {
            DocumentCause::Shipment(id) => Some(id.clone()),
            DocumentCause::Refund(_) => None,
        };
        let invoiced: HashSet<ShipmentId> = self.documents.iter().filter_map(cause).collect();
        let mut shipments = self.shipments_with_worth();
        let is_due = |it: &Shipment| it.is_settled() && !invoiced.contains(&it.id) && !self.was_shipped_elsewhere(it);
        let due = shipments.find(|(it, worth)| *worth > 0 && is_due(it));
        due.map(|(shipment, worth)| DueDocument {
            cause: DocumentCause::Shipment(shipment.id.clone()),
            total_minor: worth,
        })
    }

    fn due_credit_note(&self) -> Option<DueDocument> {
        let left = self.documents_minor(DocumentKind::Invoice) - self.documents_minor(DocumentKind::CreditNote);
        if left <= 0 {
            return None;
        }
        let mut credited: BTreeMap<&RefundId, i64> = BTreeMap::new();
        for document in &self.documents {
            if let DocumentCause::Refund(id) = &document.cause {
                *credited.entry(id).or_default() += document.total_minor;
            }
        }
        // What went back by refund. One of which some is still to go back is waited for.
        let mut settled: BTreeMap<&RefundId, Option<i64>> = BTreeMap::new();
        for refund in &self.refunds {
            let sum = settled.entry(&refund.id).or_insert(Some(0));
            *sum = if refund.settled { sum.map(|sum| sum.saturating_add(refund.amount_minor)) } else { None };
        }
        let due = |id: &RefundId| {
            let back = settled.get(id).copied().flatten()?;
            Some(back - credited.get(id).copied().unwrap_or(0)).filter(|due| *due > 0)
        };
        let (id, due) = self.refunds.iter().find_map(|refund| Some((&refund.id, due(&refund.id)?)))?;
        Some(DueDocument { cause: DocumentCause::Refund(id.clone()), total_minor: due.min(left) })
    }

    /// What its invoices or its credit notes come to.
    pub fn documents_minor(&self, kind: DocumentKind) -> i64 {
        let of_kind = self.documents.iter().filter(|document| document.cause.kind() == kind);
        of_kind.fold(0, |sum, document| sum.saturating_add(document.total_minor))
    }

    /// A document that is due: its content for the series, and the event that names it on the order.
    pub fn issue(&self, due: DueDocument, facts: DocumentFacts<'_>) -> (DocumentIssued, OrderEvent) {
        let DueDocument { cause, total_minor } = due;
        let kind = cause.kind();
        let issued_on = facts.series.day_of_next(facts.today);
        let (series, sequence) = (series_of(kind, issued_on), facts.series.next_sequence());
        let number = number_of(&series, sequence);
        let (buyer, parts) = (self.buyer(), DocumentParts::of(self));
        let document = |document_id: &DocumentId, amounts: DocumentAmounts| DocumentIssued {
            document_id: document_id.clone(),
            kind,
            series: series.clone(),
            sequence,
            number: number.clone(),
            issued_on,
            supplied_on: None,
            order_id: facts.order_id.clone(),
            order_number: self.order_number().map(str::to_owned),
            shipment_id: None,
            refund_id: None,
            invoices: vec![],
            reason: None,
            seller: facts.seller.clone(),
            buyer,
            locale: self.content.customer.as_deref().and_then(|customer| customer.locale.clone()),
            currency: self.content.currency,
            lines: amounts.lines,
            net_minor: total_minor.saturating_sub(amounts.tax_minor),
            tax_minor: amounts.tax_minor,
            taxes: amounts.taxes,
            total_minor,
        };
        match cause {
            DocumentCause::Shipment(shipment_id) => {
                let document_id = DocumentId::of_shipment(facts.order_id, &shipment_id);
                let amounts = DocumentAmounts::of(&parts.of_shipment(&shipment_id), self.content.currency);
                let issued = DocumentIssued {
                    supplied_on: facts.supplied_on,
                    shipment_id: Some(shipment_id.clone()),
                    ..document(&document_id, amounts)
                };
                let named =
                    InvoiceIssued { document_id, number, series, sequence, issued_on, shipment_id, total_minor };
                (issued, OrderEvent::InvoiceIssued(named))
            }
            DocumentCause::Refund(refund_id) => {
                let is_of = |it: &&OrderDocument| it.cause == DocumentCause::Refund(refund_id.clone());
                let others = self.documents.iter().filter(is_of).count();
                let document_id = DocumentId::of_refund(facts.order_id, &refund_id, others);
                let amounts = DocumentAmounts::of_refund(&parts, &refund_id, total_minor, self.content.currency);
                let invoices = self.documents.iter().filter(|it| it.cause.kind() == DocumentKind::Invoice);
                let issued = DocumentIssued {
                    refund_id: Some(refund_id.clone()),
                    invoices: invoices.map(|it| it.number.clone()).collect(),
                    reason: self.refunds.iter().find(|it| it.id == refund_id).and_then(|it| it.reason.clone()),
                    ..document(&document_id, amounts)
                };
                let named =
                    CreditNoteIssued { document_id, number, series, sequence, issued_on, refund_id, total_minor };
                (issued, OrderEvent::CreditNoteIssued(named))
            }
        }
    }

    fn buyer(&self) -> Buyer {
        let content = &self.content;
        let address = content.billing_address.as_deref().or(content.shipping_address.as_deref());
        let customer = content.customer.as_deref();
        let name = address.and_then(|it| it.name.clone()).or_else(|| customer.and_then(|it| it.name.clone()));
        Buyer {
            name,
            email: content.customer_email.as_ref().map(ToString::to_string),
            tax_id: customer.and_then(|it| it.tax_id.clone()),
            address: address.cloned(),
        }
    }
}

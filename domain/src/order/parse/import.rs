//! Parses an order of another system.

use super::commands::read_parcels;
use super::create::{FIELDS as ORDER_FIELDS, read_order_fields};
use crate::body::{BodyReader, InvalidBody, JsonFields, read_body};
use crate::ids::OrderId;
use crate::order::event::OrderCreated;
use crate::order::import::{IMPORT_SOURCE, ImportedStatus, OrderImport};

/// An order of another system as a client posts it.
#[derive(Debug, Clone, PartialEq)]
pub struct PostedImport {
    pub order_id: OrderId,
    pub import: OrderImport,
}

/// The fields of an order, and those of an import alone.
const FIELDS: [&str; ORDER_FIELDS.len() + 2] = {
    let mut fields = [""; ORDER_FIELDS.len() + 2];
    let mut at = 0;
    while at < ORDER_FIELDS.len() {
        fields[at] = ORDER_FIELDS[at];
        at += 1;
    }
    (fields[at], fields[at + 1]) = ("status", "parcels");
    fields
};

impl PostedImport {
    /// Reads an order as it would be posted, with `"status"` and `"parcels"?`.
    pub fn parse(body: &[u8]) -> Result<Self, InvalidBody> {
        read_body(body, read_import)
    }
}

/// The import; `None` if the reader has violations.
fn read_import(reader: &mut BodyReader, fields: JsonFields<'_>) -> Option<PostedImport> {
    let [order @ .., status, parcels] = reader.object(fields, FIELDS);
    let read_status = reader.required(&status, |r, field| {
        r.text(field, |name| {
            let known = ImportedStatus::ALL.into_iter().find(|status| status.as_str() == name);
            known
                .ok_or_else(|| format!("must be one of {}", ImportedStatus::ALL.map(ImportedStatus::as_str).join(", ")))
        })
    });
    let read_parcels = reader.optional(&parcels, |r, field| read_parcels(r, field, 0)).map(Option::unwrap_or_default);
    let posted = read_order_fields(reader, order)?;
    let (status, parcels_given) = (read_status?, read_parcels?);
    if !status.has_shipment() && !parcels_given.is_empty() {
        reader.violation_at(&parcels, "invalid", "are of what was shipped: leave them out");
    }
    let mut content = posted.content;
    check_import(reader, posted.order_id.as_ref(), &content);
    content.source = Some(IMPORT_SOURCE.to_owned());
    Some(PostedImport { order_id: posted.order_id?, import: OrderImport { content, status, parcels: parcels_given } })
}

/// Refuses what is not of an order that was handled elsewhere.
fn check_import(reader: &mut BodyReader, order_id: Option<&OrderId>, content: &OrderCreated) {
    if order_id.is_none() {
        // Sent again, it would be another order.
        reader.add_violation("/orderId", "required", "is required in an import");
    }
    if content.placed_at.is_none() {
        reader.add_violation("/placedAt", "required", "is required in an import");
    }
    if content.source.as_deref().is_some_and(|source| source != IMPORT_SOURCE) {
        reader.add_violation("/source", "invalid", "must be left out: an imported order has the source import");
    }
    if content.payment_token.is_some() {
        reader.add_violation("/paymentToken", "invalid", "must be left out: an imported order was paid elsewhere");
    }
    if content.payments.is_empty() && content.total_minor > 0 {
        reader.add_violation("/payments", "required", "are required, each with its reference: it was paid elsewhere");
    }
    for (nth, payment) in content.payments.iter().enumerate() {
        if !payment.is_paid_elsewhere() {
            let pointer = format!("/payments/{nth}/reference");
            reader.add_violation(pointer, "required", "is required: an imported order was paid elsewhere");
        }
    }
}

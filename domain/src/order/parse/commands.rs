//! Parses the bodies of commands on an existing order.
//!
//! A client may choose the id of what it creates. Otherwise `generated` becomes the id. `ordered` are the lines of the order: quantities
//! are in their units.

#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::create::{MAX_ITEMS, MAX_QUANTITY, read_instant};
use crate::body::{BodyReader, InvalidBody, JsonField, read_body};
use crate::ids::{CancellationId, HoldId, InvalidId, LocationId, NoteId, ReceiptId, RefundId, ReturnId, ShipmentId};
use crate::money::{Currency, Money};
use crate::order::event::{
    CancellationRequested, ItemCondition, LineQuantity, NoteAdded, OrderHeld, OrderLine, Parcel, ReceivedLine,
    ReturnCancelled, ReturnRequested,
};
use crate::order::{CancelLines, NewReceipt, OrderCommand, ReceiveReturn, RequestRefund, ShipOrder};
use crate::quantity::{UnitOfMeasure, read_quantity};

pub(super) const MAX_REASON_CHARS: usize = 500;
/// A mail can name so many without exceeding the size of a message.
const MAX_PARCELS: usize = 20;
const MAX_CARRIER_CHARS: usize = 100;
const MAX_TRACKING_CHARS: usize = 200;
const MAX_NOTE_CHARS: usize = 4_000;
const MAX_AUTHOR_CHARS: usize = 100;

/// Reads `{"cancellationId"?, "lines"?: [{"lineNumber": 1, "quantity": 1}], "reason"?}`. Without lines the whole order is cancelled, or
/// what is left of it, and the cancellation has no id of the client's.
pub fn parse_cancellation(body: &[u8], ordered: &[OrderLine], generated: Uuid) -> Result<OrderCommand, InvalidBody> {
    read_body(body, |reader, fields| {
        let [id, lines, reason] = reader.object(fields, ["cancellationId", "lines", "reason"]);
        let cancellation_id = reader.optional(&id, |r, field| r.text(field, CancellationId::parse));
        let lines = reader.optional(&lines, |r, field| read_lines(r, field, ordered));
        let reason = reader.optional(&reason, |r, field| r.text_up_to(field, MAX_REASON_CHARS));
        let (cancellation_id, lines, reason) = (cancellation_id?, lines?, reason?);
        if cancellation_id == Some(CancellationId::of_the_rest()) {
            reader.violation_at(&id, "invalid", "is what the cancellation of all that is left is called: give another");
        }
        let Some(lines) = lines else {
            if cancellation_id.is_some() {
                reader.violation_at(&id, "invalid", "names a cancellation of lines: give them, too");
            }
            return Some(OrderCommand::CancelOrder(CancellationRequested { reason }));
        };
        let cancellation_id = cancellation_id.unwrap_or_else(|| generated.into());
        Some(OrderCommand::CancelLines(CancelLines { cancellation_id, lines, reason }))
    })
}

/// Reads `{"shipmentId"?, "lines"?: [{"lineNumber": 1, "quantity": 1}], "parcels"?: [{"carrier"?, "tracking"?}],
/// "location"?}`. For a single parcel, `"carrier"?, "tracking"?` can be given instead.
pub fn parse_shipment(body: &[u8], ordered: &[OrderLine], generated: Uuid) -> Result<ShipOrder, InvalidBody> {
    read_body(body, |reader, fields| {
        let [id, lines, carrier, tracking, parcels, location] =
            reader.object(fields, ["shipmentId", "lines", "carrier", "tracking", "parcels", "location"]);
        let shipment_id = read_id(reader, &id, ShipmentId::parse, generated);
        if shipment_id.as_ref() == Some(&ShipmentId::of_import()) {
            reader.violation_at(&id, "invalid", "must be another: import is the shipment of an imported order");
        }
        let lines = reader.optional(&lines, |r, field| read_lines(r, field, ordered));
        let the_only = read_parcel(reader, &carrier, &tracking);
        let several = reader.optional(&parcels, |r, field| read_parcels(r, field, 1));
        let location = reader.optional(&location, |r, field| r.text(field, LocationId::parse));
        let (the_only, several, location) = (the_only?, several?, location?);
        if the_only.is_some() && several.is_some() {
            reader.violation_at(&parcels, "invalid", "must be all there is: give no carrier and no tracking beside it");
        }
        let parcels = several.unwrap_or_else(|| the_only.into_iter().collect());
        Some(ShipOrder { shipment_id: shipment_id?, lines: lines?, parcels, location })
    })
}

/// Reads `{"deliveredAt"?: "2026-11-21T18:00:00Z"}`.
pub fn parse_delivery(body: &[u8]) -> Result<Option<DateTime<Utc>>, InvalidBody> {
    read_body(body, |reader, fields| {
        let [delivered_at] = reader.object(fields, ["deliveredAt"]);
        reader.optional(&delivered_at, |r, field| r.text(field, read_instant))
    })
}

/// Reads `{"parcels": [{"carrier"?, "tracking"?}]}`. The list may be empty.
pub fn parse_tracking(body: &[u8]) -> Result<Vec<Parcel>, InvalidBody> {
    read_body(body, |reader, fields| {
        let [parcels] = reader.object(fields, ["parcels"]);
        reader.required(&parcels, |r, field| read_parcels(r, field, 0))
    })
}

/// Reads `{"holdId"?, "reason": "…"}`.
pub fn parse_hold(body: &[u8], generated: Uuid) -> Result<OrderHeld, InvalidBody> {
    read_body(body, |reader, fields| {
        let [id, reason] = reader.object(fields, ["holdId", "reason"]);
        let hold_id = read_id(reader, &id, HoldId::parse, generated);
        let reason = reader.required(&reason, |r, field| read_words(r, field, MAX_REASON_CHARS));
        Some(OrderHeld { hold_id: hold_id?, reason: reason? })
    })
}

/// Reads `{"holdId"?}`. `None`: every hold is meant.
pub fn parse_release(body: &[u8]) -> Result<Option<HoldId>, InvalidBody> {
    read_body(body, |reader, fields| {
        let [id] = reader.object(fields, ["holdId"]);
        reader.optional(&id, |r, field| r.text(field, HoldId::parse))
    })
}

/// Reads `{"returnId"?, "lines": [{"lineNumber": 1, "quantity": 1}], "reason"?}`.
pub fn parse_return(body: &[u8], ordered: &[OrderLine], generated: Uuid) -> Result<ReturnRequested, InvalidBody> {
    read_body(body, |reader, fields| {
        let [id, lines, reason] = reader.object(fields, ["returnId", "lines", "reason"]);
        let return_id = read_id(reader, &id, ReturnId::parse, generated);
        let lines = reader.required(&lines, |r, field| read_lines(r, field, ordered));
        let reason = reader.optional(&reason, |r, field| r.text_up_to(field, MAX_REASON_CHARS));
        Some(ReturnRequested { return_id: return_id?, lines: lines?, reason: reason? })
    })
}

/// Reads `{"receiptId"?, "lines"?: [{"lineNumber": 1, "quantity": 1, "condition"?: "sellable", "restock"?: true}],
/// "location"?}`. Without lines all is here that was still to come.
pub fn parse_return_receipt(
    body: &[u8],
    ordered: &[OrderLine],
    return_id: &ReturnId,
    generated: Uuid,
) -> Result<ReceiveReturn, InvalidBody> {
    read_body(body, |reader, fields| {
        let [id, lines, location] = reader.object(fields, ["receiptId", "lines", "location"]);
        let receipt_id = reader.optional(&id, |r, field| r.text(field, ReceiptId::parse));
        let lines = reader.optional(&lines, |r, field| read_each(r, field, |r, it| read_received_line(r, it, ordered)));
        let location = reader.optional(&location, |r, field| r.text(field, LocationId::parse));
        let (receipt_id, lines, location) = (receipt_id?, lines?, location?);
        if receipt_id == Some(ReceiptId::of_the_rest()) {
            reader.violation_at(&id, "invalid", "is what the receipt of all that is left is called: give another");
        }
        let receipt = match (receipt_id, lines, location) {
            (None, None, None) => None,
            (receipt_id, lines, location) => {
                let receipt_id = receipt_id.unwrap_or_else(|| generated.into());
                Some(NewReceipt { receipt_id, lines, location })
            }
        };
        Some(ReceiveReturn { return_id: return_id.clone(), receipt })
    })
}

/// Reads `{"reason"?}`.
pub fn parse_return_cancellation(body: &[u8], return_id: &ReturnId) -> Result<ReturnCancelled, InvalidBody> {
    read_body(body, |reader, fields| {
        let [reason] = reader.object(fields, ["reason"]);
        let reason = reader.optional(&reason, |r, field| r.text_up_to(field, MAX_REASON_CHARS));
        Some(ReturnCancelled { return_id: return_id.clone(), reason: reason? })
    })
}

/// Reads `{"refundId"?, "amount"?: "12.50", "reason"?}`, with the amount in the order's currency.
pub fn parse_refund(body: &[u8], generated: Uuid, currency: Currency) -> Result<RequestRefund, InvalidBody> {
    read_body(body, |reader, fields| {
        let [id, amount, reason] = reader.object(fields, ["refundId", "amount", "reason"]);
        let refund_id = read_id(reader, &id, RefundId::parse, generated);
        let amount = reader.optional(&amount, |r, field| read_amount(r, field, currency));
        let reason = reader.optional(&reason, |r, field| r.text_up_to(field, MAX_REASON_CHARS));
        Some(RequestRefund { refund_id: refund_id?, amount_minor: amount?.map(Money::minor), reason: reason? })
    })
}

/// Reads `{"noteId"?, "text": "…", "author"?}`.
pub fn parse_note(body: &[u8], generated: Uuid) -> Result<NoteAdded, InvalidBody> {
    read_body(body, |reader, fields| {
        let [id, text, author] = reader.object(fields, ["noteId", "text", "author"]);
        let note_id = read_id(reader, &id, NoteId::parse, generated);
        let text = reader.required(&text, |r, field| read_words(r, field, MAX_NOTE_CHARS));
        let author = reader.optional(&author, |r, field| r.text_up_to(field, MAX_AUTHOR_CHARS));
        Some(NoteAdded { note_id: note_id?, text: text?, author: author? })
    })
}

/// Reads `{}`: the path says everything.
pub fn parse_nothing(body: &[u8]) -> Result<(), InvalidBody> {
    read_body(body, |reader, fields| {
        let [] = reader.object(fields, []);
        Some(())
    })
}

/// The client's own id, or else the generated one.
pub(super) fn read_id<T: From<Uuid>>(
    reader: &mut BodyReader,
    field: &JsonField<'_>,
    parse: fn(String) -> Result<T, InvalidId>,
    generated: Uuid,
) -> Option<T> {
    let given = reader.optional(field, |r, field| r.text(field, parse))?;
    Some(given.unwrap_or_else(|| generated.into()))
}

/// Lines of the order with quantities, at least one line. [`crate::order::decide`] checks whether the order has them.
fn read_lines(reader: &mut BodyReader, field: &JsonField<'_>, ordered: &[OrderLine]) -> Option<Vec<LineQuantity>> {
    read_each(reader, field, |r, element| read_line(r, element, ordered))
}

/// The unit of a line; `None`: its goods are sold by the piece, or there is no such line.
pub(super) fn unit_of(ordered: &[OrderLine], line_number: Option<u32>) -> Option<UnitOfMeasure> {
    let index = usize::try_from(line_number?).ok()?.checked_sub(1)?;
    ordered.get(index)?.unit
}

fn read_each<T>(
    reader: &mut BodyReader,
    field: &JsonField<'_>,
    read: impl Fn(&mut BodyReader, &RawValue) -> Option<T>,
) -> Option<Vec<T>> {
    let elements = reader.array(field, 1..=MAX_ITEMS)?;
    let mut lines = Vec::with_capacity(elements.len());
    for (index, element) in elements.into_iter().enumerate() {
        lines.extend(reader.element(field, index, |reader| read(reader, element)));
    }
    Some(lines)
}

fn read_line(reader: &mut BodyReader, element: &RawValue, ordered: &[OrderLine]) -> Option<LineQuantity> {
    let fields = reader.fields(element)?;
    let [line_number, quantity] = reader.object(fields, ["lineNumber", "quantity"]);
    let line_number = reader.required(&line_number, |r, field| r.integer(field, 1..=u32::MAX));
    let unit = unit_of(ordered, line_number);
    let quantity = reader.required(&quantity, |r, field| read_quantity(r, field, unit, MAX_QUANTITY));
    Some(LineQuantity { line_number: line_number?, quantity: quantity? })
}

fn read_received_line(reader: &mut BodyReader, element: &RawValue, ordered: &[OrderLine]) -> Option<ReceivedLine> {
    let fields = reader.fields(element)?;
    let [line_number, quantity, condition, restock] =
        reader.object(fields, ["lineNumber", "quantity", "condition", "restock"]);
    let line_number = reader.required(&line_number, |r, field| r.integer(field, 1..=u32::MAX));
    let unit = unit_of(ordered, line_number);
    let quantity = reader.required(&quantity, |r, field| read_quantity(r, field, unit, MAX_QUANTITY));
    let condition = reader.optional(&condition, |r, field| r.text(field, |name: String| ItemCondition::parse(&name)));
    let is_restocked = reader.optional(&restock, BodyReader::boolean);
    let (condition, is_restocked) = (condition?, is_restocked?.unwrap_or(false));
    if is_restocked && condition.is_some_and(|condition| condition != ItemCondition::Sellable) {
        reader.violation_at(&restock, "contradiction", "only what is sellable is put back into stock");
    }
    Some(ReceivedLine { line_number: line_number?, quantity: quantity?, condition, restock: is_restocked })
}

/// Parcels, as many as `least` or more, each with a carrier or a tracking number.
pub(super) fn read_parcels(reader: &mut BodyReader, field: &JsonField<'_>, least: usize) -> Option<Vec<Parcel>> {
    let elements = reader.array(field, least..=MAX_PARCELS)?;
    let mut parcels = Vec::with_capacity(elements.len());
    for (index, element) in elements.into_iter().enumerate() {
        parcels.extend(reader.element(field, index, |reader| {
            let fields = reader.fields(element)?;
            let [carrier, tracking] = reader.object(fields, ["carrier", "tracking"]);
            let parcel = read_parcel(reader, &carrier, &tracking)?;
            if parcel.is_none() {
                reader.violation_at(&tracking, "required", "is required where there is no carrier");
            }
            parcel
        }));
    }
    Some(parcels)
}

/// `Some(None)`: neither was given.
#[expect(clippy::option_option, reason = "outer: was it valid; inner: was it given")]
fn read_parcel(reader: &mut BodyReader, carrier: &JsonField<'_>, tracking: &JsonField<'_>) -> Option<Option<Parcel>> {
    let carrier = reader.optional(carrier, |r, field| r.text_up_to(field, MAX_CARRIER_CHARS));
    let tracking = reader.optional(tracking, |r, field| r.text_up_to(field, MAX_TRACKING_CHARS));
    let parcel = Parcel { carrier: carrier?, tracking: tracking? };
    Some((parcel != Parcel::default()).then_some(parcel))
}

/// An amount above zero.
fn read_amount(reader: &mut BodyReader, field: &JsonField<'_>, currency: Currency) -> Option<Money> {
    let text = reader.number_text(field)?;
    match Money::parse(&text, currency) {
        Ok(amount) if amount.minor() > 0 => Some(amount),
        Ok(_) => {
            reader.violation_at(field, "out_of_range", "must be more than 0");
            None
        }
        Err(error) => {
            reader.violation_at(field, "invalid", error.to_string());
            None
        }
    }
}

pub(super) fn read_words(reader: &mut BodyReader, field: &JsonField<'_>, most_chars: usize) -> Option<String> {
    let text = reader.text_up_to(field, most_chars)?;
    if text.trim().is_empty() {
        reader.violation_at(field, "invalid", "must say something");
        return None;
    }
    Some(text)
}

//! What an edit changes in the rows of an order.

use domain::order::event::{AddedPayment, EditEvent, OrderChanges, OrderEdited, OrderLine};
use domain::order::{Order, PlacedOrder};
use read_models::Key;

use super::filter::folded;
use super::rows::{DetailsRow, LineRow, OrderRow};
use super::words;
use super::{DETAILS, FIRST_LINE, RecordedOrderEvent, key, put, take, with_email, with_sku, with_total};
use crate::error::FoldError;
use crate::fold_context::FoldWorkingSet;
use crate::keys::{sharded, sortable, sortable_amount};

/// The rows that an edit changes, as far as an earlier event created them. The first line is found by the order's total.
pub(super) fn keys_to_load(edited: &OrderEdited) -> Vec<String> {
    let changed = edited.changes.lines.iter().map(|change| line_key(change.line_number));
    let mut keys: Vec<String> = changed.chain([FIRST_LINE.to_owned(), DETAILS.to_owned()]).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn line_key(line_number: u32) -> String {
    format!("LINE#{line_number:03}")
}

/// Changes the rows beside the order's own. `order` is the order after the event.
pub(super) fn fold(
    items: &mut FoldWorkingSet,
    recorded: &RecordedOrderEvent,
    event: EditEvent<'_>,
    order: &OrderRow,
) -> Result<(), FoldError> {
    match event {
        EditEvent::OrderEditRequested(requested) => match &requested.payment {
            Some(added) => fold_added_payment(items, recorded, added, order),
            None => Ok(()),
        },
        EditEvent::OrderEdited(edited) => fold_edited(items, recorded, edited, order),
        EditEvent::OrderEditRejected(_) => Ok(()),
    }
}

/// Changes the rows of lines and of what is posted beside them. `order` is the order after the edit.
fn fold_edited(
    items: &mut FoldWorkingSet,
    recorded: &RecordedOrderEvent,
    edited: &OrderEdited,
    order: &OrderRow,
) -> Result<(), FoldError> {
    let Some(Order::Placed(placed)) = &order.folded else { return Ok(()) };
    let changes = &edited.changes;
    change_first_line(items, recorded, changes, order, placed)?;
    let others = changes.lines.iter().filter(|change| change.line_number != 1);
    for (change, line) in others.filter_map(|change| Some((change, placed.line(change.line_number)?))) {
        let sk = line_key(change.line_number);
        let mut row: LineRow = take(items, recorded, &sk)?;
        row.change(change, line, placed.content.currency);
        items.put_back(key(recorded, sk), recorded.position, row);
    }
    add_lines(items, recorded, &changes.added_lines, order, placed);
    let has_details = changes.shipping.is_some()
        || changes.discounts.is_some()
        || changes.billing_address.is_some()
        || changes.shipping_address.is_some();
    if has_details {
        let mut details: DetailsRow = items.take(&key(recorded, DETAILS))?.unwrap_or_default();
        details.change(changes, placed.content.currency);
        put(items, recorded, DETAILS.to_owned(), details);
    }
    Ok(())
}

/// The first line has the keys and the words by which its order is found. One of the keys is the total.
fn change_first_line(
    items: &mut FoldWorkingSet,
    recorded: &RecordedOrderEvent,
    changes: &OrderChanges,
    order: &OrderRow,
    placed: &PlacedOrder,
) -> Result<(), FoldError> {
    let mut row: LineRow = take(items, recorded, FIRST_LINE)?;
    let Some(line) = placed.line(1) else { return Ok(()) };
    if let Some(change) = changes.lines.iter().find(|change| change.line_number == 1) {
        row.change(change, line, placed.content.currency);
    }
    let (order_id, created) = (&order.order_id, created(order));
    let by_total = sharded(&with_total(placed.content.currency), order_id);
    let total = format!("{}#{order_id}", sortable_amount(placed.content.total_minor));
    let index_keys = [
        Some(Key::new(with_sku(line.sku.as_str()), created.clone())),
        order.customer_email.as_ref().map(|email| Key::new(with_email(&folded(email)), created)),
        Some(Key::new(by_total, total)),
    ];
    let words = words::of_lines(&changes.added_lines);
    items.put_with_words(key(recorded, FIRST_LINE), index_keys, recorded.position, row, words);
    Ok(())
}

/// An order is listed once under a SKU, even if several of its lines have it.
fn add_lines(
    items: &mut FoldWorkingSet,
    recorded: &RecordedOrderEvent,
    added: &[OrderLine],
    order: &OrderRow,
    placed: &PlacedOrder,
) {
    let before = placed.content.lines.len() - added.len();
    for (nth, line) in added.iter().enumerate() {
        let is_first = !placed.content.lines.iter().take(before + nth).any(|other| other.sku == line.sku);
        let by_sku = is_first.then(|| Key::new(with_sku(line.sku.as_str()), created(order)));
        let line_number = u32::try_from(before + nth + 1).unwrap_or(u32::MAX);
        let row = LineRow::new(line_number, line, placed.content.currency);
        items.put(key(recorded, line_key(line_number)), [by_sku, None, None], recorded.position, row);
    }
}

fn created(order: &OrderRow) -> String {
    format!("{}#{}", sortable(order.created_at), order.order_id)
}

/// An order with a payment that an edit adds shows all of its payments.
fn fold_added_payment(
    items: &mut FoldWorkingSet,
    recorded: &RecordedOrderEvent,
    added: &AddedPayment,
    order: &OrderRow,
) -> Result<(), FoldError> {
    let Some(Order::Placed(placed)) = &order.folded else { return Ok(()) };
    let mut details: DetailsRow = items.take(&key(recorded, DETAILS))?.unwrap_or_default();
    details.add_payment(added, placed);
    put(items, recorded, DETAILS.to_owned(), details);
    Ok(())
}

//! The lines of an order as mails show them, and how an edit changed them. As many as a message holds.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use domain::ids::Sku;
use domain::money::Money;
use domain::order::event::{LineQuantity, MailTemplate, OrderLine};
use domain::order::{EditedQuantity, OrderEdit, PlacedOrder};
use domain::quantity::Quantity;
use messaging::{EditDetails, EditedLine, OrderedLine, OrderedMeasure, WaitingUnits};

/// The most bytes of lines in a request. The rest of it stays well below the 256 KiB that every SQS takes.
pub(super) const MAX_LINE_BYTES: usize = 192 * 1024;
/// The most bytes of the lines that an edit changed, beside those.
const MAX_EDITED_BYTES: usize = 16 * 1024;

/// The lines that the mail shows, as many as a message holds, and how many more there are.
pub(super) fn lines(
    order: &PlacedOrder,
    template: MailTemplate,
    only: Option<&[LineQuantity]>,
) -> (Vec<OrderedLine>, u32) {
    let currency = order.content.currency;
    let all: Vec<(u32, u32, &OrderLine)> = match only {
        // A line that an edit removed has no units.
        None => {
            let all = order.numbered_lines().map(|(number, line)| (number, line.quantity, line));
            all.filter(|(_, units, _)| *units > 0).collect()
        }
        Some(only) => {
            let line = |it: &LineQuantity| {
                let (number, line) = order.numbered_lines().find(|(number, _)| *number == it.line_number)?;
                Some((number, it.quantity, line))
            };
            only.iter().filter_map(line).collect()
        }
    };
    let waiting = if says_what_waits(template) { waiting_units(order) } else { BTreeMap::new() };
    let shown = all.iter().map(|(number, quantity, line)| OrderedLine {
        sku: line.sku.to_string(),
        title: title(line),
        quantity: if line.unit.is_some() { 1 } else { *quantity },
        measure: line.unit.map(|unit| OrderedMeasure {
            quantity: Quantity::of(*quantity, Some(unit)).to_string(),
            unit: unit.to_string(),
        }),
        unit_price: line.unit_price(currency).to_string(),
        line_total: Money::from_minor(line.price_minor(*quantity), currency).to_string(),
        waiting: waiting.get(number).map(|(units, expected_at)| WaitingUnits {
            quantity: Quantity::of(*units, line.unit).to_string(),
            expected_at: expected_at.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true)),
        }),
    });
    let shown = fitting(shown, MAX_LINE_BYTES, |line| [&line.sku, &line.title]);
    let omitted = u32::try_from(all.len() - shown.len()).unwrap_or(u32::MAX);
    (shown, omitted)
}

/// Whether a mail is about an order that is still to be sent.
fn says_what_waits(template: MailTemplate) -> bool {
    match template {
        MailTemplate::OrderConfirmed | MailTemplate::OrderEdited | MailTemplate::StaffNewOrder => true,
        MailTemplate::OrderRejected
        | MailTemplate::OrderCancelled
        | MailTemplate::OrderShipped
        | MailTemplate::OrderRefunded
        | MailTemplate::PaymentReleased => false,
    }
}

/// How many units of each line are not in stock yet, by its number, and when the last of them are expected, if that is known. Units that
/// are there go to the first lines of a SKU.
fn waiting_units(order: &PlacedOrder) -> BTreeMap<u32, (u32, Option<DateTime<Utc>>)> {
    let mut left: BTreeMap<Sku, (u32, Option<DateTime<Utc>>)> = BTreeMap::new();
    for it in order.backorders() {
        match left.get_mut(&it.sku) {
            Some((units, expected_at)) => {
                *units = units.saturating_add(it.quantity);
                *expected_at = expected_at.zip(it.available_at).map(|(one, other)| one.max(other));
            }
            None => {
                left.insert(it.sku, (it.quantity, it.available_at));
            }
        }
    }
    let mut waiting = BTreeMap::new();
    // An order without backorders, as most are, needs no look at its lines.
    let unshipped = if left.is_empty() { vec![] } else { order.unshipped() };
    for LineQuantity { line_number, quantity } in unshipped.into_iter().rev() {
        let of_sku = order.line(line_number).and_then(|line| left.get_mut(&line.sku));
        let Some((units, expected_at)) = of_sku.filter(|(units, _)| *units > 0) else { continue };
        let taken = quantity.min(*units);
        *units -= taken;
        waiting.insert(line_number, (taken, *expected_at));
    }
    waiting
}

/// What an edit changed; `None`: it was not made.
pub(super) fn edit_details(order: &PlacedOrder, edit: &OrderEdit) -> Option<EditDetails> {
    let outcome = edit.outcome.as_ref()?;
    let amount = |minor: i64| Money::from_minor(minor, order.content.currency).to_string();
    let unless_zero = |minor: i64| (minor > 0).then(|| amount(minor));
    let added = edit.payment_number.and_then(|number| order.payments.iter().find(|it| it.number == number));
    let line = |it: &EditedQuantity| {
        let line = order.line(it.line_number)?;
        Some(EditedLine {
            sku: line.sku.to_string(),
            title: title(line),
            quantity_before: Quantity::of(it.before, line.unit).to_string(),
            quantity: Quantity::of(it.after, line.unit).to_string(),
            unit: line.unit.map(|unit| unit.to_string()),
        })
    };
    let all: Vec<EditedLine> = outcome.quantities.iter().filter_map(line).collect();
    let count = all.len();
    let shown = fitting(all.into_iter(), MAX_EDITED_BYTES, |line| [&line.sku, &line.title]);
    Some(EditDetails {
        total_before: amount(outcome.total_before_minor),
        total_after: Some(amount(outcome.total_after_minor)),
        omitted_lines: u32::try_from(count - shown.len()).unwrap_or(u32::MAX),
        lines: shown,
        added_payment: added.map(|payment| amount(payment.amount_minor)),
        released: unless_zero(outcome.released_minor),
        refunded: unless_zero(outcome.refunded_minor),
    })
}

/// The first lines, as many as have room for their names.
fn fitting<T>(lines: impl Iterator<Item = T>, most: usize, names: fn(&T) -> [&String; 2]) -> Vec<T> {
    let mut bytes = 0;
    // Quotes and control characters are longer in JSON than here, six times at the most.
    let fits = |line: &T| {
        bytes +=
            BESIDE_NAMES + names(line).map(|text| text.chars().map(json_bytes).sum::<usize>()).iter().sum::<usize>();
        bytes <= most
    };
    lines.take_while(fits).collect()
}

/// More than a line takes beside its names.
const BESIDE_NAMES: usize = 280;

/// The title, and which variant of the goods it is: those who pack have to tell them apart.
fn title(line: &OrderLine) -> String {
    match &line.variant {
        Some(variant) => format!("{} ({variant})", line.title),
        None => line.title.clone(),
    }
}

fn json_bytes(character: char) -> usize {
    match character {
        '"' | '\\' => 2,
        '\0'..='\u{1f}' => 6,
        other => other.len_utf8(),
    }
}

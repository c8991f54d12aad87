//! An order as a page for people.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::quantity::{Quantity, UnitOfMeasure};
use serde::Deserialize;

use crate::dlq::harmless;
use crate::page::{TerminalFormat, TextTable, TextTone};

#[cfg(test)]
mod tests;

/// An order as `GET /orders/{id}` answers it, as far as the page shows it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrderPageData {
    order_id: String,
    order_number: Option<String>,
    /// A guest has none.
    customer_id: Option<String>,
    customer_email: Option<String>,
    status: String,
    status_since: Option<DateTime<Utc>>,
    payment_status: String,
    fulfilment_status: String,
    returns_status: String,
    #[serde(default)]
    undoing: bool,
    #[serde(default)]
    holds: Vec<HoldView>,
    reason: Option<String>,
    created_at: DateTime<Utc>,
    total: AmountView,
    captured: Option<AmountView>,
    refunded: Option<AmountView>,
    cancelled: Option<AmountView>,
    notes: Option<String>,
    /// Its parts by name.
    #[serde(default)]
    shipping_address: BTreeMap<String, String>,
    /// The parts of the total by name; none if there are only items.
    #[serde(default)]
    totals: BTreeMap<String, AmountView>,
    #[serde(default)]
    payments: Vec<PaymentView>,
    lines: Vec<LineView>,
    shipments: Vec<ShipmentView>,
    #[serde(default)]
    cancellations: Vec<CancellationView>,
    returns: Vec<ReturnView>,
    refunds: Vec<RefundView>,
    added_notes: Vec<NoteView>,
    mails: Vec<MailView>,
    #[serde(default)]
    more: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct AmountView {
    amount: String,
    currency: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LineView {
    line_number: u32,
    sku: String,
    title: String,
    quantity: Quantity,
    #[serde(default)]
    unit: Option<UnitOfMeasure>,
    unit_price: AmountView,
    line_total: AmountView,
    shipped: Quantity,
    cancelled: Option<Quantity>,
    returned: Quantity,
}

#[derive(Debug, Deserialize)]
struct HoldView {
    #[serde(default)]
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PaymentView {
    payment_number: u32,
    method: Option<String>,
    amount: AmountView,
    status: String,
    reference: Option<String>,
    manual_refund: Option<AmountView>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct UnitsView {
    line_number: u32,
    quantity: Quantity,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ShipmentView {
    shipment_id: String,
    lines: Vec<UnitsView>,
    #[serde(default)]
    parcels: Vec<BTreeMap<String, Option<String>>>,
    shipped_at: DateTime<Utc>,
    settled: bool,
    delivered_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CancellationView {
    cancellation_id: String,
    lines: Vec<UnitsView>,
    reason: Option<String>,
    cancelled_at: DateTime<Utc>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReturnView {
    return_id: String,
    lines: Vec<UnitsView>,
    reason: Option<String>,
    requested_at: DateTime<Utc>,
    received_at: Option<DateTime<Utc>>,
    #[serde(default)]
    receipts: Vec<ReceiptView>,
    cancelled_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Deserialize)]
struct ReceiptView {
    lines: Vec<UnitsView>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RefundView {
    refund_id: String,
    amount: AmountView,
    reason: Option<String>,
    status: String,
    requested_at: DateTime<Utc>,
    refunded_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Deserialize)]
struct NoteView {
    text: String,
    author: Option<String>,
    at: DateTime<Utc>,
}

#[derive(Debug, Deserialize)]
struct MailView {
    template: String,
    status: String,
    recipient: Option<String>,
    reason: Option<String>,
    at: DateTime<Utc>,
}

impl OrderPageData {
    /// Its lines. `version` says which of its versions it is.
    pub(super) fn page(&self, version: &str, style: &TerminalFormat) -> Vec<String> {
        let mut lines = self.head(version, style);
        lines.push(String::new());
        lines.extend(self.articles(style));
        lines.push(String::new());
        lines.extend(self.state(style));
        for (name, rows) in [
            ("payments", self.payments(style)),
            ("shipments", self.shipments(style)),
            ("cancellations", self.cancellations(style)),
            ("returns", self.returns(style)),
            ("refunds", self.refunds(style)),
            ("addedNotes", self.notes(style)),
            ("mails", self.mails(style)),
        ] {
            if rows.is_empty() {
                continue;
            }
            let more = if self.more.iter().any(|more| more == name) { " (the latest)" } else { "" };
            let name = if name == "addedNotes" { "notes" } else { name };
            lines.push(String::new());
            lines.push(style.paint(TextTone::Heading, &format!("{name}{more}")));
            lines.extend(rows);
        }
        lines
    }

    fn head(&self, version: &str, style: &TerminalFormat) -> Vec<String> {
        let tone = match (self.undoing, self.status.as_str()) {
            (true, _) | (_, "pending") => TextTone::Waits,
            (_, "rejected" | "cancelled") => TextTone::Bad,
            _ => TextTone::Good,
        };
        let since = self.status_since.map_or_else(String::new, |since| format!("  {}", style.ago(since)));
        let undoing = if self.undoing { ", being undone" } else { "" };
        let reasons: Vec<String> = self.holds.iter().map(|hold| harmless(&hold.reason)).collect();
        let held = if reasons.is_empty() { String::new() } else { format!(", on hold: {}", reasons.join("; ")) };
        let mail = self.customer_email.as_ref().map_or_else(String::new, |mail| format!(", {mail}"));
        let id = style.paint(TextTone::Heading, &harmless(&self.order_id));
        let number = self.order_number.as_ref().map_or_else(String::new, |number| format!("  {}", harmless(number)));
        let mut lines = vec![
            format!("{id}{number}  {}{since}{undoing}{held}", style.paint(tone, &self.status)),
            style.paint(TextTone::Aside, version),
            harmless(&format!(
                "{}{mail}, ordered {}",
                self.customer_id.as_deref().unwrap_or("a guest"),
                style.ago(self.created_at)
            )),
        ];
        lines.extend(self.reason.iter().map(|reason| harmless(&format!("reason: {reason}"))));
        let parts = ["name", "company", "line1", "line2", "postalCode", "city", "region", "country"];
        let parts: Vec<&str> =
            parts.into_iter().filter_map(|part| Some(self.shipping_address.get(part)?.as_str())).collect();
        if !parts.is_empty() {
            lines.push(harmless(&format!("goes to {}", parts.join(", "))));
        }
        lines.extend(self.notes.iter().map(|notes| harmless(&format!("\"{notes}\""))));
        lines
    }

    fn articles(&self, style: &TerminalFormat) -> Vec<String> {
        let head = |text: &str| (TextTone::Aside, text.to_owned());
        let mut table = TextTable::of(&[true, false, false, true, true, true, true, true, true]);
        table.row(["line", "SKU", "title", "quantity", "price", "total", "shipped", "cancelled", "returned"].map(head));
        for line in &self.lines {
            table.row([
                plain(line.line_number.to_string()),
                plain(&line.sku),
                plain(&line.title),
                plain(line.unit.map_or_else(|| line.quantity.to_string(), |unit| format!("{} {unit}", line.quantity))),
                plain(&line.unit_price.amount),
                plain(&line.line_total.amount),
                plain(line.shipped.to_string()),
                plain(line.cancelled.map_or_else(|| "0".to_owned(), |cancelled| cancelled.to_string())),
                plain(line.returned.to_string()),
            ]);
        }
        table.without_columns_of(&["0"]).lines(style)
    }

    fn state(&self, style: &TerminalFormat) -> Vec<String> {
        let AmountView { amount: total, currency } = &self.total;
        let mut money = format!("{}; total {total} {currency}", self.payment_status);
        for (amount, what) in
            [(&self.captured, "taken"), (&self.refunded, "given back"), (&self.cancelled, "cancelled")]
        {
            if let Some(AmountView { amount, .. }) =
                amount.as_ref().filter(|it| it.amount.contains(|c| matches!(c, '1'..='9')))
            {
                money = format!("{money}, {amount} {what}");
            }
        }
        let parts = [("items", "items"), ("discounts", "discounts"), ("shipping", "shipping"), ("taxes", "taxes")];
        let parts = parts.into_iter().chain([("includedTaxes", "taxes in the prices")]);
        let parts = parts.filter_map(|(part, words)| Some((self.totals.get(part)?, words)));
        let parts: Vec<String> = parts.map(|(amount, words)| format!("{words} {}", amount.amount)).collect();
        let parts = if parts.is_empty() { "none".to_owned() } else { parts.join(", ") };
        let mut table = TextTable::of(&[false, false]).flush_left();
        let rows = [
            ("money", &money),
            ("made of", &parts),
            ("fulfilment", &self.fulfilment_status),
            ("returns", &self.returns_status),
        ];
        for (name, value) in rows.into_iter().filter(|(name, value)| *name == "money" || *value != "none") {
            table.row([(TextTone::Heading, name.to_owned()), plain(value)]);
        }
        table.lines(style)
    }

    fn payments(&self, style: &TerminalFormat) -> Vec<String> {
        rows(style, &self.payments, [true, false, true, false, false], |payment| {
            let tone = match payment.status.as_str() {
                "declined" => TextTone::Bad,
                "none" | "unknown" => TextTone::Waits,
                _ => TextTone::Good,
            };
            let amount = format!("{} {}", payment.amount.amount, payment.amount.currency);
            let elsewhere = payment.reference.as_ref().map(|reference| format!("paid elsewhere as {reference}"));
            let owed = payment.manual_refund.as_ref();
            let owed = owed.map(|owed| format!("a person has to give back {}", owed.amount));
            [
                plain(payment.payment_number.to_string()),
                plain(payment.method.as_deref().unwrap_or("–")),
                plain(amount),
                (tone, payment.status.clone()),
                plain(and([elsewhere.unwrap_or_default(), owed.unwrap_or_default()])),
            ]
        })
    }

    fn shipments(&self, style: &TerminalFormat) -> Vec<String> {
        rows(style, &self.shipments, [false; 3], |shipment| {
            let parcels = shipment.parcels.iter().map(|parcel| parcel.values().flatten().cloned().collect::<Vec<_>>());
            let parcels = parcels.map(|parcel| parcel.join(" ")).collect::<Vec<_>>().join(", ");
            let paid = if shipment.settled { "paid" } else { "not paid yet" };
            let arrived = shipment.delivered_at.map_or_else(String::new, |at| format!("arrived {}", style.ago(at)));
            let what = [units(&shipment.lines), paid.to_owned(), arrived, parcels];
            [plain(&shipment.shipment_id), plain(style.ago(shipment.shipped_at)), plain(and(what))]
        })
    }

    fn cancellations(&self, style: &TerminalFormat) -> Vec<String> {
        rows(style, &self.cancellations, [false; 3], |cancelled| {
            let reason = cancelled.reason.clone().unwrap_or_default();
            let what = [units(&cancelled.lines), reason];
            [plain(&cancelled.cancellation_id), plain(style.ago(cancelled.cancelled_at)), plain(and(what))]
        })
    }

    fn returns(&self, style: &TerminalFormat) -> Vec<String> {
        rows(style, &self.returns, [false; 4], |back| {
            let (tone, state, at) = match (back.received_at, back.cancelled_at) {
                (Some(at), _) => (TextTone::Good, "received", at),
                (None, Some(at)) => (TextTone::Good, "cancelled", at),
                (None, None) => (TextTone::Waits, "requested", back.requested_at),
            };
            let came = back.receipts.iter().map(|receipt| format!("came {}", units(&receipt.lines)));
            let came = came.collect::<Vec<_>>().join(", ");
            let what = [units(&back.lines), came, back.reason.clone().unwrap_or_default()];
            [plain(&back.return_id), (tone, state.to_owned()), plain(style.ago(at)), plain(and(what))]
        })
    }

    fn refunds(&self, style: &TerminalFormat) -> Vec<String> {
        rows(style, &self.refunds, [false, true, false, false, false], |refund| {
            let tone =
                if matches!(refund.status.as_str(), "requested" | "manual") { TextTone::Waits } else { TextTone::Good };
            let at = refund.refunded_at.unwrap_or(refund.requested_at);
            let amount = format!("{} {}", refund.amount.amount, refund.amount.currency);
            let reason = refund.reason.clone().unwrap_or_default();
            [
                plain(&refund.refund_id),
                plain(amount),
                (tone, refund.status.clone()),
                plain(style.ago(at)),
                plain(reason),
            ]
        })
    }

    fn notes(&self, style: &TerminalFormat) -> Vec<String> {
        rows(style, &self.added_notes, [false; 3], |note| {
            [plain(style.ago(note.at)), plain(note.author.as_deref().unwrap_or_default()), plain(&note.text)]
        })
    }

    fn mails(&self, style: &TerminalFormat) -> Vec<String> {
        rows(style, &self.mails, [false; 4], |mail| {
            let tone = if mail.status == "sent" { TextTone::Good } else { TextTone::Bad };
            let what = mail.recipient.as_ref().map(|to| format!("to {to}")).or_else(|| mail.reason.clone());
            [
                plain(&mail.template),
                (tone, mail.status.clone()),
                plain(style.ago(mail.at)),
                plain(what.unwrap_or_default()),
            ]
        })
    }
}

/// A line for each.
fn rows<T, const N: usize>(
    style: &TerminalFormat,
    items: &[T],
    numbers: [bool; N],
    row: impl Fn(&T) -> [(TextTone, String); N],
) -> Vec<String> {
    let mut table = TextTable::of(&numbers);
    items.iter().for_each(|item| table.row(row(item)));
    table.lines(style)
}

fn plain(text: impl Into<String>) -> (TextTone, String) {
    (TextTone::Plain, text.into())
}

/// `2 × line 1, 1 × line 3`.
fn units(lines: &[UnitsView]) -> String {
    let lines = lines.iter().map(|UnitsView { line_number, quantity }| format!("{quantity} × line {line_number}"));
    lines.collect::<Vec<_>>().join(", ")
}

fn and<const N: usize>(texts: [String; N]) -> String {
    texts.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ")
}

//! The mail that says: your order is confirmed.

use askama::Template;
use messaging::NotificationRequested;

use super::money::amount;
use super::{Content, one_line};

pub(super) fn content(request: &NotificationRequested) -> Result<Content, askama::Error> {
    let order = ConfirmedOrder::from(request);
    Ok(Content {
        subject: format!("Order {} confirmed", order.id),
        text: Text { order: &order }.render()?,
        html: Html { order: &order }.render()?,
    })
}

/// Every value on one line and readable; the templates escape them.
struct ConfirmedOrder {
    id: String,
    total: String,
    lines: Vec<ConfirmedLine>,
    omitted_lines: u32,
}

struct ConfirmedLine {
    sku: String,
    title: String,
    quantity: u32,
    unit_price: String,
    line_total: String,
}

#[derive(Template)]
#[template(path = "order_confirmed.txt")]
struct Text<'a> {
    order: &'a ConfirmedOrder,
}

#[derive(Template)]
#[template(path = "order_confirmed.html")]
struct Html<'a> {
    order: &'a ConfirmedOrder,
}

impl From<&NotificationRequested> for ConfirmedOrder {
    fn from(request: &NotificationRequested) -> Self {
        let currency = one_line(&request.currency, MOST);
        let price = |decimal: &str| amount(&one_line(decimal, MOST), &currency);
        let line = |line: &messaging::Line| ConfirmedLine {
            sku: one_line(&line.sku, MOST),
            title: one_line(&line.title, MOST),
            quantity: line.quantity,
            unit_price: price(&line.unit_price),
            line_total: price(&line.line_total),
        };
        Self {
            id: one_line(&request.order_id, MOST),
            total: price(&request.total_amount),
            lines: request.lines.iter().map(line).collect(),
            omitted_lines: request.omitted_lines,
        }
    }
}

/// The longest value shown, in characters: what the longest title may have.
const MOST: usize = 500;

#[cfg(test)]
mod tests;

//! The mail that says: your order was cancelled.

use askama::Template;

use super::MailContent;
use super::order::OrderInMail;

pub(super) fn content(order: &OrderInMail) -> Result<MailContent, askama::Error> {
    Ok(MailContent {
        subject: format!("Order {} was cancelled", order.id),
        text: OrderCancelledText { order }.render()?,
        html: OrderCancelledHtml { order }.render()?,
    })
}

#[derive(Template)]
#[template(path = "order_cancelled.txt")]
struct OrderCancelledText<'a> {
    order: &'a OrderInMail,
}

#[derive(Template)]
#[template(path = "order_cancelled.html")]
struct OrderCancelledHtml<'a> {
    order: &'a OrderInMail,
}

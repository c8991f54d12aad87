//! The mail that says: your order could not be accepted.

use askama::Template;

use super::MailContent;
use super::order::OrderInMail;

pub(super) fn content(order: &OrderInMail) -> Result<MailContent, askama::Error> {
    Ok(MailContent {
        subject: format!("Order {} could not be accepted", order.id),
        text: OrderRejectedText { order }.render()?,
        html: OrderRejectedHtml { order }.render()?,
    })
}

#[derive(Template)]
#[template(path = "order_rejected.txt")]
struct OrderRejectedText<'a> {
    order: &'a OrderInMail,
}

#[derive(Template)]
#[template(path = "order_rejected.html")]
struct OrderRejectedHtml<'a> {
    order: &'a OrderInMail,
}

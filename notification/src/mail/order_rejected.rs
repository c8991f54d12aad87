//! The mail that says: your order could not be accepted.

use askama::Template;

use super::MailContent;
use super::order::MailOrder;

pub(super) fn content(order: &MailOrder) -> Result<MailContent, askama::Error> {
    Ok(MailContent {
        subject: format!("Order {} could not be accepted", order.id),
        text: OrderRejectedText { order }.render()?,
        html: OrderRejectedHtml { order }.render()?,
    })
}

#[derive(Template)]
#[template(path = "order_rejected.txt")]
struct OrderRejectedText<'a> {
    order: &'a MailOrder,
}

#[derive(Template)]
#[template(path = "order_rejected.html")]
struct OrderRejectedHtml<'a> {
    order: &'a MailOrder,
}

//! The mail that says: your order was cancelled.

use askama::Template;

use super::MailContent;
use super::order::MailOrder;

pub(super) fn content(order: &MailOrder) -> Result<MailContent, askama::Error> {
    Ok(MailContent {
        subject: format!("Order {} was cancelled", order.id),
        text: Text { order }.render()?,
        html: Html { order }.render()?,
    })
}

#[derive(Template)]
#[template(path = "order_cancelled.txt")]
struct Text<'a> {
    order: &'a MailOrder,
}

#[derive(Template)]
#[template(path = "order_cancelled.html")]
struct Html<'a> {
    order: &'a MailOrder,
}

//! The mail that says: your order is confirmed.

use askama::Template;

use super::MailContent;
use super::order::MailOrder;

pub(super) fn content(order: &MailOrder) -> Result<MailContent, askama::Error> {
    Ok(MailContent {
        subject: format!("Order {} confirmed", order.id),
        text: Text { order }.render()?,
        html: Html { order }.render()?,
    })
}

#[derive(Template)]
#[template(path = "order_confirmed.txt")]
struct Text<'a> {
    order: &'a MailOrder,
}

#[derive(Template)]
#[template(path = "order_confirmed.html")]
struct Html<'a> {
    order: &'a MailOrder,
}

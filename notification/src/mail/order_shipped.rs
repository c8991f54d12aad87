//! The mail that says: your order, or a part of it, is on its way.

use askama::Template;

use super::MailContent;
use super::order::MailOrder;

pub(super) fn content(order: &MailOrder) -> Result<MailContent, askama::Error> {
    Ok(MailContent {
        subject: format!("Order {} has shipped", order.id),
        text: Text { order }.render()?,
        html: Html { order }.render()?,
    })
}

#[derive(Template)]
#[template(path = "order_shipped.txt")]
struct Text<'a> {
    order: &'a MailOrder,
}

#[derive(Template)]
#[template(path = "order_shipped.html")]
struct Html<'a> {
    order: &'a MailOrder,
}

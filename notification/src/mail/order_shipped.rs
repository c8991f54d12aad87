//! The mail that says: your order, or a part of it, is on its way.

use askama::Template;

use super::MailContent;
use super::order::OrderInMail;

pub(super) fn content(order: &OrderInMail) -> Result<MailContent, askama::Error> {
    Ok(MailContent {
        subject: format!("Order {} has shipped", order.id),
        text: OrderShippedText { order }.render()?,
        html: OrderShippedHtml { order }.render()?,
    })
}

#[derive(Template)]
#[template(path = "order_shipped.txt")]
struct OrderShippedText<'a> {
    order: &'a OrderInMail,
}

#[derive(Template)]
#[template(path = "order_shipped.html")]
struct OrderShippedHtml<'a> {
    order: &'a OrderInMail,
}

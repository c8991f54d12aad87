//! The mail that says: your order is confirmed.

use askama::Template;

use super::MailContent;
use super::order::OrderInMail;

pub(super) fn content(order: &OrderInMail) -> Result<MailContent, askama::Error> {
    Ok(MailContent {
        subject: format!("Order {} confirmed", order.id),
        text: OrderConfirmedText { order }.render()?,
        html: OrderConfirmedHtml { order }.render()?,
    })
}

#[derive(Template)]
#[template(path = "order_confirmed.txt")]
struct OrderConfirmedText<'a> {
    order: &'a OrderInMail,
}

#[derive(Template)]
#[template(path = "order_confirmed.html")]
struct OrderConfirmedHtml<'a> {
    order: &'a OrderInMail,
}

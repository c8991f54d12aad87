//! The mail that says: your order could not be accepted.

use askama::Template;

use super::Content;
use super::order::Order;

pub(super) fn content(order: &Order) -> Result<Content, askama::Error> {
    Ok(Content {
        subject: format!("Order {} could not be accepted", order.id),
        text: Text { order }.render()?,
        html: Html { order }.render()?,
    })
}

#[derive(Template)]
#[template(path = "order_rejected.txt")]
struct Text<'a> {
    order: &'a Order,
}

#[derive(Template)]
#[template(path = "order_rejected.html")]
struct Html<'a> {
    order: &'a Order,
}

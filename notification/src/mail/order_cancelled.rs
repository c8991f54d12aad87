//! The mail that says: your order was cancelled.

use askama::Template;

use super::Content;
use super::order::Order;

pub(super) fn content(order: &Order) -> Result<Content, askama::Error> {
    Ok(Content {
        subject: format!("Order {} was cancelled", order.id),
        text: Text { order }.render()?,
        html: Html { order }.render()?,
    })
}

#[derive(Template)]
#[template(path = "order_cancelled.txt")]
struct Text<'a> {
    order: &'a Order,
}

#[derive(Template)]
#[template(path = "order_cancelled.html")]
struct Html<'a> {
    order: &'a Order,
}

//! The mail that says: you get money back.

use askama::Template;

use super::Content;
use super::order::Order;

pub(super) fn content(order: &Order) -> Result<Content, askama::Error> {
    Ok(Content {
        subject: format!("Refund for order {}", order.id),
        text: Text { order }.render()?,
        html: Html { order }.render()?,
    })
}

#[derive(Template)]
#[template(path = "order_refunded.txt")]
struct Text<'a> {
    order: &'a Order,
}

#[derive(Template)]
#[template(path = "order_refunded.html")]
struct Html<'a> {
    order: &'a Order,
}

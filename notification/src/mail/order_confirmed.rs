//! The mail that says: your order is confirmed.

use askama::Template;

use super::Content;
use super::order::Order;

pub(super) fn content(order: &Order) -> Result<Content, askama::Error> {
    Ok(Content {
        subject: format!("Order {} confirmed", order.id),
        text: Text { order }.render()?,
        html: Html { order }.render()?,
    })
}

#[derive(Template)]
#[template(path = "order_confirmed.txt")]
struct Text<'a> {
    order: &'a Order,
}

#[derive(Template)]
#[template(path = "order_confirmed.html")]
struct Html<'a> {
    order: &'a Order,
}

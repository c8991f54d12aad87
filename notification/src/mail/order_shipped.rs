//! The mail that says: your order, or a part of it, is on its way.

use askama::Template;

use super::Content;
use super::order::Order;

pub(super) fn content(order: &Order) -> Result<Content, askama::Error> {
    Ok(Content {
        subject: format!("Order {} has shipped", order.id),
        text: Text { order }.render()?,
        html: Html { order }.render()?,
    })
}

#[derive(Template)]
#[template(path = "order_shipped.txt")]
struct Text<'a> {
    order: &'a Order,
}

#[derive(Template)]
#[template(path = "order_shipped.html")]
struct Html<'a> {
    order: &'a Order,
}

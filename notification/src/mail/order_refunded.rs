//! The mail that says: you get money back.

use askama::Template;

use super::MailContent;
use super::order::MailOrder;

pub(super) fn content(order: &MailOrder) -> Result<MailContent, askama::Error> {
    Ok(MailContent {
        subject: format!("Refund for order {}", order.id),
        text: OrderRefundedText { order }.render()?,
        html: OrderRefundedHtml { order }.render()?,
    })
}

#[derive(Template)]
#[template(path = "order_refunded.txt")]
struct OrderRefundedText<'a> {
    order: &'a MailOrder,
}

#[derive(Template)]
#[template(path = "order_refunded.html")]
struct OrderRefundedHtml<'a> {
    order: &'a MailOrder,
}

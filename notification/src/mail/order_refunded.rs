//! The mail that says: you get money back.

use askama::Template;

use super::MailContent;
use super::order::OrderInMail;

pub(super) fn content(order: &OrderInMail) -> Result<MailContent, askama::Error> {
    Ok(MailContent {
        subject: format!("Refund for order {}", order.id),
        text: OrderRefundedText { order }.render()?,
        html: OrderRefundedHtml { order }.render()?,
    })
}

#[derive(Template)]
#[template(path = "order_refunded.txt")]
struct OrderRefundedText<'a> {
    order: &'a OrderInMail,
}

#[derive(Template)]
#[template(path = "order_refunded.html")]
struct OrderRefundedHtml<'a> {
    order: &'a OrderInMail,
}

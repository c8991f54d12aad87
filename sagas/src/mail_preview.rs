//! The request for a mail of an order, for people who look at the mail without sending it.

use domain::order::mail_triggers::OwedMail;
use event_store::EventStore;
use messaging::{NotificationRequested, NotificationTemplate};
use uuid::Uuid;

use crate::notify_customer::{DocumentUrl, content};
use crate::order_session::OrderSession;
use crate::reply_consumer::template as template_of;

/// Why there is no request for a mail of an order.
#[derive(Debug, thiserror::Error)]
pub enum MailRequestError {
    #[error("there is no order {0}")]
    NoSuchOrder(String),
    /// The causes, on one line.
    #[error("order {order_id} can't be read: {causes}")]
    Unreadable { order_id: String, causes: String },
}

/// What notification is asked for by the order's last mail of a template. If it called for none, what it would be asked for.
pub async fn mail_request(
    store: &EventStore,
    order_id: &str,
    template: NotificationTemplate,
    document_url: Option<&DocumentUrl>,
) -> Result<NotificationRequested, MailRequestError> {
    let order = OrderSession::read(store, order_id)
        .await
        .map_err(|error| MailRequestError::Unreadable { order_id: order_id.to_owned(), causes: error.to_string() })?;
    let order = order.ok_or_else(|| MailRequestError::NoSuchOrder(order_id.to_owned()))?;
    let template = template_of(template);
    let nth = order.mail_triggers.count(template).saturating_sub(1);
    Ok(content(&order, &OwedMail { template, nth, notification_id: Uuid::nil(), cause: Uuid::nil() }, 1, document_url))
}

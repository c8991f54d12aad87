//! What notification answers, recorded on the order. The event it leaves carries the saga on.

use domain::{MailTemplate, Order, OrderCommand, Refusal, decide};
use event_store::{EventStore, ExecuteError, Loaded, Metadata};
use messaging::{Handler, HandlerError, NotificationAnswer, Received, Template};

pub(crate) struct Answers {
    store: EventStore,
}

impl Answers {
    pub(crate) fn new(store: EventStore) -> Self {
        Self { store }
    }
}

impl Handler for Answers {
    async fn handle(&self, message: &Received) -> Result<(), HandlerError> {
        let answer = NotificationAnswer::parse(&message.body).map_err(|error| HandlerError::dead(error.to_string()))?;
        let order_id = answer.subject;
        let command = command(answer.data);

        let retry = |error: &dyn std::error::Error| HandlerError::retry(error.to_string());
        let events = self.store.read_stream::<Order>(&order_id).await.map_err(|error| retry(&error))?;
        let stream = Loaded::fold(&events).map_err(|error| retry(&error))?;
        let metadata = events.last().map(|last| Metadata::caused_by(last, "notification")).unwrap_or_default();
        let recorded =
            self.store.execute(&order_id, stream, &metadata, |order: &Order| decide(order, command.clone())).await;
        match recorded {
            Ok(_) => Ok(()),
            Err(ExecuteError::Refused(Refusal::NoSuchOrder)) => {
                Err(HandlerError::dead(format!("there is no order {order_id}")))
            }
            Err(error) => Err(retry(&error)),
        }
    }
}

fn command(answer: NotificationAnswer) -> OrderCommand {
    match answer {
        NotificationAnswer::Sent(sent) => OrderCommand::RecordNotificationSent(domain::NotificationSent {
            notification_id: sent.notification_id,
            template: template(sent.template),
            recipient: sent.recipient,
            provider_message_id: sent.provider_message_id,
        }),
        NotificationAnswer::Failed(failed) => OrderCommand::RecordNotificationFailed(domain::NotificationFailed {
            notification_id: failed.notification_id,
            template: template(failed.template),
            reason: failed.reason,
        }),
    }
}

fn template(template: Template) -> MailTemplate {
    match template {
        Template::OrderConfirmed => MailTemplate::OrderConfirmed,
        Template::OrderRejected => MailTemplate::OrderRejected,
        Template::OrderCancelled => MailTemplate::OrderCancelled,
        Template::OrderShipped => MailTemplate::OrderShipped,
        Template::OrderRefunded => MailTemplate::OrderRefunded,
    }
}

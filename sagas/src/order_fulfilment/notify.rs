//! Tells the customer that the order is confirmed: a request over SQS, answered over SQS.

use std::time::Duration;

use domain::{MailTemplate, NotificationFailed, Order, OrderCommand, OrderEvent, PlacedOrder, decide};
use event_store::{Metadata, StoredEvent};
use futures_util::FutureExt;
use messaging::{CloudEvent, Line, NotificationRequested, Outgoing, Template};
use uuid::Uuid;

use super::{Done, Due, Kind, NAME, Outcomes, Step, StepError, Undo};
use crate::Context;

pub(super) const STEP: Step = Step {
    name: "notify",
    kind: Kind::ForwardOnly,
    undo: Undo::Nothing { because: "what the customer was told was true" },
    is_done: |order| order.mails.contains_key(&TEMPLATE),
    run: notify,
};

const TEMPLATE: MailTemplate = MailTemplate::OrderConfirmed;
/// How often a mail is asked for before it is given up. With the wait doubled each time up to ten minutes, that takes
/// about an hour and a half: longer than notification is down without anyone noticing.
const MAX_REQUESTS: u32 = 14;
/// How long the queue may take for all requests of a batch.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most bytes of lines in a request: with the rest of it well below the 256 KiB that every SQS takes.
const MAX_LINE_BYTES: usize = 192 * 1024;

fn notify<'a>(context: &'a Context, orders: &'a [Due]) -> Outcomes<'a> {
    async move {
        let mut results: Vec<Option<Result<Done, StepError>>> = Vec::with_capacity(orders.len());
        let mut requests = Vec::with_capacity(orders.len());
        for due in orders {
            results.push(if due.sent >= MAX_REQUESTS {
                Some(give_up(context, due).await)
            } else {
                match request(due) {
                    Ok(message) => {
                        requests.push(message);
                        None
                    }
                    Err(error) => Some(Err(error)),
                }
            });
        }
        // A queue that says nothing must not hold the transaction open until the server ends it: then nothing would be
        // noted. What did go out goes out again under the same id, which the queue drops.
        let sent = tokio::time::timeout(PATIENCE, context.notifications.send(requests)).await;
        let mut sent = sent.unwrap_or_default().into_iter();
        let of_request = |sent: Option<Result<(), messaging::SendError>>| match sent {
            Some(Ok(())) => Ok(Done::Asked),
            Some(Err(error)) => Err(StepError::new(&error)),
            None => Err(StepError(format!("the queue did not take it within {} s", PATIENCE.as_secs()))),
        };
        results.into_iter().map(|result| result.unwrap_or_else(|| of_request(sent.next()))).collect()
    }
    .boxed()
}

/// The message that asks for the mail: the same to the letter each time, but for the attempt.
fn request(due: &Due) -> Result<Outgoing, StepError> {
    let cause = confirmation(due)?;
    let attempt = due.sent + 1;
    let data = requested(notification_id(cause), attempt, &due.order_id, &due.order);
    let event = CloudEvent::new(&due.order_id, cause.recorded_at, data).traced(cause.metadata().traceparent);
    Outgoing::event(&event, attempt).map_err(|error| StepError::new(&error))
}

/// The event that the customer is told of.
fn confirmation(due: &Due) -> Result<&StoredEvent, StepError> {
    let confirmed = |event: &&StoredEvent| matches!(event.decode::<Order>(), Ok(OrderEvent::OrderConfirmed(_)));
    due.events.iter().find(confirmed).ok_or_else(|| StepError("the order was never confirmed".to_owned()))
}

/// One mail per confirmation, whoever asks for it and how often.
fn notification_id(cause: &StoredEvent) -> Uuid {
    Uuid::new_v5(&cause.event_id, TEMPLATE.name().as_bytes())
}

fn requested(notification_id: Uuid, attempt: u32, order_id: &str, order: &PlacedOrder) -> NotificationRequested {
    let content = &order.content;
    let currency = content.currency;
    let mut bytes = 0;
    let lines = content.lines.iter().map(|line| Line {
        sku: line.sku.to_string(),
        title: line.title.clone(),
        quantity: line.quantity,
        unit_price: line.unit_price(currency).to_string(),
        line_total: line.total(currency).to_string(),
    });
    // Quotes and control characters are longer in JSON than here, six times at the most.
    let fits = |line: &Line| {
        bytes += 200 + line.sku.len() + line.title.chars().map(json_bytes).sum::<usize>();
        bytes <= MAX_LINE_BYTES
    };
    let lines: Vec<Line> = lines.take_while(fits).collect();
    NotificationRequested {
        notification_id,
        attempt,
        template: match TEMPLATE {
            MailTemplate::OrderConfirmed => Template::OrderConfirmed,
        },
        recipient: content.customer_email.as_ref().map(ToString::to_string),
        order_id: order_id.to_owned(),
        customer_id: content.customer_id.to_string(),
        currency: currency.code().to_owned(),
        total_amount: content.total().to_string(),
        omitted_lines: u32::try_from(content.lines.len() - lines.len()).unwrap_or(u32::MAX),
        retry_failed: false,
        lines,
    }
}

fn json_bytes(character: char) -> usize {
    match character {
        '"' | '\\' => 2,
        '\0'..='\u{1f}' => 6,
        other => other.len_utf8(),
    }
}

/// Records that the mail was given up because nobody answered. Should it go out after all, that is recorded then.
async fn give_up(context: &Context, due: &Due) -> Result<Done, StepError> {
    let cause = confirmation(due)?;
    let failed = NotificationFailed {
        notification_id: notification_id(cause),
        template: TEMPLATE,
        reason: format!("no answer to {} requests", due.sent),
    };
    let give_up = |order: &Order| decide(order, OrderCommand::RecordNotificationFailed(failed.clone()));
    let metadata = Metadata::caused_by(cause, NAME);
    let executed = context.store.execute(&due.order_id, due.stream.clone(), &metadata, give_up).await;
    executed.map(|_| Done::Recorded).map_err(|error| StepError::new(&error))
}

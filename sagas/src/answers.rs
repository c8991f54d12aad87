//! What notification answers, recorded on the order. The event it leaves carries the saga on.
//!
//! Answers that come while others are being recorded are recorded together: their orders are read at once, and their events
//! are in one transaction of the log.

use std::collections::HashMap;

use domain::stock::Stock;
use domain::{MailTemplate, Order, OrderCommand};
use event_store::{EventStore, SingleWriter, StoredEvent};
use messaging::{Handler, HandlerError, NotificationAnswer, Received, Template};
use tokio::sync::{mpsc, oneshot};

use crate::case::Case;
use crate::shelf;

/// The most answers that are recorded together.
const TOGETHER: usize = 256;
/// Who records them: not the saga, which therefore looks at the order again.
const ACTOR: &str = "notification";

pub(crate) struct Answers {
    told: mpsc::Sender<Told>,
}

/// An answer, and whom to tell that it is recorded.
struct Told {
    order_id: String,
    command: OrderCommand,
    recorded: oneshot::Sender<Result<(), HandlerError>>,
}

impl Answers {
    /// The task that records them ends with this.
    pub(crate) fn start(store: EventStore, stock: SingleWriter<Stock>) -> Self {
        let (told, mut waiting) = mpsc::channel(TOGETHER);
        tokio::spawn(async move {
            let mut batch = Vec::new();
            while waiting.recv_many(&mut batch, TOGETHER).await > 0 {
                record(&store, &stock, std::mem::take(&mut batch)).await;
            }
        });
        Self { told }
    }
}

impl Handler for Answers {
    async fn handle(&self, message: &Received) -> Result<(), HandlerError> {
        let answer = NotificationAnswer::parse(&message.body).map_err(|error| HandlerError::dead(error.to_string()))?;
        let (recorded, told) = oneshot::channel();
        let stopped = || HandlerError::retry("the process is stopping");
        let (order_id, command) = (answer.subject, command(answer.data));
        self.told.send(Told { order_id, command, recorded }).await.map_err(|_| stopped())?;
        told.await.unwrap_or_else(|_| Err(stopped()))
    }
}

async fn record(store: &EventStore, stock: &SingleWriter<Stock>, batch: Vec<Told>) {
    let mut by_order: HashMap<String, Vec<Told>> = HashMap::new();
    for told in batch {
        by_order.entry(told.order_id.clone()).or_default().push(told);
    }
    let ids: Vec<String> = by_order.keys().cloned().collect();
    let streams = match store.read_streams::<Order>(&ids).await {
        Ok(streams) => streams,
        Err(error) => {
            let failed = HandlerError::retry(error.to_string());
            return by_order.into_values().flatten().for_each(|told| told.tell(Err(failed.clone())));
        }
    };
    let (mut cases, mut waiting) = (Vec::with_capacity(ids.len()), HashMap::with_capacity(ids.len()));
    for (order_id, told) in by_order {
        match open(streams.get(&order_id).map_or(&[][..], Vec::as_slice), &told) {
            Ok(case) => {
                cases.push(case);
                waiting.insert(order_id, told);
            }
            Err(error) => told.into_iter().for_each(|told| told.tell(Err(error.clone()))),
        }
    }
    for (case, saved) in shelf::save(store, stock, cases).await {
        let saved = saved.map_err(|error| HandlerError::retry(error.to_string()));
        waiting.remove(&case.order_id).into_iter().flatten().for_each(|told| told.tell(saved.clone()));
    }
}

/// The order with what was told of it.
fn open(events: &[StoredEvent], told: &[Told]) -> Result<Case, HandlerError> {
    let case = Case::open(events).map_err(|error| HandlerError::retry(error.to_string()))?;
    let mut case = case.ok_or_else(|| HandlerError::dead("there is no such order"))?;
    case.metadata.actor = Some(ACTOR.to_owned());
    for told in told {
        case.take(told.command.clone()).map_err(|refusal| HandlerError::dead(refusal.to_string()))?;
    }
    Ok(case)
}

impl Told {
    fn tell(self, recorded: Result<(), HandlerError>) {
        // Whoever stopped waiting is told again: the message comes back.
        let _ = self.recorded.send(recorded);
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

//! Consumes notification's replies and records each on its order. That event carries the saga on.
//!
//! Replies that arrive while others are being recorded are recorded together: their orders are read at once, and their events are
//! stored in one transaction of the log. Each reply is accepted or refused by itself. A reply that names no order, or a mail that its
//! order never requested, is a dead letter, and does not affect the others.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use domain::ids::OrderId;
use domain::order::event::MailTemplate;
use domain::order::{MailOutcome, OrderCommand};
use domain::stock::Stock;
use error_chain::error_chain;
use event_store::{EventStore, StoredEvent, StreamLocks};
use futures_util::FutureExt;
use messaging::{MessageHandler, MessageHandlerError, NotificationAnswer, NotificationTemplate, ReceivedMessage};
use tokio::sync::{mpsc, oneshot};

use crate::batched_reads::OrderBatchReader;
use crate::order_session::OrderSession;
use crate::{SagaMetrics, unit_of_work};

/// The most replies that are recorded together.
const BATCH: usize = 256;
/// The actor of the recorded events. It is not the saga, so the saga looks at the order again.
const ACTOR: &str = "notification";

/// Records notification's answers on their orders, many at once.
pub(crate) struct ReplyConsumer {
    pending: mpsc::Sender<PendingReply>,
}

/// A reply, and whom to tell that it is recorded.
struct PendingReply {
    reply: MailReply,
    recorded: oneshot::Sender<ReplyRecorded>,
}

/// What became of a mail of an order.
#[derive(Clone)]
struct MailReply {
    order_id: String,
    answer: NotificationAnswer,
}

type ReplyRecorded = Result<(), MessageHandlerError>;

impl ReplyConsumer {
    /// Starts the task that records replies. It ends when this is dropped.
    pub(crate) fn start(store: EventStore, stock: StreamLocks<Stock>, metrics: SagaMetrics) -> Self {
        let recorder = Arc::new(ReplyRecorder { store, stock, metrics });
        Self::recorded_by(move |batch| {
            let recorder = Arc::clone(&recorder);
            async move { recorder.record(&batch).await }
        })
    }

    fn recorded_by<Work>(record: impl Fn(Vec<MailReply>) -> Work + Send + Sync + 'static) -> Self
    where
        Work: Future<Output = Vec<ReplyRecorded>> + Send + 'static,
    {
        let (pending, mut receiver) = mpsc::channel(BATCH);
        tokio::spawn(async move {
            let mut batch: Vec<PendingReply> = Vec::new();
            while receiver.recv_many(&mut batch, BATCH).await > 0 {
                let (replies, waiting): (Vec<_>, Vec<_>) = batch.drain(..).map(|it| (it.reply, it.recorded)).unzip();
                for (waiting, recorded) in waiting.into_iter().zip(record_or_isolate(&record, replies).await) {
                    // If nobody waits any more, the message comes again.
                    let _ = waiting.send(recorded);
                }
            }
        });
        Self { pending }
    }
}

/// Records replies. If that panics, each is recorded by itself, so that only the one that causes the panic is not.
async fn record_or_isolate<Work: Future<Output = Vec<ReplyRecorded>>>(
    record: &impl Fn(Vec<MailReply>) -> Work,
    batch: Vec<MailReply>,
) -> Vec<ReplyRecorded> {
    if let Ok(recorded) = AssertUnwindSafe(record(batch.clone())).catch_unwind().await {
        return recorded;
    }
    tracing::error!(answers = batch.len(), "recording answers panicked; each is recorded by itself");
    let mut recorded = Vec::with_capacity(batch.len());
    for reply in batch {
        let alone = AssertUnwindSafe(record(vec![reply])).catch_unwind().await.ok().and_then(|mut alone| alone.pop());
        recorded.push(alone.unwrap_or_else(|| Err(MessageHandlerError::retry("recording it panicked"))));
    }
    recorded
}

impl MessageHandler for ReplyConsumer {
    async fn handle(&self, message: &ReceivedMessage) -> Result<(), MessageHandlerError> {
        let event =
            NotificationAnswer::parse(&message.body).map_err(|error| MessageHandlerError::dead(error_chain(&error)))?;
        // A text that is no id can't be looked up together with the ids of others. It names no order.
        OrderId::parse(&event.subject).map_err(|_| no_such_order())?;
        self.record(MailReply { order_id: event.subject, answer: event.data }).await
    }
}

impl ReplyConsumer {
    /// Waits until the reply is recorded.
    async fn record(&self, reply: MailReply) -> ReplyRecorded {
        let (recorded, result) = oneshot::channel();
        let stopped = || MessageHandlerError::retry("the process is stopping");
        self.pending.send(PendingReply { reply, recorded }).await.map_err(|_| stopped())?;
        result.await.unwrap_or_else(|_| Err(stopped()))
    }
}

struct ReplyRecorder {
    store: EventStore,
    stock: StreamLocks<Stock>,
    metrics: SagaMetrics,
}

impl ReplyRecorder {
    async fn record(&self, batch: &[MailReply]) -> Vec<ReplyRecorded> {
        let mut recorded = vec![Ok(()); batch.len()];
        let mut by_order: HashMap<String, Vec<usize>> = HashMap::new();
        for (nth, reply) in batch.iter().enumerate() {
            by_order.entry(reply.order_id.clone()).or_default().push(nth);
        }
        let mut unread = OrderBatchReader::new(by_order);
        while !unread.is_empty() {
            match unread.read_batch(&self.store).await {
                Ok(orders) => self.record_on(orders, batch, &mut recorded).await,
                Err(error) => {
                    let failed = MessageHandlerError::retry(error.to_string());
                    unread.into_rest().flatten().for_each(|nth| recorded[nth] = Err(failed.clone()));
                    break;
                }
            }
        }
        recorded
    }

    /// Records the replies that are about these orders.
    async fn record_on(
        &self,
        orders: Vec<(Vec<usize>, Vec<StoredEvent>)>,
        batch: &[MailReply],
        recorded: &mut [ReplyRecorded],
    ) {
        let (mut sessions, mut decided) = (Vec::with_capacity(orders.len()), HashMap::with_capacity(orders.len()));
        for (replies, events) in orders {
            let mut order = match open(&events) {
                Ok(order) => order,
                Err(error) => {
                    replies.into_iter().for_each(|nth| recorded[nth] = Err(error.clone()));
                    continue;
                }
            };
            let mut of_order = Vec::with_capacity(replies.len());
            for nth in replies {
                let known = order.unstored().len();
                match batch[nth].decide_on(&mut order) {
                    Ok(()) => of_order.push((nth, order.unstored().len() > known)),
                    Err(refused) => recorded[nth] = Err(refused),
                }
            }
            decided.insert(order.order_id.clone(), of_order);
            sessions.push(order);
        }
        for (order, stored) in unit_of_work::store(&self.store, &self.stock, sessions).await {
            let stored = stored.map_err(|error| MessageHandlerError::retry(error.to_string()));
            for (nth, is_new) in decided.remove(&order.order_id).into_iter().flatten() {
                if is_new && stored.is_ok() {
                    let (template, outcome) = batch[nth].outcome();
                    self.metrics.mail_outcome(template, outcome);
                }
                recorded[nth].clone_from(&stored);
            }
        }
    }
}

fn open(events: &[StoredEvent]) -> Result<OrderSession, MessageHandlerError> {
    let order = OrderSession::open(events).map_err(|error| MessageHandlerError::retry(error_chain(&error)))?;
    let mut order = order.ok_or_else(no_such_order)?;
    order.metadata.actor = Some(ACTOR.to_owned());
    Ok(order)
}

fn no_such_order() -> MessageHandlerError {
    MessageHandlerError::dead("there is no such order")
}

impl MailReply {
    /// Decides on the order by the reply, or says why the order refuses it.
    fn decide_on(&self, order: &mut OrderSession) -> ReplyRecorded {
        let template = self.outcome().0;
        let notification_id = match &self.answer {
            NotificationAnswer::Sent(sent) => sent.notification_id,
            NotificationAnswer::Failed(failed) => failed.notification_id,
        };
        let nth = order.mail_triggers.requested_mail(&order.order, template, notification_id).ok_or_else(|| {
            MessageHandlerError::dead(format!("the order did not ask for a mail {} {notification_id}", template.name()))
        })?;
        order
            .decide(command(self.answer.clone(), nth))
            .map_err(|refusal| MessageHandlerError::dead(refusal.to_string()))
    }

    fn outcome(&self) -> (MailTemplate, MailOutcome) {
        match &self.answer {
            NotificationAnswer::Sent(sent) => (template(sent.template), MailOutcome::Sent),
            NotificationAnswer::Failed(failed) => (template(failed.template), MailOutcome::Failed),
        }
    }
}

fn command(answer: NotificationAnswer, nth: usize) -> OrderCommand {
    match answer {
        NotificationAnswer::Sent(sent) => {
            OrderCommand::RecordNotificationSent(domain::order::event::NotificationSent {
                notification_id: sent.notification_id,
                template: template(sent.template),
                recipient: sent.recipient,
                provider_message_id: sent.provider_message_id,
                nth: Some(nth),
            })
        }
        NotificationAnswer::Failed(failed) => {
            OrderCommand::RecordNotificationFailed(domain::order::event::NotificationFailed {
                notification_id: failed.notification_id,
                template: template(failed.template),
                reason: failed.reason,
                nth: Some(nth),
            })
        }
    }
}

pub(crate) fn template(template: NotificationTemplate) -> MailTemplate {
    match template {
        NotificationTemplate::OrderConfirmed => MailTemplate::OrderConfirmed,
        NotificationTemplate::OrderRejected => MailTemplate::OrderRejected,
        NotificationTemplate::OrderCancelled => MailTemplate::OrderCancelled,
        NotificationTemplate::OrderShipped => MailTemplate::OrderShipped,
        NotificationTemplate::OrderRefunded => MailTemplate::OrderRefunded,
        NotificationTemplate::OrderEdited => MailTemplate::OrderEdited,
        NotificationTemplate::PaymentReleased => MailTemplate::PaymentReleased,
        NotificationTemplate::StaffNewOrder => MailTemplate::StaffNewOrder,
    }
}

#[cfg(test)]
mod tests;

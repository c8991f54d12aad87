//! What notification answers, recorded on the order. The event it leaves carries the saga on.
//!
//! Answers that come while others are being recorded are recorded together: their orders are read at once, and their events
//! are in one transaction of the log. Each is taken or refused by itself: one that names no order, or a mail that its order never
//! asked for, is a dead letter, and those beside it are none the worse.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use domain::ids::OrderId;
use domain::order::event::MailTemplate;
use domain::order::{MailOutcome, OrderCommand};
use domain::stock::Stock;
use event_store::{EventStore, StoredEvent, StreamLocks};
use futures_util::FutureExt;
use messaging::failure::chain;
use messaging::{Handler, HandlerError, NotificationAnswer, Received, Template};
use tokio::sync::{mpsc, oneshot};

use crate::case::Case;
use crate::unread::Unread;
use crate::{Metrics, notify_customer, shelf};

/// The most answers that are recorded together.
const TOGETHER: usize = 256;
/// Who records them: not the saga, which therefore looks at the order again.
const ACTOR: &str = "notification";

pub(crate) struct Answers {
    told: mpsc::Sender<Told>,
}

/// An answer, and whom to tell that it is recorded.
struct Told {
    news: News,
    recorded: oneshot::Sender<Recorded>,
}

/// What became of a mail of an order.
#[derive(Clone)]
struct News {
    order_id: String,
    answer: NotificationAnswer,
}

type Recorded = Result<(), HandlerError>;

impl Answers {
    /// The task that records them ends with this.
    pub(crate) fn start(store: EventStore, stock: StreamLocks<Stock>, metrics: Metrics) -> Self {
        let recorder = Arc::new(Recorder { store, stock, metrics });
        Self::recorded_by(move |batch| {
            let recorder = Arc::clone(&recorder);
            async move { recorder.record(&batch).await }
        })
    }

    fn recorded_by<Work>(record: impl Fn(Vec<News>) -> Work + Send + Sync + 'static) -> Self
    where
        Work: Future<Output = Vec<Recorded>> + Send + 'static,
    {
        let (told, mut waiting) = mpsc::channel(TOGETHER);
        tokio::spawn(async move {
            let mut batch: Vec<Told> = Vec::new();
            while waiting.recv_many(&mut batch, TOGETHER).await > 0 {
                let (news, waiting): (Vec<_>, Vec<_>) = batch.drain(..).map(|told| (told.news, told.recorded)).unzip();
                for (waiting, recorded) in waiting.into_iter().zip(whatever_happens(&record, news).await) {
                    // Whoever stopped waiting is told again: the message comes back.
                    let _ = waiting.send(recorded);
                }
            }
        });
        Self { told }
    }
}

/// Has answers recorded. If that panics, each is recorded by itself: only the one that is to blame is not.
async fn whatever_happens<Work: Future<Output = Vec<Recorded>>>(
    record: &impl Fn(Vec<News>) -> Work,
    batch: Vec<News>,
) -> Vec<Recorded> {
    if let Ok(recorded) = AssertUnwindSafe(record(batch.clone())).catch_unwind().await {
        return recorded;
    }
    tracing::error!(answers = batch.len(), "recording answers panicked; each is recorded by itself");
    let mut recorded = Vec::with_capacity(batch.len());
    for news in batch {
        let alone = AssertUnwindSafe(record(vec![news])).catch_unwind().await.ok().and_then(|mut alone| alone.pop());
        recorded.push(alone.unwrap_or_else(|| Err(HandlerError::retry("recording it panicked"))));
    }
    recorded
}

impl Handler for Answers {
    async fn handle(&self, message: &Received) -> Result<(), HandlerError> {
        let event = NotificationAnswer::parse(&message.body).map_err(|error| HandlerError::dead(chain(&error)))?;
        // What is no id names no order, and is not looked for together with the ids of others.
        OrderId::parse(&event.subject).map_err(|_| no_such_order())?;
        self.tell(News { order_id: event.subject, answer: event.data }).await
    }
}

impl Answers {
    /// Waits until it is recorded.
    async fn tell(&self, news: News) -> Recorded {
        let (recorded, told) = oneshot::channel();
        let stopped = || HandlerError::retry("the process is stopping");
        self.told.send(Told { news, recorded }).await.map_err(|_| stopped())?;
        told.await.unwrap_or_else(|_| Err(stopped()))
    }
}

struct Recorder {
    store: EventStore,
    stock: StreamLocks<Stock>,
    metrics: Metrics,
}

impl Recorder {
    async fn record(&self, batch: &[News]) -> Vec<Recorded> {
        let mut recorded = vec![Ok(()); batch.len()];
        let mut by_order: HashMap<String, Vec<usize>> = HashMap::new();
        for (nth, news) in batch.iter().enumerate() {
            by_order.entry(news.order_id.clone()).or_default().push(nth);
        }
        let mut unread = Unread::new(by_order);
        while !unread.is_empty() {
            match unread.read_some(&self.store).await {
                Ok(orders) => self.record_on(orders, batch, &mut recorded).await,
                Err(error) => {
                    let failed = HandlerError::retry(error.to_string());
                    unread.into_rest().flatten().for_each(|nth| recorded[nth] = Err(failed.clone()));
                    break;
                }
            }
        }
        recorded
    }

    /// Records those of the answers that are about these orders.
    async fn record_on(&self, orders: Vec<(Vec<usize>, Vec<StoredEvent>)>, batch: &[News], recorded: &mut [Recorded]) {
        let (mut cases, mut taken) = (Vec::with_capacity(orders.len()), HashMap::with_capacity(orders.len()));
        for (answers, events) in orders {
            let mut case = match open(&events) {
                Ok(case) => case,
                Err(error) => {
                    answers.into_iter().for_each(|nth| recorded[nth] = Err(error.clone()));
                    continue;
                }
            };
            let mut of_this = Vec::with_capacity(answers.len());
            for nth in answers {
                let known = case.unsaved().len();
                match batch[nth].taken_by(&mut case) {
                    Ok(()) => of_this.push((nth, case.unsaved().len() > known)),
                    Err(refused) => recorded[nth] = Err(refused),
                }
            }
            taken.insert(case.order_id.clone(), of_this);
            cases.push(case);
        }
        for (case, saved) in shelf::save(&self.store, &self.stock, cases).await {
            let saved = saved.map_err(|error| HandlerError::retry(error.to_string()));
            for (nth, is_news) in taken.remove(&case.order_id).into_iter().flatten() {
                if is_news && saved.is_ok() {
                    let (template, outcome) = batch[nth].outcome();
                    self.metrics.mailed(template, outcome);
                }
                recorded[nth].clone_from(&saved);
            }
        }
    }
}

fn open(events: &[StoredEvent]) -> Result<Case, HandlerError> {
    let case = Case::open(events).map_err(|error| HandlerError::retry(chain(&error)))?;
    let mut case = case.ok_or_else(no_such_order)?;
    case.metadata.actor = Some(ACTOR.to_owned());
    Ok(case)
}

fn no_such_order() -> HandlerError {
    HandlerError::dead("there is no such order")
}

impl News {
    /// Has the order take it, or says why it does not.
    fn taken_by(&self, case: &mut Case) -> Recorded {
        let template = self.outcome().0;
        let notification_id = match &self.answer {
            NotificationAnswer::Sent(sent) => sent.notification_id,
            NotificationAnswer::Failed(failed) => failed.notification_id,
        };
        let nth = notify_customer::asked_for(case, template, notification_id).ok_or_else(|| {
            HandlerError::dead(format!("the order did not ask for a mail {} {notification_id}", template.name()))
        })?;
        case.take(command(self.answer.clone(), nth)).map_err(|refusal| HandlerError::dead(refusal.to_string()))
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

fn template(template: Template) -> MailTemplate {
    match template {
        Template::OrderConfirmed => MailTemplate::OrderConfirmed,
        Template::OrderRejected => MailTemplate::OrderRejected,
        Template::OrderCancelled => MailTemplate::OrderCancelled,
        Template::OrderShipped => MailTemplate::OrderShipped,
        Template::OrderRefunded => MailTemplate::OrderRefunded,
    }
}

#[cfg(test)]
mod tests;

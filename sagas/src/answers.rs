//! What notification answers, recorded on the order. The event it leaves carries the saga on.
//!
//! Answers that come while others are being recorded are recorded together: their orders are read at once, and their events
//! are in one transaction of the log. Each is taken or refused by itself: one that names no order, or a mail that its order never
//! asked for, is a dead letter, and those beside it are none the worse.

use std::collections::HashMap;

use domain::stock::Stock;
use domain::{MailOutcome, MailTemplate, Order, OrderCommand, OrderId};
use event_store::{EventStore, SingleWriter, StoredEvent};
use messaging::failure::chain;
use messaging::{Handler, HandlerError, NotificationAnswer, Received, Template};
use tokio::sync::{mpsc, oneshot};

use crate::case::Case;
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
    order_id: String,
    answer: NotificationAnswer,
    /// Whether the order did not know it.
    is_news: bool,
    recorded: oneshot::Sender<Result<(), HandlerError>>,
}

impl Answers {
    /// The task that records them ends with this.
    pub(crate) fn start(store: EventStore, stock: SingleWriter<Stock>, metrics: Metrics) -> Self {
        let (told, mut waiting) = mpsc::channel(TOGETHER);
        tokio::spawn(async move {
            let mut batch = Vec::new();
            while waiting.recv_many(&mut batch, TOGETHER).await > 0 {
                record(&store, &stock, &metrics, std::mem::take(&mut batch)).await;
            }
        });
        Self { told }
    }
}

impl Handler for Answers {
    async fn handle(&self, message: &Received) -> Result<(), HandlerError> {
        let event = NotificationAnswer::parse(&message.body).map_err(|error| HandlerError::dead(chain(&error)))?;
        // What is no id names no order, and is not looked for together with the ids of others.
        OrderId::parse(&event.subject).map_err(|_| no_such_order())?;
        let (recorded, told) = oneshot::channel();
        let stopped = || HandlerError::retry("the process is stopping");
        let (order_id, answer) = (event.subject, event.data);
        self.told.send(Told { order_id, answer, is_news: false, recorded }).await.map_err(|_| stopped())?;
        told.await.unwrap_or_else(|_| Err(stopped()))
    }
}

async fn record(store: &EventStore, stock: &SingleWriter<Stock>, metrics: &Metrics, batch: Vec<Told>) {
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
        match open(streams.get(&order_id).map_or(&[][..], Vec::as_slice)) {
            Ok(mut case) => {
                let taken: Vec<Told> = told.into_iter().filter_map(|told| told.taken_by(&mut case)).collect();
                cases.push(case);
                waiting.insert(order_id, taken);
            }
            Err(error) => told.into_iter().for_each(|told| told.tell(Err(error.clone()))),
        }
    }
    for (case, saved) in shelf::save(store, stock, cases).await {
        let saved = saved.map_err(|error| HandlerError::retry(error.to_string()));
        for told in waiting.remove(&case.order_id).into_iter().flatten() {
            if told.is_news && saved.is_ok() {
                let (template, outcome) = told.outcome();
                metrics.mailed(template, outcome);
            }
            told.tell(saved.clone());
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

impl Told {
    /// Itself, if the order takes it; otherwise it is refused.
    fn taken_by(mut self, case: &mut Case) -> Option<Self> {
        let (template, known) = (self.outcome().0, case.unsaved().len());
        let notification_id = match &self.answer {
            NotificationAnswer::Sent(sent) => sent.notification_id,
            NotificationAnswer::Failed(failed) => failed.notification_id,
        };
        let taken = if notify_customer::has_asked_for(case, template, notification_id) {
            case.take(command(self.answer.clone())).map_err(|refusal| HandlerError::dead(refusal.to_string()))
        } else {
            let name = template.name();
            Err(HandlerError::dead(format!("the order did not ask for a mail {name} {notification_id}")))
        };
        match taken {
            Ok(()) => {
                self.is_news = case.unsaved().len() > known;
                Some(self)
            }
            Err(refused) => {
                self.tell(Err(refused));
                None
            }
        }
    }

    fn outcome(&self) -> (MailTemplate, MailOutcome) {
        match &self.answer {
            NotificationAnswer::Sent(sent) => (template(sent.template), MailOutcome::Sent),
            NotificationAnswer::Failed(failed) => (template(failed.template), MailOutcome::Failed),
        }
    }

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

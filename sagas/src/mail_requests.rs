//! Requests for mails: sending them, and telling which of them the queues still hold.
//!
//! An order waits for the answer to its request. Requests are handled in the order in which they were sent. So if the queues hold n
//! messages, these belong to the n orders that have waited for the shortest time, and an order that has waited for longer has lost its
//! request, or the answer to it. The counts are approximate, and need not be more: a second request is harmless, and the next count
//! includes it.

use std::sync::PoisonError;
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::order::saga::SagaStep;
use domain::order::{MailOutcome, OrderEvent};
use error_chain::error_chain;
use messaging::{CallError, OutgoingMessage, QueueDepthReader, SendError};
use sqlx::PgPool;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::notify_customer::mark_never_numbered;
use crate::order_session::OrderSession;
use crate::outcome::{StepError, StepOutcome};
use crate::timers::StepAttempts;
use crate::{SagaContext, SagaSettings, unit_of_work};

/// How long the queue may take for the requests of a batch.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// For how long a count is used.
const FRESH: Duration = Duration::from_secs(1);
/// For how long no requests go to a queue that did not answer: all orders of the batch wait for it.
const SILENCE: Duration = Duration::from_secs(10);
/// So many waiting mails are no lag: each is being tried again for a reason of its own.
const USUAL: i64 = 16;

/// The message by which a step requests a mail, until it is sent; empty if the step requests none.
#[derive(Default)]
pub(crate) struct PendingMailRequest(Option<OutgoingMessage>);

impl PendingMailRequest {
    /// Has a request sent.
    pub(crate) fn put(&mut self, request: OutgoingMessage) {
        self.0 = Some(request);
    }
}

/// Sends the request of a step for each of the orders, in one batch. What was decided on them before is stored first: nobody is told
/// of what is not stored.
pub(crate) async fn send_requests(
    context: &SagaContext,
    request: fn(&mut OrderSession, &SagaSettings, &mut PendingMailRequest) -> StepOutcome,
    orders: Vec<OrderSession>,
) -> Vec<(OrderSession, StepOutcome)> {
    let (mut results, mut requesting, mut requests) = (Vec::with_capacity(orders.len()), Vec::new(), Vec::new());
    let mut orders = unit_of_work::store(&context.store, &context.stock, orders).await;
    mark_never_numbered(context, orders.iter_mut().map(|(order, _)| order)).await;
    for (mut order, stored) in orders {
        if let Err(error) = stored {
            results.push((order, Err(error)));
            continue;
        }
        let mut outbox = PendingMailRequest::default();
        let outcome = request(&mut order, &context.settings, &mut outbox);
        for event in order.unstored() {
            if let OrderEvent::NotificationFailed(failed) = event {
                context.metrics.mail_outcome(failed.template, MailOutcome::Failed);
            }
        }
        match outbox.0 {
            Some(request) => {
                requests.push(request);
                requesting.push((order, outcome));
            }
            None => results.push((order, outcome)),
        }
    }
    let mut sent = send(context, requests).await.into_iter();
    results.extend(requesting.into_iter().map(|(order, outcome)| match sent.next() {
        Some(Ok(())) => (order, outcome),
        Some(Err(error)) => (order, Err(not_sent(&error))),
        None => {
            let error = format!("the queue did not take it within {} s", SEND_TIMEOUT.as_secs());
            (order, Err(StepError::Unreachable(error)))
        }
    }));
    results
}

/// Puts requests on the queue. A request without a result may be there or not.
///
/// A queue that does not answer must not hold the transaction open until the server ends it: then nothing would be recorded. Nor must it
/// keep the next batch waiting. Requests that did get there are sent again under the same id, which the queue drops.
async fn send(context: &SagaContext, requests: Vec<OutgoingMessage>) -> Vec<Result<(), SendError>> {
    if requests.is_empty() || context.mail_requests.is_silent() {
        return vec![];
    }
    let sent = tokio::time::timeout(SEND_TIMEOUT, context.notifications.send(requests)).await.unwrap_or_default();
    if sent.iter().all(|sent| matches!(sent, Err(SendError::TimedOut { .. }))) {
        context.mail_requests.had_no_answer();
    }
    sent
}

/// Why a request is not on the queue: the request can't be sent, or the queue takes nothing.
fn not_sent(error: &SendError) -> StepError {
    match error {
        SendError::TooLong { .. } | SendError::Build { .. } | SendError::Refused { sender_fault: true, .. } => {
            StepError::new(error)
        }
        SendError::Refused { sender_fault: false, .. }
        | SendError::Batch { .. }
        | SendError::TimedOut { .. }
        | SendError::Unanswered => StepError::Unreachable(error_chain(error)),
    }
}

/// Watches the queues that requests for mails and their answers pass through: how many wait, and whether the first one
/// answers.
pub(crate) struct MailQueueMonitor {
    queues: [QueueDepthReader; 2],
    counted: Mutex<Option<(Instant, Option<DateTime<Utc>>)>>,
    /// When the queue of requests last failed to answer.
    silent: std::sync::Mutex<Option<Instant>>,
}

impl StepAttempts {
    /// Whether the order waits for the answer to a request for a mail.
    pub(crate) fn is_for_answer(&self) -> bool {
        self.step == SagaStep::NotifyCustomer.name() && self.requests_sent > 0 && self.failures == 0
    }
}

impl MailQueueMonitor {
    pub(crate) fn new(requests: QueueDepthReader, replies: QueueDepthReader) -> Self {
        Self { queues: [requests, replies], counted: Mutex::default(), silent: std::sync::Mutex::default() }
    }

    /// The queue of requests did not answer.
    pub(crate) fn had_no_answer(&self) {
        *self.silent.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether it failed to answer a moment ago.
    pub(crate) fn is_silent(&self) -> bool {
        let silent = *self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        silent.is_some_and(|at| at.elapsed() < SILENCE)
    }

    /// Orders that have waited since then or longer have lost their requests; `None`: no order has.
    pub(crate) async fn lost_since(&self, pool: &PgPool) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
        // Callers that come while one counts wait for its count.
        let mut counted = self.counted.lock().await;
        if let Some((_, lost)) = counted.filter(|(at, _)| at.elapsed() < FRESH) {
            return Ok(lost);
        }
        let messages = self.messages().await.unwrap_or_else(|error| {
            // Another request shows whether the queue takes anything.
            tracing::warn!(%error, "how many requests for mails wait is not known; they are made again after their deadline");
            0
        });
        let query = "select since from saga_work where step = $1 and sent > 0 and not stuck
                      order by since desc offset $2 limit 1";
        let lost = sqlx::query_scalar(query)
            .bind(SagaStep::NotifyCustomer.name())
            .bind(i64::try_from(messages).unwrap_or(i64::MAX))
            .fetch_optional(pool)
            .await?;
        *counted = Some((Instant::now(), lost));
        Ok(lost)
    }

    async fn messages(&self) -> Result<u64, CallError> {
        let [requests, replies] = &self.queues;
        let (requests, replies) = tokio::try_join!(requests.messages(), replies.messages())?;
        Ok(requests + replies)
    }
}

/// For how many seconds customers have been waiting for their mails, apart from the few that are tried again for reasons of their own.
pub async fn mail_lag(pool: &PgPool) -> Result<f64, sqlx::Error> {
    let query = "select extract(epoch from clock_timestamp() - since)::float8 from saga_work
                  where step = $1 and not stuck order by since offset $2 limit 1";
    let lag: Option<f64> =
        sqlx::query_scalar(query).bind(SagaStep::NotifyCustomer.name()).bind(USUAL).fetch_optional(pool).await?;
    Ok(lag.unwrap_or(0.0))
}

//! Requests for mails that are on their way: how many of those that wait for an answer the queues account for.
//!
//! Each message in the queue of requests, or in that of answers, is why somebody waits. Requests are handled in the order in which they
//! went out, so those that wait for the shortest time are the ones that are still there. Who waits for longer than so many others as
//! there are messages has lost his request, or the answer to it. The figures are approximate, and need not be more: to ask twice is
//! harmless, and what is asked again is a message that the next count sees.

use std::sync::PoisonError;
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::order::saga::SagaStep;
use messaging::{QueueDepth, SqsError};
use sqlx::PgPool;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::work::Waiting;

/// How long a count is good for.
const FRESH: Duration = Duration::from_secs(1);
/// For how long nothing is asked of a queue that did not answer: whoever asks waits for it, and so do the orders that come along.
const SILENCE: Duration = Duration::from_secs(10);
/// So many mails that wait are no lag: they are being tried again, each for its own reason.
const USUAL: i64 = 16;

/// What is known of the requests on their way.
pub(crate) struct Requests {
    queues: [QueueDepth; 2],
    counted: Mutex<Option<(Instant, Option<DateTime<Utc>>)>>,
    /// When the queue of requests did not answer last.
    silent: std::sync::Mutex<Option<Instant>>,
}

impl Waiting {
    /// Whether it waits for an answer to a request for a mail.
    pub(crate) fn is_asked(&self) -> bool {
        self.step == SagaStep::NotifyCustomer.name() && self.sent > 0 && self.failures == 0
    }
}

impl Requests {
    /// By the queue of requests and that of answers.
    pub(crate) fn new(requests: QueueDepth, answers: QueueDepth) -> Self {
        Self { queues: [requests, answers], counted: Mutex::default(), silent: std::sync::Mutex::default() }
    }

    /// The queue of requests did not answer.
    pub(crate) fn had_no_answer(&self) {
        *self.silent.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether it did not a moment ago.
    pub(crate) fn is_silent(&self) -> bool {
        let silent = *self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        silent.is_some_and(|at| at.elapsed() < SILENCE)
    }

    /// Those that wait since then or longer have lost their requests; `None`: nobody has.
    pub(crate) async fn lost_since(&self, pool: &PgPool) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
        // Those who come while somebody counts wait for that.
        let mut counted = self.counted.lock().await;
        if let Some((_, lost)) = counted.filter(|(at, _)| at.elapsed() < FRESH) {
            return Ok(lost);
        }
        let messages = self.messages().await.unwrap_or_else(|error| {
            // To ask again shows whether the queue takes anything.
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

    async fn messages(&self) -> Result<u64, SqsError> {
        let [requests, answers] = &self.queues;
        let (requests, answers) = tokio::try_join!(requests.messages(), answers.messages())?;
        Ok(requests + answers)
    }
}

/// For how many seconds customers have been waiting for their mails, those apart that are tried again for reasons of their own.
pub async fn mail_lag(pool: &PgPool) -> Result<f64, sqlx::Error> {
    let query = "select extract(epoch from clock_timestamp() - since)::float8 from saga_work
                  where step = $1 and not stuck order by since offset $2 limit 1";
    let lag: Option<f64> =
        sqlx::query_scalar(query).bind(SagaStep::NotifyCustomer.name()).bind(USUAL).fetch_optional(pool).await?;
    Ok(lag.unwrap_or(0.0))
}

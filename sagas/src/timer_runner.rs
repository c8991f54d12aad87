//! Carries orders on whose timers are due: they waited for an answer, failed, or ran out of time.
//!
//! Rows are claimed in batches, several at a time, so that the backlog of an outage is processed as fast as the provider and the queue
//! allow. If a batch fails, its rows are processed one by one: a row that always fails holds up no other. Each saga has a lane for its
//! mails and one for its other steps. So while the queue is away, mails keep no money and no units waiting.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use error_chain::error_chain;
use event_store::{SubscriberError, with_transaction_timeout};
use futures_util::{FutureExt, StreamExt, stream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::batched_reads::OrderBatchReader;
use crate::executor::SagaExecutor;
use crate::order_session::OrderSession;
use crate::outcome::StepError;
use crate::saga::Saga;
use crate::timers::claims::{ClaimedTimer, ClaimedTimers, TimerKind, TimerPriority, wake_outdated};
use crate::timers::{self, SagaInstanceKey, SagaTimer, StepAttempts, TimerChanges, TimerRemoval};
use crate::{SAGAS, SagaContext};

/// The most rows in one batch.
const BATCH: i64 = 100;
/// How many batches of a lane are processed at once.
const BATCHES: usize = 3;
/// How many rows of a batch that failed are processed at once.
const ONE_BY_ONE: usize = 8;
/// How often due rows are polled. Deadlines are seconds at least.
const POLL: Duration = Duration::from_millis(250);
const AFTER_ERROR: Duration = Duration::from_secs(1);
/// How often outdated rows are woken.
const WAKE_OUTDATED: Duration = Duration::from_secs(10);

/// Carries orders on when their timers are due, until told to stop.
pub(crate) async fn run_timers(context: Arc<SagaContext>, stop: CancellationToken) {
    let runner = TimerRunner { context, stop: stop.clone() };
    let lanes = lanes();
    let (mut batches, mut woken) = (JoinSet::new(), Instant::now());
    // The oldest and the newest rows come first in turn, so that a backlog does not hold up what is new.
    let mut turns = [TimerPriority::Oldest, TimerPriority::Newest].into_iter().cycle();
    while !stop.is_cancelled() {
        let first = turns.next().unwrap_or(TimerPriority::Oldest);
        let polled = async {
            if woken.elapsed() >= WAKE_OUTDATED {
                woken = Instant::now();
                wake_outdated(runner.context.store.pool()).await?;
            }
            runner.poll_due(&lanes, first, &mut batches).await
        };
        let pause = match stop.run_until_cancelled(polled).await {
            None => break,
            Some(Ok(0)) => POLL,
            Some(Ok(_)) => continue,
            Some(Err(error)) => {
                tracing::error!(error = %error_chain(&error), "looking for due orders failed");
                AFTER_ERROR
            }
        };
        let free_place = async {
            tokio::select! {
                Some(_) = batches.join_next() => {}
                () = tokio::time::sleep(pause) => {}
            }
        };
        let _ = stop.run_until_cancelled(free_place).await;
    }
    while batches.join_next().await.is_some() {}
}

/// Rows that are processed beside those of other lanes, without keeping these waiting.
struct TimerLane {
    saga: &'static Saga,
    steps: TimerKind,
    /// How many more batches of it can be processed.
    places: Arc<Semaphore>,
}

fn lanes() -> Vec<TimerLane> {
    let lane = |saga, steps| TimerLane { saga, steps, places: Arc::new(Semaphore::new(BATCHES)) };
    SAGAS.into_iter().flat_map(|saga| [TimerKind::Others, TimerKind::Mails].map(|steps| lane(saga, steps))).collect()
}

#[derive(Clone)]
struct TimerRunner {
    context: Arc<SagaContext>,
    stop: CancellationToken,
}

impl TimerRunner {
    /// Claims a batch of each lane that has a place for it, starts to process them, and says how many rows those are. While the queue
    /// is silent, mails stay as they are.
    async fn poll_due(
        &self,
        lanes: &[TimerLane],
        first: TimerPriority,
        batches: &mut JoinSet<()>,
    ) -> Result<usize, sqlx::Error> {
        let mut claimed = 0;
        for TimerLane { saga, steps, places } in lanes {
            let (saga, steps) = (*saga, *steps);
            if steps == TimerKind::Mails && self.context.mail_requests.is_silent() {
                continue;
            }
            let Ok(place) = Arc::clone(places).try_acquire_owned() else { continue };
            let claim = ClaimedTimers::lease(self.context.store.pool(), (saga.name, steps), first, BATCH).await?;
            claimed += claim.rows.len();
            if !claim.rows.is_empty() {
                let runner = self.clone();
                batches.spawn(async move {
                    let pool = runner.context.store.pool().clone();
                    tokio::select! {
                        () = runner.process(saga, &claim).boxed() => {}
                        () = claim.renew(&pool) => {}
                    }
                    drop(place);
                });
            }
            while batches.try_join_next().is_some() {}
        }
        Ok(claimed)
    }

    /// Processes all rows of a claim together; if that fails, each by itself.
    async fn process(&self, saga: &'static Saga, claim: &ClaimedTimers) {
        let Err(error) = self.attempt(saga, claim, &claim.rows).await else { return };
        tracing::warn!(saga = saga.name, error, rows = claim.rows.len(), "due orders are looked at one by one");
        let one_by_one = stream::iter(&claim.rows).for_each_concurrent(ONE_BY_ONE, |row| async move {
            if self.stop.is_cancelled() {
                return;
            }
            let Err(error) = self.attempt(saga, claim, std::slice::from_ref(row)).await else { return };
            tracing::error!(order_id = row.order_id, saga = saga.name, error, "a due order can't be looked at");
            let failed = SagaTimer::unreadable((saga.name, row.order_id.clone()), &row.waiting, error);
            if let Err(error) = claim.settle(self.context.store.pool(), &[failed], &[]).await {
                tracing::error!(order_id = row.order_id, %error, "that could not be noted");
            }
        });
        one_by_one.await;
    }

    /// Processes rows and writes back what came of it. The error says why not.
    async fn attempt(&self, saga: &'static Saga, claim: &ClaimedTimers, rows: &[ClaimedTimer]) -> Result<(), String> {
        let work = async {
            let schedule = self.carry_on(saga, rows).boxed().await?;
            claim.settle(self.context.store.pool(), &schedule.wake_ups, &schedule.ended).await?;
            Ok::<_, SubscriberError>(())
        };
        let text = |error: &dyn std::error::Error| StepError::new(error).to_string();
        match AssertUnwindSafe(with_transaction_timeout(&self.stop, work)).catch_unwind().await {
            Ok(Ok(done)) => done.map_err(|error| text(&error)),
            Ok(Err(too_long)) => Err(text(&too_long)),
            Err(_) => Err("looking at it panicked".to_owned()),
        }
    }

    /// Carries on the orders of these rows until each waits or has reached its end.
    async fn carry_on(&self, saga: &'static Saga, rows: &[ClaimedTimer]) -> Result<TimerChanges, SubscriberError> {
        let store = &self.context.store;
        let key = |row: &ClaimedTimer| -> SagaInstanceKey { (saga.name, row.order_id.clone()) };
        let mut schedule = TimerChanges::default();
        let now = timers::now(store.pool()).await?;
        let due = self.without_queued(saga, rows, now, &mut schedule).await?;
        if due.is_empty() {
            return Ok(schedule);
        }
        let waiting: HashMap<SagaInstanceKey, StepAttempts> =
            due.iter().map(|row| (key(row), row.waiting.clone())).collect();
        let mut unread = OrderBatchReader::new(due.into_iter().map(|row| (row.order_id.clone(), row)));
        while !unread.is_empty() {
            let mut orders = Vec::new();
            for (row, events) in unread.read_batch(store).await? {
                match OrderSession::open(&events) {
                    Ok(Some(order)) => orders.push(order),
                    Ok(None) => schedule.ended.push(TimerRemoval { key: key(row), seen: row.waiting.seen }),
                    // An order that can't be read must not keep the others from being processed.
                    Err(error) => {
                        tracing::error!(
                            order_id = row.order_id,
                            error = %error_chain(&error),
                            "order can't be read"
                        );
                        schedule.wake_ups.push(SagaTimer::unreadable(
                            key(row),
                            &row.waiting,
                            StepError::new(&error).to_string(),
                        ));
                    }
                }
            }
            let executor = SagaExecutor { context: &self.context, saga, waiting: &waiting, now };
            let orders = executor.run(orders, &mut schedule).await;
            self.wake_other_sagas(saga, &orders, now).await?;
        }
        Ok(schedule)
    }

    /// One saga's step can be what another saga waits for, and no saga reacts to the events of sagas. So the other sagas get a timer.
    async fn wake_other_sagas(
        &self,
        saga: &'static Saga,
        orders: &[OrderSession],
        now: DateTime<Utc>,
    ) -> Result<(), sqlx::Error> {
        for order in orders {
            for other in SAGAS.into_iter().filter(|other| other.name != saga.name) {
                if let Some(step) = other.next(&order.order, now).step() {
                    let key = (other.name, order.order_id.clone());
                    let known = (order.version, order.mail_owed_since);
                    timers::ensure(self.context.store.pool(), &key, step, known).await?;
                }
            }
        }
        Ok(())
    }

    /// The rows to process. A request for a mail that a queue still holds is not sent again: its row waits on.
    async fn without_queued<'a>(
        &self,
        saga: &'static Saga,
        rows: &'a [ClaimedTimer],
        now: DateTime<Utc>,
        schedule: &mut TimerChanges,
    ) -> Result<Vec<&'a ClaimedTimer>, SubscriberError> {
        let (requested, mut due): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.waiting.is_for_answer());
        if requested.is_empty() {
            return Ok(due);
        }
        let lost = self.context.mail_requests.lost_since(self.context.store.pool()).await?;
        for row in requested {
            if lost.is_some_and(|lost| row.waiting.since <= lost) {
                due.push(row);
            } else {
                let waited = (now - row.waiting.since).to_std().unwrap_or_default();
                let (key, deadline) = ((saga.name, row.order_id.clone()), self.context.settings.reply_deadline);
                schedule.wake_ups.push(SagaTimer::while_queued(key, &row.waiting, waited, deadline));
            }
        }
        Ok(due)
    }
}

#[cfg(test)]
pub(crate) mod tests;

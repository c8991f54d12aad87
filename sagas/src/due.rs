//! Looks at orders again when they are due: what waited for an answer, failed, or ran out of time.
//!
//! Rows are taken in batches, several at a time, so that what an outage left behind is worked off at the pace of those who are asked. A
//! batch that fails is looked at row by row: one that always fails holds up no other. Each saga has a share for its mails and one for its
//! other steps: while the queue is away, mails keep no money and no units waiting.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use event_store::{SubscriberError, with_transaction_timeout};
use futures_util::{FutureExt, StreamExt, stream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::case::Case;
use crate::drive::{Notes, drive};
use crate::saga::{Saga, StepError};
use crate::unread::Unread;
use crate::work::claims::{Claim, End, Steps, Taken, recall};
use crate::work::{self, Ended, Key, Later, Waiting};
use crate::{Context, SAGAS};

/// The most rows in one batch, and how many batches of a share are worked on at once.
const BATCH: i64 = 100;
const BATCHES: usize = 3;
/// How many rows of a batch that failed are looked at at once.
const APART: usize = 8;
/// How often due orders are looked for. Deadlines are seconds at least.
const POLL: Duration = Duration::from_millis(250);
const AFTER_ERROR: Duration = Duration::from_secs(1);
/// How often it is looked whether what is stuck is so by what its order is now.
const RECALL: Duration = Duration::from_secs(10);

/// Looks at orders again when they are due, until told to stop.
pub(crate) async fn look_again(context: Arc<Context>, stop: CancellationToken) {
    let due = Due { context, stop: stop.clone() };
    let shares = shares();
    let (mut visits, mut recalled) = (JoinSet::new(), Instant::now());
    // Those that have waited for longest and those that come now have the same share.
    let mut ends = [End::Oldest, End::Newest].into_iter().cycle();
    while !stop.is_cancelled() {
        let end = ends.next().unwrap_or(End::Oldest);
        let begun = async {
            if recalled.elapsed() >= RECALL {
                recalled = Instant::now();
                recall(due.context.store.pool()).await?;
            }
            due.begin(&shares, end, &mut visits).await
        };
        let pause = match stop.run_until_cancelled(begun).await {
            None => break,
            Some(Ok(0)) => POLL,
            Some(Ok(_)) => continue,
            Some(Err(error)) => {
                tracing::error!(error = &error as &dyn std::error::Error, "looking for due orders failed");
                AFTER_ERROR
            }
        };
        let a_place = async {
            tokio::select! {
                Some(_) = visits.join_next() => {}
                () = tokio::time::sleep(pause) => {}
            }
        };
        let _ = stop.run_until_cancelled(a_place).await;
    }
    while visits.join_next().await.is_some() {}
}

/// What is worked on beside others, none of which it keeps waiting.
struct Share {
    saga: &'static Saga,
    steps: Steps,
    /// How many more batches of it may be worked on.
    places: Arc<Semaphore>,
}

fn shares() -> Vec<Share> {
    let share = |saga, steps| Share { saga, steps, places: Arc::new(Semaphore::new(BATCHES)) };
    SAGAS.into_iter().flat_map(|saga| [Steps::Others, Steps::Mails].map(|steps| share(saga, steps))).collect()
}

#[derive(Clone)]
struct Due {
    context: Arc<Context>,
    stop: CancellationToken,
}

impl Due {
    /// Takes a batch of each share that has a place for it, has them worked on, and says how many rows those are. Mails that nobody
    /// would take are left as they are.
    async fn begin(&self, shares: &[Share], end: End, visits: &mut JoinSet<()>) -> Result<usize, sqlx::Error> {
        let mut taken = 0;
        for Share { saga, steps, places } in shares {
            let (saga, steps) = (*saga, *steps);
            if steps == Steps::Mails && self.context.requests.is_silent() {
                continue;
            }
            let Ok(place) = Arc::clone(places).try_acquire_owned() else { continue };
            let claim = Claim::take(self.context.store.pool(), (saga.name, steps), end, BATCH).await?;
            taken += claim.rows.len();
            if !claim.rows.is_empty() {
                let due = self.clone();
                visits.spawn(async move {
                    let pool = due.context.store.pool().clone();
                    tokio::select! {
                        () = due.visit(saga, &claim).boxed() => {}
                        () = claim.keep(&pool) => {}
                    }
                    drop(place);
                });
            }
            while visits.try_join_next().is_some() {}
        }
        Ok(taken)
    }

    /// Looks at all rows of a claim together; if that fails, at each by itself.
    async fn visit(&self, saga: &'static Saga, claim: &Claim) {
        let Err(error) = self.attempt(saga, claim, &claim.rows).await else { return };
        tracing::warn!(saga = saga.name, error, rows = claim.rows.len(), "due orders are looked at one by one");
        let one_by_one = stream::iter(&claim.rows).for_each_concurrent(APART, |row| async move {
            if self.stop.is_cancelled() {
                return;
            }
            let Err(error) = self.attempt(saga, claim, std::slice::from_ref(row)).await else { return };
            tracing::error!(order_id = row.order_id, saga = saga.name, error, "a due order can't be looked at");
            let failed = Later::unseen((saga.name, row.order_id.clone()), &row.waiting, error);
            if let Err(error) = claim.settle(self.context.store.pool(), &[failed], &[]).await {
                tracing::error!(order_id = row.order_id, %error, "that could not be noted");
            }
        });
        one_by_one.await;
    }

    /// Does what is due for these rows and writes back what came of it. The error says why not.
    async fn attempt(&self, saga: &'static Saga, claim: &Claim, rows: &[Taken]) -> Result<(), String> {
        let work = async {
            let notes = self.look(saga, rows).boxed().await?;
            claim.settle(self.context.store.pool(), &notes.later, &notes.ended).await?;
            Ok::<_, SubscriberError>(())
        };
        let text = |error: &dyn std::error::Error| StepError::new(error).to_string();
        match AssertUnwindSafe(with_transaction_timeout(&self.stop, work)).catch_unwind().await {
            Ok(Ok(done)) => done.map_err(|error| text(&error)),
            Ok(Err(too_long)) => Err(text(&too_long)),
            Err(_) => Err("looking at it panicked".to_owned()),
        }
    }

    /// Does what is due for these rows, until each waits for something or nothing.
    async fn look(&self, saga: &'static Saga, rows: &[Taken]) -> Result<Notes, SubscriberError> {
        let store = &self.context.store;
        let key = |row: &Taken| -> Key { (saga.name, row.order_id.clone()) };
        let mut notes = Notes::default();
        let now = work::now(store.pool()).await?;
        let due = self.without_queued(saga, rows, now, &mut notes).await?;
        if due.is_empty() {
            return Ok(notes);
        }
        let waiting: HashMap<Key, Waiting> = due.iter().map(|row| (key(row), row.waiting.clone())).collect();
        let mut unread = Unread::new(due.into_iter().map(|row| (row.order_id.clone(), row)));
        while !unread.is_empty() {
            let mut cases = Vec::new();
            for (row, events) in unread.read_some(store).await? {
                match Case::open(&events) {
                    Ok(Some(case)) => cases.push(case),
                    Ok(None) => notes.ended.push(Ended { key: key(row), seen: row.waiting.seen }),
                    // One order that can't be read must not keep the deadlines of the others from being met.
                    Err(error) => {
                        tracing::error!(
                            order_id = row.order_id,
                            error = &error as &dyn std::error::Error,
                            "order can't be read"
                        );
                        notes.later.push(Later::unseen(key(row), &row.waiting, StepError::new(&error).to_string()));
                    }
                }
            }
            self.carry_on(saga, cases, &waiting, now, &mut notes).await?;
        }
        Ok(notes)
    }

    /// Does what is due for these orders, and sees to it that what that makes due is looked at.
    async fn carry_on(
        &self,
        saga: &'static Saga,
        cases: Vec<Case>,
        waiting: &HashMap<Key, Waiting>,
        now: DateTime<Utc>,
        notes: &mut Notes,
    ) -> Result<(), SubscriberError> {
        let cases = drive(&self.context, saga, cases, waiting, now, notes).await;
        // What one saga did can be what another waits for, and nobody reacts to the sagas' own events.
        for case in &cases {
            for other in SAGAS.into_iter().filter(|other| other.name != saga.name) {
                if let Some(step) = other.next(&case.order, now).step() {
                    let key = (other.name, case.order_id.clone());
                    work::remind(self.context.store.pool(), &key, step, case.version).await?;
                }
            }
        }
        Ok(())
    }

    /// Those whose time has come. Requests for mails that are still on their way are not made again because time has passed.
    async fn without_queued<'a>(
        &self,
        saga: &'static Saga,
        rows: &'a [Taken],
        now: DateTime<Utc>,
        notes: &mut Notes,
    ) -> Result<Vec<&'a Taken>, SubscriberError> {
        let (asked, mut due): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.waiting.is_asked());
        if asked.is_empty() {
            return Ok(due);
        }
        let lost = self.context.requests.lost_since(self.context.store.pool()).await?;
        for row in asked {
            if lost.is_some_and(|lost| row.waiting.since <= lost) {
                due.push(row);
            } else {
                let waited = (now - row.waiting.since).to_std().unwrap_or_default();
                let (key, deadline) = ((saga.name, row.order_id.clone()), self.context.settings.answer_deadline);
                notes.later.push(Later::queued(key, &row.waiting, waited, deadline));
            }
        }
        Ok(due)
    }
}

#[cfg(test)]
pub(crate) mod tests;

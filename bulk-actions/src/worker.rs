//! Carries bulk actions on, those of all processes together.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use error_chain::error_chain;
use futures_util::FutureExt;
use sqlx::PgPool;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::pace::Pace;
use crate::table::{self, BulkActionRow, BulkActionState, MOST_AT_ONCE, MOST_FAILURES};
use crate::targets::{BatchReport, BulkTarget, kept};
use crate::{BulkActionDependencies, BulkActionError};

/// How long nobody else takes an action whose process died. It is renewed with each batch.
pub(crate) const LEASE: Duration = Duration::from_mins(1);
/// The most items of a batch: as many as are done again after a crash.
const BATCH: usize = 10;
/// How often it is looked whether there is something to do.
const POLL: Duration = Duration::from_secs(1);
/// The pause after something failed that all items need.
const PAUSE: Duration = Duration::from_secs(2);
/// How often old actions are deleted.
const PRUNE_EVERY: Duration = Duration::from_hours(1);

/// Carries bulk actions on until told to stop. What is in work then goes on in another process, or after the next start.
pub async fn run(deps: BulkActionDependencies, stop: CancellationToken) {
    let mut running = JoinSet::new();
    let mut prune_at = Instant::now();
    while !stop.is_cancelled() {
        while let Some(ended) = running.try_join_next() {
            tell_of_panic(ended);
        }
        if Instant::now() >= prune_at {
            prune(deps.store.pool()).await;
            prune_at = Instant::now() + PRUNE_EVERY;
        }
        if running.len() < MOST_AT_ONCE {
            let claim = Uuid::now_v7();
            match table::take(deps.store.pool(), claim, LEASE).await {
                Ok(Some(action)) => {
                    running.spawn(carry_on(deps.clone(), action, claim, stop.clone()));
                    continue;
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(error = error_chain(&error), "bulk actions can't go on"),
            }
        }
        let _ = stop.run_until_cancelled(tokio::time::sleep(POLL)).await;
    }
    while let Some(ended) = running.join_next().await {
        tell_of_panic(ended);
    }
}

/// A panic within the batches of an action is told of there. This is one around them; the action is taken again when its lease ends.
fn tell_of_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(error = error_chain(&error), "a bulk action was broken off");
    }
}

/// Carries an action on until it ends, another process has it, or the process stops.
async fn carry_on(deps: BulkActionDependencies, action: BulkActionRow, claim: Uuid, stop: CancellationToken) {
    let (id, kind) = (action.id, action.kind.as_str());
    tracing::info!(bulk_action = %id, kind, "bulk action goes on");
    let pool = deps.store.pool().clone();
    match unless_it_panics(&pool, (id, claim), batches(&deps, action, claim, &stop)).await {
        Ok(Some(state)) => tracing::info!(bulk_action = %id, kind, state = state.as_str(), "bulk action"),
        Ok(None) => {}
        // Its lease ends, and it is taken again.
        Err(error) => tracing::warn!(bulk_action = %id, kind, error = error_chain(&error), "bulk action can't go on"),
    }
    if stop.is_cancelled()
        && let Err(error) = table::release(&pool, id, claim).await
    {
        tracing::debug!(bulk_action = %id, error = error_chain(&error), "a bulk action is taken when its lease ends");
    }
}

/// A panic ends no other action. Whoever takes this one again counts it as a failure.
async fn unless_it_panics(
    pool: &PgPool,
    (id, claim): (Uuid, Uuid),
    batches: impl Future<Output = Result<Option<BulkActionState>, BulkActionError>>,
) -> Result<Option<BulkActionState>, BulkActionError> {
    match AssertUnwindSafe(batches).catch_unwind().await {
        Ok(ended) => ended,
        Err(panic) => {
            let note = format!("it panics: {}", message_of(&*panic));
            tracing::error!(bulk_action = %id, note, "a bulk action was broken off");
            Ok(table::break_off(pool, (id, claim), PAUSE, &kept(&note)).await.map(|()| None)?)
        }
    }
}

fn message_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it does not say why")
}

/// A batch that failed, after so many others in a row.
fn failure(failures_in_row: i32, note: String) -> BatchReport {
    BatchReport { failures_in_row: failures_in_row + 1, note: Some(note), ..BatchReport::default() }
}

async fn batches(
    deps: &BulkActionDependencies,
    action: BulkActionRow,
    claim: Uuid,
    stop: &CancellationToken,
) -> Result<Option<BulkActionState>, BulkActionError> {
    let (pool, id) = (deps.store.pool(), action.id);
    if action.failures_in_row >= MOST_FAILURES {
        return give_up(pool, &action, claim).await;
    }
    let mut target = match BulkTarget::of(deps, &action, claim) {
        Ok(target) => target,
        // It may be readable to a newer build. Its lease is left to run out: whoever takes it again then counts that as a failure.
        Err(error) => {
            let (failures_in_row, note) = (action.failures_in_row, Some(kept(&error_chain(&error))));
            let report = BatchReport { failures_in_row, note, ..BatchReport::default() };
            return Ok(table::save(pool, (id, claim), LEASE, &report).await?);
        }
    };
    let ended = until_end(pool, &action, claim, &mut target, stop).await;
    target.release().await;
    ended
}

/// Ends an action that was broken off too often.
async fn give_up(
    pool: &PgPool,
    action: &BulkActionRow,
    claim: Uuid,
) -> Result<Option<BulkActionState>, BulkActionError> {
    let unsaid = || "whoever carries it on breaks off before a batch is done".to_owned();
    let note = action.note.is_none().then(unsaid);
    let report = BatchReport { failures_in_row: action.failures_in_row, note, ..BatchReport::default() };
    Ok(table::save(pool, (action.id, claim), LEASE, &report).await?)
}

async fn until_end(
    pool: &PgPool,
    action: &BulkActionRow,
    claim: Uuid,
    target: &mut BulkTarget,
    stop: &CancellationToken,
) -> Result<Option<BulkActionState>, BulkActionError> {
    let most = usize::try_from(action.rate).unwrap_or(BATCH).clamp(1, BATCH);
    let (mut pace, mut failures_in_row) = (Pace::new(action.rate, Instant::now()), action.failures_in_row);
    // One that was stopped while nobody had it does nothing more.
    let mut is_stopping = action.state == BulkActionState::Stopping;
    while !stop.is_cancelled() {
        let (began, before) = (Instant::now(), failures_in_row);
        let report = match is_stopping {
            true => BatchReport { failures_in_row, ..BatchReport::default() },
            false => target
                .next(most, failures_in_row)
                .await
                .unwrap_or_else(|error| failure(failures_in_row, error_chain(&error))),
        };
        failures_in_row = report.failures_in_row;
        match table::save(pool, (action.id, claim), LEASE, &report).await? {
            None => {
                tracing::info!(bulk_action = %action.id, "another process carries the bulk action on");
                return Ok(None);
            }
            Some(state) if state.has_ended() => return Ok(Some(state)),
            Some(state) => is_stopping = state == BulkActionState::Stopping,
        }
        let wait = pace.after(report.items(), began, Instant::now());
        let wait = if failures_in_row > before { wait.max(PAUSE) } else { wait };
        let _ = stop.run_until_cancelled(tokio::time::sleep(wait)).await;
    }
    Ok(None)
}

async fn prune(pool: &PgPool) {
    match table::prune(pool).await {
        Ok(0) => {}
        Ok(actions) => tracing::info!(actions, "forgot bulk actions that ended long ago"),
        Err(error) => tracing::warn!(error = error_chain(&error), "old bulk actions were not deleted"),
    }
}

#[cfg(test)]
mod tests;

//! Carries bulk actions on, those of all processes together.

use std::time::Duration;

use error_chain::error_chain;
use sqlx::PgPool;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::pace::Pace;
use crate::table::{self, BulkActionRow, BulkActionState, MOST_AT_ONCE};
use crate::targets::{BatchReport, BulkTarget};
use crate::{BulkActionDependencies, BulkActionError};

/// How long nobody else takes an action whose process died. It is renewed with each batch.
const LEASE: Duration = Duration::from_mins(1);
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
            say_if_broken_off(ended);
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
        say_if_broken_off(ended);
    }
}

/// Its lease ends, and it is taken again.
fn say_if_broken_off(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(error = error_chain(&error), "a bulk action was broken off");
    }
}

/// Carries an action on until it ends, another process has it, or the process stops.
async fn carry_on(deps: BulkActionDependencies, action: BulkActionRow, claim: Uuid, stop: CancellationToken) {
    let (id, kind) = (action.id, action.kind.as_str());
    tracing::info!(bulk_action = %id, kind, "bulk action goes on");
    let pool = deps.store.pool().clone();
    match batches(&deps, action, claim, &stop).await {
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

async fn batches(
    deps: &BulkActionDependencies,
    action: BulkActionRow,
    claim: Uuid,
    stop: &CancellationToken,
) -> Result<Option<BulkActionState>, BulkActionError> {
    let (pool, id) = (deps.store.pool(), action.id);
    let mut target = match BulkTarget::of(deps, &action) {
        Ok(target) => target,
        Err(error) => {
            // It may be readable to a newer build. If not, it fails as others do.
            let failures_in_row = action.failures_in_row + 1;
            let report = BatchReport { failures_in_row, note: Some(error_chain(&error)), ..BatchReport::default() };
            return Ok(table::save(pool, (id, claim), LEASE, &report).await?);
        }
    };
    let ended = until_end(pool, &action, claim, &mut target, stop).await;
    target.release().await;
    ended
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
            false => target.next(most, failures_in_row).await.unwrap_or_else(|error| BatchReport {
                failures_in_row: failures_in_row + 1,
                note: Some(error_chain(&error)),
                ..BatchReport::default()
            }),
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

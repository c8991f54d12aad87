//! A replay at work, phase by phase.

use std::time::Instant;

use error_chain::error_chain;
use sqlx::{Connection, Executor, PgConnection};
use tokio_util::sync::CancellationToken;

use super::table::{self, ReplayCancellation, ReplayPhase, ReplayRow};
use super::{ReplayError, ReplayOperations, ReplayProgress, ReplaySummary};
use crate::projection::ProjectionDefinition;

/// A replay that only this process may work on. Once it is dropped, any process can resume it.
#[derive(Debug)]
pub struct ExclusiveReplay {
    pub(super) replays: ReplayOperations,
    /// Holds the locks of the projections.
    pub(super) session: PgConnection,
    pub(super) projections: Vec<&'static ProjectionDefinition>,
    pub(super) state: ReplayRow,
}

impl ExclusiveReplay {
    /// The state in which it was opened.
    pub fn state(&self) -> &ReplayRow {
        &self.state
    }

    /// Lets go of the replay. Another process can resume it at once.
    pub async fn close(self) {
        release(self.session).await;
    }

    /// Works until the replay is over or `stop` is cancelled. A replay that ends early goes on from there when it is
    /// opened again, unless somebody cancelled it. `report` gets the progress every now and then.
    pub async fn run(
        mut self,
        stop: &CancellationToken,
        mut report: impl FnMut(ReplayProgress) + Send,
    ) -> Result<ReplaySummary, ReplayError> {
        let ended = tokio::select! {
            biased;
            // The transaction under way is rolled back.
            () = stop.cancelled() => Err(ReplayError::Stopped),
            ended = self.phases(&mut report) => ended,
        };
        match &ended {
            Ok(_) | Err(ReplayError::Stopped) => {}
            Err(ReplayError::Cancelled) => self.replays.discard(&mut self.session, &self.state).await?,
            Err(error) => {
                // For `GET /admin/replays/{id}`. If it can't be written, the caller gets the error all the same.
                let _ = table::record_error(&mut self.session, self.state.id, &error_chain(error)).await;
            }
        }
        if !matches!(ended, Err(ReplayError::Stopped)) {
            release(self.session).await;
        }
        ended
    }

    async fn phases(&mut self, report: &mut (impl FnMut(ReplayProgress) + Send)) -> Result<ReplaySummary, ReplayError> {
        if self.state.phase == ReplayPhase::Folding {
            self.bulk_fold(report).await?;
            self.enter(ReplayPhase::Indexing).await?;
        }
        if self.state.phase == ReplayPhase::Indexing {
            report(self.progress());
            self.create_indexes().await?;
            self.enter(ReplayPhase::CatchingUp).await?;
        }
        report(self.progress());
        self.catch_up(report).await?;
        let comparisons = if self.state.compares { self.compare().await? } else { vec![] };
        let promoted = comparisons.iter().all(|(_, comparison)| comparison.is_empty());
        if promoted {
            self.promote_all(report).await?;
        } else {
            self.enter(ReplayPhase::Different).await?;
        }
        let (events, position) = (self.state.events, self.state.position);
        Ok(ReplaySummary { events, position, comparisons, promoted })
    }

    async fn create_indexes(&mut self) -> Result<(), ReplayError> {
        let began = Instant::now();
        for projection in &self.projections {
            let mut next = self.replays.read_models.resume_next(projection.name, &mut self.session).await?;
            next.finish(&mut self.session).await?;
        }
        Ok(table::record_working_time(&mut self.session, self.state.id, began.elapsed()).await?)
    }

    async fn enter(&mut self, phase: ReplayPhase) -> Result<(), ReplayError> {
        self.state.phase = phase;
        match table::enter_phase(&mut self.session, self.state.id, phase).await? {
            ReplayCancellation::Recorded => Ok(()),
            ReplayCancellation::Cancelled => Err(ReplayError::Cancelled),
        }
    }

    pub(super) fn progress(&self) -> ReplayProgress {
        ReplayProgress { phase: self.state.phase, events: self.state.events, total: self.state.total }
    }

    /// The projections whose next generation is not live yet.
    pub(super) fn not_promoted(&self) -> Vec<&'static ProjectionDefinition> {
        let promoted = &self.state.promoted;
        let is_left = |projection: &&&ProjectionDefinition| !promoted.iter().any(|name| name == projection.name);
        self.projections.iter().filter(is_left).copied().collect()
    }
}

/// Ends a session and frees its locks at once. A session that is only closed keeps them until the server notices.
pub(super) async fn release(mut session: PgConnection) {
    // If this fails, the locks still end with the session.
    let _ = session.execute("select pg_advisory_unlock_all()").await;
    let _ = session.close().await;
}

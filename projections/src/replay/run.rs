//! A replay at work.

use std::time::Instant;

use error_chain::error_chain;
use sqlx::{Connection, Executor, PgConnection};
use tokio_util::sync::CancellationToken;

use super::record::{Phase, ReplayState};
use super::{Progress, ReplayError, Replayed, Replays};
use crate::projection::Projection;

/// A replay that may be worked on, by this process only. Dropped, it can be gone on with.
#[derive(Debug)]
pub struct Replay {
    pub(super) replays: Replays,
    /// Holds the right to work on it.
    pub(super) session: PgConnection,
    pub(super) projections: Vec<&'static Projection>,
    pub(super) state: ReplayState,
}

impl Replay {
    /// What it is, as it was when it was opened.
    pub fn state(&self) -> &ReplayState {
        &self.state
    }

    /// Leaves it for now; at once somebody else may go on with it.
    pub async fn close(self) {
        release(self.session).await;
    }

    /// Works on it until it is over, or `stop`. Whatever ends it early, it goes on from there when it is opened again, unless it
    /// was cancelled. `report` is told how far it is, now and then.
    pub async fn run(
        mut self,
        stop: &CancellationToken,
        mut report: impl FnMut(Progress) + Send,
    ) -> Result<Replayed, ReplayError> {
        let ended = tokio::select! {
            biased;
            // Whatever is under way is rolled back.
            () = stop.cancelled() => Err(ReplayError::Stopped),
            ended = self.phases(&mut report) => ended,
        };
        match &ended {
            Ok(_) | Err(ReplayError::Stopped) => {}
            Err(ReplayError::Cancelled) => {
                self.replays.clean_up(&mut self.session, &self.state).await?;
            }
            Err(error) => {
                // Shown to whoever asks; if it can't be written, the error itself is still reported.
                let note = sqlx::query("update replays set error = $2, updated_at = now() where id = $1");
                let _ = note.bind(self.state.id).bind(error_chain(error)).execute(&mut self.session).await;
            }
        }
        if !matches!(ended, Err(ReplayError::Stopped)) {
            release(self.session).await;
        }
        ended
    }

    async fn phases(&mut self, report: &mut (impl FnMut(Progress) + Send)) -> Result<Replayed, ReplayError> {
        if self.state.phase == Phase::Folding {
            self.fold(report).await?;
            self.enter(Phase::Indexing).await?;
        }
        if self.state.phase == Phase::Indexing {
            report(self.progress());
            let began = Instant::now();
            for projection in &self.projections {
                let mut next = self.replays.read_models.resume(projection.name, &mut self.session).await?;
                next.finish(&mut self.session).await?;
            }
            self.worked(began).await?;
            self.enter(Phase::CatchingUp).await?;
        }
        report(self.progress());
        self.catch_up(report).await?;
        let comparisons = if self.state.compares { self.compare().await? } else { vec![] };
        let swapped = comparisons.iter().all(|(_, comparison)| comparison.is_empty());
        if swapped {
            self.change_places(report).await?;
        } else {
            self.enter(Phase::Different).await?;
        }
        let (events, position) = (self.state.events, self.state.position);
        Ok(Replayed { events, position, comparisons, swapped })
    }

    pub(super) fn progress(&self) -> Progress {
        Progress { phase: self.state.phase, events: self.state.events, total: self.state.total }
    }

    /// Those that have not taken the live ones' places yet.
    pub(super) fn to_do(&self) -> Vec<&'static Projection> {
        let swapped = &self.state.swapped;
        let to_do = |projection: &&&Projection| !swapped.iter().any(|name| name == projection.name);
        self.projections.iter().filter(to_do).copied().collect()
    }

    async fn enter(&mut self, phase: Phase) -> Result<(), ReplayError> {
        let enter = "update replays set phase = $2, updated_at = now() where id = $1 returning cancelling";
        let enter = sqlx::query_scalar(enter).bind(self.state.id).bind(phase.name());
        let cancelling: Option<bool> = enter.fetch_optional(&mut self.session).await?;
        self.state.phase = phase;
        if cancelling == Some(false) { Ok(()) } else { Err(ReplayError::Cancelled) }
    }

    async fn worked(&mut self, since: Instant) -> Result<(), ReplayError> {
        let note = "update replays set working = working + make_interval(secs => $2), updated_at = now() where id = $1";
        let note = sqlx::query(note).bind(self.state.id).bind(since.elapsed().as_secs_f64());
        note.execute(&mut self.session).await?;
        Ok(())
    }
}

/// Gives the right to rebuild back at once: a session that is only closed keeps it until the server has noticed.
pub(super) async fn release(mut session: PgConnection) {
    // It ends with the session in any case.
    let _ = session.execute("select pg_advisory_unlock_all()").await;
    let _ = session.close().await;
}

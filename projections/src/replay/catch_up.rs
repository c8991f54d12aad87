//! Following the log from where the replay began, and looking at what came of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bounds::{BatchSize, Budget};
use event_store::StoredEvent;
use event_store::operations::checkpoints;
use event_store::read::{EventPage, read_after};
use read_models::{Comparison, Generation, compare};
use sqlx::Connection;
use sqlx::types::Json;

use super::traffic::Traffic;
use super::{Progress, Replay, ReplayError};

/// Fewer than these, and the rest is done when the places are changed.
const ALMOST: usize = 200;
/// How many differences of each kind are kept.
const EXAMPLES: usize = 5;

impl Replay {
    /// Folds what came since, until little is missing.
    pub(super) async fn catch_up(&mut self, report: &mut (impl FnMut(Progress) + Send)) -> Result<(), ReplayError> {
        let mut traffic = Traffic::expected(&mut self.session).await?;
        let (mut behind, mut stride) = (i64::MAX, BatchSize::of(usize::MAX));
        loop {
            let began = Instant::now();
            let mut transaction = self.session.begin().await?;
            let at_once = usize::try_from(traffic.events_at_once()).unwrap_or(usize::MAX);
            let EventPage { events, more } =
                read_after(&mut transaction, self.state.position, Budget::of(at_once)).await?;
            let Some(last) = events.last() else { return Ok(transaction.rollback().await?) };
            for projection in
                self.projections.iter().filter(|it| !self.state.swapped.iter().any(|name| name == it.name))
            {
                let next = self.replays.read_models.table(projection.name, Generation::Next);
                projection.fold_into(&*next, &mut transaction, &events, &mut stride).await?;
            }
            let note = "update replays set events = events + $2, position = $3, updated_at = now(),
                               working = working + make_interval(secs => $4)
                         where id = $1 returning cancelling";
            let cancelling: Option<bool> = sqlx::query_scalar(note)
                .bind(self.state.id)
                .bind(followed(&self.projections, &events))
                .bind(last.position)
                .bind(began.elapsed().as_secs_f64())
                .fetch_optional(&mut *transaction)
                .await?;
            if cancelling != Some(false) {
                return Err(ReplayError::Cancelled);
            }
            transaction.commit().await?;
            self.state.position = last.position;
            self.state.events += u64::try_from(followed(&self.projections, &events)).unwrap_or(0);
            report(self.progress());
            if !more && events.len() < ALMOST {
                return Ok(());
            }
            // Who rests while others append faster than it folds never gets there.
            let left = traffic.position() - self.state.position;
            let took = if left < behind { began.elapsed() } else { Duration::ZERO };
            behind = left;
            traffic.give_way(&mut self.session, took).await?;
        }
    }

    /// Looks for differences between what is live and what is to take its place.
    pub(super) async fn compare(&mut self) -> Result<Vec<(String, Comparison)>, ReplayError> {
        let live = checkpoints(&self.replays.pool).await?;
        let mut comparisons = Vec::new();
        for projection in self.to_do() {
            let name = projection.name;
            let up_to = self.state.position.min(live.get(name).copied().unwrap_or(0));
            let table = |generation| self.replays.read_models.table(name, generation);
            let found = compare(&*table(Generation::Live), &*table(Generation::Next), up_to, EXAMPLES).await?;
            comparisons.push((name.to_owned(), found));
        }
        let all: BTreeMap<&str, &Comparison> = comparisons.iter().map(|(name, found)| (name.as_str(), found)).collect();
        let note = sqlx::query("update replays set comparison = $2, updated_at = now() where id = $1");
        note.bind(self.state.id).bind(Json(all)).execute(&mut self.session).await?;
        Ok(comparisons)
    }
}

/// How many of the events concern these projections.
fn followed(projections: &[&'static crate::Projection], events: &[StoredEvent]) -> i64 {
    let kinds = super::begin::kinds(projections);
    let concerned = events.iter().filter(|event| kinds.iter().any(|kind| *kind == event.stream_type)).count();
    i64::try_from(concerned).unwrap_or(i64::MAX)
}

//! Follows the log from where the replay began, and compares the generations.

use std::time::{Duration, Instant};

use bounds::{Budget, ByteLimitedBatchSize};
use event_store::StoredEvent;
use event_store::operations::checkpoints;
use event_store::read::{EventPage, read_after};
use read_models::{Generation, GenerationComparison, compare};
use sqlx::Connection;

use super::table::{self, ReplayCancellation};
use super::throttle::ReplayThrottle;
use super::{ALMOST_CAUGHT_UP, ExclusiveReplay, ReplayError, ReplayProgress, stream_types};
use crate::projection::ProjectionDefinition;
use crate::projector::project;

/// How many differences of each kind are kept.
const EXAMPLES: usize = 5;

impl ExclusiveReplay {
    /// Folds the events since the replay began, until only a few are left for the promotion.
    pub(super) async fn catch_up(
        &mut self,
        report: &mut (impl FnMut(ReplayProgress) + Send),
    ) -> Result<(), ReplayError> {
        let mut throttle = ReplayThrottle::assume_busy(&mut self.session).await?;
        let (mut behind, mut stride) = (i64::MAX, ByteLimitedBatchSize::of(usize::MAX));
        loop {
            let began = Instant::now();
            let mut transaction = self.session.begin().await?;
            let most = usize::try_from(throttle.batch_size()).unwrap_or(usize::MAX);
            let EventPage { events, more } =
                read_after(&mut transaction, self.state.position, Budget::of(most)).await?;
            let Some(last) = events.last() else { return Ok(transaction.rollback().await?) };
            for projection in
                self.projections.iter().filter(|it| !self.state.promoted.iter().any(|name| name == it.name))
            {
                let next = self.replays.read_models.table(projection.name, Generation::Next);
                project(projection, &*next, &mut transaction, &events, &mut stride).await?;
            }
            let followed = count_followed(&self.projections, &events);
            let recording =
                table::record_position(&mut transaction, self.state.id, followed, last.position, began.elapsed());
            if let ReplayCancellation::Cancelled = recording.await? {
                return Err(ReplayError::Cancelled);
            }
            transaction.commit().await?;
            self.state.position = last.position;
            self.state.events += u64::try_from(followed).unwrap_or(0);
            report(self.progress());
            if !more && events.len() < ALMOST_CAUGHT_UP {
                return Ok(());
            }
            // No pause while the distance grows: the replay would never catch up with the appenders.
            let left = throttle.position() - self.state.position;
            let took = if left < behind { began.elapsed() } else { Duration::ZERO };
            behind = left;
            throttle.pause_after(&mut self.session, took).await?;
        }
    }

    /// Compares the live generations with the next ones, up to the position that both have reached.
    pub(super) async fn compare(&mut self) -> Result<Vec<(String, GenerationComparison)>, ReplayError> {
        let live = checkpoints(&self.replays.pool).await?;
        let mut comparisons = Vec::new();
        for projection in self.not_promoted() {
            let name = projection.name;
            let up_to = self.state.position.min(live.get(name).copied().unwrap_or(0));
            let table = |generation| self.replays.read_models.table(name, generation);
            let found = compare(&*table(Generation::Live), &*table(Generation::Next), up_to, EXAMPLES).await?;
            comparisons.push((name.to_owned(), found));
        }
        table::record_comparisons(&mut self.session, self.state.id, &comparisons).await?;
        Ok(comparisons)
    }
}

/// How many of the events are of streams that these projections follow.
fn count_followed(projections: &[&'static ProjectionDefinition], events: &[StoredEvent]) -> i64 {
    let types = stream_types(projections);
    let followed = events.iter().filter(|event| types.iter().any(|name| *name == event.stream_type)).count();
    i64::try_from(followed).unwrap_or(i64::MAX)
}

//! Promotes a generation to the live one, in one transaction during which no process writes the read model.

use std::time::Duration;

use bounds::{Budget, ByteLimitedBatchSize};
use event_store::read::{EventPage, read_after};
use event_store::{ExclusiveLease, LeaseSettings};
use read_models::{Generation, ReadModelStoreError};
use sqlx::error::DatabaseError;
use sqlx::{Connection, Executor, PgConnection};

use super::table::{self, ReplayCancellation, ReplayPhase};
use super::{ExclusiveReplay, ReplayError, ReplayOperations, ReplayProgress};
use crate::projection::ProjectionDefinition;
use crate::projector::project;

pub(super) const BATCH: usize = 2_000;
/// Promotion waits until no reader uses the old table, and meanwhile all new readers wait behind it. A long reader,
/// such as `ordo verify`, must not hold them up: so promotion gives up soon, and tries again.
const SHORT_LOCK_TIMEOUT: &str = "set local lock_timeout = '300ms'";
/// Every third try waits longer than Postgres's `deadlock_timeout` of a second, after which an autovacuum of the table
/// gives way.
pub(super) const LONG_LOCK_TIMEOUT: &str = "set local lock_timeout = '1500ms'";
const LONG_EVERY: usize = 3;
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Postgres's error code for a lock that was not granted in time.
const LOCK_NOT_AVAILABLE: &str = "55P03";

impl ExclusiveReplay {
    /// Promotes the next generation of every projection.
    pub(super) async fn promote_all(
        &mut self,
        report: &mut (impl FnMut(ReplayProgress) + Send),
    ) -> Result<(), ReplayError> {
        let mut tries = 0;
        while let Some(projection) = self.not_promoted().first().copied() {
            tries += 1;
            let lock_timeout = if tries % LONG_EVERY == 0 { LONG_LOCK_TIMEOUT } else { SHORT_LOCK_TIMEOUT };
            let end = match self.promote_next(projection, lock_timeout).await {
                Err(ReplayError::InUse(_)) => {
                    tokio::time::sleep(RETRY_PAUSE).await;
                    self.catch_up(report).await?;
                    continue;
                }
                promoted => promoted?,
            };
            let name = projection.name;
            if let Err(error) = self.replays.read_models.delete_dropped_tables(name).await {
                tracing::warn!(%error, read_model = name, "what was replaced before is deleted with the next replay");
            }
            tries = 0;
            self.state.promoted.push(name.to_owned());
            if self.not_promoted().is_empty() {
                self.state.position = end;
            }
        }
        table::finish(&mut self.session, self.state.id, self.state.position).await?;
        self.state.phase = ReplayPhase::Done;
        Ok(())
    }

    async fn promote_next(
        &mut self,
        projection: &'static ProjectionDefinition,
        lock_timeout: &str,
    ) -> Result<i64, ReplayError> {
        let (name, id) = (projection.name, self.state.id);
        let takeover = ExclusiveLease::acquire(&mut self.session, name, LeaseSettings::default()).await?;
        let (replays, session, from) = (&self.replays, &mut self.session, self.state.position);
        let advance = async |transaction: &mut PgConnection| {
            transaction.execute(lock_timeout).await?;
            replays.read_models.promote(name, transaction).await?;
            match table::record_promotion(transaction, id, name).await? {
                ReplayCancellation::Recorded => Ok(()),
                ReplayCancellation::Cancelled => Err(ReplayError::Cancelled),
            }
        };
        replays.promote(takeover, projection, Generation::Next, from, session, advance).await
    }
}

impl ReplayOperations {
    /// Folds the events after `from` into a generation and makes it the live one by `exchange`, all in one transaction,
    /// during which no process writes the read model. Returns the position up to which it is folded then. Parked events
    /// are folded, too.
    pub(super) async fn promote(
        &self,
        mut takeover: ExclusiveLease,
        projection: &'static ProjectionDefinition,
        generation: Generation,
        from: i64,
        session: &mut PgConnection,
        exchange: impl AsyncFnOnce(&mut PgConnection) -> Result<(), ReplayError>,
    ) -> Result<i64, ReplayError> {
        let name = projection.name;
        let live_position = takeover.position();
        let promotion = async {
            let mut transaction = session.begin().await?;
            let generation = self.read_models.table(name, generation);
            let (mut end, mut stride) = (from, ByteLimitedBatchSize::of(usize::MAX));
            loop {
                let EventPage { events, more } = read_after(&mut transaction, end, Budget::of(BATCH)).await?;
                let Some(last) = events.last() else { break };
                project(projection, &*generation, &mut transaction, &events, &mut stride).await?;
                end = last.position;
                // The live generation has seen nothing beyond this. The subscription goes on from here.
                if !more {
                    break;
                }
            }
            exchange(&mut transaction)
                .await
                .map_err(|error| if is_in_use(&error) { ReplayError::InUse(name.to_owned()) } else { error })?;
            table::keep_previous(&mut transaction, name, live_position).await?;
            // From here on no lock has to wait for a reader.
            transaction.execute("set local lock_timeout = '30s'").await?;
            Ok::<_, ReplayError>((transaction, end))
        };
        let promoted = takeover.while_held(&self.pool, promotion).await;
        match promoted.unwrap_or_else(|| Err(ReplayError::LeaseLost(name.to_owned()))) {
            Ok((mut transaction, end)) => {
                takeover.release_at(&mut transaction, end).await?;
                transaction.commit().await?;
                Ok(end)
            }
            Err(error) => {
                // If this fails, the projectors go on once the lease has expired.
                let _ = takeover.release(&self.pool).await;
                Err(error)
            }
        }
    }
}

fn is_in_use(error: &ReplayError) -> bool {
    let ReplayError::Store(ReadModelStoreError::Database(error)) = error else { return false };
    error.as_database_error().and_then(DatabaseError::code).as_deref() == Some(LOCK_NOT_AVAILABLE)
}

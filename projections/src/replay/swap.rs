//! Changing places: each read model in one transaction, while its copies stand still.

use std::time::Duration;

use bounds::{BatchSize, Budget};
use event_store::read::{EventPage, read_after};
use event_store::{ExclusiveLease, SubscriptionSettings};
use read_models::{Generation, StoreError};
use sqlx::error::DatabaseError;
use sqlx::{Connection, Executor, PgConnection};

use super::record::Phase;
use super::{Progress, Replay, ReplayError, Replays};
use crate::projection::Projection;

const BATCH: usize = 2_000;
/// Whoever reads the live one for long, such as `ordo verify`, is not to hold up all other readers, who wait behind the one that
/// wants to change its place: so that one lets go soon,
const PATIENCE: &str = "set local lock_timeout = '300ms'";
/// but now and then waits longer than Postgres's `deadlock_timeout` of a second, after which an autovacuum of the table gives way.
pub(super) const MORE_PATIENCE: &str = "set local lock_timeout = '1500ms'";
/// Every third time.
const MORE_EVERY: usize = 3;
/// Between two tries.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// Postgres's code for a lock that could not be had in time.
const LOCK_NOT_AVAILABLE: &str = "55P03";

impl Replay {
    /// Every next generation takes its live one's place.
    pub(super) async fn change_places(
        &mut self,
        report: &mut (impl FnMut(Progress) + Send),
    ) -> Result<(), ReplayError> {
        let mut tries = 0;
        while let Some(projection) = self.to_do().first().copied() {
            tries += 1;
            let patience = if tries % MORE_EVERY == 0 { MORE_PATIENCE } else { PATIENCE };
            let name = projection.name;
            let takeover = ExclusiveLease::acquire(&mut self.session, name, SubscriptionSettings::default()).await?;
            let (replays, session, from) = (&self.replays, &mut self.session, self.state.position);
            let id = self.state.id;
            let swapped = replays
                .swap(takeover, projection, Generation::Next, from, session, async |transaction: &mut PgConnection| {
                    transaction.execute(patience).await?;
                    replays.read_models.advance(name, transaction).await?;
                    let note = "update replays set swapped = swapped || $2, updated_at = now()
                                 where id = $1 and not cancelling";
                    let noted = sqlx::query(note).bind(id).bind(name).execute(transaction).await?;
                    if noted.rows_affected() == 1 { Ok(()) } else { Err(ReplayError::Cancelled) }
                })
                .await;
            let end = match swapped {
                Err(ReplayError::InUse(_)) => {
                    tokio::time::sleep(TRY_AGAIN).await;
                    self.catch_up(report).await?;
                    continue;
                }
                swapped => swapped?,
            };
            if let Err(error) = self.replays.read_models.tidy(name).await {
                tracing::warn!(%error, read_model = name, "what was replaced before is deleted with the next replay");
            }
            tries = 0;
            self.state.swapped.push(name.to_owned());
            if self.to_do().is_empty() {
                self.state.position = end;
            }
        }
        let over = "update replays set phase = 'done', position = $2, error = null, updated_at = now() where id = $1";
        sqlx::query(over).bind(self.state.id).bind(self.state.position).execute(&mut self.session).await?;
        self.state.phase = Phase::Done;
        Ok(())
    }
}

impl Replays {
    /// Folds what is missing behind `from` into a generation, and has it take the live one's place by `change`, all in one
    /// transaction, during which no copy writes. Returns up to where it is folded then. What was parked is folded, too.
    pub(super) async fn swap(
        &self,
        mut takeover: ExclusiveLease,
        projection: &'static Projection,
        generation: Generation,
        from: i64,
        session: &mut PgConnection,
        change: impl AsyncFnOnce(&mut PgConnection) -> Result<(), ReplayError>,
    ) -> Result<i64, ReplayError> {
        let name = projection.name;
        // What is kept of the live one is to be gone on with from where it was folded up to, and from before what was parked: that is
        // forgotten now.
        let left_at = takeover.position();
        let swap = async {
            let mut transaction = session.begin().await?;
            let table = self.read_models.table(name, generation);
            let (mut end, mut stride) = (from, BatchSize::of(usize::MAX));
            loop {
                let EventPage { events, more } = read_after(&mut transaction, end, Budget::of(BATCH)).await?;
                let Some(last) = events.last() else { break };
                projection.fold_into(&*table, &mut transaction, &events, &mut stride).await?;
                end = last.position;
                // That was all that the live one can have seen before it stood still. Whoever goes on from here sees the rest.
                if !more {
                    break;
                }
            }
            change(&mut transaction)
                .await
                .map_err(|error| if is_in_use(&error) { ReplayError::InUse(name.to_owned()) } else { error })?;
            let keep = "insert into read_model_previous (read_model, position)
                        select $1, least($2, min(position) - 1) from parked_events where subscription = $1
                        on conflict (read_model) do update set position = excluded.position, since = now()";
            sqlx::query(keep).bind(name).bind(left_at).execute(&mut *transaction).await?;
            // What follows waits for nobody who reads.
            transaction.execute("set local lock_timeout = '30s'").await?;
            Ok::<_, ReplayError>((transaction, end))
        };
        let swapped = takeover.while_held(&self.pool, swap).await;
        match swapped.unwrap_or_else(|| Err(ReplayError::Overtaken(name.to_owned()))) {
            Ok((mut transaction, end)) => {
                takeover.release_at(&mut transaction, end).await?;
                transaction.commit().await?;
                Ok(end)
            }
            Err(error) => {
                // Otherwise its copies go on when the lease has run out.
                let _ = takeover.release(&self.pool).await;
                Err(error)
            }
        }
    }
}

fn is_in_use(error: &ReplayError) -> bool {
    let ReplayError::Store(StoreError::Database(error)) = error else { return false };
    error.as_database_error().and_then(DatabaseError::code).as_deref() == Some(LOCK_NOT_AVAILABLE)
}

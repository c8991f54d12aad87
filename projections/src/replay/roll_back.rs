//! Restores the previous generation of a read model.

use bounds::{Budget, ByteLimitedBatchSize};
use event_store::read::{EventPage, read_after};
use event_store::{ExclusiveLease, LeaseSettings};
use read_models::Generation;
use sqlx::{Connection, Executor, PgConnection};

use super::promote::{BATCH, LONG_LOCK_TIMEOUT};
use super::run::release;
use super::{ALMOST_CAUGHT_UP, ReplayError, ReplayOperations, projections_named, table};
use crate::projection::ProjectionDefinition;
use crate::projector::project;

impl ReplayOperations {
    /// Makes the previous generation live again, folded up to where the log is now. The live one becomes the previous
    /// one. Returns the position up to which the restored one is folded.
    pub async fn roll_back(&self, projection: &str) -> Result<i64, ReplayError> {
        let projection = projections_named(&[projection.to_owned()])?[0];
        let mut session = self.lock_projections(&[projection.name]).await?;
        let restored = self.restore_previous(projection, &mut session).await;
        release(session).await;
        restored
    }

    async fn restore_previous(
        &self,
        projection: &'static ProjectionDefinition,
        session: &mut PgConnection,
    ) -> Result<i64, ReplayError> {
        let name = projection.name;
        let no_previous = || ReplayError::NoPrevious(name.to_owned());
        if !self.read_models.exists(name, Generation::Previous).await? {
            return Err(no_previous());
        }
        let mut position = table::previous_position(session, name).await?.ok_or_else(no_previous)?;
        let mut stride = ByteLimitedBatchSize::of(usize::MAX);
        loop {
            let mut transaction = session.begin().await?;
            let EventPage { events, more } = read_after(&mut transaction, position, Budget::of(BATCH)).await?;
            let Some(last) = events.last() else { break };
            let previous = self.read_models.table(name, Generation::Previous);
            project(projection, &*previous, &mut transaction, &events, &mut stride).await?;
            position = last.position;
            table::advance_previous(&mut transaction, name, position).await?;
            let almost = !more && events.len() < ALMOST_CAUGHT_UP;
            transaction.commit().await?;
            if almost {
                break;
            }
        }
        let takeover = ExclusiveLease::acquire(session, name, LeaseSettings::default()).await?;
        let roll_back = async |transaction: &mut PgConnection| {
            transaction.execute(LONG_LOCK_TIMEOUT).await?;
            Ok(self.read_models.roll_back(name, transaction).await?)
        };
        self.promote(takeover, projection, Generation::Previous, position, session, roll_back).await
    }
}

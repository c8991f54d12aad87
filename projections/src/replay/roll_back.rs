//! Going back to the generation before.

use bounds::{BatchSize, Budget};
use event_store::read::{EventPage, read_after};
use event_store::{ExclusiveLease, SubscriptionSettings};
use read_models::Generation;
use sqlx::{Connection, Executor, PgConnection};

use super::run::release;
use super::swap::MORE_PATIENCE;
use super::{ReplayError, Replays, find};
use crate::projection::Projection;

const BATCH: usize = 2_000;
/// Fewer than these, and the rest is done when the places are changed.
const ALMOST: usize = 200;

impl Replays {
    /// Has the generation that was replaced last take its place again, after it was folded up to where the log is now; the
    /// other one is kept instead. Returns up to where it is folded.
    pub async fn roll_back(&self, projection: &str) -> Result<i64, ReplayError> {
        let projection = find(&[projection.to_owned()])?[0];
        let name = projection.name;
        let mut session = self.session(&[name]).await?;
        let went_back = self.go_back(projection, &mut session).await;
        release(session).await;
        went_back
    }

    async fn go_back(&self, projection: &'static Projection, session: &mut PgConnection) -> Result<i64, ReplayError> {
        let name = projection.name;
        let nothing = || ReplayError::NoPrevious(name.to_owned());
        if !self.read_models.exists(name, Generation::Previous).await? {
            return Err(nothing());
        }
        let mut position = previous(session, name).await?.ok_or_else(nothing)?;
        let mut stride = BatchSize::of(usize::MAX);
        loop {
            let mut transaction = session.begin().await?;
            let EventPage { events, more } = read_after(&mut transaction, position, Budget::of(BATCH)).await?;
            let Some(last) = events.last() else { break };
            let table = self.read_models.table(name, Generation::Previous);
            projection.fold_into(&*table, &mut transaction, &events, &mut stride).await?;
            position = last.position;
            let note = sqlx::query("update read_model_previous set position = $2 where read_model = $1");
            note.bind(name).bind(position).execute(&mut *transaction).await?;
            let almost = !more && events.len() < ALMOST;
            transaction.commit().await?;
            if almost {
                break;
            }
        }
        let takeover = ExclusiveLease::acquire(session, name, SubscriptionSettings::default()).await?;
        let change = async |transaction: &mut PgConnection| {
            transaction.execute(MORE_PATIENCE).await?;
            Ok(self.read_models.roll_back(name, transaction).await?)
        };
        self.swap(takeover, projection, Generation::Previous, position, session, change).await
    }
}

/// Up to where the previous generation is folded.
async fn previous(session: &mut PgConnection, name: &str) -> Result<Option<i64>, sqlx::Error> {
    let query = sqlx::query_scalar("select position from read_model_previous where read_model = $1");
    query.bind(name).fetch_optional(session).await
}

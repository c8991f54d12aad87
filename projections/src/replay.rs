//! Rebuilds a read model from nothing, beside the live one, while it runs.

use event_store::{SubscriptionSettings, Takeover, read_after};
use read_models::{Generation, ReadModels, StoreError};
use sqlx::{Connection, PgConnection, PgPool, Postgres, Transaction};

use crate::REGISTRY;
use crate::projection::{ProjectError, Projection};

/// The most events folded at once.
const BATCH: i64 = 2_000;

/// How far a rebuild is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Events folded so far.
    pub events: u64,
    /// The log position reached.
    pub position: i64,
    /// How many events there were when the rebuild began.
    pub total: u64,
}

/// What a rebuild did.
#[derive(Debug, Clone, Copy)]
pub struct Replayed {
    /// How many events it folded.
    pub events: u64,
    /// The log position that the read model stands at.
    pub position: i64,
}

/// Why a read model was not rebuilt. The live one is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// There is no such projection.
    #[error("there is no projection {name}; there are: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// Someone else is rebuilding it.
    #[error("{0} is being rebuilt already")]
    AlreadyRunning(String),
    /// The rebuild stood still for so long that the live one's copies went on.
    #[error("{0} was taken back before its rebuild was done; try again")]
    Overtaken(String),
    /// The events could not be projected.
    #[error("the events could not be projected")]
    Project(#[from] ProjectError),
    /// The read model could not be written.
    #[error("the read model could not be written")]
    Store(#[from] StoreError),
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

/// Rebuilds the read model of this name: folds the whole log into a new table, catches up with the live one, and takes
/// its place in one transaction. Readers see the old items until then and the new ones from then on. What the live one had
/// parked is folded too, so nothing is parked any more.
pub async fn replay(
    pool: &PgPool,
    read_models: &dyn ReadModels,
    name: &str,
    report: impl FnMut(Progress),
) -> Result<Replayed, ReplayError> {
    let projection = find(name)?;

    // Held by this transaction until the rebuild is over, however it ends.
    let mut guard = pool.begin().await?;
    sqlx::query("set local idle_in_transaction_session_timeout = 0").execute(&mut *guard).await?;
    let lock = "select pg_try_advisory_xact_lock(hashtextextended($1, 0))";
    if !sqlx::query_scalar(lock).bind(format!("replay of {name}")).fetch_one(&mut *guard).await? {
        return Err(ReplayError::AlreadyRunning(name.to_owned()));
    }

    let rebuilt = rebuild(pool, read_models, projection, report).await;
    if rebuilt.is_err() {
        // Half a table is of no use to anyone; if it can't be removed now, the next rebuild does.
        let _ = read_models.discard(name, Generation::Next, &mut *pool.acquire().await?).await;
    }
    guard.rollback().await?;
    rebuilt
}

async fn rebuild(
    pool: &PgPool,
    read_models: &dyn ReadModels,
    projection: &'static Projection,
    mut report: impl FnMut(Progress),
) -> Result<Replayed, ReplayError> {
    let mut connection = pool.acquire().await?;
    read_models.begin(projection.name, &mut connection).await?.finish(&mut connection).await?;
    let mut rebuild = Rebuild { projection, read_models, done: Replayed { events: 0, position: 0 } };
    // Counted along the index, in a fraction of the time that the rebuild takes.
    let total: i64 = sqlx::query_scalar("select count(*) from events").fetch_one(&mut *connection).await?;
    let total = u64::try_from(total).unwrap_or(0);
    while rebuild.batch(&mut connection).await? {
        report(Progress { events: rebuild.done.events, position: rebuild.done.position, total });
    }

    // The live one stands still from here on: what its copies are in the middle of will not commit.
    let mut takeover = Takeover::begin(&mut connection, projection.name, SubscriptionSettings::default()).await?;
    let swapped = takeover.hold(pool, rebuild.take_the_place(&mut connection)).await;
    match swapped.unwrap_or_else(|| Err(ReplayError::Overtaken(projection.name.to_owned()))) {
        Ok(mut swap) => {
            takeover.finish(&mut swap, rebuild.done.position).await?;
            swap.commit().await?;
            Ok(rebuild.done)
        }
        Err(error) => {
            // Otherwise its copies go on when the lease has run out.
            let _ = takeover.give_up(pool).await;
            Err(error)
        }
    }
}

fn find(name: &str) -> Result<&'static Projection, ReplayError> {
    REGISTRY.iter().find(|projection| projection.name == name).ok_or_else(|| ReplayError::Unknown {
        name: name.to_owned(),
        known: REGISTRY.iter().map(|projection| projection.name).collect::<Vec<_>>().join(", "),
    })
}

struct Rebuild<'a> {
    projection: &'static Projection,
    read_models: &'a dyn ReadModels,
    done: Replayed,
}

impl Rebuild<'_> {
    /// Folds the next events; false: there are none.
    async fn batch(&mut self, connection: &mut PgConnection) -> Result<bool, ReplayError> {
        let events = read_after(connection, self.done.position, BATCH).await?;
        let Some(last) = events.last() else { return Ok(false) };
        let next = self.read_models.table(self.projection.name, Generation::Next);
        let changed = self.projection.fold_over(&*next, connection, &events).await?;
        next.write(connection, &changed).await?;
        self.done.position = last.position;
        self.done.events += u64::try_from(events.len()).unwrap_or(0);
        Ok(true)
    }

    /// Folds the little that is missing, and changes places with the live table, in a transaction that is still to be committed.
    async fn take_the_place<'c>(
        &mut self,
        connection: &'c mut PgConnection,
    ) -> Result<Transaction<'c, Postgres>, ReplayError> {
        let mut swap = connection.begin().await?;
        while self.batch(&mut swap).await? {}
        self.read_models.advance(self.projection.name, &mut swap).await?;
        Ok(swap)
    }
}

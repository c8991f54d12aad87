//! How a replay is opened, cancelled, and found again.

use std::time::Duration;

use read_models::Generation;
use sqlx::{Connection, Executor, PgConnection};
use uuid::Uuid;

use super::run::release;
use super::table::{self, ReplayPhase, ReplayRow};
use super::{ExclusiveReplay, ReplayError, ReplayOperations, ReplayOptions, projections_named, stream_types};
use crate::projection::ProjectionDefinition;

/// How often a canceller checks whether the process at work has stopped.
const CANCEL_POLL: Duration = Duration::from_millis(100);
/// A server that can't reach this client any more ends the session within a minute, so that others can rebuild.
const KEEPALIVE: &str = "set tcp_keepalives_idle = 30; set tcp_keepalives_interval = 10; set tcp_keepalives_count = 3";

impl ReplayOperations {
    pub async fn find(&self, id: Uuid) -> Result<ReplayRow, ReplayError> {
        table::find(&self.pool, id).await?.ok_or(ReplayError::NoReplay(id))
    }

    /// All unfinished replays and the last finished ones, the newest first.
    pub async fn list(&self) -> Result<Vec<ReplayRow>, ReplayError> {
        Ok(table::list(&self.pool).await?)
    }

    /// Begins a replay, or resumes the unfinished one of the same projections. No other process can until it is
    /// dropped.
    pub async fn open(&self, request: &ReplayOptions) -> Result<ExclusiveReplay, ReplayError> {
        let projections = projections_named(&request.projections)?;
        let names: Vec<&str> = projections.iter().map(|projection| projection.name).collect();
        let mut session = self.lock_projections(&names).await?;
        let unfinished = table::unfinished(&mut session, &names).await?;
        let id = match unfinished.as_slice() {
            [] => self.begin(&mut session, &projections, request.compare).await?,
            [same] if same.projections == names => {
                if table::resume(&mut session, same.id, request.compare).await? {
                    same.id
                } else {
                    self.discard(&mut session, same).await?;
                    self.begin(&mut session, &projections, request.compare).await?
                }
            }
            [other, ..] => {
                release(session).await;
                return Err(ReplayError::Unfinished { projections: other.projections.join(", ") });
            }
        };
        Ok(ExclusiveReplay { replays: self.clone(), session, projections, state: self.find(id).await? })
    }

    /// Cancels the replay that is rebuilding a projection, whichever process works on it, and removes what it has
    /// built. Returns once that is done, with those of its projections that were promoted before; they stay so.
    pub async fn cancel(&self, projection: &str) -> Result<Vec<String>, ReplayError> {
        let name = projections_named(&[projection.to_owned()])?[0].name;
        let mut connection = self.pool.acquire().await?;
        let unfinished = table::unfinished(&mut connection, &[name]).await?;
        let Some(mut state) = unfinished.into_iter().next() else {
            return Err(ReplayError::NothingToCancel(name.to_owned()));
        };
        table::request_cancel(&mut connection, state.id).await?;
        drop(connection);
        loop {
            match self.find(state.id).await {
                Ok(over) if over.phase == ReplayPhase::Done => return Err(ReplayError::TooLate),
                Ok(now) => state = now,
                // The process at work has removed it.
                Err(ReplayError::NoReplay(_)) => return Ok(state.promoted),
                Err(error) => return Err(error),
            }
            let names: Vec<&str> = state.projections.iter().map(String::as_str).collect();
            match self.lock_projections(&names).await {
                // No process works on it any more.
                Ok(mut session) => {
                    let left = table::unfinished(&mut session, &names).await?;
                    if let Some(left) = left.iter().find(|left| left.id == state.id) {
                        self.discard(&mut session, left).await?;
                    }
                    release(session).await;
                }
                Err(ReplayError::AlreadyRunning(_)) => tokio::time::sleep(CANCEL_POLL).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// A session that may rebuild these projections. No other session may while it lasts.
    pub(super) async fn lock_projections(&self, projections: &[&str]) -> Result<PgConnection, ReplayError> {
        let mut session = PgConnection::connect_with(&self.pool.connect_options()).await?;
        session.execute(KEEPALIVE).await?;
        for projection in projections {
            if !table::lock(&mut session, projection).await? {
                release(session).await;
                return Err(ReplayError::AlreadyRunning((*projection).to_owned()));
            }
        }
        Ok(session)
    }

    async fn begin(
        &self,
        session: &mut PgConnection,
        projections: &[&'static ProjectionDefinition],
        compares: bool,
    ) -> Result<Uuid, ReplayError> {
        let names: Vec<&str> = projections.iter().map(|projection| projection.name).collect();
        let mut transaction = session.begin().await?;
        for name in &names {
            self.read_models.begin_next(name, &mut transaction).await?;
        }
        let id = table::insert(&mut transaction, &names, &stream_types(projections), compares).await?;
        transaction.commit().await?;
        Ok(id)
    }

    /// Removes an unfinished replay and the generations that it has built.
    pub(super) async fn discard(&self, session: &mut PgConnection, state: &ReplayRow) -> Result<(), ReplayError> {
        let mut transaction = session.begin().await?;
        for name in state.projections.iter().filter(|name| !state.promoted.contains(name)) {
            self.read_models.discard(name, Generation::Next, &mut transaction).await?;
        }
        table::delete(&mut transaction, state.id).await?;
        transaction.commit().await?;
        for name in &state.projections {
            self.read_models.delete_dropped_tables(name).await?;
        }
        Ok(())
    }
}

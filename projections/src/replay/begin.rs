//! How a replay begins, goes on after it was stopped, and is cancelled.

use std::time::Duration;

use read_models::Generation;
use sqlx::{Connection, Executor, PgConnection};
use uuid::Uuid;

use super::record::{self, Phase, ReplayState};
use super::run::release;
use super::{Replay, ReplayError, Replays, Wanted, find};
use crate::projection::Projection;

/// By which code events become items here.
const BUILD: &str = env!("ORDO_FOLDS");
/// How many that are over are remembered.
const REMEMBERED: i64 = 50;
/// How often whoever cancels looks whether the one at work has stopped.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// A server that can't reach this client any more finds out within a minute, and lets others rebuild.
const ALIVE: &str = "set tcp_keepalives_idle = 30; set tcp_keepalives_interval = 10; set tcp_keepalives_count = 3";

impl Replays {
    /// Begins a replay, or goes on with the one of the same projections that was stopped. Nobody else can, until it is dropped.
    pub async fn open(&self, wanted: &Wanted) -> Result<Replay, ReplayError> {
        let projections = find(&wanted.projections)?;
        let names: Vec<&str> = projections.iter().map(|projection| projection.name).collect();
        let mut session = self.session(&names).await?;
        let open = record::open(&mut session, &names).await?;
        let id = match open.as_slice() {
            [] => self.begin(&mut session, &projections, wanted.compare).await?,
            [one] if one.projections == names => {
                let go_on = "update replays set compares = $2, error = null,
                                    phase = case phase when 'different' then 'catching-up' else phase end
                              where id = $1 and build = $3 and not cancelling";
                let go_on = sqlx::query(go_on).bind(one.id).bind(wanted.compare).bind(BUILD);
                if go_on.execute(&mut session).await?.rows_affected() == 1 {
                    one.id
                } else {
                    // It was to be cancelled, or another build folded what there is of it, perhaps otherwise.
                    self.clean_up(&mut session, one).await?;
                    self.begin(&mut session, &projections, wanted.compare).await?
                }
            }
            [other, ..] => {
                release(session).await;
                return Err(ReplayError::Unfinished { projections: other.projections.join(", ") });
            }
        };
        Ok(Replay { replays: self.clone(), session, projections, state: self.find(id).await? })
    }

    /// Ends the replay that is rebuilding a projection, whoever works on it, and removes all it has made. Returns when it has, with
    /// those of its projections that had changed places by then, and have stayed there.
    pub async fn cancel(&self, projection: &str) -> Result<Vec<String>, ReplayError> {
        let projections = find(&[projection.to_owned()])?;
        let name = projections[0].name;
        let mut connection = self.pool.acquire().await?;
        let open = record::open(&mut connection, &[name]).await?;
        let Some(mut state) = open.into_iter().next() else {
            return Err(ReplayError::NothingToCancel(name.to_owned()));
        };
        let ask = sqlx::query("update replays set cancelling = true where id = $1").bind(state.id);
        ask.execute(&mut *connection).await?;
        drop(connection);
        loop {
            match self.find(state.id).await {
                Ok(over) if over.phase == Phase::Done => return Err(ReplayError::TooLate),
                Ok(now) => state = now,
                // Whoever worked on it has cleaned up.
                Err(ReplayError::NoReplay(_)) => return Ok(state.swapped),
                Err(error) => return Err(error),
            }
            let names: Vec<&str> = state.projections.iter().map(String::as_str).collect();
            match self.session(&names).await {
                // Nobody works on it any more.
                Ok(mut session) => {
                    let left = record::open(&mut session, &names).await?;
                    if let Some(left) = left.iter().find(|left| left.id == state.id) {
                        self.clean_up(&mut session, left).await?;
                    }
                    release(session).await;
                }
                Err(ReplayError::AlreadyRunning(_)) => tokio::time::sleep(LOOK_AGAIN).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// A session of its own that may rebuild these projections, as nobody else may while it lasts.
    pub(super) async fn session(&self, projections: &[&str]) -> Result<PgConnection, ReplayError> {
        let mut session = PgConnection::connect_with(&self.pool.connect_options()).await?;
        session.execute(ALIVE).await?;
        for projection in projections {
            if !record::lock(&mut session, projection).await? {
                release(session).await;
                return Err(ReplayError::AlreadyRunning((*projection).to_owned()));
            }
        }
        Ok(session)
    }

    async fn begin(
        &self,
        session: &mut PgConnection,
        projections: &[&'static Projection],
        compares: bool,
    ) -> Result<Uuid, ReplayError> {
        let id = Uuid::now_v7();
        let names: Vec<&str> = projections.iter().map(|projection| projection.name).collect();
        let mut transaction = session.begin().await?;
        for name in &names {
            self.read_models.begin(name, &mut transaction).await?;
        }
        // Positions follow commit order: nothing will ever come before the last one that can be seen.
        sqlx::query(
            "insert into replays (id, projections, compares, build, phase, horizon, events_total, position)
             select $1, $2, $3, $5, 'folding', horizon, (select count(*) from events where aggregate_type = any($4)), horizon
               from (select coalesce(max(global_position), 0) as horizon from events) as log",
        )
        .bind(id)
        .bind(&names)
        .bind(compares)
        .bind(kinds(projections))
        .bind(BUILD)
        .execute(&mut *transaction)
        .await?;
        let forget = "delete from replays where id in
                        (select id from replays where phase = 'done' order by began_at desc offset $1)";
        sqlx::query(forget).bind(REMEMBERED).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(id)
    }

    /// Removes what a replay has made, and what is written down of it.
    pub(super) async fn clean_up(&self, session: &mut PgConnection, state: &ReplayState) -> Result<(), ReplayError> {
        let mut transaction = session.begin().await?;
        for name in state.projections.iter().filter(|name| !state.swapped.contains(name)) {
            self.read_models.discard(name, Generation::Next, &mut transaction).await?;
        }
        sqlx::query("delete from replays where id = $1").bind(state.id).execute(&mut *transaction).await?;
        transaction.commit().await?;
        for name in &state.projections {
            self.read_models.tidy(name).await?;
        }
        Ok(())
    }
}

/// Of which kinds the streams are that these projections follow.
pub(super) fn kinds(projections: &[&'static Projection]) -> Vec<&'static str> {
    let mut kinds: Vec<&str> = projections.iter().map(|projection| projection.follows.stream_type()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

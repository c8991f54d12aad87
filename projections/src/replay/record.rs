//! What is written down of replays: the table `replays`.

use std::fmt;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::{ReplayError, Replays};

/// What a replay is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It folds the log stream by stream.
    Folding,
    /// It makes the indexes.
    Indexing,
    /// It follows the log, compares and changes places.
    CatchingUp,
    /// It found differences, and waits for somebody to decide.
    Different,
    /// It is over.
    Done,
}

/// A replay, as it is written down.
#[derive(Debug, Clone)]
pub struct ReplayState {
    /// Its id.
    pub id: Uuid,
    /// What it rebuilds.
    pub projections: Vec<String>,
    /// Whether it looks for differences.
    pub compares: bool,
    /// What it is doing, or was when it was stopped.
    pub phase: Phase,
    /// Whether anybody works on it right now.
    pub running: bool,
    /// How many events it has folded.
    pub events: u64,
    /// How many there were when it began.
    pub total: u64,
    /// Everything up to here is in what it builds, once the log is folded.
    pub position: i64,
    /// What has changed places already.
    pub swapped: Vec<String>,
    /// What came of looking for differences, by projection.
    pub comparison: Option<serde_json::Value>,
    /// Why it stopped, the last time it did.
    pub error: Option<String>,
    /// When it began.
    pub began_at: DateTime<Utc>,
    /// When something was written down of it last.
    pub updated_at: DateTime<Utc>,
    /// How long it was worked on, in seconds.
    pub working_seconds: f64,
    pub(super) horizon: i64,
    pub(super) stream_type: String,
    pub(super) stream_id: String,
}

impl Phase {
    /// Its name, as stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Folding => "folding",
            Self::Indexing => "indexing",
            Self::CatchingUp => "catching-up",
            Self::Different => "different",
            Self::Done => "done",
        }
    }

    fn named(name: &str) -> Option<Self> {
        let all = [Self::Folding, Self::Indexing, Self::CatchingUp, Self::Different, Self::Done];
        all.into_iter().find(|phase| phase.name() == name)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ReplayState {
    /// Events for each second that it was worked on, so far; `None`: too early to say.
    pub fn rate(&self) -> Option<f64> {
        // Counted in log events, of which there are fewer than 2^52.
        #[expect(clippy::cast_precision_loss, reason = "nobody counts as far")]
        let events = self.events as f64;
        (self.working_seconds > 0.1).then(|| events / self.working_seconds)
    }

    fn of(row: &PgRow) -> Result<Self, sqlx::Error> {
        let count = |at: usize| Ok::<_, sqlx::Error>(u64::try_from(row.try_get::<i64, _>(at)?).unwrap_or(0));
        let phase: &str = row.try_get(3)?;
        Ok(Self {
            id: row.try_get(0)?,
            projections: row.try_get(1)?,
            compares: row.try_get(2)?,
            phase: Phase::named(phase).ok_or_else(|| sqlx::Error::Decode(format!("no phase: {phase}").into()))?,
            horizon: row.try_get(4)?,
            total: count(5)?,
            events: count(6)?,
            stream_type: row.try_get(7)?,
            stream_id: row.try_get(8)?,
            position: row.try_get(9)?,
            swapped: row.try_get(10)?,
            comparison: row.try_get(11)?,
            error: row.try_get(12)?,
            began_at: row.try_get(13)?,
            updated_at: row.try_get(14)?,
            working_seconds: row.try_get(15)?,
            running: row.try_get(16)?,
        })
    }
}

/// The columns, as [`ReplayState::of`] takes them. Whoever works on a replay holds a lock for each of its projections.
const COLUMNS: &str =
    "id, projections, compares, phase, horizon, events_total, events, stream_type, stream_id, position, swapped,
    comparison, error, began_at, updated_at, extract(epoch from working)::float8,
    exists (select from pg_locks l where l.locktype = 'advisory' and l.objsubid = 2 and l.granted
               and l.database = (select oid from pg_database where datname = current_database())
               and l.classid = 7312 and l.objid = hashtext(projections[1])::bigint & 4294967295)";

/// Takes the right to rebuild a projection for as long as the session lasts, if nobody has it.
pub(super) async fn lock(session: &mut PgConnection, projection: &str) -> Result<bool, sqlx::Error> {
    let lock = "select pg_try_advisory_lock(7312, hashtext($1))";
    sqlx::query_scalar(lock).bind(projection).fetch_one(session).await
}

/// Those that are not over and concern some of these projections.
pub(super) async fn open(connection: &mut PgConnection, projections: &[&str]) -> Result<Vec<ReplayState>, sqlx::Error> {
    let query = format!("select {COLUMNS} from replays where phase <> 'done' and projections && $1 order by began_at");
    let rows = sqlx::query(&query).bind(projections).fetch_all(connection).await?;
    rows.iter().map(ReplayState::of).collect()
}

impl Replays {
    /// A replay.
    pub async fn find(&self, id: Uuid) -> Result<ReplayState, ReplayError> {
        let query = format!("select {COLUMNS} from replays where id = $1");
        let row = sqlx::query(&query).bind(id).fetch_optional(&self.pool).await?;
        Ok(ReplayState::of(&row.ok_or(ReplayError::NoReplay(id))?)?)
    }

    /// All that are not over and the last that are, newest first.
    pub async fn list(&self) -> Result<Vec<ReplayState>, ReplayError> {
        let query = format!("select {COLUMNS} from replays order by began_at desc");
        let rows = sqlx::query(&query).fetch_all(&self.pool).await?;
        Ok(rows.iter().map(ReplayState::of).collect::<Result<_, _>>()?)
    }
}

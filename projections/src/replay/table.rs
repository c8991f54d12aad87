//! Every statement on the tables `replays` and `read_model_previous`.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use read_models::GenerationComparison;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool, Row};
use uuid::Uuid;

/// The build whose folds made the items: those of another build may differ.
const BUILD: &str = env!("ORDO_FOLDS");
/// How many finished replays are kept.
const KEPT: i64 = 50;

/// What a replay is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayPhase {
    /// It folds the log stream by stream.
    Folding,
    /// It creates the indexes.
    Indexing,
    /// It follows the log, compares and promotes.
    CatchingUp,
    /// It found differences and waits for an operator's decision.
    Different,
    Done,
}

/// A row of the table `replays`.
#[derive(Debug, Clone)]
pub struct ReplayRow {
    pub id: Uuid,
    /// The names of its projections.
    pub projections: Vec<String>,
    /// Whether it compares the generations before it promotes.
    pub compares: bool,
    /// What it is doing, or was doing when it was stopped.
    pub phase: ReplayPhase,
    /// Whether a process works on it right now.
    pub running: bool,
    /// Events folded so far.
    pub events: u64,
    /// Events in the log when it began.
    pub total: u64,
    /// Once the log is folded: the position up to which the next generations are.
    pub position: i64,
    /// The projections whose next generation is live already.
    pub promoted: Vec<String>,
    /// What the comparison found, by projection.
    pub comparison: Option<serde_json::Value>,
    /// The last error that stopped it.
    pub error: Option<String>,
    pub began_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// For how many seconds it was worked on.
    pub working_seconds: f64,
    /// The log's last position when it began. The bulk fold goes up to here.
    pub(super) horizon: i64,
    /// The last stream that the bulk fold has written. Both are empty at the start.
    pub(super) stream_type: String,
    pub(super) stream_id: String,
}

impl ReplayPhase {
    /// The name in the table and in answers.
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

impl fmt::Display for ReplayPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ReplayRow {
    /// Events folded per second of work. `None`: too early to say.
    pub fn rate(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "a log has fewer than 2^52 events")]
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
            phase: ReplayPhase::named(phase).ok_or_else(|| sqlx::Error::Decode(format!("no phase: {phase}").into()))?,
            horizon: row.try_get(4)?,
            total: count(5)?,
            events: count(6)?,
            stream_type: row.try_get(7)?,
            stream_id: row.try_get(8)?,
            position: row.try_get(9)?,
            promoted: row.try_get(10)?,
            comparison: row.try_get(11)?,
            error: row.try_get(12)?,
            began_at: row.try_get(13)?,
            updated_at: row.try_get(14)?,
            working_seconds: row.try_get(15)?,
            running: row.try_get(16)?,
        })
    }
}

/// The columns in the order of [`ReplayRow::of`]. A process that works on a replay holds the lock of each of its
/// projections.
const COLUMNS: &str =
    "id, projections, compares, phase, horizon, events_total, events, stream_type, stream_id, position, swapped,
    comparison, error, began_at, updated_at, extract(epoch from working)::float8,
    exists (select from pg_locks l where l.locktype = 'advisory' and l.objsubid = 2 and l.granted
               and l.database = (select oid from pg_database where datname = current_database())
               and l.classid = 7312 and l.objid = hashtext(projections[1])::bigint & 4294967295)";

/// Takes the right to rebuild a projection until the session ends. False: another session has it.
pub(super) async fn lock(session: &mut PgConnection, projection: &str) -> Result<bool, sqlx::Error> {
    let lock = "select pg_try_advisory_lock(7312, hashtext($1))";
    sqlx::query_scalar(lock).bind(projection).fetch_one(session).await
}

pub(super) async fn find(pool: &PgPool, id: Uuid) -> Result<Option<ReplayRow>, sqlx::Error> {
    let query = format!("select {COLUMNS} from replays where id = $1");
    let row = sqlx::query(&query).bind(id).fetch_optional(pool).await?;
    row.as_ref().map(ReplayRow::of).transpose()
}

/// All replays, the newest first.
pub(super) async fn list(pool: &PgPool) -> Result<Vec<ReplayRow>, sqlx::Error> {
    let query = format!("select {COLUMNS} from replays order by began_at desc");
    sqlx::query(&query).fetch_all(pool).await?.iter().map(ReplayRow::of).collect()
}

/// The unfinished replays of any of these projections.
pub(super) async fn unfinished(
    connection: &mut PgConnection,
    projections: &[&str],
) -> Result<Vec<ReplayRow>, sqlx::Error> {
    let query = format!("select {COLUMNS} from replays where phase <> 'done' and projections && $1 order by began_at");
    let rows = sqlx::query(&query).bind(projections).fetch_all(connection).await?;
    rows.iter().map(ReplayRow::of).collect()
}

/// Adds a replay that folds everything that the log has now, and deletes the oldest finished ones.
pub(super) async fn insert(
    transaction: &mut PgConnection,
    projections: &[&str],
    stream_types: &[&str],
    compares: bool,
) -> Result<Uuid, sqlx::Error> {
    let id = Uuid::now_v7();
    // Positions follow commit order: no event will ever appear before the last one that can be seen.
    sqlx::query(
        "insert into replays (id, projections, compares, build, phase, horizon, events_total, position)
         select $1, $2, $3, $5, 'folding', horizon, (select count(*) from events where aggregate_type = any($4)), horizon
           from (select coalesce(max(global_position), 0) as horizon from events) as log",
    )
    .bind(id)
    .bind(projections)
    .bind(compares)
    .bind(stream_types)
    .bind(BUILD)
    .execute(&mut *transaction)
    .await?;
    let delete_oldest = "delete from replays where id in
                           (select id from replays where phase = 'done' order by began_at desc offset $1)";
    sqlx::query(delete_oldest).bind(KEPT).execute(transaction).await?;
    Ok(id)
}

/// Resumes a replay. False: it was to be cancelled, or the folds of another build made what there is of it.
pub(super) async fn resume(session: &mut PgConnection, id: Uuid, compares: bool) -> Result<bool, sqlx::Error> {
    let resume = "update replays set compares = $2, error = null,
                         phase = case phase when 'different' then 'catching-up' else phase end
                   where id = $1 and build = $3 and not cancelling";
    let resumed = sqlx::query(resume).bind(id).bind(compares).bind(BUILD).execute(session).await?;
    Ok(resumed.rows_affected() == 1)
}

/// Asks the process that works on a replay to cancel it.
pub(super) async fn request_cancel(connection: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    let request = sqlx::query("update replays set cancelling = true where id = $1");
    request.bind(id).execute(connection).await.map(drop)
}

pub(super) async fn delete(transaction: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("delete from replays where id = $1").bind(id).execute(transaction).await.map(drop)
}

/// Whether a replay was cancelled by somebody when its progress was recorded. Then it must stop.
#[must_use]
pub(super) enum ReplayCancellation {
    Recorded,
    /// Somebody cancelled the replay.
    Cancelled,
}

impl ReplayCancellation {
    fn of(cancelling: Option<bool>) -> Self {
        if cancelling == Some(false) { Self::Recorded } else { Self::Cancelled }
    }
}

/// Records a part of the bulk fold, which ends with this stream. Returns how many events are folded by now; `None`:
/// somebody cancelled the replay.
pub(super) async fn record_folded(
    transaction: &mut PgConnection,
    id: Uuid,
    events: i64,
    (stream_type, stream_id): (&str, &str),
    worked: Duration,
) -> Result<Option<i64>, sqlx::Error> {
    let record = "update replays set events = events + $2, stream_type = $3, stream_id = $4, updated_at = now(),
                         working = working + make_interval(secs => $5)
                   where id = $1 returning events, cancelling";
    let recorded: Option<(i64, bool)> = sqlx::query_as(record)
        .bind(id)
        .bind(events)
        .bind(stream_type)
        .bind(stream_id)
        .bind(worked.as_secs_f64())
        .fetch_optional(transaction)
        .await?;
    Ok(recorded.and_then(|(events, cancelling)| (!cancelling).then_some(events)))
}

/// Records that the next generations are folded up to a position.
pub(super) async fn record_position(
    transaction: &mut PgConnection,
    id: Uuid,
    events: i64,
    position: i64,
    worked: Duration,
) -> Result<ReplayCancellation, sqlx::Error> {
    let record = "update replays set events = events + $2, position = $3, updated_at = now(),
                         working = working + make_interval(secs => $4)
                   where id = $1 returning cancelling";
    let record = sqlx::query_scalar(record).bind(id).bind(events).bind(position).bind(worked.as_secs_f64());
    Ok(ReplayCancellation::of(record.fetch_optional(transaction).await?))
}

pub(super) async fn enter_phase(
    session: &mut PgConnection,
    id: Uuid,
    phase: ReplayPhase,
) -> Result<ReplayCancellation, sqlx::Error> {
    let enter = "update replays set phase = $2, updated_at = now() where id = $1 returning cancelling";
    let enter = sqlx::query_scalar(enter).bind(id).bind(phase.name());
    Ok(ReplayCancellation::of(enter.fetch_optional(session).await?))
}

pub(super) async fn record_working_time(
    session: &mut PgConnection,
    id: Uuid,
    worked: Duration,
) -> Result<(), sqlx::Error> {
    let record = "update replays set working = working + make_interval(secs => $2), updated_at = now() where id = $1";
    sqlx::query(record).bind(id).bind(worked.as_secs_f64()).execute(session).await.map(drop)
}

pub(super) async fn record_comparisons(
    session: &mut PgConnection,
    id: Uuid,
    comparisons: &[(String, GenerationComparison)],
) -> Result<(), sqlx::Error> {
    let by_name: BTreeMap<&str, &GenerationComparison> =
        comparisons.iter().map(|(name, found)| (name.as_str(), found)).collect();
    let record = sqlx::query("update replays set comparison = $2, updated_at = now() where id = $1");
    record.bind(id).bind(Json(by_name)).execute(session).await.map(drop)
}

pub(super) async fn record_error(session: &mut PgConnection, id: Uuid, error: &str) -> Result<(), sqlx::Error> {
    let record = sqlx::query("update replays set error = $2, updated_at = now() where id = $1");
    record.bind(id).bind(error).execute(session).await.map(drop)
}

/// Records that the next generation of a projection is the live one.
pub(super) async fn record_promotion(
    transaction: &mut PgConnection,
    id: Uuid,
    projection: &str,
) -> Result<ReplayCancellation, sqlx::Error> {
    let record = "update replays set swapped = swapped || $2, updated_at = now() where id = $1 and not cancelling";
    let recorded = sqlx::query(record).bind(id).bind(projection).execute(transaction).await?;
    Ok(if recorded.rows_affected() == 1 { ReplayCancellation::Recorded } else { ReplayCancellation::Cancelled })
}

pub(super) async fn finish(session: &mut PgConnection, id: Uuid, position: i64) -> Result<(), sqlx::Error> {
    let finish = "update replays set phase = 'done', position = $2, error = null, updated_at = now() where id = $1";
    sqlx::query(finish).bind(id).bind(position).execute(session).await.map(drop)
}

/// The position up to which the previous generation of a read model is folded.
pub(super) async fn previous_position(
    session: &mut PgConnection,
    read_model: &str,
) -> Result<Option<i64>, sqlx::Error> {
    let query = sqlx::query_scalar("select position from read_model_previous where read_model = $1");
    query.bind(read_model).fetch_optional(session).await
}

/// The previous generation was folded up to this position.
pub(super) async fn advance_previous(
    transaction: &mut PgConnection,
    read_model: &str,
    position: i64,
) -> Result<(), sqlx::Error> {
    let advance = sqlx::query("update read_model_previous set position = $2 where read_model = $1");
    advance.bind(read_model).bind(position).execute(transaction).await.map(drop)
}

/// The live generation, folded up to `position`, becomes the previous one. Its parked events are forgotten with its
/// subscription, so a rollback has to begin before them.
pub(super) async fn keep_previous(
    transaction: &mut PgConnection,
    read_model: &str,
    position: i64,
) -> Result<(), sqlx::Error> {
    let keep = "insert into read_model_previous (read_model, position)
                select $1, least($2, min(position) - 1) from parked_events where subscription = $1
                on conflict (read_model) do update set position = excluded.position, since = now()";
    sqlx::query(keep).bind(read_model).bind(position).execute(transaction).await.map(drop)
}

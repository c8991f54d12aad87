//! Queries about the sagas that wait, from `saga_work`, and about those that have ended.

use chrono::{DateTime, Utc};
use domain::order::saga::SagaStep;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row};

/// A row of `saga_work`: a saga of an order that waits.
#[derive(Debug, Clone, PartialEq)]
pub struct WaitingSagaRow {
    pub saga: String,
    pub order_id: String,
    pub step: String,
    /// How often the step was tried or requested.
    pub attempts: u32,
    /// How often in a row the step failed.
    pub failures: u32,
    /// Since when it has been at this step.
    pub since: DateTime<Utc>,
    /// When it is tried again; `None`: not until an operator decides. If it is stuck: when its reservation runs out.
    pub next_try_at: Option<DateTime<Utc>>,
    /// Whether it is not tried again until an operator decides.
    pub stuck: bool,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
}

/// Which of the waiting sagas. All conditions that are given must hold.
#[derive(Debug, Clone, Copy, Default)]
pub struct WaitingSagaFilter<'a> {
    /// Only stuck sagas, or only sagas that are not stuck.
    pub stuck: Option<bool>,
    /// Only sagas whose last error contains this.
    pub error: Option<&'a str>,
    /// Only sagas at this step.
    pub step: Option<SagaStep>,
    /// Only sagas that have been at their step since then or longer.
    pub until: Option<DateTime<Utc>>,
    /// Only sagas of these orders.
    pub orders: Option<&'a [String]>,
    /// Not those that got stuck later, however long they have been at their step.
    pub stuck_by: Option<DateTime<Utc>>,
}

/// How many sagas wait at a step for the same reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SagaWaitReason {
    pub step: String,
    /// Whether they are stuck.
    pub stuck: bool,
    /// Their last error.
    pub error: Option<String>,
    pub count: i64,
}

/// How the sagas of an order ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SagaEnd {
    /// The order is confirmed, and nothing is left to do.
    Completed,
    /// Everything that was done is undone.
    Compensated,
}

/// An order whose sagas have ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedSagaRow {
    pub order_id: String,
    /// When it was confirmed, or closed.
    pub at: DateTime<Utc>,
}

const COLUMNS: &str =
    "saga, order_id, step, sent + failures, failures, since, nullif(due_at, 'infinity'), stuck, last_error";
const WHERE: &str = "($1::bool is null or stuck = $1) and ($2::text is null or strpos(last_error, $2) > 0)
     and ($3::text is null or step = $3) and ($4::timestamptz is null or since <= $4)
     and ($5::text[] is null or order_id = any($5))
     and ($6::timestamptz is null or stuck_since is null or stuck_since <= $6)";

/// The place of a saga in the list of waiting sagas, longest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WaitingSagaCursor {
    /// Since when it has been at its step.
    pub since: DateTime<Utc>,
    pub saga: String,
    pub order_id: String,
}

impl WaitingSagaCursor {
    /// The place of a row.
    pub fn of(row: &WaitingSagaRow) -> Self {
        Self { since: row.since, saga: row.saga.clone(), order_id: row.order_id.clone() }
    }
}

/// A page of the waiting sagas, longest first. `after` is the last saga of the page before.
pub async fn waiting(
    pool: &PgPool,
    filter: WaitingSagaFilter<'_>,
    after: Option<&WaitingSagaCursor>,
    limit: i64,
) -> Result<Vec<WaitingSagaRow>, sqlx::Error> {
    // Written out, so that Postgres sees that the partial index of stuck sagas applies.
    let stuck = if filter.stuck == Some(true) { "stuck" } else { "true" };
    let query = format!(
        "select {COLUMNS} from saga_work where {stuck} and {WHERE}
            and ($7::timestamptz is null or (since, saga, order_id) > ($7, $8, $9))
          order by since, saga, order_id limit $10"
    );
    let rows = bound(sqlx::query(&query), filter)
        .bind(after.map(|row| row.since))
        .bind(after.map(|row| row.saga.as_str()))
        .bind(after.map(|row| row.order_id.as_str()))
        .bind(limit);
    rows.fetch_all(pool).await?.iter().map(row).collect()
}

/// How many sagas wait: those that are not stuck, and those that are.
pub async fn count(pool: &PgPool, filter: WaitingSagaFilter<'_>) -> Result<(i64, i64), sqlx::Error> {
    let query =
        format!("select count(*) filter (where not stuck), count(*) filter (where stuck) from saga_work where {WHERE}");
    let row = bound(sqlx::query(&query), filter).fetch_one(pool).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// How many sagas wait for which reason: the hundred most frequent reasons, most frequent first.
pub async fn groups(pool: &PgPool, filter: WaitingSagaFilter<'_>) -> Result<Vec<SagaWaitReason>, sqlx::Error> {
    let query = format!(
        "select step, stuck, last_error, count(*) from saga_work where {WHERE}
          group by step, stuck, last_error order by count(*) desc, step, last_error limit 100"
    );
    let group = |row: &PgRow| {
        Ok(SagaWaitReason {
            step: row.try_get(0)?,
            stuck: row.try_get(1)?,
            error: row.try_get(2)?,
            count: row.try_get(3)?,
        })
    };
    bound(sqlx::query(&query), filter).fetch_all(pool).await?.iter().map(group).collect()
}

/// Orders whose sagas have ended, latest first. Reads the log backwards from its end.
pub async fn ended(pool: &PgPool, how: SagaEnd, limit: i64) -> Result<Vec<EndedSagaRow>, sqlx::Error> {
    let (ends, takes_it_back): (&[&str], &[&str]) = match how {
        SagaEnd::Completed => (&["OrderConfirmed"], &["CancellationRequested", "OrderCancelled"]),
        SagaEnd::Compensated => (&["OrderRejected", "OrderCancelled"], &[]),
    };
    let query = "select aggregate_id, recorded_at from events e
          where aggregate_type = 'order' and event_type = any($1)
            and not exists (select from saga_work w where w.order_id = e.aggregate_id)
            and not exists (select from events l where l.aggregate_type = 'order' and l.aggregate_id = e.aggregate_id
                               and l.event_type = any($2))
          order by global_position desc limit $3";
    let rows = sqlx::query(query).bind(ends).bind(takes_it_back).bind(limit).fetch_all(pool).await?;
    rows.iter().map(|row| Ok(EndedSagaRow { order_id: row.try_get(0)?, at: row.try_get(1)? })).collect()
}

/// Whether a saga still waits as in a row: at the same step since the same time, stuck or not.
pub async fn still_waits(pool: &PgPool, row: &WaitingSagaRow) -> Result<bool, sqlx::Error> {
    let query = "select exists (select from saga_work
                                 where saga = $1 and order_id = $2 and step = $3 and since = $4 and stuck = $5)";
    let query = sqlx::query_scalar(query).bind(&row.saga).bind(&row.order_id).bind(&row.step).bind(row.since);
    query.bind(row.stuck).fetch_one(pool).await
}

/// The rows of an order, and the time by the database's clock.
pub(super) async fn of_order(
    pool: &PgPool,
    order_id: &str,
) -> Result<(Vec<WaitingSagaRow>, DateTime<Utc>), sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let query = format!("select {COLUMNS} from saga_work where order_id = $1 order by saga");
    let rows = sqlx::query(&query).bind(order_id).fetch_all(&mut *connection).await?;
    let now = crate::timers::now(&mut *connection).await?;
    Ok((rows.iter().map(row).collect::<Result<_, _>>()?, now))
}

type PgQuery<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn bound<'q>(query: PgQuery<'q>, filter: WaitingSagaFilter<'q>) -> PgQuery<'q> {
    let WaitingSagaFilter { stuck, error, step, until, orders, stuck_by } = filter;
    query.bind(stuck).bind(error).bind(step.map(SagaStep::name)).bind(until).bind(orders).bind(stuck_by)
}

fn row(row: &PgRow) -> Result<WaitingSagaRow, sqlx::Error> {
    let (attempts, failures): (i32, i32) = (row.try_get(3)?, row.try_get(4)?);
    Ok(WaitingSagaRow {
        saga: row.try_get(0)?,
        order_id: row.try_get(1)?,
        step: row.try_get(2)?,
        attempts: attempts.unsigned_abs(),
        failures: failures.unsigned_abs(),
        since: row.try_get(5)?,
        next_try_at: row.try_get(6)?,
        stuck: row.try_get(7)?,
        last_error: row.try_get(8)?,
    })
}

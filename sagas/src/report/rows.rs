//! What sagas wait for, as `saga_work` has it, and which have ended.

use chrono::{DateTime, Utc};
use domain::order::saga::SagaStep;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row};

/// A saga of an order that waits.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkRow {
    /// The saga.
    pub saga: String,
    /// The order.
    pub order_id: String,
    /// The step.
    pub step: String,
    /// How often it was tried or asked for.
    pub attempts: u32,
    /// How often in a row it failed.
    pub failures: u32,
    /// Since when it has been at this step.
    pub since: DateTime<Utc>,
    /// When it is looked at again; `None`: not by itself. Of what is stuck: when the units that are set aside go back.
    pub next_try_at: Option<DateTime<Utc>>,
    /// It is not tried again by itself.
    pub stuck: bool,
    /// Why it was not done the last time.
    pub last_error: Option<String>,
}

/// Which of those that wait: those that everything given here is true of.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter<'a> {
    /// Those that are stuck, or those that are not.
    pub stuck: Option<bool>,
    /// Those whose last error contains this.
    pub error: Option<&'a str>,
    /// Those at this step.
    pub step: Option<SagaStep>,
    /// Those that have been at their step since then or longer.
    pub until: Option<DateTime<Utc>>,
}

/// How many wait at a step for the same reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The step.
    pub step: String,
    /// Whether they are stuck.
    pub stuck: bool,
    /// Why they were not done the last time.
    pub error: Option<String>,
    /// How many there are.
    pub count: i64,
}

/// How sagas can have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The order was promised, and nothing is left to be done.
    Completed,
    /// What was done is undone.
    Compensated,
}

/// An order whose sagas have ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedOrder {
    /// The order.
    pub order_id: String,
    /// When it was promised, or closed.
    pub at: DateTime<Utc>,
}

const COLUMNS: &str =
    "saga, order_id, step, sent + failures, failures, since, nullif(due_at, 'infinity'), stuck, last_error";
const WHERE: &str = "($1::bool is null or stuck = $1) and ($2::text is null or strpos(last_error, $2) > 0)
     and ($3::text is null or step = $3) and ($4::timestamptz is null or since <= $4)";

/// The place of one that waits among all that do, the longest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct After {
    /// Since when it has been at its step.
    pub since: DateTime<Utc>,
    /// The saga.
    pub saga: String,
    /// The order.
    pub order_id: String,
}

impl After {
    /// That of a row.
    pub fn of(row: &WorkRow) -> Self {
        Self { since: row.since, saga: row.saga.clone(), order_id: row.order_id.clone() }
    }
}

/// Those that wait, the longest first, at most so many. `after` is the last of those that were given before.
pub async fn waiting(
    pool: &PgPool,
    filter: Filter<'_>,
    after: Option<&After>,
    limit: i64,
) -> Result<Vec<WorkRow>, sqlx::Error> {
    // Said in so many words, so that the index of those that are stuck is seen to serve.
    let stuck = if filter.stuck == Some(true) { "stuck" } else { "true" };
    let query = format!(
        "select {COLUMNS} from saga_work where {stuck} and {WHERE}
            and ($5::timestamptz is null or (since, saga, order_id) > ($5, $6, $7))
          order by since, saga, order_id limit $8"
    );
    let rows = bound(sqlx::query(&query), filter)
        .bind(after.map(|row| row.since))
        .bind(after.map(|row| row.saga.as_str()))
        .bind(after.map(|row| row.order_id.as_str()))
        .bind(limit);
    rows.fetch_all(pool).await?.iter().map(row).collect()
}

/// How many wait: those that are not stuck, and those that are.
pub async fn count(pool: &PgPool, filter: Filter<'_>) -> Result<(i64, i64), sqlx::Error> {
    let query =
        format!("select count(*) filter (where not stuck), count(*) filter (where stuck) from saga_work where {WHERE}");
    let row = bound(sqlx::query(&query), filter).fetch_one(pool).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// How many wait for which reason, the commonest first, a hundred at most.
pub async fn groups(pool: &PgPool, filter: Filter<'_>) -> Result<Vec<Group>, sqlx::Error> {
    let query = format!(
        "select step, stuck, last_error, count(*) from saga_work where {WHERE}
          group by step, stuck, last_error order by count(*) desc, step, last_error limit 100"
    );
    let group = |row: &PgRow| {
        Ok(Group { step: row.try_get(0)?, stuck: row.try_get(1)?, error: row.try_get(2)?, count: row.try_get(3)? })
    };
    bound(sqlx::query(&query), filter).fetch_all(pool).await?.iter().map(group).collect()
}

/// Orders whose sagas have ended, the latest first, at most so many. Reads the log from its end on.
pub async fn ended(pool: &PgPool, how: Ended, limit: i64) -> Result<Vec<EndedOrder>, sqlx::Error> {
    let (ends, takes_it_back): (&[&str], &[&str]) = match how {
        Ended::Completed => (&["OrderConfirmed"], &["CancellationRequested", "OrderCancelled"]),
        Ended::Compensated => (&["OrderRejected", "OrderCancelled"], &[]),
    };
    let query = "select aggregate_id, recorded_at from events e
          where aggregate_type = 'order' and event_type = any($1)
            and not exists (select from saga_work w where w.order_id = e.aggregate_id)
            and not exists (select from events l where l.aggregate_type = 'order' and l.aggregate_id = e.aggregate_id
                               and l.event_type = any($2))
          order by global_position desc limit $3";
    let rows = sqlx::query(query).bind(ends).bind(takes_it_back).bind(limit).fetch_all(pool).await?;
    rows.iter().map(|row| Ok(EndedOrder { order_id: row.try_get(0)?, at: row.try_get(1)? })).collect()
}

/// What an order's sagas wait for, and what time it is, by the database's clock.
pub(super) async fn of_order(pool: &PgPool, order_id: &str) -> Result<(Vec<WorkRow>, DateTime<Utc>), sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let query = format!("select {COLUMNS} from saga_work where order_id = $1 order by saga");
    let rows = sqlx::query(&query).bind(order_id).fetch_all(&mut *connection).await?;
    let now = crate::work::now(&mut *connection).await?;
    Ok((rows.iter().map(row).collect::<Result<_, _>>()?, now))
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn bound<'q>(query: Query<'q>, filter: Filter<'q>) -> Query<'q> {
    let Filter { stuck, error, step, until } = filter;
    query.bind(stuck).bind(error).bind(step.map(SagaStep::name)).bind(until)
}

fn row(row: &PgRow) -> Result<WorkRow, sqlx::Error> {
    let (attempts, failures): (i32, i32) = (row.try_get(3)?, row.try_get(4)?);
    Ok(WorkRow {
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

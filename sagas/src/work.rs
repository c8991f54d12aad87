//! When to look again: deadlines and retries, as rows with a due time by the database's clock.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::SagaStep;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row};

use crate::saga::StepError;

/// The most rows looked at in one transaction.
const BATCH: i64 = 100;
/// The longest wait for an answer, and between tries of what fails.
const MAX_WAIT: Duration = Duration::from_secs(600);
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// Which saga of which order.
pub(crate) type Key = (&'static str, String);

/// What is known of a saga that waits.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    pub(crate) step: String,
    pub(crate) sent: u32,
    pub(crate) failures: u32,
    /// Since when it has been at this step.
    pub(crate) since: DateTime<Utc>,
}

/// A row to write.
#[derive(Debug)]
pub(crate) struct Later {
    saga: &'static str,
    order_id: String,
    step: &'static str,
    sent: u32,
    failures: u32,
    /// Look again after that; `None`: not before an operator or another event says so.
    wait: Option<Duration>,
    stuck: bool,
    last_error: Option<String>,
}

impl Later {
    /// The step's request went out; by then an answer should have come.
    pub(crate) fn answer(key: Key, step: SagaStep, sent: u32, deadline: Duration) -> Self {
        let wait = doubled(deadline, sent).min(MAX_WAIT.max(deadline));
        Self { sent: sent + 1, wait: Some(wait), ..Self::new(key, step) }
    }

    /// The step is being done, and should be by then.
    pub(crate) fn under_way(key: Key, step: SagaStep, tried: Option<&Waiting>, wait: Duration) -> Self {
        let failures = tried.map_or(0, |tried| tried.failures);
        Self { wait: Some(wait), failures, ..Self::new(key, step) }
    }

    /// The step could not be done, again or for the first time.
    pub(crate) fn retry(key: Key, step: SagaStep, tried: Option<&Waiting>, error: String) -> Self {
        let (sent, failures) = tried.map_or((0, 0), |tried| (tried.sent, tried.failures));
        let wait = doubled(Duration::from_secs(1), failures).min(MAX_BACKOFF);
        Self { sent, failures: failures + 1, wait: Some(wait), last_error: Some(error), ..Self::new(key, step) }
    }

    /// The step is not tried again by itself.
    pub(crate) fn stuck(key: Key, step: SagaStep, tried: Option<&Waiting>, error: String) -> Self {
        let failures = tried.map_or(0, |tried| tried.failures);
        Self { failures: failures + 1, wait: None, stuck: true, last_error: Some(error), ..Self::new(key, step) }
    }

    /// Not later than then.
    pub(crate) fn at_the_latest(mut self, latest: Option<Duration>) -> Self {
        if let Some(latest) = latest {
            self.wait = Some(self.wait.map_or(latest, |wait| wait.min(latest)));
        }
        self
    }

    fn new((saga, order_id): Key, step: SagaStep) -> Self {
        Self { saga, order_id, step: step.name(), sent: 0, failures: 0, wait: None, stuck: false, last_error: None }
    }
}

fn doubled(base: Duration, times: u32) -> Duration {
    base.saturating_mul(1_u32.checked_shl(times.min(16)).unwrap_or(u32::MAX))
}

/// Writes rows. A row that is at the same step still stands there since it came to it, whoever looked at it.
pub(crate) async fn note(transaction: &mut PgConnection, mut rows: Vec<Later>) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    // All who write several lock them in one order.
    rows.sort_by(|one, other| (one.saga, &one.order_id).cmp(&(other.saga, &other.order_id)));
    let millis = |wait: Duration| i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
    sqlx::query(
        "insert into saga_work (saga, order_id, step, sent, failures, due_at, stuck, last_error)
         select saga, order_id, step, sent, failures,
                coalesce(now() + wait * interval '1 millisecond', 'infinity'), stuck, last_error
           from unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::int[], $6::bigint[], $7::bool[], $8::text[])
                as row(saga, order_id, step, sent, failures, wait, stuck, last_error)
         on conflict (saga, order_id) do update set (step, sent, failures, due_at, stuck, last_error, since) =
            (excluded.step, excluded.sent, excluded.failures, excluded.due_at, excluded.stuck,
             coalesce(excluded.last_error, case when saga_work.step = excluded.step then saga_work.last_error end),
             case when saga_work.step = excluded.step then saga_work.since else excluded.since end)",
    )
    .bind(rows.iter().map(|row| row.saga).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.order_id.as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.step).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| i32::try_from(row.sent).unwrap_or(i32::MAX)).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| i32::try_from(row.failures).unwrap_or(i32::MAX)).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.wait.map(millis)).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.stuck).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.last_error.as_deref()).collect::<Vec<_>>())
    .execute(transaction)
    .await?;
    Ok(())
}

/// Notes that a step whose call went on by itself failed; `false`: there is no such row. It is due when it was; if it stays so,
/// not before an operator says so or its units have to go back.
pub(crate) async fn note_failure(
    pool: &PgPool,
    order_id: &str,
    step: SagaStep,
    error: &StepError,
    expires_at: Option<DateTime<Utc>>,
) -> Result<bool, sqlx::Error> {
    let stuck = match error {
        StepError::Failed(_) => false,
        StepError::Stuck(_) => true,
    };
    let noted = sqlx::query(
        "update saga_work
            set failures = failures + 1, last_error = $3, stuck = $4, due_at = case when $4 then coalesce($5, 'infinity') else due_at end
          where order_id = $1 and step = $2",
    )
    .bind(order_id)
    .bind(step.name())
    .bind(error.to_string())
    .bind(stuck)
    .bind(expires_at)
    .execute(pool)
    .await?;
    Ok(noted.rows_affected() > 0)
}

/// Removes the rows of sagas that wait for nothing.
pub(crate) async fn forget(transaction: &mut PgConnection, mut keys: Vec<Key>) -> Result<(), sqlx::Error> {
    if keys.is_empty() {
        return Ok(());
    }
    keys.sort();
    sqlx::query(
        "delete from saga_work using unnest($1::text[], $2::text[]) as gone(saga, order_id)
          where saga_work.saga = gone.saga and saga_work.order_id = gone.order_id",
    )
    .bind(keys.iter().map(|key| key.0).collect::<Vec<_>>())
    .bind(keys.iter().map(|key| key.1.as_str()).collect::<Vec<_>>())
    .execute(transaction)
    .await?;
    Ok(())
}

/// Takes the rows that are due and that no copy has, for the rest of the transaction.
pub(crate) async fn take_due(
    transaction: &mut PgConnection,
) -> Result<HashMap<(String, String), Waiting>, sqlx::Error> {
    let rows = sqlx::query(
        "select saga, order_id, step, sent, failures, since from saga_work where due_at <= now()
          order by due_at limit $1 for update skip locked",
    )
    .bind(BATCH)
    .fetch_all(transaction)
    .await?;
    let waiting = |row: &PgRow| {
        let (sent, failures): (i32, i32) = (row.try_get(3)?, row.try_get(4)?);
        let waiting = Waiting {
            step: row.try_get(2)?,
            sent: sent.unsigned_abs(),
            failures: failures.unsigned_abs(),
            since: row.try_get(5)?,
        };
        Ok(((row.try_get(0)?, row.try_get(1)?), waiting))
    };
    rows.iter().map(waiting).collect()
}

/// By saga, those of the orders whose row is not due yet.
pub(crate) async fn not_due(
    transaction: &mut PgConnection,
    order_ids: &[String],
) -> Result<HashMap<String, HashSet<String>>, sqlx::Error> {
    let query = "select saga, order_id from saga_work where order_id = any($1) and due_at > now()";
    let rows: Vec<(String, String)> = sqlx::query_as(query).bind(order_ids).fetch_all(transaction).await?;
    let mut not_due: HashMap<String, HashSet<String>> = HashMap::new();
    for (saga, order_id) in rows {
        not_due.entry(saga).or_default().insert(order_id);
    }
    Ok(not_due)
}

/// What time it is, by the database's clock.
pub(crate) async fn now(transaction: &mut PgConnection) -> Result<DateTime<Utc>, sqlx::Error> {
    sqlx::query_scalar("select clock_timestamp()").fetch_one(transaction).await
}

//! When to look again: deadlines and retries, as rows with a due time by the database's clock.
//!
//! A row says which version of its order was known to whoever wrote it. It is written and removed only by those who know at least
//! as much: what is due for an order is never forgotten because of what the order was before. Rows that are due are worked on under
//! [`claims`].

pub(crate) mod claims;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::order::saga::SagaStep;
use sqlx::postgres::{PgArguments, Postgres};
use sqlx::query::Query;
use sqlx::{PgConnection, PgExecutor, PgPool};

use crate::saga::StepError;

/// The longest wait for an answer, and between tries of what fails.
const MAX_WAIT: Duration = Duration::from_secs(600);
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// The most characters that are kept of an error.
const MAX_ERROR: usize = 4_000;

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
    /// The order's version that the row goes by.
    pub(crate) seen: i64,
}

/// A row to write.
#[derive(Debug)]
pub(crate) struct Later {
    saga: &'static str,
    order_id: String,
    step: String,
    sent: u32,
    failures: u32,
    /// Look again after that; `None`: not before an operator or another event says so.
    wait: Option<Duration>,
    stuck: bool,
    last_error: Option<String>,
    seen: i64,
}

/// A saga that waits for nothing, by this version of its order: its row goes.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) key: Key,
    pub(crate) seen: i64,
}

impl Later {
    /// The step's request went out; by then an answer should have come.
    pub(crate) fn answer(key: Key, step: SagaStep, sent: u32, deadline: Duration) -> Self {
        let wait = doubled(deadline, sent).min(MAX_WAIT.max(deadline));
        Self { sent: sent + 1, wait: Some(wait), ..Self::new(key, step.name()) }
    }

    /// The step's request is still on its way: it is given as long again as it has taken already.
    pub(crate) fn queued(key: Key, tried: &Waiting, waited: Duration, deadline: Duration) -> Self {
        let wait = waited.clamp(deadline, MAX_WAIT.max(deadline));
        let Waiting { step, sent, failures, since: _, seen } = tried;
        Self { sent: *sent, failures: *failures, wait: Some(wait), seen: *seen, ..Self::new(key, step) }
    }

    /// The step is being done, and should be by then.
    pub(crate) fn under_way(key: Key, step: SagaStep, tried: Option<&Waiting>, wait: Duration) -> Self {
        let failures = tried.map_or(0, |tried| tried.failures);
        Self { wait: Some(wait), failures, ..Self::new(key, step.name()) }
    }

    /// The step could not be done, again or for the first time.
    pub(crate) fn retry(key: Key, step: SagaStep, tried: Option<&Waiting>, error: String) -> Self {
        let (sent, failures) = tried.map_or((0, 0), |tried| (tried.sent, tried.failures));
        Self { sent, failures, ..Self::new(key, step.name()) }.failed(error)
    }

    /// The order could not be looked at.
    pub(crate) fn unseen(key: Key, tried: &Waiting, error: String) -> Self {
        let Waiting { step, sent, failures, since: _, seen } = tried;
        Self { sent: *sent, failures: *failures, seen: *seen, ..Self::new(key, step) }.failed(error)
    }

    fn failed(self, error: String) -> Self {
        let wait = doubled(Duration::from_secs(1), self.failures).min(MAX_BACKOFF);
        let wait = spread(wait, &self.order_id, self.failures);
        Self { failures: self.failures + 1, wait: Some(wait), last_error: Some(error), ..self }
    }

    /// The step is not tried again by itself.
    pub(crate) fn stuck(key: Key, step: SagaStep, tried: Option<&Waiting>, error: String) -> Self {
        let failures = tried.map_or(0, |tried| tried.failures);
        Self { failures: failures + 1, wait: None, stuck: true, last_error: Some(error), ..Self::new(key, step.name()) }
    }

    /// Not later than then.
    pub(crate) fn at_the_latest(mut self, latest: Option<Duration>) -> Self {
        if let Some(latest) = latest {
            self.wait = Some(self.wait.map_or(latest, |wait| wait.min(latest)));
        }
        self
    }

    /// It goes by this version of the order.
    pub(crate) fn seeing(self, seen: i64) -> Self {
        Self { seen, ..self }
    }

    fn new((saga, order_id): Key, step: &str) -> Self {
        let step = step.to_owned();
        Self { saga, order_id, step, sent: 0, failures: 0, wait: None, stuck: false, last_error: None, seen: 0 }
    }
}

/// Between half of it and all of it: those that failed together don't come back together.
fn spread(wait: Duration, order_id: &str, failures: u32) -> Duration {
    let mut hasher = DefaultHasher::new();
    (order_id, failures).hash(&mut hasher);
    wait / 2 + wait / 2 * u32::try_from(hasher.finish() % 1_000).unwrap_or(0) / 1_000
}

fn doubled(base: Duration, times: u32) -> Duration {
    base.saturating_mul(1_u32.checked_shl(times.min(16)).unwrap_or(u32::MAX))
}

/// An error as a column takes it.
fn storable(error: &str) -> String {
    error.chars().filter(|character| *character != '\0').take(MAX_ERROR).collect()
}

/// The rows to write, from nine arrays; see [`bound`].
const ROWS: &str = "(select saga, order_id, step, sent, failures,
            coalesce(clock_timestamp() + wait * interval '1 millisecond', 'infinity') as due_at, stuck, last_error, seen
       from unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::int[], $6::bigint[], $7::bool[], $8::text[], $9::bigint[])
            as given(saga, order_id, step, sent, failures, wait, stuck, last_error, seen))";

/// What becomes of a row `w`. One that is at the same step still stands there since it came to it, whoever looked at it.
fn rewritten(new: &str) -> String {
    format!(
        "(step, sent, failures, due_at, stuck, last_error, seen, claimed_by, claimed_until, since) =
            ({new}.step, {new}.sent, {new}.failures, {new}.due_at, {new}.stuck,
             coalesce({new}.last_error, case when w.step = {new}.step then w.last_error end), {new}.seen, null, null,
             case when w.step = {new}.step then w.since else now() end)"
    )
}

fn bound<'q>(query: &'q str, rows: &'q [Later]) -> Query<'q, Postgres, PgArguments> {
    let millis = |wait: Duration| i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
    sqlx::query(query)
        .bind(rows.iter().map(|row| row.saga).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.order_id.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.step.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| i32::try_from(row.sent).unwrap_or(i32::MAX)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| i32::try_from(row.failures).unwrap_or(i32::MAX)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.wait.map(millis)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.stuck).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.last_error.as_deref().map(storable)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.seen).collect::<Vec<_>>())
}

/// Writes rows, but those that somebody wrote who knew more of the order.
pub(crate) async fn note(transaction: &mut PgConnection, mut rows: Vec<Later>) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    // All who write several lock them in one order.
    rows.sort_by(|one, other| (one.saga, &one.order_id).cmp(&(other.saga, &other.order_id)));
    let query = format!(
        "insert into saga_work as w (saga, order_id, step, sent, failures, due_at, stuck, last_error, seen)
         select * from {ROWS} as fresh
         on conflict (saga, order_id) do update set {} where w.seen <= excluded.seen",
        rewritten("excluded")
    );
    bound(&query, &rows).execute(transaction).await?;
    Ok(())
}

/// Removes the rows of sagas that wait for nothing, but those that somebody wrote who knew more of the order.
pub(crate) async fn forget(transaction: &mut PgConnection, mut ended: Vec<Ended>) -> Result<(), sqlx::Error> {
    if ended.is_empty() {
        return Ok(());
    }
    ended.sort_by(|one, other| one.key.cmp(&other.key));
    sqlx::query(
        "delete from saga_work using unnest($1::text[], $2::text[], $3::bigint[]) as ended(saga, order_id, seen)
          where saga_work.saga = ended.saga and saga_work.order_id = ended.order_id and saga_work.seen <= ended.seen",
    )
    .bind(ended.iter().map(|it| it.key.0).collect::<Vec<_>>())
    .bind(ended.iter().map(|it| it.key.1.as_str()).collect::<Vec<_>>())
    .bind(ended.iter().map(|it| it.seen).collect::<Vec<_>>())
    .execute(transaction)
    .await?;
    Ok(())
}

/// Sees to it that a saga with something to do has a row. One that is there waits for as long as it did, but if it is stuck, because
/// of what the order was before; whoever knows less of the order does not remove it any more.
pub(crate) async fn remind(
    pool: &PgPool,
    (saga, order_id): &Key,
    step: SagaStep,
    seen: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into saga_work as w (saga, order_id, step, due_at, seen) values ($1, $2, $3, now(), $4)
         on conflict (saga, order_id) do update
            set seen = excluded.seen, due_at = case when w.stuck then excluded.due_at else w.due_at end
          where w.seen < excluded.seen",
    )
    .bind(saga)
    .bind(order_id)
    .bind(step.name())
    .bind(seen)
    .execute(pool)
    .await?;
    Ok(())
}

/// Notes that a step whose call went on by itself failed, by this version of the order; `false`: there is no such row, or it goes by a
/// later one. It is due when it was, and what is stuck stays so; if it is so from now on, not before an operator says so or its units
/// have to go back.
pub(crate) async fn note_failure(
    pool: &PgPool,
    (order_id, seen): (&str, i64),
    step: SagaStep,
    error: &StepError,
    expires_at: Option<DateTime<Utc>>,
) -> Result<bool, sqlx::Error> {
    let stuck = match error {
        StepError::Failed(_) | StepError::Unreachable(_) => false,
        StepError::Stuck(_) => true,
    };
    let noted = sqlx::query(
        "update saga_work
            set failures = failures + 1, last_error = $3, stuck = stuck or $4, due_at = case when $4 then coalesce($5, 'infinity') else due_at end
          where order_id = $1 and step = $2 and seen <= $6",
    )
    .bind(order_id)
    .bind(step.name())
    .bind(storable(&error.to_string()))
    .bind(stuck)
    .bind(expires_at)
    .bind(seen)
    .execute(pool)
    .await?;
    Ok(noted.rows_affected() > 0)
}

/// What time it is, by the database's clock.
pub(crate) async fn now(database: impl PgExecutor<'_>) -> Result<DateTime<Utc>, sqlx::Error> {
    sqlx::query_scalar("select clock_timestamp()").fetch_one(database).await
}

#[cfg(test)]
mod tests;

//! The timers of waiting sagas: rows of `saga_work`, each with the time at which its order is looked at again, by the database's clock.
//!
//! A row says which version of its order its writer knew (`seen`). Only a writer that knows at least that version changes or removes the
//! row. So nobody removes a timer because of what the order was before. Rows that are due are processed under [`claims`].

pub(crate) mod claims;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::order::saga::SagaStep;
use sqlx::postgres::{PgArguments, Postgres};
use sqlx::query::Query;
use sqlx::{PgConnection, PgExecutor, PgPool};

use crate::outcome::StepError;

/// The longest wait for an answer.
const MAX_WAIT: Duration = Duration::from_secs(600);
/// The longest wait between attempts of a step that fails.
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// The most characters that are kept of an error.
const MAX_ERROR: usize = 4_000;

/// The key of a saga's run for one order: the saga's name and the order's id.
pub(crate) type SagaInstanceKey = (&'static str, String);

/// How often a waiting saga's step was tried and since when: its row, as far as the next attempt depends on it.
#[derive(Debug, Clone)]
pub(crate) struct StepAttempts {
    pub(crate) step: String,
    pub(crate) requests_sent: u32,
    pub(crate) failures: u32,
    /// Since when it has been at this step.
    pub(crate) since: DateTime<Utc>,
    /// The version of the order that the row's writer knew.
    pub(crate) seen: i64,
}

/// What has to be written once orders were carried on.
#[derive(Default)]
pub(crate) struct TimerChanges {
    /// The sagas that wait.
    pub(crate) wake_ups: Vec<SagaTimer>,
    /// The sagas that wait for nothing.
    pub(crate) ended: Vec<TimerRemoval>,
}

/// When to look at an order again: a row to write.
#[derive(Debug)]
pub(crate) struct SagaTimer {
    saga: &'static str,
    order_id: String,
    step: String,
    requests_sent: u32,
    failures: u32,
    /// How long to wait; `None`: until an operator decides or another event comes.
    wait: Option<Duration>,
    stuck: bool,
    last_error: Option<String>,
    seen: i64,
    /// The version since which the mail is owed that the step is about; 0: it is about none.
    owed_since: i64,
}

/// A saga that waits for nothing, by this version of its order: its row is removed.
#[derive(Debug)]
pub(crate) struct TimerRemoval {
    pub(crate) key: SagaInstanceKey,
    pub(crate) seen: i64,
}

impl SagaTimer {
    /// The step's request was sent. An answer should come within the deadline, which doubles with each request.
    pub(crate) fn after_request(
        key: SagaInstanceKey,
        step: SagaStep,
        requests_before: u32,
        deadline: Duration,
    ) -> Self {
        let wait = doubled(deadline, requests_before).min(MAX_WAIT.max(deadline));
        Self { requests_sent: requests_before + 1, wait: Some(wait), ..Self::new(key, step.name()) }
    }

    /// The queue still holds the step's request. It gets as long again as it has taken already.
    pub(crate) fn while_queued(
        key: SagaInstanceKey,
        tried: &StepAttempts,
        waited: Duration,
        deadline: Duration,
    ) -> Self {
        let wait = waited.clamp(deadline, MAX_WAIT.max(deadline));
        Self { wait: Some(wait), ..Self::as_tried(key, tried) }
    }

    /// The step is being done, and should be done by then.
    pub(crate) fn in_progress(
        key: SagaInstanceKey,
        step: SagaStep,
        tried: Option<&StepAttempts>,
        wait: Duration,
    ) -> Self {
        let failures = tried.map_or(0, |tried| tried.failures);
        Self { wait: Some(wait), failures, ..Self::new(key, step.name()) }
    }

    /// A person has to do the step. Until then nobody looks at it.
    pub(crate) fn left_to_person(key: SagaInstanceKey, step: SagaStep) -> Self {
        Self::new(key, step.name())
    }

    /// The step failed, and is tried again.
    pub(crate) fn retry(key: SagaInstanceKey, step: SagaStep, tried: Option<&StepAttempts>, error: String) -> Self {
        let (requests_sent, failures) = tried.map_or((0, 0), |tried| (tried.requests_sent, tried.failures));
        Self { requests_sent, failures, ..Self::new(key, step.name()) }.failed(error)
    }

    /// The order could not be read.
    pub(crate) fn unreadable(key: SagaInstanceKey, tried: &StepAttempts, error: String) -> Self {
        Self::as_tried(key, tried).failed(error)
    }

    /// The step is not tried again until an operator decides.
    pub(crate) fn stuck(key: SagaInstanceKey, step: SagaStep, tried: Option<&StepAttempts>, error: String) -> Self {
        let failures = tried.map_or(0, |tried| tried.failures);
        Self { failures: failures + 1, stuck: true, last_error: Some(error), ..Self::new(key, step.name()) }
    }

    /// Waits no longer than this.
    pub(crate) fn at_the_latest(mut self, latest: Option<Duration>) -> Self {
        if let Some(latest) = latest {
            self.wait = Some(self.wait.map_or(latest, |wait| wait.min(latest)));
        }
        self
    }

    /// Says which version of the order the writer knows, and since which version the mail is owed that is owed next.
    pub(crate) fn seeing(self, seen: i64, mail_owed_since: i64) -> Self {
        let owed_since = if self.step == SagaStep::NotifyCustomer.name() { mail_owed_since } else { 0 };
        Self { seen, owed_since, ..self }
    }

    fn failed(self, error: String) -> Self {
        let wait = doubled(Duration::from_secs(1), self.failures).min(MAX_BACKOFF);
        let wait = spread(wait, &self.order_id, self.failures);
        Self { failures: self.failures + 1, wait: Some(wait), last_error: Some(error), ..self }
    }

    fn as_tried(key: SagaInstanceKey, tried: &StepAttempts) -> Self {
        let StepAttempts { step, requests_sent, failures, since: _, seen } = tried;
        Self { requests_sent: *requests_sent, failures: *failures, seen: *seen, ..Self::new(key, step) }
    }

    fn new((saga, order_id): SagaInstanceKey, step: &str) -> Self {
        let step = step.to_owned();
        let (requests_sent, failures, wait, stuck, last_error, seen, owed_since) = (0, 0, None, false, None, 0, 0);
        Self { saga, order_id, step, requests_sent, failures, wait, stuck, last_error, seen, owed_since }
    }
}

/// A wait between half of this and all of it, so that orders that failed together don't come back together.
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

/// The rows to write, from the ten arrays that [`bind_rows`] binds.
const ROWS: &str = "(select saga, order_id, step, sent, failures,
            coalesce(clock_timestamp() + wait * interval '1 millisecond', 'infinity') as due_at, stuck, last_error, seen, owed_since
       from unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::int[], $6::bigint[], $7::bool[], $8::text[], $9::bigint[],
                   $10::bigint[])
            as given(saga, order_id, step, sent, failures, wait, stuck, last_error, seen, owed_since))";

/// The assignments that replace a row `w` by another, whose mail is owed since the version `owed_since`. If that is about the same step,
/// and about the same mail, it keeps the time since which the saga is there: a row is about a mail that was owed when it was written.
fn replacement(new: &str, owed_since: &str) -> String {
    let is_same = format!("w.step = {new}.step and w.seen >= {owed_since}");
    format!(
        "(step, sent, failures, due_at, stuck, last_error, seen, claimed_by, claimed_until, since) =
            ({new}.step, {new}.sent, {new}.failures, {new}.due_at, {new}.stuck,
             coalesce({new}.last_error, case when {is_same} then w.last_error end), {new}.seen, null, null,
             case when {is_same} then w.since else now() end)"
    )
}

fn bind_rows<'q>(query: &'q str, rows: &'q [SagaTimer]) -> Query<'q, Postgres, PgArguments> {
    let millis = |wait: Duration| i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
    sqlx::query(query)
        .bind(rows.iter().map(|row| row.saga).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.order_id.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.step.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| i32::try_from(row.requests_sent).unwrap_or(i32::MAX)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| i32::try_from(row.failures).unwrap_or(i32::MAX)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.wait.map(millis)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.stuck).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.last_error.as_deref().map(storable)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.seen).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.owed_since).collect::<Vec<_>>())
}

/// Writes rows, apart from those whose last writer knew more of the order.
pub(crate) async fn schedule(transaction: &mut PgConnection, mut rows: Vec<SagaTimer>) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    // All writers lock their rows in the same order.
    rows.sort_by(|one, other| (one.saga, &one.order_id).cmp(&(other.saga, &other.order_id)));
    // `excluded` has only what the table has. The object is made once for all rows, and looked up by each that conflicts.
    let owed_since = "((select jsonb_object_agg(given.saga || ' ' || given.order_id, given.owed_since)
                          from unnest($1::text[], $2::text[], $10::bigint[]) as given(saga, order_id, owed_since))
                       ->> (excluded.saga || ' ' || excluded.order_id))::bigint";
    let query = format!(
        "insert into saga_work as w (saga, order_id, step, sent, failures, due_at, stuck, last_error, seen)
         select saga, order_id, step, sent, failures, due_at, stuck, last_error, seen from {ROWS} as fresh
         on conflict (saga, order_id) do update set {} where w.seen <= excluded.seen",
        replacement("excluded", owed_since)
    );
    bind_rows(&query, &rows).execute(transaction).await?;
    Ok(())
}

/// Removes the rows of sagas that wait for nothing, apart from those whose last writer knew more of the order.
pub(crate) async fn cancel(transaction: &mut PgConnection, mut ended: Vec<TimerRemoval>) -> Result<(), sqlx::Error> {
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

/// Makes sure that a saga with something to do has a row. A row that is there stays due when it was. But if it is stuck, that is because
/// of what the order was before, and it is due now. Requests that it counts for another step, or for a mail that was owed before
/// `owed_since`, count no more.
pub(crate) async fn ensure(
    pool: &PgPool,
    (saga, order_id): &SagaInstanceKey,
    step: SagaStep,
    (seen, owed_since): (i64, i64),
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into saga_work as w (saga, order_id, step, due_at, seen) values ($1, $2, $3, now(), $4)
         on conflict (saga, order_id) do update
            set seen = excluded.seen, due_at = case when w.stuck then excluded.due_at else w.due_at end,
                sent = case when w.step = excluded.step and w.seen >= $5 then w.sent else 0 end,
                since = case when w.step = excluded.step and w.seen < $5 then now() else w.since end
          where w.seen < excluded.seen",
    )
    .bind(saga)
    .bind(order_id)
    .bind(step.name())
    .bind(seen)
    .bind(owed_since)
    .execute(pool)
    .await?;
    Ok(())
}

/// Records that a call that went on by itself failed, by this version of the order; `false`: there is no such row, or its writer knew a
/// later version. The row stays due when it was. If the step is stuck from now on, it is due when its reservation runs out, or else never.
pub(crate) async fn record_failure(
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

/// The time by the database's clock.
pub(crate) async fn now(database: impl PgExecutor<'_>) -> Result<DateTime<Utc>, sqlx::Error> {
    sqlx::query_scalar("select clock_timestamp()").fetch_one(database).await
}

#[cfg(test)]
mod tests;

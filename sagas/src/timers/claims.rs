//! Claims: a process leases rows that are due, and writes them back while it still has the lease. Nothing is locked meanwhile. A lease
//! is renewed while work goes on; the lease of a process that dies runs out.
//!
//! A statement on a claim skips rows that others have locked. So these statements can't deadlock.

use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row};
use uuid::Uuid;

use super::{ROWS, SagaTimer, StepAttempts, TimerRemoval, bind_rows, replacement};
use crate::saga::NUMBER_EVENTS;

/// How long a claim lasts unless it is renewed.
const LEASE: Duration = Duration::from_secs(15);
/// How old an event is that the subscription has missed: normally the subscription comes first.
const OVERDUE: Duration = Duration::from_secs(10);

/// Which of the timers that are due are claimed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimerPriority {
    /// The rows that have been due for longest.
    Oldest,
    /// The rows that have just become due.
    Newest,
}

/// Which of a saga's timers: those of mails, which wait for a queue that can be away, or all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimerKind {
    /// The rows of mails.
    Mails,
    /// All others.
    Others,
}

impl TimerKind {
    /// The condition, as the indexes have it.
    fn condition(self) -> &'static str {
        match self {
            Self::Mails => "step = 'notify_customer'",
            Self::Others => "step <> 'notify_customer'",
        }
    }
}

/// Rows of one saga that this process has leased.
#[derive(Debug)]
pub(crate) struct ClaimedTimers {
    id: Uuid,
    saga: &'static str,
    pub(crate) rows: Vec<ClaimedTimer>,
}

/// A leased row.
#[derive(Debug)]
pub(crate) struct ClaimedTimer {
    pub(crate) order_id: String,
    pub(crate) waiting: StepAttempts,
}

impl ClaimedTimers {
    /// Leases rows of a saga that are due and that nobody has, at most so many.
    pub(crate) async fn lease(
        pool: &PgPool,
        (saga, steps): (&'static str, TimerKind),
        first: TimerPriority,
        limit: i64,
    ) -> Result<Self, sqlx::Error> {
        let steps = steps.condition();
        let order = match first {
            TimerPriority::Oldest => "asc",
            TimerPriority::Newest => "desc",
        };
        let query = format!(
            "with due as materialized (
                select order_id from saga_work
                 where saga = $1 and {steps} and due_at <= now() and coalesce(claimed_until <= now(), true)
                 order by due_at {order} limit $2 for update skip locked)
             update saga_work w set claimed_by = $3, claimed_until = now() + $4 * interval '1 millisecond'
               from due where w.saga = $1 and w.order_id = due.order_id
             returning w.order_id, w.step, w.sent, w.failures, w.since, w.seen"
        );
        let id = Uuid::now_v7();
        let taken = sqlx::query(&query).bind(saga).bind(limit).bind(id).bind(millis(LEASE)).fetch_all(pool).await?;
        let rows = taken.iter().map(row).collect::<Result<_, _>>()?;
        Ok(Self { id, saga, rows })
    }

    /// Renews the lease, forever.
    pub(crate) async fn renew(&self, pool: &PgPool) {
        let query = "with mine as materialized (
                        select order_id from saga_work where saga = $1 and order_id = any($2) and claimed_by = $3
                           for update skip locked)
                     update saga_work w set claimed_until = now() + $4 * interval '1 millisecond'
                       from mine where w.saga = $1 and w.order_id = mine.order_id";
        let ids: Vec<&str> = self.rows.iter().map(|row| row.order_id.as_str()).collect();
        loop {
            tokio::time::sleep(LEASE / 3).await;
            let renewed = sqlx::query(query).bind(self.saga).bind(&ids).bind(self.id).bind(millis(LEASE));
            if let Err(error) = renewed.execute(pool).await {
                tracing::warn!(%error, saga = self.saga, "a claim on rows could not be renewed");
            }
        }
    }

    /// Writes back what came of the rows that it still has, apart from those whose last writer knew more of the order. The others are
    /// processed again when they are due.
    pub(crate) async fn settle(
        &self,
        pool: &PgPool,
        wake_ups: &[SagaTimer],
        ended: &[TimerRemoval],
    ) -> Result<(), sqlx::Error> {
        if !wake_ups.is_empty() {
            let query = format!(
                "with mine as materialized (
                    select order_id from saga_work
                     where saga = any($1) and order_id = any($2) and claimed_by = $11 for update skip locked)
                 update saga_work w set {} from mine, {ROWS} as fresh
                  where fresh.order_id = mine.order_id and w.saga = fresh.saga and w.order_id = fresh.order_id
                    and w.claimed_by = $11 and w.seen <= fresh.seen",
                replacement("fresh", "fresh.owed_since")
            );
            bind_rows(&query, wake_ups).bind(self.id).execute(pool).await?;
        }
        if !ended.is_empty() {
            let query = "with mine as materialized (
                            select w.order_id from saga_work w, unnest($2::text[], $3::bigint[]) as ended(order_id, seen)
                             where w.saga = $1 and w.order_id = ended.order_id and w.claimed_by = $4 and w.seen <= ended.seen
                               for update of w skip locked)
                         delete from saga_work w using mine where w.saga = $1 and w.order_id = mine.order_id";
            sqlx::query(query)
                .bind(self.saga)
                .bind(ended.iter().map(|it| it.key.1.as_str()).collect::<Vec<_>>())
                .bind(ended.iter().map(|it| it.seen).collect::<Vec<_>>())
                .bind(self.id)
                .execute(pool)
                .await?;
        }
        Ok(())
    }
}

/// Makes rows due that are stuck because of what their order was before, if the subscription has missed the newer events.
pub(crate) async fn wake_outdated(pool: &PgPool) -> Result<(), sqlx::Error> {
    sqlx::query(
        "with outdated as materialized (
            select w.saga, w.order_id from saga_work w
             where w.stuck and w.due_at > now()
               and exists (select from events e where e.aggregate_type = 'order' and e.aggregate_id = w.order_id
                              and e.sequence > w.seen and e.event_type <> all($2)
                              and e.recorded_at < now() - $1 * interval '1 millisecond')
               for update of w skip locked)
         update saga_work w set due_at = now() from outdated
          where w.saga = outdated.saga and w.order_id = outdated.order_id",
    )
    .bind(millis(OVERDUE))
    .bind(NUMBER_EVENTS)
    .execute(pool)
    .await?;
    Ok(())
}

fn row(row: &PgRow) -> Result<ClaimedTimer, sqlx::Error> {
    let (sent, failures): (i32, i32) = (row.try_get(2)?, row.try_get(3)?);
    let waiting = StepAttempts {
        step: row.try_get(1)?,
        requests_sent: sent.unsigned_abs(),
        failures: failures.unsigned_abs(),
        since: row.try_get(4)?,
        seen: row.try_get(5)?,
    };
    Ok(ClaimedTimer { order_id: row.try_get(0)?, waiting })
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

//! Claims: rows that are due are taken for a short time, in which nobody else looks at them, and then written back by whoever still has
//! them. Nothing is locked meanwhile. A claim is renewed while work goes on; that of a process that dies runs out.
//!
//! Whoever has a claim waits for nobody's row: what is locked is passed over. So there is no order of locks to keep to.

use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row};
use uuid::Uuid;

use super::{Ended, Later, ROWS, Waiting, bound, rewritten};

/// How long a claim lasts that is not renewed.
const LEASE: Duration = Duration::from_secs(15);
/// How old an event has to be that nobody seems to have come to: those who follow the log come first.
const OVERDUE: Duration = Duration::from_secs(10);

/// Which of the rows that are due are taken first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Those that have been due for longest.
    Oldest,
    /// Those that have just become due.
    Newest,
}

/// Which of a saga's rows: what tells customers waits for a queue that can be away, and what does not is not kept waiting with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Steps {
    /// Those of mails.
    Mails,
    /// All others.
    Others,
}

impl Steps {
    /// As the indexes have it.
    fn condition(self) -> &'static str {
        match self {
            Self::Mails => "step = 'notify_customer'",
            Self::Others => "step <> 'notify_customer'",
        }
    }
}

/// Some rows of one saga that nobody else is at work on.
#[derive(Debug)]
pub(crate) struct Claim {
    id: Uuid,
    saga: &'static str,
    pub(crate) rows: Vec<Taken>,
}

/// A row that was taken.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) order_id: String,
    pub(crate) waiting: Waiting,
}

impl Claim {
    /// Takes rows of a saga that are due and that nobody has, at most so many.
    pub(crate) async fn take(
        pool: &PgPool,
        (saga, steps): (&'static str, Steps),
        end: End,
        limit: i64,
    ) -> Result<Self, sqlx::Error> {
        let steps = steps.condition();
        let order = match end {
            End::Oldest => "asc",
            End::Newest => "desc",
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

    /// Renews it for ever.
    pub(crate) async fn keep(&self, pool: &PgPool) {
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

    /// Writes back what came of rows, those that it still has and that nobody wrote who knew more of the order. The others are
    /// looked at again when they are due.
    pub(crate) async fn settle(&self, pool: &PgPool, later: &[Later], ended: &[Ended]) -> Result<(), sqlx::Error> {
        if !later.is_empty() {
            let query = format!(
                "with mine as materialized (
                    select order_id from saga_work
                     where saga = any($1) and order_id = any($2) and claimed_by = $10 for update skip locked)
                 update saga_work w set {} from mine, {ROWS} as fresh
                  where fresh.order_id = mine.order_id and w.saga = fresh.saga and w.order_id = fresh.order_id
                    and w.claimed_by = $10 and w.seen <= fresh.seen",
                rewritten("fresh")
            );
            bound(&query, later).bind(self.id).execute(pool).await?;
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

/// Has those looked at again that are stuck because of what their order was before, should nobody have done so who follows the log.
pub(crate) async fn recall(pool: &PgPool) -> Result<(), sqlx::Error> {
    sqlx::query(
        "with outdated as materialized (
            select w.saga, w.order_id from saga_work w
             where w.stuck and w.due_at > now()
               and exists (select from events e where e.aggregate_type = 'order' and e.aggregate_id = w.order_id
                              and e.sequence > w.seen and e.recorded_at < now() - $1 * interval '1 millisecond')
               for update of w skip locked)
         update saga_work w set due_at = now() from outdated
          where w.saga = outdated.saga and w.order_id = outdated.order_id",
    )
    .bind(millis(OVERDUE))
    .execute(pool)
    .await?;
    Ok(())
}

fn row(row: &PgRow) -> Result<Taken, sqlx::Error> {
    let (sent, failures): (i32, i32) = (row.try_get(2)?, row.try_get(3)?);
    let waiting = Waiting {
        step: row.try_get(1)?,
        sent: sent.unsigned_abs(),
        failures: failures.unsigned_abs(),
        since: row.try_get(4)?,
        seen: row.try_get(5)?,
    };
    Ok(Taken { order_id: row.try_get(0)?, waiting })
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

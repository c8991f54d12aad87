//! When to look again: deadlines and retries, as rows with a due time by the database's clock.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use crate::order_fulfilment::{Due, NAME, StepError};

/// The most orders looked at in one transaction.
const BATCH: i64 = 100;
/// The longest wait for an answer, and between tries of what fails.
const MAX_WAIT: Duration = Duration::from_secs(600);
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// What is known of an order that waits.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    pub(crate) step: String,
    pub(crate) sent: u32,
    pub(crate) failures: u32,
}

/// A row to write: look at this order again then.
pub(crate) struct Later {
    order_id: String,
    step: String,
    sent: u32,
    failures: u32,
    wait: Duration,
    last_error: Option<String>,
}

impl Later {
    /// The step's request went out; by then an answer should have come.
    pub(crate) fn answer(due: Due, step: &'static str, deadline: Duration) -> Self {
        let wait = doubled(deadline, due.sent).min(MAX_WAIT.max(deadline));
        Self { order_id: due.order_id, step: step.to_owned(), sent: due.sent + 1, failures: 0, wait, last_error: None }
    }

    /// The step could not be tried, again or for the first time.
    pub(crate) fn retry(order_id: String, tried: Waiting, error: StepError) -> Self {
        let Waiting { step, sent, failures } = tried;
        let wait = doubled(Duration::from_secs(1), failures).min(MAX_BACKOFF);
        Self { order_id, step, sent, failures: failures + 1, wait, last_error: Some(error.0) }
    }
}

fn doubled(base: Duration, times: u32) -> Duration {
    base.saturating_mul(1_u32.checked_shl(times.min(16)).unwrap_or(u32::MAX))
}

/// Writes rows.
pub(crate) async fn note(transaction: &mut PgConnection, rows: &[Later]) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into saga_work (saga, order_id, step, sent, failures, due_at, last_error)
         select $1, order_id, step, sent, failures, now() + wait * interval '1 millisecond', last_error
           from unnest($2::text[], $3::text[], $4::int[], $5::int[], $6::bigint[], $7::text[])
                as row(order_id, step, sent, failures, wait, last_error)
         on conflict (saga, order_id) do update set (step, sent, failures, due_at, last_error) =
            (excluded.step, excluded.sent, excluded.failures, excluded.due_at, excluded.last_error)",
    )
    .bind(NAME)
    .bind(rows.iter().map(|row| row.order_id.as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.step.as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| i32::try_from(row.sent).unwrap_or(i32::MAX)).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| i32::try_from(row.failures).unwrap_or(i32::MAX)).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| i64::try_from(row.wait.as_millis()).unwrap_or(i64::MAX)).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.last_error.as_deref()).collect::<Vec<_>>())
    .execute(transaction)
    .await?;
    Ok(())
}

/// Removes the rows of orders that wait for nothing.
pub(crate) async fn forget(transaction: &mut PgConnection, order_ids: &[String]) -> Result<(), sqlx::Error> {
    if order_ids.is_empty() {
        return Ok(());
    }
    let forget = sqlx::query("delete from saga_work where saga = $1 and order_id = any($2)");
    forget.bind(NAME).bind(order_ids).execute(transaction).await?;
    Ok(())
}

/// Takes the rows that are due and that no copy has, for the rest of the transaction, by order.
pub(crate) async fn take_due(transaction: &mut PgConnection) -> Result<HashMap<String, Waiting>, sqlx::Error> {
    let rows = sqlx::query(
        "select order_id, step, sent, failures from saga_work where saga = $1 and due_at <= now()
          order by due_at limit $2 for update skip locked",
    )
    .bind(NAME)
    .bind(BATCH)
    .fetch_all(transaction)
    .await?;
    let waiting = |row: &PgRow| {
        let (sent, failures): (i32, i32) = (row.try_get(2)?, row.try_get(3)?);
        let waiting = Waiting { step: row.try_get(1)?, sent: sent.unsigned_abs(), failures: failures.unsigned_abs() };
        Ok((row.try_get(0)?, waiting))
    };
    rows.iter().map(waiting).collect()
}

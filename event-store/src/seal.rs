//! The hash chain over the log, by which a change to it can be found.
//!
//! The hash after an event is SHA-256 over the hash after the event before it and the event's digest, and that is SHA-256 over its
//! row, as `COPY … (FORMAT binary)` writes it: every column behind its length, so that no two rows read alike. Before the first
//! event the hash is 32 zero bytes. A [`Head`], a position and the hash after it, speaks for every event up to there: written down
//! somewhere else, it shows whether any of them was changed since.
//!
//! Sealing notes each event's digest in `event_seals`, so that [`check_chain`] can also say which event was changed. It happens
//! beside the appends and after them, in pieces, in a share of the time that is set: under load it falls behind, and catches up.
//!
//! - `row`: a row of the log as it is hashed.
//! - `chain`: digests, hashes, heads.
//! - `seals`: what is kept of the events.
//! - `check`: the log compared with its seals and with a head; `fault`: what is wrong then.

mod chain;
mod check;
mod fault;
mod row;
mod seals;

use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::{Connection, Executor, PgConnection, PgPool, Postgres};
use tokio_util::sync::CancellationToken;

pub use self::chain::{Head, MalformedHead};
pub use self::check::{Checked, check_chain};
pub use self::fault::{Fault, SealsSay};
use self::row::Row;
use self::seals::{Draft, Entry};
use crate::copy::{CopyOrder, copy_out};
use crate::selection::Selection;

/// Events sealed together: a few milliseconds of work, so that whoever appends is not held up for longer.
const EVENTS: i64 = 1_024;
/// How long events gather, and how often it is asked whether there are any.
const GATHER: Duration = Duration::from_secs(1);
/// The longest pause, and how often a copy that does not seal asks whether it may.
const AT_MOST: Duration = Duration::from_secs(5);

/// How the log is sealed.
#[derive(Debug, Clone, Copy)]
pub struct SealSettings {
    /// How much of its time the work may take, in percent, from 1 to 100.
    pub percent: u32,
}

/// Seals what is appended until told to stop. Of all copies that do so on a database, one works and the others wait for it to end.
pub async fn seal_regularly(pool: PgPool, settings: SealSettings, stop: CancellationToken) {
    let forever = async {
        loop {
            match alone(&pool).await {
                Ok(Some(connection)) => {
                    let Err(error) = keep_sealing(connection, settings).await;
                    tracing::warn!(error = &error as &dyn std::error::Error, "sealing the log failed; trying again");
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the log can't be sealed; trying again");
                }
            }
            tokio::time::sleep(AT_MOST).await;
        }
    };
    let _ = stop.run_until_cancelled(forever).await;
}

/// Seals all that is there, as fast as it can, and says how many events that were.
pub async fn seal_all(connection: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let mut sealed = 0;
    loop {
        match seal_some(connection).await? {
            0 => return Ok(sealed),
            events => sealed += events,
        }
    }
}

/// A connection that has the right to seal for as long as it lives; `None`: another has it.
async fn alone(pool: &PgPool) -> Result<Option<PoolConnection<Postgres>>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    // The numbers are any.
    let lock = "select pg_try_advisory_lock(7311, 5)";
    if !sqlx::query_scalar(lock).fetch_one(&mut *connection).await? {
        return Ok(None);
    }
    connection.close_on_drop();
    // The session of a process that froze ends, and another goes on.
    connection.execute("set idle_session_timeout = '60s'").await?;
    Ok(Some(connection))
}

async fn keep_sealing(
    mut connection: PoolConnection<Postgres>,
    settings: SealSettings,
) -> Result<std::convert::Infallible, sqlx::Error> {
    loop {
        let began = Instant::now();
        let sealed = seal_some(&mut connection).await?;
        tokio::time::sleep(pause(sealed, began.elapsed(), settings)).await;
    }
}

/// How long to do nothing after so many events took so long.
fn pause(sealed: u64, took: Duration, settings: SealSettings) -> Duration {
    let percent = settings.percent.clamp(1, 100);
    let owed = (took * (100 - percent) / percent).min(AT_MOST);
    let more_wait = i64::try_from(sealed).is_ok_and(|sealed| sealed >= EVENTS);
    if more_wait { owed } else { owed.max(GATHER) }
}

/// Seals the next events, at most [`EVENTS`], and says how many.
async fn seal_some(connection: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    // A seal that is lost in a crash is made again, and never without its events: they were committed before it. Whoever seals at
    // the same time waits, and goes on from here.
    let begin = "select set_config('synchronous_commit', 'off', true), pg_advisory_xact_lock(7311, 6)";
    sqlx::query(begin).execute(&mut *transaction).await?;
    let mut draft = Draft::begin(&mut transaction).await?;
    let next = "select max(global_position) from (
                    select global_position from events where global_position > $1 order by 1 limit $2) as next";
    let next = sqlx::query_scalar(next).bind(draft.after).bind(EVENTS).fetch_one(&mut *transaction).await?;
    let Some(up_to) = next else {
        transaction.rollback().await?;
        return Ok(0);
    };
    let selection = Selection { up_to: Some(up_to), ..Selection::after(draft.after) };
    let mut events = copy_out(&mut transaction, &selection, CopyOrder::ByPosition).await?;
    while let Some(event) = events.next().await? {
        draft.add(&Entry::of(&Row::parse(event.row())?));
    }
    drop(events);
    let sealed = draft.store(&mut transaction).await?;
    transaction.commit().await?;
    Ok(sealed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_has_its_share_of_the_time_and_no_more() {
        let (full, took) = (EVENTS.unsigned_abs(), Duration::from_millis(20));
        let pause = |sealed, percent| pause(sealed, took, SealSettings { percent });
        assert_eq!(pause(full, 5), Duration::from_millis(380));
        assert_eq!(pause(full, 100), Duration::ZERO);
        assert_eq!(pause(full, 0), Duration::from_millis(1_980));
        assert_eq!(pause(1, 5), GATHER);
        assert_eq!(super::pause(full, Duration::from_secs(60), SealSettings { percent: 1 }), AT_MOST);
    }
}

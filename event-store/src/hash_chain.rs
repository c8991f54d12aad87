//! A hash chain over the log, which reveals changes to it.
//!
//! The hash after an event is SHA-256 over the hash after the event before it and the event's digest, and that is SHA-256 over its
//! row, as `COPY … (FORMAT binary)` writes it: every column behind its length, so that no two rows read alike. Before the first
//! event the hash is 32 zero bytes. A [`ChainHead`], a position and the hash after it, covers every event up to there: written down
//! somewhere else, it shows whether any of them was changed since.
//!
//! Sealing stores each event's digest in `event_seals`, so that [`check_chain`] can also say which event was changed. It happens after
//! the appends, in chunks, and takes a limited share of the time: under load it falls behind, and catches up later.
//!
//! - `row`: a row of the log as it is hashed.
//! - `chain`: digests, hashes, heads.
//! - `seals`: the stored seals, each with an entry for every event.
//! - `check`: compares the log with its seals and with a head; `fault`: what can be wrong.

mod chain;
mod check;
mod fault;
mod row;
mod seals;

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use error_chain::error_chain;
use sqlx::pool::PoolConnection;
use sqlx::{Connection, Executor, PgConnection, PgPool, Postgres};
use tokio_util::sync::CancellationToken;

pub use self::chain::{ChainHead, MalformedChainHead};
pub use self::check::{HashChainReport, check_chain};
pub use self::fault::{HashChainFault, SealHeadAgreement};
use self::row::CopyTuple;
use self::seals::{SealDraft, SealedEventDigest};
use crate::bulk::{CopyOutOrder, copy_out};
use crate::filter::EventFilter;

/// Events sealed together: a few milliseconds of work, so that appends are not delayed for longer.
const CHUNK: i64 = 1_024;
/// How long events gather before they are sealed.
const GATHER: Duration = Duration::from_secs(1);
/// The longest pause, and how often another process tries to become the one that seals.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// How the log is sealed.
#[derive(Debug, Clone, Copy)]
pub struct SealingThrottle {
    /// The share of the time that sealing may take, in percent, from 1 to 100.
    pub percent: u32,
}

/// The last seal of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastSeal {
    pub head: ChainHead,
    pub sealed_at: DateTime<Utc>,
    /// How many positions come after it.
    pub positions_after: i64,
}

/// The last seal. `None`: nothing is sealed.
pub async fn last_seal(pool: &PgPool) -> Result<Option<LastSeal>, sqlx::Error> {
    let last = "select s.up_to, s.hash, s.sealed_at, (select coalesce(max(global_position), 0) from events) - s.up_to
                  from event_seals s order by s.up_to desc limit 1";
    let last: Option<(i64, Vec<u8>, DateTime<Utc>, i64)> = sqlx::query_as(last).fetch_optional(pool).await?;
    let Some((up_to, hash, sealed_at, positions_after)) = last else { return Ok(None) };
    let hash = hash.try_into().map_err(|_| sqlx::Error::Decode("the last seal has no hash".into()))?;
    Ok(Some(LastSeal { head: ChainHead { position: up_to, hash }, sealed_at, positions_after }))
}

/// Seals what is appended until told to stop. Of all processes that do so on a database one works, and the others wait for it to end.
pub async fn seal_regularly(pool: PgPool, settings: SealingThrottle, stop: CancellationToken) {
    let forever = async {
        loop {
            match acquire_lock(&pool).await {
                Ok(Some(connection)) => {
                    let Err(error) = keep_sealing(connection, settings).await;
                    tracing::warn!(error = %error_chain(&error), "sealing the log failed; trying again");
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(error = %error_chain(&error), "the log can't be sealed; trying again");
                }
            }
            tokio::time::sleep(MAX_PAUSE).await;
        }
    };
    let _ = stop.run_until_cancelled(forever).await;
}

/// Seals all events that are not sealed yet, as fast as it can, and says how many those were.
pub async fn seal_all(connection: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let mut sealed = 0;
    loop {
        match seal_some(connection).await? {
            0 => return Ok(sealed),
            events => sealed += events,
        }
    }
}

/// A connection that holds the sealer's lock for as long as it lives; `None`: another one holds it.
async fn acquire_lock(pool: &PgPool) -> Result<Option<PoolConnection<Postgres>>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    // Any fixed numbers.
    let lock = "select pg_try_advisory_lock(7311, 5)";
    if !sqlx::query_scalar(lock).fetch_one(&mut *connection).await? {
        return Ok(None);
    }
    connection.close_on_drop();
    // The session of a frozen process ends, and another process takes over.
    connection.execute("set idle_session_timeout = '60s'").await?;
    Ok(Some(connection))
}

async fn keep_sealing(
    mut connection: PoolConnection<Postgres>,
    settings: SealingThrottle,
) -> Result<std::convert::Infallible, sqlx::Error> {
    loop {
        let began = Instant::now();
        let sealed = seal_some(&mut connection).await?;
        tokio::time::sleep(pause(sealed, began.elapsed(), settings)).await;
    }
}

/// How long to pause after so many events took so long.
fn pause(sealed: u64, took: Duration, settings: SealingThrottle) -> Duration {
    let percent = settings.percent.clamp(1, 100);
    let owed = (took * (100 - percent) / percent).min(MAX_PAUSE);
    let more_wait = i64::try_from(sealed).is_ok_and(|sealed| sealed >= CHUNK);
    if more_wait { owed } else { owed.max(GATHER) }
}

/// Seals the next events, at most [`CHUNK`], and says how many.
async fn seal_some(connection: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    // A seal that is lost in a crash is made again; its events were committed before it. Anybody else who seals at the same time waits,
    // and goes on from here.
    let begin = "select set_config('synchronous_commit', 'off', true), pg_advisory_xact_lock(7311, 6)";
    sqlx::query(begin).execute(&mut *transaction).await?;
    let mut draft = SealDraft::begin(&mut transaction).await?;
    let next = "select max(global_position) from (
                    select global_position from events where global_position > $1 order by 1 limit $2) as next";
    let next = sqlx::query_scalar(next).bind(draft.after).bind(CHUNK).fetch_one(&mut *transaction).await?;
    let Some(up_to) = next else {
        transaction.rollback().await?;
        return Ok(0);
    };
    let filter = EventFilter { up_to: Some(up_to), ..EventFilter::after(draft.after) };
    let mut events = copy_out(&mut transaction, &filter, CopyOutOrder::ByPosition).await?;
    while let Some(event) = events.next().await? {
        draft.add(&SealedEventDigest::of(&CopyTuple::parse(event.row())?));
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
    fn sealing_takes_its_share_of_the_time_and_no_more() {
        let (full, took) = (CHUNK.unsigned_abs(), Duration::from_millis(20));
        let pause = |sealed, percent| pause(sealed, took, SealingThrottle { percent });
        assert_eq!(pause(full, 5), Duration::from_millis(380));
        assert_eq!(pause(full, 100), Duration::ZERO);
        assert_eq!(pause(full, 0), Duration::from_millis(1_980));
        assert_eq!(pause(1, 5), GATHER);
        assert_eq!(super::pause(full, Duration::from_secs(60), SealingThrottle { percent: 1 }), MAX_PAUSE);
    }
}

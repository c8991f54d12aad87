//! Whether events are being appended while a replay runs: then it gives way.
//!
//! A commit waits for all that was written to Postgres's log of changes before it, whoever wrote it. So beside traffic a replay writes
//! little at a time and rests after it, and makes indexes first, which would come as one long burst otherwise.

use std::time::{Duration, Instant};

use sqlx::PgConnection;

/// Who appends as many events a second is traffic.
const BUSY: f64 = 50.0;
/// To know it before anything was done.
const LOOK: Duration = Duration::from_millis(100);
/// After a piece of work it rests for so many times as long as that took.
const REST: u32 = 2;

/// How many events a piece of work has at the most.
pub(super) const ALONE: i64 = 5_000;
const BESIDE_TRAFFIC: i64 = 500;

/// What was seen of the log's growth.
#[derive(Debug)]
pub(super) struct Traffic {
    position: i64,
    seen: Instant,
    busy: bool,
}

impl Traffic {
    /// Looks for a moment.
    pub(super) async fn look(session: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let mut traffic = Self { position: last_position(session).await?, seen: Instant::now(), busy: false };
        tokio::time::sleep(LOOK).await;
        traffic.look_again(session).await?;
        Ok(traffic)
    }

    /// Takes it for granted that there is some, until it is known.
    pub(super) async fn expected(session: &mut PgConnection) -> Result<Self, sqlx::Error> {
        Ok(Self { position: last_position(session).await?, seen: Instant::now(), busy: true })
    }

    /// The last position that was given out when it was looked at.
    pub(super) fn position(&self) -> i64 {
        self.position
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy
    }

    /// How many events a piece of work has.
    pub(super) fn events_at_once(&self) -> i64 {
        if self.busy { BESIDE_TRAFFIC } else { ALONE }
    }

    /// After a piece of work that took so long: rests, if it was not alone.
    pub(super) async fn give_way(&mut self, session: &mut PgConnection, took: Duration) -> Result<(), sqlx::Error> {
        if self.seen.elapsed() >= LOOK {
            self.look_again(session).await?;
        }
        if self.busy {
            tokio::time::sleep(took * REST).await;
        }
        Ok(())
    }

    async fn look_again(&mut self, session: &mut PgConnection) -> Result<(), sqlx::Error> {
        let position = last_position(session).await?;
        let grown = u32::try_from(position - self.position).unwrap_or(u32::MAX);
        self.busy = f64::from(grown) >= BUSY * self.seen.elapsed().as_secs_f64();
        (self.position, self.seen) = (position, Instant::now());
        Ok(())
    }
}

/// The last position that was given out, committed or not.
async fn last_position(session: &mut PgConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("select last_value from events_global_position").fetch_one(session).await
}

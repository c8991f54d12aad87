//! Slows a replay down while events are being appended.
//!
//! A commit waits until everything that was written to Postgres's write-ahead log before it is on disk, whoever wrote
//! it. So beside appends a replay writes little at a time and pauses after each write. It also creates indexes first:
//! at the end they would come as one long burst.

use std::time::{Duration, Instant};

use sqlx::PgConnection;

/// From this many appended events a second on, the log counts as busy.
const BUSY: f64 = 50.0;
/// For how long the log is watched to tell whether it is busy.
const WATCH: Duration = Duration::from_millis(100);
/// On a busy log a replay pauses for this many times as long as its last write took.
const PAUSE_FACTOR: u32 = 2;

/// How many events a replay writes at once on a quiet log,
pub(super) const QUIET_BATCH: i64 = 5_000;
/// and on a busy one.
const BUSY_BATCH: i64 = 500;

/// Slows a replay down while the log grows fast.
#[derive(Debug)]
pub(super) struct ReplayThrottle {
    position: i64,
    measured_at: Instant,
    busy: bool,
}

impl ReplayThrottle {
    /// Watches the log for a moment.
    pub(super) async fn measure(session: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let mut throttle = Self { position: last_position(session).await?, measured_at: Instant::now(), busy: false };
        tokio::time::sleep(WATCH).await;
        throttle.measure_again(session).await?;
        Ok(throttle)
    }

    /// Takes the log for busy until it is measured.
    pub(super) async fn assume_busy(session: &mut PgConnection) -> Result<Self, sqlx::Error> {
        Ok(Self { position: last_position(session).await?, measured_at: Instant::now(), busy: true })
    }

    /// The last position of the log when it was measured.
    pub(super) fn position(&self) -> i64 {
        self.position
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy
    }

    /// How many events to write at once.
    pub(super) fn batch_size(&self) -> i64 {
        if self.busy { BUSY_BATCH } else { QUIET_BATCH }
    }

    /// Pauses after a write that took so long, if the log is busy.
    pub(super) async fn pause_after(&mut self, session: &mut PgConnection, took: Duration) -> Result<(), sqlx::Error> {
        if self.measured_at.elapsed() >= WATCH {
            self.measure_again(session).await?;
        }
        if self.busy {
            tokio::time::sleep(took * PAUSE_FACTOR).await;
        }
        Ok(())
    }

    async fn measure_again(&mut self, session: &mut PgConnection) -> Result<(), sqlx::Error> {
        let position = last_position(session).await?;
        let grown = u32::try_from(position - self.position).unwrap_or(u32::MAX);
        self.busy = f64::from(grown) >= BUSY * self.measured_at.elapsed().as_secs_f64();
        (self.position, self.measured_at) = (position, Instant::now());
        Ok(())
    }
}

/// The last position that was drawn, committed or not.
async fn last_position(session: &mut PgConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("select last_value from events_global_position").fetch_one(session).await
}

//! How far subscriptions have come, for requests that wait for a position.
//!
//! A subscription in this process publishes its position right after its commit, which wakes the waiting requests. If other processes
//! hold partitions, one of the waiting requests polls the database for all of them, the less often the longer nothing moves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::{PgPool, Row};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::PARTITIONS;
use super::leases::{HeldPartition, partition};
use crate::EventStore;
use crate::read::last_position;

/// The pause between two polls of the database while other processes hold partitions, at first and at most.
const POLL_PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(80));
/// The pause while this process holds all partitions: a copy that was frozen learns late that it has lost them.
const SAFETY_POLL: Duration = Duration::from_millis(100);
/// For how long a known end of the log is trusted: a failover or a restore may lose the end.
const TRUSTED: Duration = Duration::from_secs(1);

/// The positions of all subscriptions and the end of the log, as far as this process knows them, for requests that
/// wait for a position.
#[derive(Clone, Default)]
pub(crate) struct SubscriptionPositionCache {
    subscriptions: Arc<Mutex<HashMap<String, Arc<ReachedPositions>>>>,
    end: Arc<Mutex<LogEnd>>,
}

/// A known end of the log.
#[derive(Debug, Default)]
struct LogEnd {
    /// The log may have grown since.
    position: i64,
    /// When that was the end.
    seen: Option<Instant>,
}

/// The positions that one subscription has reached, by partition, as far as this process knows.
#[derive(Default)]
pub(super) struct ReachedPositions {
    positions: watch::Sender<PartitionPositions>,
    /// Told when somebody waits for a position.
    wanted: Notify,
    /// Held by the request that polls the database for all that wait.
    polling: tokio::sync::Mutex<PollSchedule>,
}

/// When the database is polled.
#[derive(Debug, Default)]
struct PollSchedule {
    last: Option<Instant>,
    pause: Duration,
}

#[derive(Default)]
struct PartitionPositions {
    /// Committed positions by partition. They may be higher by now, and lower only if the database lost commits.
    reached: [i64; PARTITIONS],
    /// How many partitions this process holds.
    held: usize,
}

impl SubscriptionPositionCache {
    pub(super) fn of(&self, subscription: &str) -> Arc<ReachedPositions> {
        let mut all = self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(subscription) {
            return Arc::clone(known);
        }
        Arc::clone(all.entry(subscription.to_owned()).or_default())
    }
}

impl SubscriptionPositionCache {
    /// Notes that an event was stored at a position.
    pub(crate) fn stored(&self, position: i64) {
        let mut end = self.end();
        // A lower position comes late, unless commits were lost: it confirms nothing.
        if position >= end.position {
            *end = LogEnd { position, seen: Some(Instant::now()) };
        }
    }

    /// Forgets how far subscriptions have come: the database may have crashed, and lost what it committed last.
    pub(crate) fn forget_positions(&self) {
        for known in self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner).values() {
            known.forget();
        }
    }

    /// Notes the end of the log that a query found, which began when `before` was known.
    fn found(&self, position: i64, before: i64) {
        if position >= before {
            return self.stored(position);
        }
        *self.end() = LogEnd { position, seen: Some(Instant::now()) };
        // The log lost its end, so the positions of subscriptions are not reliable either.
        self.forget_positions();
    }

    fn end(&self) -> MutexGuard<'_, LogEnd> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PollSchedule {
    /// When the next poll is due; `None`: now.
    fn due(&self) -> Option<Instant> {
        self.last.map(|last| last + self.pause)
    }

    /// Notes a poll, and whether something had moved.
    fn polled(&mut self, moved: bool, now: Instant) {
        let lately = self.last.is_some_and(|last| now < last + POLL_PAUSE.1 * 2);
        self.pause = if moved || !lately { POLL_PAUSE.0 } else { (self.pause * 2).min(POLL_PAUSE.1) };
        self.last = Some(now);
    }
}

impl ReachedPositions {
    /// Publishes the partitions that this process holds, with their positions.
    pub(super) fn publish(&self, held: &[HeldPartition]) {
        self.positions.send_modify(|positions| {
            positions.held = held.len();
            for held in held {
                // Nobody else moves it.
                positions.reached[held.partition] = held.position;
            }
        });
    }

    /// Waits until somebody waits for a position, or has since this was waited for last.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Forgets the positions: the database may have lost them.
    pub(super) fn forget(&self) {
        self.positions.send_modify(|positions| positions.reached = [0; PARTITIONS]);
    }

    /// Reads the positions from the database, and says whether any has moved.
    async fn poll(&self, pool: &PgPool, subscription: &str) -> Result<bool, sqlx::Error> {
        let query = "select partition, position from subscription_partitions where subscription = $1";
        let rows = sqlx::query(query).bind(subscription).fetch_all(pool).await?;
        let reached = |row| Ok((partition(row)?, row.try_get(1)?));
        let reached = rows.iter().map(reached).collect::<Result<Vec<_>, sqlx::Error>>()?;
        Ok(self.positions.send_if_modified(|positions| positions.raise(reached.into_iter())))
    }
}

impl PartitionPositions {
    /// Raises positions, and says whether any was raised.
    fn raise(&mut self, reached: impl Iterator<Item = (usize, i64)>) -> bool {
        let mut raised = false;
        for (partition, position) in reached {
            if let Some(known) = self.reached.get_mut(partition).filter(|known| **known < position) {
                *known = position;
                raised = true;
            }
        }
        raised
    }

    fn has_passed(&self, position: i64) -> bool {
        self.reached.iter().all(|reached| *reached >= position)
    }
}

impl EventStore {
    /// Waits until a subscription has passed a position of the log, in whichever process it runs. Then everything that it wrote up to
    /// there can be read, except for parked streams.
    pub async fn until_passed(&self, subscription: &str, position: i64) -> Result<(), sqlx::Error> {
        let known = self.progress.of(subscription);
        let mut positions = known.positions.subscribe();
        loop {
            let all_held = {
                let now = positions.borrow_and_update();
                if now.has_passed(position) {
                    return Ok(());
                }
                now.held == PARTITIONS
            };
            known.wanted.notify_one();
            tokio::select! {
                biased;
                // The sender lives in `known`.
                _ = positions.changed() => {}
                mut schedule = known.polling.lock() => {
                    let now = Instant::now();
                    let due = if all_held { now + SAFETY_POLL } else { schedule.due().unwrap_or(now) };
                    if tokio::time::timeout_at(due, positions.changed()).await.is_err() {
                        let moved = known.poll(&self.pool, subscription).await?;
                        schedule.polled(moved, Instant::now());
                    }
                }
            }
        }
    }

    /// The end of the log, if it is before a position; otherwise any position of the log that is not lower. Nothing is read if this
    /// process knows that the position was stored a moment ago.
    pub async fn end_up_to(&self, position: i64) -> Result<i64, sqlx::Error> {
        let known = {
            let end = self.progress.end();
            let trusted = end.seen.is_some_and(|seen| seen.elapsed() < TRUSTED);
            if trusted && end.position >= position {
                return Ok(end.position);
            }
            end.position
        };
        let end = last_position(&self.pool).await?;
        self.progress.found(end, known);
        Ok(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_is_polled_the_less_often_the_longer_nothing_moves() {
        let mut schedule = PollSchedule::default();
        let mut now = Instant::now();
        assert_eq!(schedule.due(), None);
        let mut pauses = Vec::new();
        for moved in [false, false, false, false, false, false, true, false] {
            schedule.polled(moved, now);
            let due = schedule.due().unwrap();
            pauses.push((due - now).as_millis());
            now = due;
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 80, 5, 10]);
        // Nobody has waited for a while: the next request does not inherit the long pause.
        for _ in 0..6 {
            schedule.polled(false, now);
        }
        now += Duration::from_secs(1);
        assert!(schedule.due().unwrap() < now);
        schedule.polled(false, now);
        assert_eq!(schedule.due().unwrap() - now, POLL_PAUSE.0);
    }
}

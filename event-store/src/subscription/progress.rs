//! How far subscriptions have come, for those who wait for it.
//!
//! A subscription in this process says so right after its commit: whoever waits here is woken and asks nobody. Where other
//! processes hold partitions, one of those who wait asks the database for all, the less often the longer nothing moves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::{PgPool, Row};
use tokio::sync::watch;
use tokio::time::Instant;

use super::PARTITIONS;
use super::leases::{Held, partition};
use crate::{EventStore, read_end};

/// How long it is until the database is asked again while others hold partitions, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(80));
/// And while all of them are held here: a copy that was frozen learns late that it has lost them.
const SELDOM: Duration = Duration::from_millis(100);
/// For how long it is believed without asking that the log is as long as it was: a failover or a restore may have lost its end.
const BELIEVED: Duration = Duration::from_secs(1);

/// What this process knows of every subscription, and of the log that they follow.
#[derive(Clone, Default)]
pub(crate) struct Progress {
    subscriptions: Arc<Mutex<HashMap<String, Arc<Known>>>>,
    end: Arc<Mutex<End>>,
}

/// How far the log has come.
#[derive(Debug, Default)]
struct End {
    /// A position that it has come to. It may be further by now.
    position: i64,
    /// When that was so.
    seen: Option<Instant>,
}

/// What is known of one subscription.
#[derive(Default)]
pub(super) struct Known {
    positions: watch::Sender<Positions>,
    /// Held by whoever asks the database, for all who wait.
    asking: tokio::sync::Mutex<Pace>,
}

/// When the database is asked.
#[derive(Debug, Default)]
struct Pace {
    asked: Option<Instant>,
    pause: Duration,
}

#[derive(Default)]
struct Positions {
    /// Positions that were committed, by partition. They may be further by now; less far only if the database lost commits.
    reached: [i64; PARTITIONS],
    /// How many partitions are held in this process.
    here: usize,
}

impl Progress {
    pub(super) fn of(&self, subscription: &str) -> Arc<Known> {
        let mut all = self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(subscription) {
            return Arc::clone(known);
        }
        Arc::clone(all.entry(subscription.to_owned()).or_default())
    }
}

impl Progress {
    /// Says that the log has come to a position.
    pub(crate) fn stored(&self, position: i64) {
        let mut end = self.end();
        // One that is less far was told of late, unless commits were lost: it confirms nothing.
        if position >= end.position {
            *end = End { position, seen: Some(Instant::now()) };
        }
    }

    /// Says where the log was found to end, by somebody who asked when `before` was known.
    fn found(&self, position: i64, before: i64) {
        if position >= before {
            return self.stored(position);
        }
        *self.end() = End { position, seen: Some(Instant::now()) };
        // Where subscriptions were is as little true: they were no further than the log.
        for known in self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner).values() {
            known.positions.send_modify(|positions| positions.reached = [0; PARTITIONS]);
        }
    }

    fn end(&self) -> MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pace {
    /// When it is to be asked next. If nobody has asked lately: now.
    fn due(&self) -> Option<Instant> {
        self.asked.map(|asked| asked + self.pause)
    }

    /// It was asked, and something had moved or not.
    fn asked(&mut self, moved: bool, now: Instant) {
        let lately = self.asked.is_some_and(|asked| now < asked + PAUSES.1 * 2);
        self.pause = if moved || !lately { PAUSES.0 } else { (self.pause * 2).min(PAUSES.1) };
        self.asked = Some(now);
    }
}

impl Known {
    /// Says what is held in this process, and how far it is.
    pub(super) fn publish(&self, held: &[Held]) {
        self.positions.send_modify(|positions| {
            positions.here = held.len();
            for held in held {
                // Nobody else moves it.
                positions.reached[held.partition] = held.position;
            }
        });
    }

    /// Asks the database how far the partitions are, and says whether any has moved.
    async fn ask(&self, pool: &PgPool, subscription: &str) -> Result<bool, sqlx::Error> {
        let ask = "select partition, position from subscription_partitions where subscription = $1";
        let rows = sqlx::query(ask).bind(subscription).fetch_all(pool).await?;
        let reached = |row| Ok((partition(row)?, row.try_get(1)?));
        let reached = rows.iter().map(reached).collect::<Result<Vec<_>, sqlx::Error>>()?;
        Ok(self.positions.send_if_modified(|positions| positions.raise(reached.into_iter())))
    }
}

impl Positions {
    /// Notes how far partitions are, and says whether any is further than was known.
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
    /// Waits until a subscription has passed a position of the log, in whichever process it runs. What it wrote on the way can
    /// be seen then, but for parked streams.
    pub async fn until_passed(&self, subscription: &str, position: i64) -> Result<(), sqlx::Error> {
        let known = self.progress.of(subscription);
        let mut positions = known.positions.subscribe();
        loop {
            let all_here = {
                let now = positions.borrow_and_update();
                if now.has_passed(position) {
                    return Ok(());
                }
                now.here == PARTITIONS
            };
            tokio::select! {
                biased;
                // The sender is kept above.
                _ = positions.changed() => {}
                mut pace = known.asking.lock() => {
                    let now = Instant::now();
                    let due = if all_here { now + SELDOM } else { pace.due().unwrap_or(now) };
                    if tokio::time::timeout_at(due, positions.changed()).await.is_err() {
                        let moved = known.ask(&self.pool, subscription).await?;
                        pace.asked(moved, Instant::now());
                    }
                }
            }
        }
    }

    /// Where the log ends, if that is before a position; else a position that it has come to, and that is no less. Nothing is read for
    /// a position that was stored a moment ago, as far as this process knows.
    pub async fn end_up_to(&self, position: i64) -> Result<i64, sqlx::Error> {
        let known = {
            let end = self.progress.end();
            let believed = end.seen.is_some_and(|seen| seen.elapsed() < BELIEVED);
            if believed && end.position >= position {
                return Ok(end.position);
            }
            end.position
        };
        let end = read_end(&self.pool).await?;
        self.progress.found(end, known);
        Ok(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_is_asked_the_less_often_the_longer_nothing_moves() {
        let mut pace = Pace::default();
        let mut now = Instant::now();
        assert_eq!(pace.due(), None);
        let mut pauses = Vec::new();
        for moved in [false, false, false, false, false, false, true, false] {
            pace.asked(moved, now);
            let due = pace.due().unwrap();
            pauses.push((due - now).as_millis());
            now = due;
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 80, 5, 10]);
        // Nobody has waited for a while: who comes now does not inherit the long pause.
        for _ in 0..6 {
            pace.asked(false, now);
        }
        now += Duration::from_secs(1);
        assert!(pace.due().unwrap() < now);
        pace.asked(false, now);
        assert_eq!(pace.due().unwrap() - now, PAUSES.0);
    }
}

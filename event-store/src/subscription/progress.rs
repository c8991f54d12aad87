//! How far subscriptions have come, for requests that wait for a position.
//!
//! A subscription in this process publishes its position right after its commit, which wakes the waiting requests. If other processes
//! hold partitions, one of the waiting requests polls the database for all of them, the less often the longer nothing moves.
//!
//! A crash of the database may lose the last commits of subscriptions. Whoever notices that a connection was lost has all positions
//! forgotten. What was polled is trusted for a moment only, because nothing here is connected to the copies that commit it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::{PgPool, Row};
use tokio::sync::watch;
use tokio::time::Instant;

use super::PARTITIONS;
use super::leases::{HeldPartition, partition};
use crate::EventStore;
use crate::read::last_position;

/// The pause between two polls of the database while other processes hold partitions, at first and at most.
const POLL_PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(80));
/// The pause while this process holds all partitions: a copy that was frozen learns late that it has lost them.
const SAFETY_POLL: Duration = Duration::from_millis(100);
/// For how long a known end of the log and polled positions are trusted: a crash, a failover or a restore may lose the end.
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
    /// How many requests wait now.
    waiting: watch::Sender<usize>,
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
    reached: [ReachedPosition; PARTITIONS],
    /// How many partitions this process holds.
    held: usize,
    /// How often all positions were forgotten.
    forgotten: u64,
}

/// The committed position of a partition. It may be higher by now, and lower only if the database lost commits.
#[derive(Debug, Clone, Copy, Default)]
struct ReachedPosition {
    position: i64,
    /// When it was read from the database; `None`: a copy in this process moves it.
    polled: Option<Instant>,
}

impl ReachedPosition {
    fn is_trusted(self) -> bool {
        self.polled.is_none_or(|polled| polled.elapsed() < TRUSTED)
    }
}

/// A request that waits, until it is dropped.
struct WaitingRequest<'a>(&'a watch::Sender<usize>);

impl<'a> WaitingRequest<'a> {
    fn at(waiting: &'a watch::Sender<usize>) -> Self {
        waiting.send_modify(|waiting| *waiting += 1);
        Self(waiting)
    }
}

impl Drop for WaitingRequest<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting -= 1);
    }
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

    /// Forgets how far subscriptions have come: the database may have lost what they committed last.
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
    /// How often all positions were forgotten: whoever has read some before then has to read them again.
    pub(super) fn forgotten(&self) -> u64 {
        self.positions.borrow().forgotten
    }

    /// Forgets all positions: the database may have lost them.
    pub(super) fn forget(&self) {
        self.positions.send_modify(|positions| {
            positions.reached = Default::default();
            positions.forgotten += 1;
        });
    }

    /// Publishes the partitions that this process holds, with their positions as they were known after so many times of forgetting.
    pub(super) fn publish(&self, held: &[HeldPartition], forgotten: u64) {
        self.positions.send_modify(|positions| positions.publish(held, forgotten, Instant::now()));
    }

    /// Returns as soon as a request waits.
    pub(super) async fn awaited(&self) {
        // The sender lives in `self`.
        let _ = self.waiting.subscribe().wait_for(|waiting| *waiting > 0).await;
    }

    /// Reads the positions from the database, and says whether any is news.
    async fn poll(&self, pool: &PgPool, subscription: &str) -> Result<bool, sqlx::Error> {
        let forgotten = self.forgotten();
        let query = "select partition, position from subscription_partitions where subscription = $1";
        let rows = sqlx::query(query).bind(subscription).fetch_all(pool).await?;
        let reached = |row| Ok((partition(row)?, row.try_get(1)?));
        let reached = rows.iter().map(reached).collect::<Result<Vec<_>, sqlx::Error>>()?;
        Ok(self.positions.send_if_modified(|positions| {
            positions.forgotten == forgotten && positions.found(reached.into_iter(), Instant::now())
        }))
    }
}

impl PartitionPositions {
    fn publish(&mut self, held: &[HeldPartition], forgotten: u64, now: Instant) {
        self.held = held.len();
        // Others move them from now on.
        for reached in &mut self.reached {
            reached.polled.get_or_insert(now);
        }
        if forgotten == self.forgotten {
            for held in held {
                // Nobody else moves it.
                self.reached[held.partition] = ReachedPosition { position: held.position, polled: None };
            }
        }
    }

    /// Notes positions that were read from the database, and says whether any is news. What a copy in this process published may be newer
    /// than that.
    fn found(&mut self, found: impl Iterator<Item = (usize, i64)>, now: Instant) -> bool {
        let mut news = false;
        for (partition, position) in found {
            let Some(known) = self.reached.get_mut(partition) else { continue };
            news |= known.position < position || !known.is_trusted();
            if known.polled.is_some() || known.position < position {
                *known = ReachedPosition { position, polled: Some(now) };
            }
        }
        news
    }

    fn has_passed(&self, position: i64) -> bool {
        self.reached.iter().all(|reached| reached.position >= position && reached.is_trusted())
    }
}

impl EventStore {
    /// Waits until a subscription has passed a position of the log, in whichever process it runs. Then everything that it wrote up to
    /// there can be read, except for parked streams.
    pub async fn until_passed(&self, subscription: &str, position: i64) -> Result<(), sqlx::Error> {
        let known = self.progress.of(subscription);
        let mut positions = known.positions.subscribe();
        let mut waiting = None;
        loop {
            let all_held = {
                let now = positions.borrow_and_update();
                if now.has_passed(position) {
                    return Ok(());
                }
                now.held == PARTITIONS
            };
            waiting.get_or_insert_with(|| WaitingRequest::at(&known.waiting));
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

    fn all_at(position: i64) -> impl Iterator<Item = (usize, i64)> {
        (0..PARTITIONS).map(move |partition| (partition, position))
    }

    fn held(partitions: usize, position: i64) -> Vec<HeldPartition> {
        (0..partitions).map(|partition| HeldPartition { partition, position, fence: 1 }).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_polled_is_trusted_for_a_moment_and_what_is_held_until_it_is_forgotten() {
        let mut known = PartitionPositions::default();
        // Held by this process.
        known.publish(&held(PARTITIONS, 5), 0, Instant::now());
        tokio::time::advance(TRUSTED).await;
        assert!(known.has_passed(5));
        // An older answer of the database, and a newer one.
        assert!(!known.found(all_at(4), Instant::now()));
        assert!(known.has_passed(5));
        assert!(known.found(all_at(6), Instant::now()));
        assert!(known.has_passed(6));

        // Some are held by others from now on.
        known.publish(&held(3, 7), 0, Instant::now());
        assert!(known.has_passed(6));
        tokio::time::advance(TRUSTED).await;
        assert!(!known.has_passed(1));
        // The database lost the end of those.
        assert!(known.found(all_at(4), Instant::now()));
        assert!(known.has_passed(4) && !known.has_passed(5));
    }

    #[test]
    fn a_position_of_before_it_was_forgotten_is_not_published() {
        let reached = ReachedPositions::default();
        let before = reached.forgotten();
        reached.forget();
        reached.publish(&held(PARTITIONS, 5), before);
        assert!(!reached.positions.borrow().has_passed(1));
        reached.publish(&held(PARTITIONS, 4), reached.forgotten());
        assert!(reached.positions.borrow().has_passed(4));
    }

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

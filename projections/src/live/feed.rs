//! The end of the log, read once for all clients of a process.
//!
//! There is no task that reads: of the clients that wait for something new one reads it, and the others find it there. Without
//! clients nothing is read.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bounds::Budget;
use event_store::read::{last_position, read_after, read_filtered};
use event_store::{EventFilter, EventStore, LogChanges, StoredEvent};
use tokio::sync::Semaphore;

use super::follower::PIECE;
use super::frame::Frame;

/// The most events in one read.
pub(super) const PAGE: usize = 64;
/// How far a read goes that finds only few of the events it looks for: so no read takes long.
const STRETCH: i64 = 100_000;
/// How much of the end of the log is kept: events and bytes. A client that is further behind reads for itself.
const KEPT: (usize, usize) = (1_000, 4 * 1024 * 1024);
/// How many clients read for themselves at the same time: orders are to be read and taken meanwhile.
const READERS: usize = 2;
/// Within this time nobody looks again without a sign that there is something.
const LOOKED_LATELY: Duration = Duration::from_millis(900);

/// Shared by all clients of a process.
#[derive(Clone)]
pub(super) struct Feed(Arc<Shared>);

struct Shared {
    store: EventStore,
    recent: Mutex<Recent>,
    /// Held by whoever looks for new events.
    looking: tokio::sync::Mutex<()>,
    readers: Semaphore,
}

/// The end of the log as far as it was read.
#[derive(Default)]
struct Recent {
    /// All events after `from` up to `to`.
    frames: VecDeque<Arc<Frame>>,
    bytes: usize,
    from: i64,
    to: i64,
    /// Looks that have begun, and the last that came to its end.
    begun: u64,
    done: u64,
    done_at: Option<Instant>,
    /// Whether there was more than one look takes.
    more: bool,
}

/// What a client finds.
pub(super) enum Found {
    /// The events after its position, up to another.
    Events(Vec<Arc<Frame>>, i64),
    /// Nothing: it has seen all that was read.
    Nothing,
    /// It is further behind than what is kept. All up to this position is in the log.
    Behind(i64),
}

/// Which look at the end of the log will do.
#[derive(Debug, Clone, Copy)]
pub(super) enum Look {
    /// One that began after so many others.
    After(u64),
    /// One that was made lately.
    Lately,
}

impl Feed {
    pub(super) fn of(store: EventStore) -> Self {
        let (recent, looking) = (Mutex::default(), tokio::sync::Mutex::default());
        Self(Arc::new(Shared { store, recent, looking, readers: Semaphore::new(READERS) }))
    }

    pub(super) fn log_changes(&self) -> LogChanges {
        self.0.store.log_changes()
    }

    /// The end of the log right now, for a client that comes.
    pub(super) async fn join(&self) -> Result<i64, sqlx::Error> {
        let _looking = self.0.looking.lock().await;
        let end = last_position(self.0.store.pool()).await?;
        let mut recent = self.recent();
        // Nobody has followed for a while: what came meanwhile is read by whoever asks for it.
        if usize::try_from(end - recent.to).is_ok_and(|missed| missed > PAGE) {
            recent.forget_up_to(end);
        }
        Ok(end)
    }

    /// What is there after a position.
    pub(super) fn after(&self, position: i64) -> Found {
        let recent = self.recent();
        if position < recent.from {
            return Found::Behind(recent.to);
        }
        // A look that was asked for by others may not have come as far as the client was when it joined.
        if position >= recent.to {
            return Found::Nothing;
        }
        let first = recent.frames.partition_point(|frame| frame.position <= position);
        let frames: Vec<_> = recent.frames.range(first..).take(PAGE).cloned().collect();
        let to = frames.last().filter(|_| frames.len() == PAGE).map_or(recent.to, |last| last.position);
        Found::Events(frames, to)
    }

    /// Reads what is asked for after a position and up to another, or the first events of it; and how far that was.
    pub(super) async fn read(
        &self,
        wanted: &EventFilter,
        after: i64,
        up_to: i64,
        most: usize,
    ) -> Result<(Vec<Arc<Frame>>, i64), sqlx::Error> {
        let _reader = self.0.readers.acquire().await;
        let up_to = up_to.min(after.saturating_add(STRETCH));
        let wanted = EventFilter { after, up_to: Some(up_to), ..wanted.clone() };
        let mut connection = self.0.store.pool().acquire().await?;
        let page = read_filtered(&mut connection, &wanted, Budget::of(most).with_bytes(PIECE)).await?;
        drop(connection);
        let reached = page.events.last().filter(|_| page.more).map_or(up_to, |last| last.position);
        Ok((frames(page.events)?, reached))
    }

    /// A look that sees all that is there now.
    pub(super) fn look_from_now(&self) -> Look {
        Look::After(self.recent().begun)
    }

    /// A look for what the last one did not take, if there was more.
    pub(super) fn look_for_more(&self) -> Option<Look> {
        let recent = self.recent();
        recent.more.then_some(Look::After(recent.begun))
    }

    /// Looks for new events, unless somebody has done so.
    pub(super) async fn look(&self, look: Look) -> Result<(), sqlx::Error> {
        let _looking = self.0.looking.lock().await;
        let from = {
            let mut recent = self.recent();
            if recent.has_seen(look) {
                return Ok(());
            }
            recent.begun += 1;
            recent.to
        };
        let mut connection = self.0.store.pool().acquire().await?;
        let page = read_after(&mut connection, from, Budget::of(PAGE)).await?;
        drop(connection);
        let frames = frames(page.events)?;
        self.recent().add(frames, page.more);
        Ok(())
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.0.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recent {
    fn has_seen(&self, look: Look) -> bool {
        match look {
            Look::After(begun) => self.done > begun,
            Look::Lately => self.done_at.is_some_and(|at| at.elapsed() < LOOKED_LATELY),
        }
    }

    fn add(&mut self, frames: Vec<Arc<Frame>>, more: bool) {
        (self.done, self.done_at, self.more) = (self.begun, Some(Instant::now()), more);
        for frame in frames {
            self.to = frame.position;
            self.bytes += frame.text.len();
            self.frames.push_back(frame);
        }
        while self.frames.len() > KEPT.0 || self.bytes > KEPT.1 {
            let Some(oldest) = self.frames.pop_front() else { break };
            self.bytes -= oldest.text.len();
            self.from = oldest.position;
        }
    }

    fn forget_up_to(&mut self, position: i64) {
        self.frames.clear();
        (self.bytes, self.from, self.to, self.more) = (0, position, position, false);
    }
}

fn frames(events: Vec<StoredEvent>) -> Result<Vec<Arc<Frame>>, sqlx::Error> {
    let frame = |event| Frame::of(event).map(Arc::new).map_err(|error| sqlx::Error::Decode(error.into()));
    events.into_iter().map(frame).collect()
}

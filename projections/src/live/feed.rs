//! The latest events, read from the log once for all live streams of a process.
//!
//! There is no background task: one of the waiting streams reads the new events, and the others find them in memory.
//! Without streams nothing is read.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bounds::Budget;
use event_store::read::{last_position, read_after, read_filtered};
use event_store::{EventFilter, EventStore, LogWakeUpReceiver, StoredEvent};

use super::frame::SseFrame;
use crate::reads::{Caller, SlowReads};

/// The most bytes that a connection gets at once. A larger event is sent in several chunks, and looked up again for
/// each.
pub(super) const CHUNK_BYTES: usize = 32 * 1024;
/// The most events in one read.
pub(super) const PAGE: usize = 64;
/// The most positions that one read passes when few events match, so that no read takes long.
const MAX_SCAN: i64 = 100_000;
/// How many of the latest events are kept in memory, and how many bytes of them. A stream that is further behind reads
/// the log itself.
const KEPT_EVENTS: usize = 1_000;
const KEPT_BYTES: usize = 4 * 1024 * 1024;
/// Without a wake-up, the log is not polled again within this time.
const POLL_INTERVAL: Duration = Duration::from_millis(900);

/// The latest events, read from the log once for all live streams of a process.
#[derive(Clone)]
pub(super) struct SharedEventFeed(Arc<FeedState>);

struct FeedState {
    store: EventStore,
    recent: Mutex<RecentEvents>,
    /// Held while new events are read.
    polling: tokio::sync::Mutex<()>,
    slow: SlowReads,
}

/// The latest events.
#[derive(Default)]
struct RecentEvents {
    /// All events after `from`, up to and with `to`.
    frames: VecDeque<Arc<SseFrame>>,
    bytes: usize,
    from: i64,
    to: i64,
    /// How many polls have begun, and the number of the last one that is done.
    begun: u64,
    done: u64,
    done_at: Option<Instant>,
    /// Whether the last poll left events unread.
    more: bool,
    /// How often somebody began to look where the log ends, and what the last look that is done saw, with its number.
    looks_begun: u64,
    end: Option<(u64, i64)>,
}

/// What is in memory after a position.
pub(super) enum RecentEventsLookup {
    /// The events after the position, up to another position.
    Events(Vec<Arc<SseFrame>>, i64),
    /// No events: the stream has seen all that were read.
    Nothing,
    /// The events after the position are not in memory any more. They have to be read from the log, up to this
    /// position.
    Behind(i64),
}

/// Which poll a stream needs before it may wait.
#[derive(Debug, Clone, Copy)]
pub(super) enum PollBeforeWait {
    /// One that begins after so many others.
    After(u64),
    /// Any recent one.
    Recent,
}

impl SharedEventFeed {
    pub(super) fn of(store: EventStore, slow: SlowReads) -> Self {
        let (recent, polling) = (Mutex::default(), tokio::sync::Mutex::default());
        Self(Arc::new(FeedState { store, recent, polling, slow }))
    }

    pub(super) fn log_changes(&self) -> LogWakeUpReceiver {
        self.0.store.log_changes()
    }

    /// The end of the log, for a stream that begins. Streams that begin while it is read share the next look.
    pub(super) async fn join(&self) -> Result<i64, sqlx::Error> {
        let begun = self.recent().looks_begun;
        let _polling = self.0.polling.lock().await;
        let look = {
            let mut recent = self.recent();
            if let Some((_, end)) = recent.end.filter(|(look, _)| *look > begun) {
                return Ok(end);
            }
            recent.looks_begun += 1;
            recent.looks_begun
        };
        let end = last_position(self.0.store.pool()).await?;
        let mut recent = self.recent();
        recent.end = Some((look, end));
        // There was no stream for a while. The events since then are read by those streams that want them.
        if usize::try_from(end - recent.to).is_ok_and(|missed| missed > PAGE) {
            recent.forget_up_to(end);
        }
        Ok(end)
    }

    pub(super) fn after(&self, position: i64) -> RecentEventsLookup {
        let recent = self.recent();
        if position < recent.from {
            return RecentEventsLookup::Behind(recent.to);
        }
        // The stream may have begun at a later position than the last poll reached.
        if position >= recent.to {
            return RecentEventsLookup::Nothing;
        }
        let first = recent.frames.partition_point(|frame| frame.position <= position);
        let frames: Vec<_> = recent.frames.range(first..).take(PAGE).cloned().collect();
        let to = frames.last().filter(|_| frames.len() == PAGE).map_or(recent.to, |last| last.position);
        RecentEventsLookup::Events(frames, to)
    }

    /// Reads the first selected events between two positions from the log, once the reads before it of the same caller have ended. Also
    /// returns the position that the read has reached.
    pub(super) async fn read(
        &self,
        caller: &Caller,
        selection: &EventFilter,
        after: i64,
        up_to: i64,
        most: usize,
    ) -> Result<(Vec<Arc<SseFrame>>, i64), sqlx::Error> {
        let up_to = up_to.min(after.saturating_add(MAX_SCAN));
        let selection = EventFilter { after, up_to: Some(up_to), ..selection.clone() };
        let read = async {
            let mut connection = self.0.store.pool().acquire().await?;
            read_filtered(&mut connection, &selection, Budget::of(most).with_bytes(CHUNK_BYTES)).await
        };
        let page = self.0.slow.log(caller, read).await?;
        let reached = page.events.last().filter(|_| page.more).map_or(up_to, |last| last.position);
        Ok((frames(page.events)?, reached))
    }

    /// A poll that sees every event that is in the log now.
    pub(super) fn fresh_poll(&self) -> PollBeforeWait {
        PollBeforeWait::After(self.recent().begun)
    }

    /// A poll for the events that the last one left unread, if it left any.
    pub(super) fn poll_for_more(&self) -> Option<PollBeforeWait> {
        let recent = self.recent();
        recent.more.then_some(PollBeforeWait::After(recent.begun))
    }

    /// Reads new events, unless another stream's poll will do.
    pub(super) async fn poll(&self, poll: PollBeforeWait) -> Result<(), sqlx::Error> {
        let _polling = self.0.polling.lock().await;
        let from = {
            let mut recent = self.recent();
            if recent.is_done(poll) {
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

    fn recent(&self) -> MutexGuard<'_, RecentEvents> {
        self.0.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RecentEvents {
    fn is_done(&self, poll: PollBeforeWait) -> bool {
        match poll {
            PollBeforeWait::After(begun) => self.done > begun,
            PollBeforeWait::Recent => self.done_at.is_some_and(|at| at.elapsed() < POLL_INTERVAL),
        }
    }

    fn add(&mut self, frames: Vec<Arc<SseFrame>>, more: bool) {
        (self.done, self.done_at, self.more) = (self.begun, Some(Instant::now()), more);
        for frame in frames {
            self.to = frame.position;
            self.bytes += frame.text.len();
            self.frames.push_back(frame);
        }
        while self.frames.len() > KEPT_EVENTS || self.bytes > KEPT_BYTES {
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

fn frames(events: Vec<StoredEvent>) -> Result<Vec<Arc<SseFrame>>, sqlx::Error> {
    let frame = |event| SseFrame::of(event).map(Arc::new).map_err(|error| sqlx::Error::Decode(error.into()));
    events.into_iter().map(frame).collect()
}

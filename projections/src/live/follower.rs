//! The position of one live stream in the log.
//!
//! It holds no events: they are looked up when the client takes more. So a client that does not read costs no more
//! memory than its connection's buffer, however large events are.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use event_store::{EventFilter, LogWakeUpReceiver};

use super::feed::{CHUNK_BYTES, PAGE, PollBeforeWait, RecentEventsLookup, SharedEventFeed};
use super::frame::SseFrame;
use crate::reads::Caller;

/// Reads the events that one live stream sends, from memory or from the log.
pub(super) struct LiveStreamReader {
    feed: SharedEventFeed,
    caller: Caller,
    selection: EventFilter,
    /// Every selected event up to here was sent.
    position: i64,
    /// How many bytes of the next selected event were sent, too.
    sent_bytes: usize,
    news: LogWakeUpReceiver,
    /// The poll that is needed before the stream may wait.
    poll: Option<PollBeforeWait>,
}

impl LiveStreamReader {
    pub(super) fn starting(feed: SharedEventFeed, caller: Caller, selection: EventFilter, position: i64) -> Self {
        let news = feed.log_changes();
        // For events that came before `news` began to listen.
        let poll = Some(feed.fresh_poll());
        Self { feed, caller, selection, position, sent_bytes: 0, news, poll }
    }

    pub(super) fn position(&self) -> i64 {
        self.position
    }

    /// The next chunk of selected events. `None`: there are none yet.
    pub(super) async fn read(&mut self) -> Result<Option<Bytes>, sqlx::Error> {
        loop {
            let (frames, reached) = match self.feed.after(self.position) {
                RecentEventsLookup::Events(frames, to) => (frames, to),
                RecentEventsLookup::Behind(to) => {
                    let most = if self.sent_bytes > 0 { 1 } else { PAGE };
                    self.feed.read(&self.caller, &self.selection, self.position, to, most).await?
                }
                RecentEventsLookup::Nothing => match self.poll.take().or_else(|| self.feed.poll_for_more()) {
                    None => return Ok(None),
                    Some(poll) => {
                        self.feed.poll(poll).await?;
                        continue;
                    }
                },
            };
            if let Some(chunk) = self.take(&frames, reached) {
                return Ok(Some(chunk));
            }
        }
    }

    /// A chunk of the selected frames. `reached`: the position up to which the frames go.
    fn take(&mut self, frames: &[Arc<SseFrame>], reached: i64) -> Option<Bytes> {
        let is_selected =
            |frame: &&Arc<SseFrame>| self.selection.matches(&frame.stream_type, &frame.stream_id, &frame.event_type);
        let mut selected = frames.iter().filter(is_selected).peekable();
        let Some(first) = selected.next() else {
            self.position = reached;
            return None;
        };
        if first.text.len() > CHUNK_BYTES {
            let end = first.text.len().min(self.sent_bytes + CHUNK_BYTES);
            let chunk = Bytes::copy_from_slice(&first.text[self.sent_bytes.min(end)..end]);
            let is_complete = end == first.text.len();
            (self.position, self.sent_bytes) =
                if is_complete { (first.position, 0) } else { (first.position - 1, end) };
            return Some(chunk);
        }
        let (mut taken, mut bytes) = (vec![first], first.text.len());
        while let Some(next) = selected.next_if(|next| bytes + next.text.len() <= CHUNK_BYTES) {
            bytes += next.text.len();
            taken.push(next);
        }
        let last = if selected.peek().is_none() { reached } else { taken[taken.len() - 1].position };
        self.position = last;
        // A single event, the usual case, shares its bytes with all streams.
        let [only] = taken.as_slice() else {
            let mut chunk = BytesMut::with_capacity(bytes);
            taken.iter().for_each(|frame| chunk.extend_from_slice(&frame.text));
            return Some(chunk.freeze());
        };
        Some(only.text.clone())
    }

    /// Waits until there may be new events.
    pub(super) async fn wait(&mut self) {
        let is_woken = self.news.wait().await;
        self.poll = Some(if is_woken { self.feed.fresh_poll() } else { PollBeforeWait::Recent });
    }
}

//! One client on its way along the log.
//!
//! It has nothing but its place there: what it has not taken yet is read again when it takes more. So a client that does not read
//! costs what was handed to its connection, and no more, however large events are.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use event_store::{EventFilter, LogChanges};

use super::feed::{Feed, Found, Look, PAGE};
use super::frame::Frame;

/// The most bytes that are handed to a connection at once. An event that is larger goes in several pieces, and is read again for each.
pub(super) const PIECE: usize = 32 * 1024;

pub(super) struct Follower {
    feed: Feed,
    wanted: EventFilter,
    /// Everything up to here was handed out, or is not wanted.
    position: i64,
    /// So many bytes of the next event that is wanted were handed out, too.
    begun: usize,
    news: LogChanges,
    /// What has to be looked for before there is known to be nothing new.
    look: Option<Look>,
}

impl Follower {
    /// Follows the log from behind a position.
    pub(super) fn starting(feed: Feed, wanted: EventFilter, position: i64) -> Self {
        let news = feed.log_changes();
        // What came before it had an ear.
        let look = Some(feed.look_from_now());
        Self { feed, wanted, position, begun: 0, news, look }
    }

    pub(super) fn position(&self) -> i64 {
        self.position
    }

    /// The next piece of what is wanted; `None`: there is nothing yet.
    pub(super) async fn read(&mut self) -> Result<Option<Bytes>, sqlx::Error> {
        loop {
            let (frames, reached) = match self.feed.after(self.position) {
                Found::Events(frames, to) => (frames, to),
                Found::Behind(to) => {
                    let most = if self.begun > 0 { 1 } else { PAGE };
                    self.feed.read(&self.wanted, self.position, to, most).await?
                }
                Found::Nothing => match self.look.take().or_else(|| self.feed.look_for_more()) {
                    None => return Ok(None),
                    Some(look) => {
                        self.feed.look(look).await?;
                        continue;
                    }
                },
            };
            if let Some(piece) = self.take(&frames, reached) {
                return Ok(Some(piece));
            }
        }
    }

    /// As much as a piece holds of the events up to a position.
    fn take(&mut self, frames: &[Arc<Frame>], reached: i64) -> Option<Bytes> {
        let takes = |frame: &&Arc<Frame>| self.wanted.matches(&frame.stream_type, &frame.stream_id, &frame.event_type);
        let mut wanted = frames.iter().filter(takes).peekable();
        let Some(first) = wanted.next() else {
            self.position = reached;
            return None;
        };
        if first.text.len() > PIECE {
            let end = first.text.len().min(self.begun + PIECE);
            let piece = Bytes::copy_from_slice(&first.text[self.begun.min(end)..end]);
            let is_whole = end == first.text.len();
            (self.position, self.begun) = if is_whole { (first.position, 0) } else { (first.position - 1, end) };
            return Some(piece);
        }
        let (mut taken, mut bytes) = (vec![first], first.text.len());
        while let Some(next) = wanted.next_if(|next| bytes + next.text.len() <= PIECE) {
            bytes += next.text.len();
            taken.push(next);
        }
        let last = if wanted.peek().is_none() { reached } else { taken[taken.len() - 1].position };
        self.position = last;
        // What comes alone, as it happens, is one text for all clients.
        let [only] = taken.as_slice() else {
            let mut piece = BytesMut::with_capacity(bytes);
            taken.iter().for_each(|frame| piece.extend_from_slice(&frame.text));
            return Some(piece.freeze());
        };
        Some(only.text.clone())
    }

    /// Until there may be some.
    pub(super) async fn wait(&mut self) {
        let sign = self.news.wait().await;
        self.look = Some(if sign { self.feed.look_from_now() } else { Look::Lately });
    }
}

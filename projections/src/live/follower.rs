//! One client on its way along the log.

use std::collections::VecDeque;
use std::sync::Arc;

use event_store::{News, Selection};

use super::feed::{Feed, Found, Look};
use super::frame::Frame;

pub(super) struct Follower {
    feed: Feed,
    wanted: Selection,
    /// Everything up to here was handed out, or is not wanted.
    position: i64,
    news: News,
    /// What has to be looked for before there is known to be nothing new.
    look: Option<Look>,
}

impl Follower {
    /// Follows the log from behind a position.
    pub(super) fn starting(feed: Feed, wanted: Selection, position: i64) -> Self {
        let news = feed.news();
        // What came before it had an ear.
        let look = Some(feed.look_from_now());
        Self { feed, wanted, position, news, look }
    }

    pub(super) fn position(&self) -> i64 {
        self.position
    }

    /// The next events that are wanted; none: there are none yet.
    pub(super) async fn read(&mut self) -> Result<VecDeque<Arc<Frame>>, sqlx::Error> {
        loop {
            let found = match self.feed.after(self.position) {
                Found::Events(frames, to) => (frames, to),
                Found::Behind(to) => self.feed.read(&self.wanted, self.position, to).await?,
                Found::Nothing => match self.look.take().or_else(|| self.feed.look_for_more()) {
                    None => return Ok(VecDeque::new()),
                    Some(look) => {
                        self.feed.look(look).await?;
                        continue;
                    }
                },
            };
            let (mut frames, reached) = found;
            self.position = reached;
            frames.retain(|frame| self.wanted.takes(&frame.stream_type, &frame.stream_id, &frame.event_type));
            if !frames.is_empty() {
                return Ok(frames.into());
            }
        }
    }

    /// Until there may be some.
    pub(super) async fn wait(&mut self) {
        let sign = self.news.wait().await;
        self.look = Some(if sign { self.feed.look_from_now() } else { Look::Lately });
    }
}

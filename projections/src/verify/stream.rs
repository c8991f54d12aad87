//! A stream folded afresh: up to where its projection has come, and up to the end of the log.

use std::collections::HashMap;

use event_store::StoredEvent;
use event_versions::Upcastable;
use read_models::{Item, Key, Tally};

use crate::items::Items;
use crate::projection::{Fold, FoldError, Follows, facts};

/// The items of one stream, and what it adds to sums.
#[derive(Debug, Clone, Default)]
pub(super) struct Folded {
    pub(super) items: HashMap<Key, Item>,
    pub(super) tallies: Vec<Tally>,
}

/// A stream that is being read.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: String,
    /// Up to here its projection has come.
    pub(super) checkpoint: i64,
    /// Of the events up to the checkpoint.
    pub(super) at: Folded,
    /// Of all events, once there are some behind the checkpoint. Of sums only what these add.
    pub(super) all: Option<Folded>,
    /// It can't be folded: nothing more can be said of it.
    pub(super) failed: Option<FoldError>,
}

impl Stream {
    pub(super) fn new(id: &str, checkpoint: i64) -> Self {
        Self { id: id.to_owned(), checkpoint, at: Folded::default(), all: None, failed: None }
    }

    /// Its next events.
    pub(super) fn fold(&mut self, follows: &Follows, events: &[StoredEvent]) {
        // Positions grow within a stream.
        let (at, ahead) = events.split_at(events.partition_point(|event| event.position <= self.checkpoint));
        if self.failed.is_none()
            && !at.is_empty()
            && let Err(error) = self.at.fold(follows, at)
        {
            self.failed = Some(error);
        }
        if self.failed.is_some() || ahead.is_empty() {
            return;
        }
        let items = &self.at.items;
        let all = self.all.get_or_insert_with(|| Folded { items: items.clone(), tallies: Vec::new() });
        // What the projection has not come to yet is for itself to stumble over.
        let _ = all.fold(follows, ahead);
    }
}

impl Folded {
    fn fold(&mut self, follows: &Follows, events: &[StoredEvent]) -> Result<(), FoldError> {
        match follows {
            Follows::Orders(fold) => self.fold_with(fold, events),
            Follows::Stock(fold) => self.fold_with(fold, events),
        }
    }

    /// As the live one does it, batch by batch, with this for its table.
    fn fold_with<A: Upcastable>(&mut self, fold: &Fold<A>, events: &[StoredEvent]) -> Result<(), FoldError> {
        let facts = facts::<A>(events)?;
        let Some(first) = facts.first() else { return Ok(()) };
        let head = (fold.head)(&first.stream_id);
        let mut keys: Vec<Key> = facts.iter().flat_map(|fact| (fold.needs)(fact)).collect();
        keys.push(head.clone());
        keys.sort_unstable();
        keys.dedup();
        let known = Items::of(keys.iter().filter_map(|key| self.items.get(key).cloned()));
        let Some(change) = fold.stream(known, head, &facts)? else { return Ok(()) };
        self.tallies.extend(change.tallies);
        for item in change.others.into_iter().chain([change.head]) {
            self.items.insert(item.key.clone(), item);
        }
        Ok(())
    }
}

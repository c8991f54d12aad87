//! One stream, folded again: up to the checkpoint of its projection, and up to the end of the log.

use std::collections::HashMap;

use event_store::StoredEvent;
use event_versions::Upcastable;
use read_models::{Item, Key, TallyAddition};

use crate::error::FoldError;
use crate::fold_context::FoldWorkingSet;
use crate::projection::{DecodedEvent, FollowedStreams, ProjectionFold};

/// The items of one stream, and what it adds to tallies.
#[derive(Debug, Clone, Default)]
pub(super) struct ExpectedFoldResult {
    pub(super) items: HashMap<Key, Item>,
    pub(super) tallies: Vec<TallyAddition>,
}

/// A stream that is folded again, up to its checkpoint and up to the end of the log.
#[derive(Debug)]
pub(super) struct RefoldedStream {
    pub(super) id: String,
    /// The position up to which the projection has folded its partition.
    pub(super) checkpoint: i64,
    /// The fold of the events up to the checkpoint.
    pub(super) to_checkpoint: ExpectedFoldResult,
    /// The fold of all events, if there are any after the checkpoint. Its tallies have only what these add.
    pub(super) to_end: Option<ExpectedFoldResult>,
    /// Why the stream can't be folded. It is not compared then.
    pub(super) failed: Option<FoldError>,
}

impl RefoldedStream {
    pub(super) fn new(id: &str, checkpoint: i64) -> Self {
        Self { id: id.to_owned(), checkpoint, to_checkpoint: ExpectedFoldResult::default(), to_end: None, failed: None }
    }

    pub(super) fn fold(&mut self, follows: &FollowedStreams, events: &[StoredEvent]) {
        // Positions grow within a stream.
        let (before, after) = events.split_at(events.partition_point(|event| event.position <= self.checkpoint));
        if self.failed.is_none()
            && !before.is_empty()
            && let Err(error) = self.to_checkpoint.fold(follows, before)
        {
            self.failed = Some(error);
        }
        if self.failed.is_some() || after.is_empty() {
            return;
        }
        let items = &self.to_checkpoint.items;
        let to_end =
            self.to_end.get_or_insert_with(|| ExpectedFoldResult { items: items.clone(), tallies: Vec::new() });
        // An error here is the projection's to find, once it gets there.
        let _ = to_end.fold(follows, after);
    }
}

impl ExpectedFoldResult {
    fn fold(&mut self, follows: &FollowedStreams, events: &[StoredEvent]) -> Result<(), FoldError> {
        match follows {
            FollowedStreams::Orders(fold) => self.fold_with(fold, events),
            FollowedStreams::Stock(fold) => self.fold_with(fold, events),
        }
    }

    /// Folds batch by batch, as the live projector does, with `self` as the table.
    fn fold_with<A: Upcastable>(&mut self, fold: &ProjectionFold<A>, events: &[StoredEvent]) -> Result<(), FoldError> {
        let events = DecodedEvent::<A>::decode_all(events)?;
        let Some(first) = events.first() else { return Ok(()) };
        let head = (fold.head)(&first.stream_id);
        let mut keys: Vec<Key> = events.iter().flat_map(|recorded| (fold.keys_to_load)(recorded)).collect();
        keys.push(head.clone());
        keys.sort_unstable();
        keys.dedup();
        let known = FoldWorkingSet::of(keys.iter().filter_map(|key| self.items.get(key).cloned()));
        let Some(change) = fold.apply(known, head, &events)? else { return Ok(()) };
        self.tallies.extend(change.tallies);
        for item in change.others.into_iter().chain([change.head]) {
            self.items.insert(item.key.clone(), item);
        }
        Ok(())
    }
}

//! What the events of one stream change in a read model.

use std::collections::BTreeMap;

use crate::{Item, Key};

/// What the events of one stream change in a read model. It is written completely or not at all.
///
/// Every event that changes any item also changes the head of its stream. So the head's version tells which events are
/// folded, and a fold skips events that the head has passed. Writing a change again, or an older one, changes nothing.
#[derive(Debug)]
pub struct StreamItemChanges {
    /// The item that changes with every event of the stream.
    pub head: Item,
    /// The version of the head that the change is based on. `None`: there was no head.
    pub base: Option<i64>,
    /// The other changed items of the stream, each once.
    pub others: Vec<Item>,
    /// What is added to tallies, each key once.
    pub tallies: Vec<TallyAddition>,
}

/// An addition to a tally: an item that adds up over many streams, whose body is an object of whole numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TallyAddition {
    pub key: Key,
    /// The log position of the last event in it.
    pub version: i64,
    /// What is added to each number. A missing number is 0.
    pub add: BTreeMap<String, i64>,
}

impl StreamItemChanges {
    /// All items, the head last.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.others.iter().chain([&self.head])
    }

    /// All items, the head last.
    pub fn into_items(self) -> Vec<Item> {
        let mut items = self.others;
        items.push(self.head);
        items
    }
}

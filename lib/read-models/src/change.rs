//! What the events of one stream change.

use std::collections::BTreeMap;

use crate::{Item, Key};

/// What the events of one stream change, all of it or nothing.
///
/// Each event that changes anything changes the stream's head, whose version therefore tells which events are in it: whoever folds
/// passes over events that the head has passed. A change that comes again, or an older one, changes nothing.
#[derive(Debug)]
pub struct Change {
    /// The stream's first item.
    pub head: Item,
    /// The version of the head that this change was made from; `None`: there was none.
    pub base: Option<i64>,
    /// Its other items that changed, each once.
    pub others: Vec<Item>,
    /// What counts up over many streams, each key once.
    pub tallies: Vec<Tally>,
}

/// An amount that adds up over many streams: an item whose body is an object of whole numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Where it is.
    pub key: Key,
    /// The log position that changed it last.
    pub version: i64,
    /// What is added to each number. A number that is not there yet is 0.
    pub add: BTreeMap<String, i64>,
}

impl Change {
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

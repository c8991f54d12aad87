//! The items that a fold reads and changes. Each is read from JSON and written as JSON once, however many events change
//! it.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};

use read_models::{Item, Key, StreamItemChanges, TallyAddition, Words};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};

use crate::error::FoldError;

/// The loaded items of one stream, the changed ones among them, and what is added to tallies.
#[derive(Default)]
pub(crate) struct FoldWorkingSet {
    items: HashMap<Key, FoldEntry>,
    tallies: BTreeMap<Key, TallyAddition>,
}

struct FoldEntry {
    body: ItemBody,
    index_keys: [Option<Key>; 3],
    version: i64,
    words: Option<Words>,
    changed: bool,
}

enum ItemBody {
    /// As it was read.
    Stored(Box<RawValue>),
    /// As a fold left it.
    Typed(Box<dyn FoldedBody>),
    /// A fold took it and has not put it back yet.
    Taken,
}

/// A body that a fold has put and that is still to be written as JSON.
trait FoldedBody: Any + Send {
    fn write(&self) -> Result<Box<RawValue>, serde_json::Error>;
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

impl<T: Serialize + Any + Send> FoldedBody for T {
    fn write(&self) -> Result<Box<RawValue>, serde_json::Error> {
        to_raw_value(self)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

impl FoldWorkingSet {
    pub(crate) fn of(items: impl Iterator<Item = Item>) -> Self {
        let entry = |item: Item| {
            let (body, index_keys, version) = (ItemBody::Stored(item.body), item.index_keys, item.version);
            (item.key, FoldEntry { body, index_keys, version, words: None, changed: false })
        };
        Self { items: items.map(entry).collect(), tallies: BTreeMap::new() }
    }

    /// The position of the event that last wrote an item.
    pub(crate) fn version(&self, key: &Key) -> Option<i64> {
        self.items.get(key).map(|entry| entry.version)
    }

    /// Takes an item out, to be changed and put back. `None`: there is none. An item has to be taken as the type that
    /// it was put as.
    pub(crate) fn take<T: DeserializeOwned + Any>(&mut self, key: &Key) -> Result<Option<T>, FoldError> {
        let Some(entry) = self.items.get_mut(key) else { return Ok(None) };
        match std::mem::replace(&mut entry.body, ItemBody::Taken) {
            ItemBody::Stored(json) => Ok(Some(serde_json::from_str(json.get())?)),
            ItemBody::Typed(body) => Ok(body.into_any().downcast().ok().map(|body| *body)),
            ItemBody::Taken => Ok(None),
        }
    }

    /// Puts an item under these keys. `version` is the position of the event that changed it.
    pub(crate) fn put<T>(&mut self, key: Key, index_keys: [Option<Key>; 3], version: i64, body: T)
    where
        T: Serialize + Any + Send,
    {
        self.put_with_words(key, index_keys, version, body, None);
    }

    /// The same for an item that is also found by words, beside those that it has.
    pub(crate) fn put_with_words<T>(
        &mut self,
        key: Key,
        index_keys: [Option<Key>; 3],
        version: i64,
        body: T,
        words: Option<Words>,
    ) where
        T: Serialize + Any + Send,
    {
        // Those of earlier events that are folded with this one.
        let known = self.items.get_mut(&key).and_then(|entry| entry.words.take());
        let words = match (known, words) {
            (Some(known), Some(words)) => Some(known.with(words)),
            (known, words) => known.or(words),
        };
        let entry = FoldEntry { body: ItemBody::Typed(Box::new(body)), index_keys, version, words, changed: true };
        self.items.insert(key, entry);
    }

    /// Puts a taken item back under the index keys that it had.
    pub(crate) fn put_back<T>(&mut self, key: Key, version: i64, body: T)
    where
        T: Serialize + Any + Send,
    {
        self.put_back_with_words(key, version, body, None);
    }

    /// The same for an item that is found by more words from now on.
    pub(crate) fn put_back_with_words<T>(&mut self, key: Key, version: i64, body: T, words: Option<Words>)
    where
        T: Serialize + Any + Send,
    {
        let index_keys = self.items.get_mut(&key).map(|entry| std::mem::take(&mut entry.index_keys));
        self.put_with_words(key, index_keys.unwrap_or_default(), version, body, words);
    }

    /// Adds to a tally.
    pub(crate) fn add(&mut self, key: Key, version: i64, numbers: &[(&str, i64)]) {
        let add = numbers.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect();
        let tally = TallyAddition { key: key.clone(), version, add };
        self.tallies.entry(key).and_modify(|sum| sum.add(&tally)).or_insert(tally);
    }

    /// What the fold changed. `None`: nothing.
    pub(crate) fn into_change(mut self, head: Key, base: Option<i64>) -> Result<Option<StreamItemChanges>, FoldError> {
        self.items.retain(|_, entry| entry.changed);
        if self.items.is_empty() && self.tallies.is_empty() {
            return Ok(None);
        }
        let Some((key, entry)) = self.items.remove_entry(&head) else { return Err(FoldError::HeadUnchanged(head)) };
        let head = entry.into_item(key)?.ok_or(FoldError::HeadUnchanged(head))?;
        let mut others = Vec::with_capacity(self.items.len());
        for (key, entry) in self.items {
            others.extend(entry.into_item(key)?);
        }
        // The same events always give the same change.
        others.sort_unstable_by(|one: &Item, other| one.key.cmp(&other.key));
        Ok(Some(StreamItemChanges { head, base, others, tallies: self.tallies.into_values().collect() }))
    }
}

impl FoldEntry {
    fn into_item(self, key: Key) -> Result<Option<Item>, serde_json::Error> {
        let body = match self.body {
            ItemBody::Stored(json) => json,
            ItemBody::Typed(body) => body.write()?,
            ItemBody::Taken => return Ok(None),
        };
        Ok(Some(Item { key, index_keys: self.index_keys, version: self.version, body, words: self.words }))
    }
}

//! The items that a fold works on. They are read and written as JSON once, however many events change them.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};

use read_models::{Change, Item, Key, Tally};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};

use crate::projection::FoldError;

/// The items of a stream that are known, and which of them were changed.
#[derive(Default)]
pub(crate) struct Items {
    known: HashMap<Key, Entry>,
    tallies: BTreeMap<Key, Tally>,
}

struct Entry {
    body: Body,
    index_keys: [Option<Key>; 3],
    version: i64,
    changed: bool,
}

enum Body {
    /// As it was read.
    Stored(Box<RawValue>),
    /// As a fold left it.
    Typed(Box<dyn Document>),
    /// A fold has it.
    Taken,
}

/// A body that will be written.
trait Document: Any + Send {
    fn write(&self) -> Result<Box<RawValue>, serde_json::Error>;
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

impl<T: Serialize + Any + Send> Document for T {
    fn write(&self) -> Result<Box<RawValue>, serde_json::Error> {
        to_raw_value(self)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

impl Items {
    /// Those that are there.
    pub(crate) fn of(items: impl Iterator<Item = Item>) -> Self {
        let entry = |item: Item| {
            let (body, index_keys, version) = (Body::Stored(item.body), item.index_keys, item.version);
            (item.key, Entry { body, index_keys, version, changed: false })
        };
        Self { known: items.map(entry).collect(), tallies: BTreeMap::new() }
    }

    /// The position that wrote an item last.
    pub(crate) fn version(&self, key: &Key) -> Option<i64> {
        self.known.get(key).map(|entry| entry.version)
    }

    /// An item, to be changed and put back; `None`: there is none. An item is always taken as the type that it was put as.
    pub(crate) fn take<T: DeserializeOwned + Any>(&mut self, key: &Key) -> Result<Option<T>, FoldError> {
        let Some(entry) = self.known.get_mut(key) else { return Ok(None) };
        match std::mem::replace(&mut entry.body, Body::Taken) {
            Body::Stored(json) => Ok(Some(serde_json::from_str(json.get())?)),
            Body::Typed(document) => Ok(document.into_any().downcast().ok().map(|body| *body)),
            Body::Taken => Ok(None),
        }
    }

    /// Puts an item where it belongs, as the event at this position left it.
    pub(crate) fn put<T>(&mut self, key: Key, index_keys: [Option<Key>; 3], version: i64, body: T)
    where
        T: Serialize + Any + Send,
    {
        let entry = Entry { body: Body::Typed(Box::new(body)), index_keys, version, changed: true };
        self.known.insert(key, entry);
    }

    /// Puts an item that was taken back where it was, as the event at this position left it: it is found as before.
    pub(crate) fn put_back<T>(&mut self, key: Key, version: i64, body: T)
    where
        T: Serialize + Any + Send,
    {
        let index_keys = self.known.get_mut(&key).map(|entry| std::mem::take(&mut entry.index_keys));
        self.put(key, index_keys.unwrap_or_default(), version, body);
    }

    /// Adds to a tally by the event at this position.
    pub(crate) fn add(&mut self, key: Key, version: i64, numbers: &[(&str, i64)]) {
        let add = numbers.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect();
        let tally = Tally { key: key.clone(), version, add };
        self.tallies.entry(key).and_modify(|sum| sum.add(&tally)).or_insert(tally);
    }

    /// What was changed; `None`: nothing.
    pub(crate) fn into_change(mut self, head: Key, base: Option<i64>) -> Result<Option<Change>, FoldError> {
        self.known.retain(|_, entry| entry.changed);
        if self.known.is_empty() && self.tallies.is_empty() {
            return Ok(None);
        }
        let Some((key, entry)) = self.known.remove_entry(&head) else { return Err(FoldError::Headless(head)) };
        let head = entry.written(key)?.ok_or(FoldError::Headless(head))?;
        let mut others = Vec::with_capacity(self.known.len());
        for (key, entry) in self.known {
            others.extend(entry.written(key)?);
        }
        // So that the same events leave the same change.
        others.sort_unstable_by(|one: &Item, other| one.key.cmp(&other.key));
        Ok(Some(Change { head, base, others, tallies: self.tallies.into_values().collect() }))
    }
}

impl Entry {
    fn written(self, key: Key) -> Result<Option<Item>, serde_json::Error> {
        let body = match self.body {
            Body::Stored(json) => json,
            Body::Typed(document) => document.write()?,
            Body::Taken => return Ok(None),
        };
        Ok(Some(Item { key, index_keys: self.index_keys, version: self.version, body }))
    }
}

//! Read models as DynamoDB keeps them: JSON items under a partition and a sort key, found by up to three other keys.
//!
//! A [`Table`] holds the items of one read model. Items are written in the transaction of whoever projects them, and
//! read one collection or one index at a time, in pages. This crate knows nothing of orders.

mod cursor;
mod table;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

pub use cursor::InvalidCursor;
pub use table::{Page, QueryError, Table};

/// Where an item is: its collection and its place in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The partition key: the item collection, like `ORDER#a-1`.
    pub pk: String,
    /// The sort key: the item in it, like `#META`.
    pub sk: String,
}

impl Key {
    /// The key of these two parts.
    pub fn new(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self { pk: pk.into(), sk: sk.into() }
    }
}

/// The other ways to find items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Index {
    /// The first.
    Gsi1,
    /// The second.
    Gsi2,
    /// The third.
    Gsi3,
}

/// An item.
#[derive(Debug, Clone)]
pub struct Item {
    /// Where it is.
    pub key: Key,
    /// Where the indexes have it; `None`: not found that way.
    pub index_keys: [Option<Key>; 3],
    /// The log position that wrote it. An older one never replaces a newer one.
    pub version: i64,
    /// What readers get.
    pub body: Box<RawValue>,
}

impl Item {
    /// The body as a type.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.body.get())
    }
}

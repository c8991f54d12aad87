//! Read models as DynamoDB keeps them: JSON items under a partition and a sort key, found by up to three other keys.
//!
//! A [`Table`] holds the items of one read model, a [`ReadModels`] the tables of all, each in up to three generations. Items are
//! written stream by stream, as [`Change`]s that may come twice, and read one collection or index at a time, in pages. This
//! crate knows nothing of orders.

mod change;
mod compare;
mod cursor;
#[cfg(feature = "dynamodb")]
pub mod dynamodb;
mod generation;
pub mod postgres;
mod query;
mod sound;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

pub use change::{Change, Tally};
pub use compare::{Comparison, Difference, compare, same};
pub use cursor::InvalidCursor;
pub use generation::{Bulk, Generation, ReadModels, Table};
pub use query::{Order, Page, Query, QueryError, Scanned, Within};

/// Where an item is: its collection and its place in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
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

impl Index {
    /// Its name, as tables have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gsi1 => "gsi1",
            Self::Gsi2 => "gsi2",
            Self::Gsi3 => "gsi3",
        }
    }
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
    /// About how many bytes of memory it takes.
    pub fn size(&self) -> usize {
        /// Its keys, roughly.
        const KEYS: usize = 256;
        self.body.get().len() + KEYS
    }

    /// The body as a type.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.body.get())
    }
}

/// Why a store of read models did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// Another writer was faster. What is stored has to be read again.
    #[error("another writer changed {0:?} meanwhile")]
    Conflict(Key),
    /// The store does not keep such an item, however often it is asked to.
    #[error("the item {key:?} can't be kept: {reason}")]
    Refused {
        /// Which.
        key: Key,
        /// What is wrong with it.
        reason: String,
    },
    /// The generation is not there.
    #[error("there is no {generation} generation of {read_model}")]
    NoGeneration {
        /// Of which read model.
        read_model: String,
        /// Which.
        generation: Generation,
    },
    /// A store that is not Postgres failed.
    #[error("the store of read models failed")]
    Remote(#[source] Box<dyn std::error::Error + Send + Sync>),
}

//! Stores of read models, with the data model of DynamoDB: JSON items under a partition key and a sort key, and up to
//! three indexes.
//!
//! A [`GenerationTable`] holds the items of one read model. A [`GenerationStore`] holds the tables of all read models, each in up to
//! three generations. Items are written stream by stream, as [`StreamItemChanges`] that may be written twice, and are read in
//! pages, from one collection or index at a time. This crate knows nothing of orders.

mod change;
mod compare;
mod cursor;
#[cfg(feature = "dynamodb")]
pub mod dynamodb;
mod generation;
mod key_validation;
pub mod postgres;
mod query;
mod words;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

pub use change::{StreamItemChanges, TallyAddition};
pub use compare::{GenerationComparison, ItemDifference, compare};
pub use cursor::InvalidCursor;
pub use generation::{Generation, GenerationLoader, GenerationStore, GenerationTable};
pub use query::{ItemPage, Query, QueryError, QueryScope, ScanPage, SortOrder};
pub use words::{WordMatches, WordQuery, WordSearchError, Words};

/// The primary key of an item.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Key {
    /// The partition key: the item collection, like `ORDER#a-1`.
    pub pk: String,
    /// The sort key: the item in it, like `#META`.
    pub sk: String,
}

impl Key {
    pub fn new(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self { pk: pk.into(), sk: sk.into() }
    }
}

/// The secondary indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Index {
    Gsi1,
    Gsi2,
    Gsi3,
}

impl Index {
    /// The name of the index, and the prefix of its columns.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gsi1 => "gsi1",
            Self::Gsi2 => "gsi2",
            Self::Gsi3 => "gsi3",
        }
    }
}

/// A row of a read model: its keys, its version and its JSON.
#[derive(Debug, Clone)]
pub struct Item {
    pub key: Key,
    /// Its keys in the indexes. `None`: that index does not have it.
    pub index_keys: [Option<Key>; 3],
    /// The log position of the event that wrote it. An older version never replaces a newer one.
    pub version: i64,
    /// The JSON of the item.
    pub body: Box<RawValue>,
    /// Words by which it is found, where the store can, beside those that it had. An item that was read has none.
    pub words: Option<Words>,
}

impl Item {
    /// About how many bytes of memory it takes.
    pub fn size(&self) -> usize {
        /// A rough size of its keys.
        const KEYS: usize = 256;
        self.body.get().len() + KEYS
    }

    /// Deserializes the body.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.body.get())
    }
}

/// Why a store could not read or write.
#[derive(Debug, thiserror::Error)]
pub enum ReadModelStoreError {
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// Another writer was faster. The stored items have to be read again.
    #[error("another writer changed {0:?} meanwhile")]
    Conflict(Key),
    /// The store can never keep this item.
    #[error("the item {key:?} can't be kept: {reason}")]
    Refused { key: Key, reason: String },
    #[error("there is no {generation} generation of {read_model}")]
    NoGeneration { read_model: String, generation: Generation },
    /// A store that is not Postgres failed.
    #[error("the store of read models failed")]
    Remote(#[source] Box<dyn std::error::Error + Send + Sync>),
}

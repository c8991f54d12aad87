//! The traits of a store: tables, their generations, and bulk writing.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::PgConnection;

use crate::{
    Item, ItemPage, Key, Query, QueryError, ReadModelStoreError, ScanPage, StreamItemChanges, TallyAddition,
    WordMatches, WordQuery, WordSearchError, Words,
};

/// The up to three tables of a read model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Generation {
    /// The one that is read and kept up to date.
    Live,
    /// The one that a replay builds.
    Next,
    /// The one that was live before the last promotion.
    Previous,
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Live => "live",
            Self::Next => "next",
            Self::Previous => "previous",
        })
    }
}

/// Where the generations of read models are kept: makes, promotes and drops them.
///
/// Where the tables are in Postgres, every write is part of the connection's transaction.
/// Elsewhere a write may be done although the transaction is rolled back, and may be done again.
#[async_trait]
pub trait GenerationStore: fmt::Debug + Send + Sync {
    /// A generation of a read model. It need not exist.
    fn table(&self, read_model: &str, generation: Generation) -> Arc<dyn GenerationTable>;
    /// How many searches of one caller are done at the same time. `None`: they share a limit with the
    /// caller's reads of the log.
    fn searches_at_once(&self) -> Option<usize> {
        None
    }

    /// Creates the live generation if there is none.
    async fn create(&self, read_model: &str) -> Result<(), ReadModelStoreError>;

    async fn exists(&self, read_model: &str, generation: Generation) -> Result<bool, ReadModelStoreError>;

    /// Creates an empty next generation for bulk writing. An unfinished one from before is dropped.
    async fn begin_next(
        &self,
        read_model: &str,
        connection: &mut PgConnection,
    ) -> Result<Box<dyn GenerationLoader>, ReadModelStoreError>;

    /// Creates a next generation that is rolled back with the transaction, to measure how long writing takes. `None`:
    /// this store can't.
    async fn begin_trial(
        &self,
        read_model: &str,
        transaction: &mut PgConnection,
    ) -> Result<Option<Box<dyn GenerationLoader>>, ReadModelStoreError>;

    /// Resumes writing the next generation.
    async fn resume_next(
        &self,
        read_model: &str,
        connection: &mut PgConnection,
    ) -> Result<Box<dyn GenerationLoader>, ReadModelStoreError>;

    /// Makes the next generation the live one, and the live one the previous one. The previous one is dropped.
    async fn promote(&self, read_model: &str, transaction: &mut PgConnection) -> Result<(), ReadModelStoreError>;

    /// Exchanges the live and the previous generation.
    async fn roll_back(&self, read_model: &str, transaction: &mut PgConnection) -> Result<(), ReadModelStoreError>;

    /// Drops a generation, if it exists.
    async fn discard(
        &self,
        read_model: &str,
        generation: Generation,
        connection: &mut PgConnection,
    ) -> Result<(), ReadModelStoreError>;

    /// Deletes dropped tables outside Postgres. This happens after the drop is committed, now or with the next
    /// generation.
    async fn delete_dropped_tables(&self, _read_model: &str) -> Result<(), ReadModelStoreError> {
        Ok(())
    }
}

/// Writes a generation in bulk, before it has readers.
#[async_trait]
pub trait GenerationLoader: fmt::Debug + Send + Sync {
    /// Adds the items of new streams. Some may be there already, if the transaction before failed after it wrote them.
    async fn add(
        &mut self,
        transaction: &mut PgConnection,
        items: &[Item],
        tallies: &[TallyAddition],
    ) -> Result<(), ReadModelStoreError>;

    /// Creates the indexes before the items. That takes longer in total, but no single step is long. May be called
    /// again.
    async fn create_indexes_first(&mut self, connection: &mut PgConnection) -> Result<(), ReadModelStoreError>;

    /// Makes the generation ready for reads and normal writes. May be called again.
    async fn finish(&mut self, connection: &mut PgConnection) -> Result<(), ReadModelStoreError>;
}

/// The items of one generation of a read model.
#[async_trait]
pub trait GenerationTable: fmt::Debug + Send + Sync {
    /// The items of these keys that exist, for a writer: always the last written ones.
    async fn get(&self, connection: &mut PgConnection, keys: &[Key]) -> Result<Vec<Item>, ReadModelStoreError>;

    /// Writes changes. There is at most one of each stream.
    async fn write(
        &self,
        transaction: &mut PgConnection,
        changes: &[StreamItemChanges],
    ) -> Result<(), ReadModelStoreError>;

    /// The items of these keys that exist, for a reader.
    async fn find(&self, keys: &[Key]) -> Result<Vec<Item>, ReadModelStoreError>;

    /// All items with a partition key, ordered by sort key.
    async fn collection(&self, pk: &str) -> Result<Vec<Item>, ReadModelStoreError>;

    async fn query(&self, query: &Query<'_>) -> Result<ItemPage, QueryError>;

    /// The items that have words.
    async fn find_by_words(&self, _query: &WordQuery<'_>) -> Result<WordMatches, WordSearchError> {
        Err(WordSearchError::Unsupported)
    }

    /// Those of these items that have, for each word, one that begins with it.
    async fn with_words(&self, _keys: &[Key], _words: &Words) -> Result<HashSet<Key>, WordSearchError> {
        Err(WordSearchError::Unsupported)
    }

    /// Reads the whole table page by page, in an order of the store's own.
    async fn scan(&self, after: Option<&Key>, limit: u16) -> Result<ScanPage, ReadModelStoreError>;
}

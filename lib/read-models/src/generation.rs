//! Where read models are kept: a table each, in up to three generations.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::PgConnection;

use crate::{Change, Item, Key, Page, Query, QueryError, Scanned, StoreError, Tally};

/// One of the tables that a read model can have at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Generation {
    /// The one that is read and kept up to date.
    Live,
    /// The one that is being built to take its place.
    Next,
    /// The one whose place was taken.
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

/// A place where read models are kept. Whatever is written through a connection to Postgres is part of its transaction where
/// the tables are there, too; elsewhere it may be done although the transaction is not, and has to stand being done again.
#[async_trait]
pub trait ReadModels: fmt::Debug + Send + Sync {
    /// A generation of a read model. It need not be there.
    fn table(&self, read_model: &str, generation: Generation) -> Arc<dyn Table>;

    /// Makes the live generation if there is none.
    async fn create(&self, read_model: &str) -> Result<(), StoreError>;

    /// Whether a generation is there.
    async fn exists(&self, read_model: &str, generation: Generation) -> Result<bool, StoreError>;

    /// Begins an empty next generation, to be written in bulk first: what was left of another is dropped.
    async fn begin(&self, read_model: &str, connection: &mut PgConnection) -> Result<Box<dyn Bulk>, StoreError>;

    /// Begins one that goes again with the transaction, to try out how long it takes; `None`: none can be kept so.
    async fn rehearse(
        &self,
        read_model: &str,
        transaction: &mut PgConnection,
    ) -> Result<Option<Box<dyn Bulk>>, StoreError>;

    /// Goes on with the next generation that was begun.
    async fn resume(&self, read_model: &str, connection: &mut PgConnection) -> Result<Box<dyn Bulk>, StoreError>;

    /// Puts the next generation in the place of the live one, which is the previous one from then on; the one before that goes.
    async fn advance(&self, read_model: &str, transaction: &mut PgConnection) -> Result<(), StoreError>;

    /// Has the live and the previous generation change places.
    async fn roll_back(&self, read_model: &str, transaction: &mut PgConnection) -> Result<(), StoreError>;

    /// Removes a generation, if it is there.
    async fn discard(
        &self,
        read_model: &str,
        generation: Generation,
        connection: &mut PgConnection,
    ) -> Result<(), StoreError>;

    /// Deletes what was removed and is not in Postgres: that goes after the removal is committed, now or with the next generation.
    async fn tidy(&self, _read_model: &str) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A generation that is being written in bulk. Nobody reads it yet.
#[async_trait]
pub trait Bulk: fmt::Debug + Send + Sync {
    /// Adds items of streams none of which is there yet, but for those that the transaction before wrote before it died.
    async fn add(
        &mut self,
        transaction: &mut PgConnection,
        items: &[Item],
        tallies: &[Tally],
    ) -> Result<(), StoreError>;

    /// Makes the indexes now, so that each part pays for its own entries: slower in all, and no single step is long. May be done again.
    async fn index_first(&mut self, connection: &mut PgConnection) -> Result<(), StoreError>;

    /// Makes the generation ready to be written and read like any other. May be done again.
    async fn finish(&mut self, connection: &mut PgConnection) -> Result<(), StoreError>;
}

/// The items of one generation of a read model.
#[async_trait]
pub trait Table: fmt::Debug + Send + Sync {
    /// Those of the items that there are, as a writer needs them: the last that was written.
    async fn get(&self, connection: &mut PgConnection, keys: &[Key]) -> Result<Vec<Item>, StoreError>;

    /// Writes changes, of each stream at most one.
    async fn write(&self, transaction: &mut PgConnection, changes: &[Change]) -> Result<(), StoreError>;

    /// Those of the items that there are, for a reader.
    async fn find(&self, keys: &[Key]) -> Result<Vec<Item>, StoreError>;

    /// All items of a collection, by their sort keys.
    async fn collection(&self, pk: &str) -> Result<Vec<Item>, StoreError>;

    /// A page of what a query finds.
    async fn query(&self, query: &Query<'_>) -> Result<Page, QueryError>;

    /// Some of all items, at most so many.
    async fn scan(&self, after: Option<&Key>, limit: u16) -> Result<Scanned, StoreError>;
}

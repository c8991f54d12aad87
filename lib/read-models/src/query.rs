//! Queries and their pages.

use bounds::Budget;

use crate::cursor::QueryCursor;
use crate::key_validation::is_valid_part;
use crate::{Index, InvalidCursor, Item, Key, ReadModelStoreError};

/// A query for the items of one or several partitions, ordered by sort key.
#[derive(Debug, Clone)]
pub struct Query<'a> {
    /// Cursors are valid only for queries of the same name.
    pub name: &'a str,
    pub scope: QueryScope<'a>,
    /// The lower bound of the sort keys, included.
    pub from: Option<&'a str>,
    /// The upper bound of the sort keys, excluded.
    pub until: Option<&'a str>,
    pub order: SortOrder,
    /// The most items of a page. A page of large items has fewer, and a cursor.
    pub limit: u16,
    /// The cursor of the page before.
    pub cursor: Option<&'a str>,
}

/// Which partitions a query reads.
#[derive(Debug, Clone, Copy)]
pub enum QueryScope<'a> {
    /// The items with this partition key.
    Collection(&'a str),
    /// Partitions of an index, merged by sort key.
    Index(Index, &'a [String]),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortOrder {
    Ascending,
    Descending,
}

/// A page of a query.
#[derive(Debug)]
pub struct ItemPage {
    pub items: Vec<Item>,
    /// The cursor of the next page. `None`: this is the last page.
    pub cursor: Option<String>,
}

/// A page of a scan of the whole table.
#[derive(Debug)]
pub struct ScanPage {
    pub items: Vec<Item>,
    /// The key after which the scan goes on. `None`: there are no more items.
    pub after: Option<Key>,
}

/// Why a query was not answered.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    #[error(transparent)]
    Store(#[from] ReadModelStoreError),
}

impl Query<'_> {
    pub(crate) fn after(&self) -> Result<Option<QueryCursor>, InvalidCursor> {
        self.cursor.map(|text| QueryCursor::decode(text, self.name)).transpose()
    }

    /// The partitions with a valid key, each once.
    pub(crate) fn partitions(&self) -> Vec<&str> {
        let mut partitions: Vec<&str> = match self.scope {
            QueryScope::Collection(pk) => vec![pk],
            QueryScope::Index(_, partitions) => partitions.iter().map(String::as_str).collect(),
        };
        partitions.retain(|partition| is_valid_part(partition));
        partitions.sort_unstable();
        partitions.dedup();
        partitions
    }

    /// What the query orders items by.
    pub(crate) fn sort_position<'i>(&self, item: &'i Item) -> (&'i str, &'i Key) {
        let sort = match self.scope {
            QueryScope::Collection(_) => &item.key.sk,
            QueryScope::Index(index, _) => item.index_keys[index as usize].as_ref().map_or(&item.key.sk, |key| &key.sk),
        };
        (sort, &item.key)
    }

    /// How many items and bytes a page may have.
    pub(crate) fn budget(&self) -> Budget {
        Budget::of(usize::from(self.limit))
    }

    /// Makes a page of the items that were read: one more than the limit, or than fits.
    pub(crate) fn page(&self, mut items: Vec<Item>) -> ItemPage {
        let mut budget = self.budget();
        let fit = items.iter().take_while(|item| budget.take(item.size())).count();
        // After an item that uses up all the bytes, no further one was read.
        let more = items.len() > fit || budget.bytes() == 0;
        items.truncate(fit);
        let last = items.last().filter(|_| more);
        ItemPage { cursor: last.map(|last| self.cursor_at(last)), items }
    }

    /// The cursor of a page that ends with this item, for callers that shorten a page.
    pub fn cursor_at(&self, item: &Item) -> String {
        let (sort, key) = self.sort_position(item);
        QueryCursor::after(self.name, sort.to_owned(), key).encode()
    }
}

//! Questions to a table, and the pages of the answer.

use bounds::Budget;

use crate::cursor::Cursor;
use crate::sound::is_sound;
use crate::{Index, InvalidCursor, Item, Key, StoreError};

/// A question to a table: items of one or several partitions together, by their sort keys.
#[derive(Debug, Clone)]
pub struct Query<'a> {
    /// What it is called, so that its cursors are good for it only: whatever tells it from other questions.
    pub name: &'a str,
    /// Where to look.
    pub within: Within<'a>,
    /// The least sort key.
    pub from: Option<&'a str>,
    /// Sort keys are less than this.
    pub until: Option<&'a str>,
    /// In which order.
    pub order: Order,
    /// The most items of a page. One of large items has fewer, and a cursor.
    pub limit: u16,
    /// Where the page before ended.
    pub cursor: Option<&'a str>,
}

/// Where to look.
#[derive(Debug, Clone, Copy)]
pub enum Within<'a> {
    /// A collection.
    Collection(&'a str),
    /// Partitions of an index, merged by their sort keys.
    Index(Index, &'a [String]),
}

/// In which order items come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The least sort key first.
    Ascending,
    /// The greatest sort key first.
    Descending,
}

/// Some items of a query, and how to go on.
#[derive(Debug)]
pub struct Page {
    /// The items, in the query's order.
    pub items: Vec<Item>,
    /// Where the next page begins; `None`: this was the last.
    pub cursor: Option<String>,
}

/// Some items of a table, in an order of its own, and where the others begin.
#[derive(Debug)]
pub struct Scanned {
    /// The items.
    pub items: Vec<Item>,
    /// To go on after; `None`: there are no more.
    pub after: Option<Key>,
}

/// Why a page could not be read.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The cursor belongs to another query.
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    /// The table could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Query<'_> {
    /// Where the page before ended.
    pub(crate) fn after(&self) -> Result<Option<Cursor>, InvalidCursor> {
        self.cursor.map(|text| Cursor::decode(text, self.name)).transpose()
    }

    /// The partitions that there can be, each once.
    pub(crate) fn partitions(&self) -> Vec<&str> {
        let mut partitions: Vec<&str> = match self.within {
            Within::Collection(pk) => vec![pk],
            Within::Index(_, partitions) => partitions.iter().map(String::as_str).collect(),
        };
        partitions.retain(|partition| is_sound(partition));
        partitions.sort_unstable();
        partitions.dedup();
        partitions
    }

    /// Where an item is among the others that the query finds.
    pub(crate) fn place<'i>(&self, item: &'i Item) -> (&'i str, &'i Key) {
        let sort = match self.within {
            Within::Collection(_) => &item.key.sk,
            Within::Index(index, _) => item.index_keys[index as usize].as_ref().map_or(&item.key.sk, |key| &key.sk),
        };
        (sort, &item.key)
    }

    /// What a page may take.
    pub(crate) fn budget(&self) -> Budget {
        Budget::of(usize::from(self.limit))
    }

    /// The page of these items, of which one more than the limit was asked for, or than fits.
    pub(crate) fn page(&self, mut items: Vec<Item>) -> Page {
        let mut budget = self.budget();
        let fit = items.iter().take_while(|item| budget.take(item.size())).count();
        // Nobody looks behind an item that uses up all the bytes by itself.
        let more = items.len() > fit || budget.bytes() == 0;
        items.truncate(fit);
        let last = items.last().filter(|_| more);
        Page { cursor: last.map(|last| self.cursor_at(last)), items }
    }

    /// The cursor of a page that ends with this item: for whoever leaves out items of a page, or ends it early.
    pub fn cursor_at(&self, item: &Item) -> String {
        let (sort, key) = self.place(item);
        Cursor::after(self.name, sort.to_owned(), key).encode()
    }
}

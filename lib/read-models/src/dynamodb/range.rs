//! A range of sort keys in a collection or in a partition of an index.
//!
//! Many items of an index may have the same sort key, and DynamoDB does not define their order. So the sort keys stored
//! there end with the item's own key. No two are equal then, and a page can begin after any item, even one that does
//! not exist any more. The separator between the parts is lower than any character of a key.

use crate::{Index, InvalidCursor, Item, Key, Query, QueryScope, SortOrder};

const SEPARATOR: char = '\u{1}';
/// The lowest character of a key.
const MIN_CHAR: char = '\u{2}';

/// The sort key that an index stores for an item.
pub(super) fn index_sort_key(sort: &str, key: &Key) -> String {
    format!("{sort}{SEPARATOR}{}{SEPARATOR}{}{SEPARATOR}", key.pk, key.sk)
}

/// The sort key in a sort key that an index stores.
pub(super) fn sort_of(stored: &str) -> &str {
    stored.split(SEPARATOR).next().unwrap_or_default()
}

/// The sort keys from `least` to `most`. Both are included, because DynamoDB has no ranges that exclude an end.
#[derive(Debug, Clone)]
pub(super) struct SortKeyRange {
    pub(super) least: Option<String>,
    pub(super) most: Option<String>,
    pub(super) order: SortOrder,
    /// The index of the sort keys. `None`: the items' own sort keys.
    pub(super) index: Option<Index>,
}

impl SortKeyRange {
    /// A whole collection.
    pub(super) fn all() -> Self {
        Self { least: None, most: None, order: SortOrder::Ascending, index: None }
    }

    /// The range of a query after its cursor.
    pub(super) fn of(query: &Query<'_>) -> Result<Self, InvalidCursor> {
        let index = match query.scope {
            QueryScope::Collection(_) => None,
            QueryScope::Index(index, _) => Some(index),
        };
        let (least, most) = (query.from.map(str::to_owned), query.until.map(str::to_owned));
        let mut range = Self { least, most, order: query.order, index };
        if let Some(after) = query.after()? {
            range.begin_after(&after.sort, &Key { pk: after.pk, sk: after.sk });
        }
        Ok(range)
    }

    /// Excludes everything up to this item.
    pub(super) fn go_on_after(&mut self, item: &Item) {
        let at = self.index.and_then(|index| item.index_keys[index as usize].as_ref());
        self.begin_after(&at.unwrap_or(&item.key).sk, &item.key);
    }

    fn begin_after(&mut self, sort: &str, key: &Key) {
        match (self.order, self.index) {
            (SortOrder::Ascending, None) => self.raise(format!("{sort}{SEPARATOR}")),
            // `excludes` leaves out the item itself.
            (SortOrder::Descending, None) => self.lower(sort.to_owned()),
            (SortOrder::Ascending, Some(_)) => {
                self.raise(format!("{sort}{SEPARATOR}{}{SEPARATOR}{}{MIN_CHAR}", key.pk, key.sk));
            }
            (SortOrder::Descending, Some(_)) => self.lower(format!("{sort}{SEPARATOR}{}{SEPARATOR}{}", key.pk, key.sk)),
        }
    }

    /// Whether the item is the excluded end of the range. An index has no such item.
    pub(super) fn excludes(&self, item: &Item) -> bool {
        self.index.is_none() && self.most.as_ref() == Some(&item.key.sk)
    }

    /// DynamoDB refuses a range whose lower end is above its upper end.
    pub(super) fn is_empty(&self) -> bool {
        matches!((&self.least, &self.most), (Some(least), Some(most)) if least > most)
    }

    fn raise(&mut self, least: String) {
        if self.least.as_ref().is_none_or(|now| *now < least) {
            self.least = Some(least);
        }
    }

    fn lower(&mut self, most: String) {
        if self.most.as_ref().is_none_or(|now| *now > most) {
            self.most = Some(most);
        }
    }
}

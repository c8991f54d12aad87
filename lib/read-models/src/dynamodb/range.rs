//! A part of a collection or of a partition of an index, by its sort keys.
//!
//! In an index, many items may have the same sort key, and DynamoDB says nothing about their order. So the sort key that it
//! gets is followed by the item's own key: no two are the same then, and a page can begin in any partition after any item, be that
//! item still there or not. Between the parts is a character that keys do not have and that is less than all they have.

use crate::{Index, InvalidCursor, Item, Key, Order, Query, Within};

const END: char = '\u{1}';
/// The least character that keys may have.
const LEAST: char = '\u{2}';

/// Where an index has an item.
pub(super) fn entry(sort: &str, key: &Key) -> String {
    format!("{sort}{END}{}{END}{}{END}", key.pk, key.sk)
}

/// The sort key in the place where an index has an item.
pub(super) fn sort_of(entry: &str) -> &str {
    entry.split(END).next().unwrap_or_default()
}

/// The sort keys from `least` to `most`, both included: DynamoDB has no range that leaves an end out.
#[derive(Debug, Clone)]
pub(super) struct Range {
    pub(super) least: Option<String>,
    pub(super) most: Option<String>,
    pub(super) order: Order,
    /// Whose sort keys; `None`: the items' own.
    pub(super) index: Option<Index>,
}

impl Range {
    /// All of a collection.
    pub(super) fn whole() -> Self {
        Self { least: None, most: None, order: Order::Ascending, index: None }
    }

    /// What is left of a query.
    pub(super) fn of(query: &Query<'_>) -> Result<Self, InvalidCursor> {
        let index = match query.within {
            Within::Collection(_) => None,
            Within::Index(index, _) => Some(index),
        };
        let (least, most) = (query.from.map(str::to_owned), query.until.map(str::to_owned));
        let mut range = Self { least, most, order: query.order, index };
        if let Some(after) = query.after()? {
            range.begin_after(&after.sort, &Key { pk: after.pk, sk: after.sk });
        }
        Ok(range)
    }

    /// Leaves out what comes up to this item.
    pub(super) fn go_on_after(&mut self, item: &Item) {
        let at = self.index.and_then(|index| item.index_keys[index as usize].as_ref());
        self.begin_after(&at.unwrap_or(&item.key).sk, &item.key);
    }

    fn begin_after(&mut self, sort: &str, key: &Key) {
        match (self.order, self.index) {
            (Order::Ascending, None) => self.raise(format!("{sort}{END}")),
            // It is left out by `leaves_out`.
            (Order::Descending, None) => self.lower(sort.to_owned()),
            (Order::Ascending, Some(_)) => self.raise(format!("{sort}{END}{}{END}{}{LEAST}", key.pk, key.sk)),
            (Order::Descending, Some(_)) => self.lower(format!("{sort}{END}{}{END}{}", key.pk, key.sk)),
        }
    }

    /// Whether the item is the end that does not belong to the range. Entries of an index are never that.
    pub(super) fn leaves_out(&self, item: &Item) -> bool {
        self.index.is_none() && self.most.as_ref() == Some(&item.key.sk)
    }

    /// DynamoDB refuses to look into a range whose ends are the wrong way round.
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

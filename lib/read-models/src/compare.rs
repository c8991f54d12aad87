//! Compares two generations of a read model.

use std::collections::HashMap;

use serde::Serialize;

use serde_json::Value;

use crate::{GenerationTable, Item, Key, ReadModelStoreError};

/// How many items are read at once.
const BATCH: u16 = 1_000;

/// How two generations differ. Operators see it as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GenerationComparison {
    /// How many items are equal.
    pub alike: u64,
    /// How many items only the old generation has.
    pub only_in_old: u64,
    /// How many items only the new generation has.
    pub only_in_new: u64,
    /// How many items differ.
    pub different: u64,
    /// How many items were skipped, because the other generation had not got to the event that wrote them.
    pub on_the_move: u64,
    /// The first differences of each kind.
    pub examples: Vec<ItemDifference>,
}

/// An item that differs between two generations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ItemDifference {
    #[serde(flatten)]
    pub key: Key,
    /// The body in the old generation.
    pub old: Option<String>,
    /// The body in the new generation.
    pub new: Option<String>,
}

impl GenerationComparison {
    /// Whether the generations are equal.
    pub fn is_empty(&self) -> bool {
        self.only_in_old + self.only_in_new + self.different == 0
    }

    fn note(&mut self, kind: impl Fn(&mut Self) -> &mut u64, examples: usize, old: Option<&Item>, new: Option<&Item>) {
        let count = kind(self);
        *count += 1;
        let wanted = *count <= u64::try_from(examples).unwrap_or(u64::MAX);
        if let Some(item) = old.or(new).filter(|_| wanted) {
            let body = |item: &Item| item.body.get().to_owned();
            let difference = ItemDifference { key: item.key.clone(), old: old.map(body), new: new.map(body) };
            self.examples.push(difference);
        }
    }
}

/// Compares two generations while they may be written: items that events after `up_to` wrote are skipped. `examples` is
/// how many differences of each kind are kept.
pub async fn compare(
    old: &dyn GenerationTable,
    new: &dyn GenerationTable,
    up_to: i64,
    examples: usize,
) -> Result<GenerationComparison, ReadModelStoreError> {
    let mut comparison = GenerationComparison::default();
    let mut after = None;
    loop {
        let scanned = new.scan(after.as_ref(), BATCH).await?;
        let others = by_key(old, &scanned.items).await?;
        for item in &scanned.items {
            match others.get(&item.key) {
                _ if item.version > up_to => comparison.on_the_move += 1,
                Some(other) if other.version > up_to => comparison.on_the_move += 1,
                Some(other) if is_same(other, item) => comparison.alike += 1,
                Some(other) => comparison.note(|it| &mut it.different, examples, Some(other), Some(item)),
                None => comparison.note(|it| &mut it.only_in_new, examples, None, Some(item)),
            }
        }
        after = scanned.after;
        if after.is_none() {
            break;
        }
    }
    loop {
        let scanned = old.scan(after.as_ref(), BATCH).await?;
        let others = by_key(new, &scanned.items).await?;
        for item in scanned.items.iter().filter(|item| !others.contains_key(&item.key)) {
            if item.version > up_to {
                comparison.on_the_move += 1;
            } else {
                comparison.note(|it| &mut it.only_in_old, examples, Some(item), None);
            }
        }
        after = scanned.after;
        if after.is_none() {
            return Ok(comparison);
        }
    }
}

/// Whether readers see no difference between two items.
fn is_same(one: &Item, other: &Item) -> bool {
    one.index_keys == other.index_keys && one.version == other.version && is_same_json(one, other)
}

/// Postgres writes the JSON of tallies with spaces of its own.
fn is_same_json(one: &Item, other: &Item) -> bool {
    one.body.get() == other.body.get()
        || matches!((one.read::<Value>(), other.read::<Value>()), (Ok(one), Ok(other)) if one == other)
}

async fn by_key(table: &dyn GenerationTable, items: &[Item]) -> Result<HashMap<Key, Item>, ReadModelStoreError> {
    let keys: Vec<Key> = items.iter().map(|item| item.key.clone()).collect();
    Ok(table.find(&keys).await?.into_iter().map(|item| (item.key.clone(), item)).collect())
}

//! Two generations of a read model beside each other.

use std::collections::HashMap;

use serde::Serialize;

use serde_json::Value;

use crate::{Item, Key, StoreError, Table};

/// How many items are looked at in one go.
const BATCH: u16 = 1_000;

/// How two generations differ; as JSON what operators are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// How many items are alike.
    pub alike: u64,
    /// How many are in the old one only.
    pub only_in_old: u64,
    /// How many are in the new one only.
    pub only_in_new: u64,
    /// How many differ.
    pub different: u64,
    /// How many were left out: what wrote them was not yet in the other generation.
    pub on_the_move: u64,
    /// The first of them, of each kind some.
    pub examples: Vec<Difference>,
}

/// An item that is not the same in both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Where it is.
    #[serde(flatten)]
    pub key: Key,
    /// How the old one has it.
    pub old: Option<String>,
    /// How the new one has it.
    pub new: Option<String>,
}

impl Comparison {
    /// Whether there is no difference.
    pub fn is_empty(&self) -> bool {
        self.only_in_old + self.only_in_new + self.different == 0
    }

    fn note(&mut self, kind: impl Fn(&mut Self) -> &mut u64, examples: usize, old: Option<&Item>, new: Option<&Item>) {
        let count = kind(self);
        *count += 1;
        let wanted = *count <= u64::try_from(examples).unwrap_or(u64::MAX);
        if let Some(item) = old.or(new).filter(|_| wanted) {
            let body = |item: &Item| item.body.get().to_owned();
            let difference = Difference { key: item.key.clone(), old: old.map(body), new: new.map(body) };
            self.examples.push(difference);
        }
    }
}

/// Compares two generations, of which one or both go on changing: items that events after `up_to` wrote are left out. `examples`
/// is how many of each kind are kept.
pub async fn compare(old: &dyn Table, new: &dyn Table, up_to: i64, examples: usize) -> Result<Comparison, StoreError> {
    let mut comparison = Comparison::default();
    let mut after = None;
    loop {
        let scanned = new.scan(after.as_ref(), BATCH).await?;
        let theirs = by_key(old, &scanned.items).await?;
        for item in &scanned.items {
            match theirs.get(&item.key) {
                _ if item.version > up_to => comparison.on_the_move += 1,
                Some(other) if other.version > up_to => comparison.on_the_move += 1,
                Some(other) if same(other, item) => comparison.alike += 1,
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
        let theirs = by_key(new, &scanned.items).await?;
        for item in scanned.items.iter().filter(|item| !theirs.contains_key(&item.key)) {
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

/// Whether two items say the same to whoever reads or finds them.
pub fn same(one: &Item, other: &Item) -> bool {
    one.index_keys == other.index_keys && one.version == other.version && same_json(one, other)
}

/// Tallies are written by the database once they were added to, with spaces of its own.
fn same_json(one: &Item, other: &Item) -> bool {
    one.body.get() == other.body.get()
        || matches!((one.read::<Value>(), other.read::<Value>()), (Ok(one), Ok(other)) if one == other)
}

async fn by_key(table: &dyn Table, items: &[Item]) -> Result<HashMap<Key, Item>, StoreError> {
    let keys: Vec<Key> = items.iter().map(|item| item.key.clone()).collect();
    Ok(table.find(&keys).await?.into_iter().map(|item| (item.key.clone(), item)).collect())
}

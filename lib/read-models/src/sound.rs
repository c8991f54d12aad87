//! What keys may be. Every store refuses the same, so that items can move from one to another.

use crate::{Item, Key, StoreError};

/// The most bytes of a key, both parts together. DynamoDB takes 1,024 bytes of a sort key, and the sort key of its indexes holds the
/// item's own key, too; Postgres takes 2,704 bytes of an index row.
const MOST: usize = 1_000;

/// The least character that a part of a key may have: what is below is for stores to put between parts.
const LEAST: char = '\u{2}';

/// Whether this can be a part of a key.
pub(crate) fn is_sound(part: &str) -> bool {
    (1..=MOST).contains(&part.len()) && part.bytes().all(|byte| u32::from(byte) >= u32::from(LEAST))
}

impl Key {
    /// Whether there can be an item of this key.
    pub(crate) fn is_sound(&self) -> bool {
        self.pk.len() + self.sk.len() <= MOST && is_sound(&self.pk) && is_sound(&self.sk)
    }

    pub(crate) fn check(&self) -> Result<(), StoreError> {
        if self.is_sound() { Ok(()) } else { Err(self.refused("its key")) }
    }

    fn refused(&self, what: &str) -> StoreError {
        let reason = format!("{what} is empty in part, longer than {MOST} bytes, or has a character below U+0002");
        StoreError::Refused { key: self.clone(), reason }
    }
}

impl Item {
    /// Whether every store would keep it.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        self.key.check()?;
        for at in self.index_keys.iter().flatten() {
            // Where sort keys are the same, the item's own key decides.
            let fits = at.sk.len() + self.key.pk.len() + self.key.sk.len() <= MOST;
            if !(fits && is_sound(&at.pk) && is_sound(&at.sk)) {
                return Err(self.key.refused("an index key, with its own key,"));
            }
        }
        Ok(())
    }
}

/// Those keys that there can be items of, each once.
pub(crate) fn distinct(keys: &[Key]) -> Vec<&Key> {
    let mut keys: Vec<&Key> = keys.iter().filter(|key| key.is_sound()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

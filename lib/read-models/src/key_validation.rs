//! Which keys are valid: the same in every store, so that items can move from one to another.

use crate::{Item, Key, ReadModelStoreError};

/// The most bytes of a key, both parts together. DynamoDB allows 1,024 bytes for a sort key, and the sort keys of our
/// indexes there also hold the item's own key. Postgres allows 2,704 bytes for an index row.
const MAX_BYTES: usize = 1_000;

/// The lowest character of a key. Stores use lower ones as separators.
const MIN_CHAR: char = '\u{2}';

pub(crate) fn is_valid_part(part: &str) -> bool {
    (1..=MAX_BYTES).contains(&part.len()) && part.bytes().all(|byte| u32::from(byte) >= u32::from(MIN_CHAR))
}

impl Key {
    pub(crate) fn is_valid(&self) -> bool {
        self.pk.len() + self.sk.len() <= MAX_BYTES && is_valid_part(&self.pk) && is_valid_part(&self.sk)
    }

    pub(crate) fn check(&self) -> Result<(), ReadModelStoreError> {
        if self.is_valid() { Ok(()) } else { Err(self.refused("its key")) }
    }

    fn refused(&self, what: &str) -> ReadModelStoreError {
        let reason = format!("{what} is empty in part, longer than {MAX_BYTES} bytes, or has a character below U+0002");
        ReadModelStoreError::Refused { key: self.clone(), reason }
    }
}

impl Item {
    /// Refuses an item that not every store can keep.
    pub(crate) fn check(&self) -> Result<(), ReadModelStoreError> {
        self.key.check()?;
        for at in self.index_keys.iter().flatten() {
            // The item's own key breaks ties between equal sort keys, so an index holds it, too.
            let fits = at.sk.len() + self.key.pk.len() + self.key.sk.len() <= MAX_BYTES;
            if !(fits && is_valid_part(&at.pk) && is_valid_part(&at.sk)) {
                return Err(self.key.refused("an index key, with its own key,"));
            }
        }
        Ok(())
    }
}

/// The valid keys among these, each once.
pub(crate) fn valid_keys(keys: &[Key]) -> Vec<&Key> {
    let mut keys: Vec<&Key> = keys.iter().filter(|key| key.is_valid()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

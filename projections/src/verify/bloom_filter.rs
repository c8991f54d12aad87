//! A Bloom filter of keys: a set in constant memory.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use read_models::Key;

/// 8 MiB. With three million keys in the set, one in a thousand other keys is taken for one of them.
const BITS: u64 = 64 << 20;
const HASHES: u64 = 4;

/// A set of keys in constant memory.
pub(super) struct BloomFilter(Vec<u64>);

impl BloomFilter {
    pub(super) fn new() -> Self {
        Self(vec![0; place(BITS).0])
    }

    pub(super) fn insert(&mut self, key: &Key) {
        for (word, bit) in places(key) {
            self.0[word] |= bit;
        }
    }

    /// False is certain; true may be wrong.
    pub(super) fn may_contain(&self, key: &Key) -> bool {
        places(key).all(|(word, bit)| self.0[word] & bit != 0)
    }
}

fn places(key: &Key) -> impl Iterator<Item = (usize, u64)> {
    let hash = |nth: u64| {
        let mut hasher = DefaultHasher::new();
        (nth, key).hash(&mut hasher);
        hasher.finish()
    };
    let (first, step) = (hash(0), hash(1) | 1);
    (0..HASHES).map(move |nth| place(first.wrapping_add(nth.wrapping_mul(step)) % BITS))
}

/// The word of a bit, and its mask in it.
fn place(bit: u64) -> (usize, u64) {
    (usize::try_from(bit / 64).unwrap_or(0), 1 << (bit % 64))
}

impl fmt::Debug for BloomFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BloomFilter")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_contains_every_inserted_key_and_few_others() {
        let key = |n: u32| Key::new(format!("ORDER#{n}"), "#META");
        let mut filter = BloomFilter::new();
        (0..10_000).for_each(|n| filter.insert(&key(n)));
        assert!((0..10_000).all(|n| filter.may_contain(&key(n))));
        assert_eq!((10_000..20_000).filter(|n| filter.may_contain(&key(*n))).count(), 0);
    }
}

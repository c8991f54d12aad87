//! Keys that were met, in memory that does not grow with them.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use read_models::Key;

/// 8 MiB: with three million keys, one in a thousand others is taken for one of them.
const BITS: u64 = 64 << 20;
const HASHES: u64 = 4;

/// A Bloom filter: it knows every key that was put into it, and takes few others for one.
pub(super) struct Marks(Vec<u64>);

impl Marks {
    pub(super) fn new() -> Self {
        Self(vec![0; place(BITS).0])
    }

    /// Puts a key in.
    pub(super) fn put(&mut self, key: &Key) {
        for (word, bit) in places(key) {
            self.0[word] |= bit;
        }
    }

    /// Whether it was put in. No is certain.
    pub(super) fn has(&self, key: &Key) -> bool {
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

/// In which word a bit is, and where in it.
fn place(bit: u64) -> (usize, u64) {
    (usize::try_from(bit / 64).unwrap_or(0), 1 << (bit % 64))
}

impl fmt::Debug for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Marks")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_known_and_little_else() {
        let key = |n: u32| Key::new(format!("ORDER#{n}"), "#META");
        let mut marks = Marks::new();
        (0..10_000).for_each(|n| marks.put(&key(n)));
        assert!((0..10_000).all(|n| marks.has(&key(n))));
        assert_eq!((10_000..20_000).filter(|n| marks.has(&key(*n))).count(), 0);
    }
}

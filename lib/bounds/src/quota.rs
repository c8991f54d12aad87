//! A limited amount that many share, and of which nobody gets more than a part.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An amount of something (memory, connections) that is shared out: to all keys together at most `total`, to each at most `per_key`.
/// A key is a client's address, for example. Nobody can take everything then. Clones share the amount.
#[derive(Debug, Clone)]
pub struct KeyedCapacity<K>(Arc<QuotaLimits<K>>);

#[derive(Debug)]
struct QuotaLimits<K> {
    total: usize,
    per_key: usize,
    used: Mutex<QuotaUsage<K>>,
}

#[derive(Debug)]
struct QuotaUsage<K> {
    total: usize,
    by_key: HashMap<K, usize>,
}

/// What was taken of a [`KeyedCapacity`], until it is dropped.
#[derive(Debug)]
pub struct CapacityShare<K: Clone + Eq + Hash> {
    quota: KeyedCapacity<K>,
    key: Option<K>,
    amount: usize,
}

/// Which limits leave no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapacityExceeded {
    /// That of all keys together.
    pub total: bool,
    /// That of this key.
    pub per_key: bool,
}

impl<K: Clone + Eq + Hash> KeyedCapacity<K> {
    #[must_use]
    pub fn new(total: usize, per_key: usize) -> Self {
        Self(Arc::new(QuotaLimits {
            total,
            per_key,
            used: Mutex::new(QuotaUsage { total: 0, by_key: HashMap::new() }),
        }))
    }

    /// A share of nothing yet. Without a key only the total counts.
    #[must_use]
    pub fn share(&self, key: Option<K>) -> CapacityShare<K> {
        CapacityShare { quota: self.clone(), key, amount: 0 }
    }

    /// How much all shares have together.
    #[must_use]
    pub fn used(&self) -> usize {
        self.lock().total
    }

    fn lock(&self) -> MutexGuard<'_, QuotaUsage<K>> {
        // Nothing panics between the changes that belong together.
        self.0.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash> CapacityShare<K> {
    /// Grows to an amount, or stays as it is if there is not as much. It does not shrink.
    pub fn grow_to(&mut self, amount: usize) -> Result<(), CapacityExceeded> {
        let more = amount.saturating_sub(self.amount);
        if more == 0 {
            return Ok(());
        }
        let mut used = self.quota.lock();
        let of_key = self.key.as_ref().map(|key| used.by_key.get(key).copied().unwrap_or_default() + more);
        let exceeded = CapacityExceeded {
            total: used.total + more > self.quota.0.total,
            per_key: of_key.is_some_and(|amount| amount > self.quota.0.per_key),
        };
        if exceeded.total || exceeded.per_key {
            return Err(exceeded);
        }
        used.total += more;
        if let (Some(key), Some(of_key)) = (&self.key, of_key) {
            used.by_key.insert(key.clone(), of_key);
        }
        drop(used);
        self.amount = amount;
        Ok(())
    }
}

impl<K: Clone + Eq + Hash> CapacityShare<K> {
    /// Gives back what is above an amount.
    pub fn shrink_to(&mut self, amount: usize) {
        let less = self.amount.saturating_sub(amount);
        if less == 0 {
            return;
        }
        self.amount -= less;
        let mut used = self.quota.lock();
        used.total -= less;
        let Some(key) = &self.key else { return };
        if let Some(of_key) = used.by_key.get_mut(key) {
            *of_key -= less;
            if *of_key == 0 {
                used.by_key.remove(key);
            }
        }
    }
}

impl<K: Clone + Eq + Hash> Drop for CapacityShare<K> {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_takes_its_part_and_leaves_the_rest_to_others() {
        let quota = KeyedCapacity::new(10, 6);
        let (mut one, mut more_of_it, mut other) = (quota.share(Some(1)), quota.share(Some(1)), quota.share(Some(2)));
        assert!(one.grow_to(4).is_ok() && one.grow_to(3).is_ok() && more_of_it.grow_to(2).is_ok());
        let has_its_part = Err(CapacityExceeded { total: false, per_key: true });
        assert_eq!((one.grow_to(5), more_of_it.grow_to(3)), (has_its_part, has_its_part));
        assert_eq!(other.grow_to(4), Ok(()));
        let all_is_taken = Err(CapacityExceeded { total: true, per_key: false });
        assert_eq!((other.grow_to(5), quota.share(None).grow_to(1)), (all_is_taken, all_is_taken));
        one.shrink_to(4);
        assert_eq!(quota.used(), 10);
        one.shrink_to(1);
        assert!(more_of_it.grow_to(5).is_ok() && more_of_it.grow_to(6).is_err());
        drop(one);
        assert!(more_of_it.grow_to(6).is_ok() && other.grow_to(5).is_err());
        drop((more_of_it, other));
        assert_eq!((quota.used(), quota.lock().by_key.len()), (0, 0));
    }
}

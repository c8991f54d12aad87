//! A limit on what is done at the same time for one key.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Lets each key do so many things at the same time. A further one waits for those of its own key, and for nobody else's. A key is a
/// client's network, for example. Clones share the permits.
#[derive(Debug, Clone)]
pub struct KeyedSemaphore<K> {
    permits: usize,
    keys: Arc<Mutex<HashMap<K, Arc<Semaphore>>>>,
}

impl<K: Clone + Eq + Hash> KeyedSemaphore<K> {
    /// `permits`: for each key, at least one.
    #[must_use]
    pub fn new(permits: usize) -> Self {
        Self { permits: permits.max(1), keys: Arc::default() }
    }

    /// Does something with one of the key's permits, once it is free. Those who came first are first.
    pub async fn run<T>(&self, key: &K, work: impl Future<Output = T>) -> T {
        let user = self.user(key);
        // Nobody closes it. If somebody did, there would be no limit.
        let _permit: Option<SemaphorePermit<'_>> = user.semaphore.acquire().await.ok();
        work.await
    }

    fn user(&self, key: &K) -> KeyUser<'_, K> {
        let new = || Arc::new(Semaphore::new(self.permits));
        let semaphore = Arc::clone(self.lock().entry(key.clone()).or_insert_with(new));
        KeyUser { keys: self, key: key.clone(), semaphore }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Arc<Semaphore>>> {
        // Nothing panics between the changes that belong together.
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who has a permit of a key, or waits for one. The last one removes the key.
struct KeyUser<'a, K: Clone + Eq + Hash> {
    keys: &'a KeyedSemaphore<K>,
    key: K,
    semaphore: Arc<Semaphore>,
}

impl<K: Clone + Eq + Hash> Drop for KeyUser<'_, K> {
    fn drop(&mut self) {
        let mut keys = self.keys.lock();
        // The map has one, and this.
        if Arc::strong_count(&self.semaphore) == 2 {
            keys.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn each_key_has_its_permits_and_waits_for_nobody_else() {
        let keys = KeyedSemaphore::new(2);
        let mut context = Context::from_waker(Waker::noop());
        let mut one = Box::pin(keys.run(&1, pending::<()>()));
        let mut two = pin!(keys.run(&1, pending::<()>()));
        let mut three = pin!(keys.run(&1, ready("three")));
        assert!(one.as_mut().poll(&mut context).is_pending() && two.as_mut().poll(&mut context).is_pending());
        assert!(three.as_mut().poll(&mut context).is_pending());
        let mut other = pin!(keys.run(&2, ready("other")));
        assert_eq!(other.as_mut().poll(&mut context), Poll::Ready("other"));
        // Whoever gives up lets the next one go on.
        drop(one);
        assert_eq!(three.as_mut().poll(&mut context), Poll::Ready("three"));
    }

    #[test]
    fn a_key_that_nobody_uses_is_forgotten() {
        let keys = KeyedSemaphore::new(1);
        let mut context = Context::from_waker(Waker::noop());
        {
            let mut busy = Box::pin(keys.run(&1, pending::<()>()));
            let mut waiting = Box::pin(keys.run(&1, ready(())));
            assert!(busy.as_mut().poll(&mut context).is_pending() && waiting.as_mut().poll(&mut context).is_pending());
            drop(busy);
            assert_eq!(keys.lock().len(), 1);
        }
        assert_eq!(keys.lock().len(), 0);
    }
}

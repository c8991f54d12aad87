//! A limit on what is done at the same time for one key.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How many pieces of work that keep a processor busy are done for one caller at the same time: half of the processors' number, so that
/// others find one free.
#[must_use]
pub fn half_of_processors() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| (processors.get() / 2).max(1))
}

/// Lets each key do so many things at the same time. A further one waits for those of its own key, and for nobody else's. A key is a
/// caller, for example. Clones share the permits.
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

    /// Does something with one of the key's permits. Those who came first are first. `None`: none was free within `patience`, and nothing
    /// was done.
    pub async fn run<T>(&self, key: &K, patience: Duration, work: impl Future<Output = T>) -> Option<T> {
        let user = self.user(key);
        let _permit = timeout(patience, user.semaphore.as_ref()?.acquire()).await.ok()?.ok()?;
        Some(work.await)
    }

    /// Does something with one of the key's permits, however long those who came before take.
    pub async fn run_in_turn<T>(&self, key: &K, work: impl Future<Output = T>) -> T {
        let user = self.user(key);
        let _permit = match &user.semaphore {
            // It is never closed.
            Some(semaphore) => semaphore.acquire().await.ok(),
            None => None,
        };
        work.await
    }

    fn user(&self, key: &K) -> KeyUser<'_, K> {
        let new = || Arc::new(Semaphore::new(self.permits));
        let semaphore = Arc::clone(self.lock().entry(key.clone()).or_insert_with(new));
        KeyUser { keys: self, key: key.clone(), semaphore: Some(semaphore) }
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
    semaphore: Option<Arc<Semaphore>>,
}

impl<K: Clone + Eq + Hash> Drop for KeyUser<'_, K> {
    fn drop(&mut self) {
        let mut keys = self.keys.lock();
        // Under the lock: of two who leave at the same time, one sees that the other has left.
        self.semaphore = None;
        if keys.get(&self.key).is_some_and(|semaphore| Arc::strong_count(semaphore) == 1) {
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

    const PATIENCE: Duration = Duration::from_secs(3_600);

    #[tokio::test]
    async fn each_key_has_its_permits_and_waits_for_nobody_else() {
        let keys = KeyedSemaphore::new(2);
        let mut context = Context::from_waker(Waker::noop());
        let mut one = Box::pin(keys.run(&1, PATIENCE, pending::<()>()));
        let mut two = pin!(keys.run(&1, PATIENCE, pending::<()>()));
        let mut three = pin!(keys.run(&1, PATIENCE, ready("three")));
        assert!(one.as_mut().poll(&mut context).is_pending() && two.as_mut().poll(&mut context).is_pending());
        assert!(three.as_mut().poll(&mut context).is_pending());
        assert_eq!(keys.run(&2, PATIENCE, ready("other")).await, Some("other"));
        // Whoever gives up lets the next one go on.
        drop(one);
        assert_eq!(three.as_mut().poll(&mut context), Poll::Ready(Some("three")));
    }

    #[tokio::test]
    async fn what_runs_in_turn_waits_for_its_own_key_alone() {
        let keys = KeyedSemaphore::new(1);
        let mut context = Context::from_waker(Waker::noop());
        let mut one = Box::pin(keys.run_in_turn(&1, pending::<()>()));
        let mut two = pin!(keys.run_in_turn(&1, ready("two")));
        assert!(one.as_mut().poll(&mut context).is_pending());
        assert!(two.as_mut().poll(&mut context).is_pending());
        assert_eq!(keys.run_in_turn(&2, ready("other")).await, "other");
        drop(one);
        assert_eq!(two.as_mut().poll(&mut context), Poll::Ready("two"));
    }

    #[tokio::test]
    async fn nobody_waits_for_longer_than_its_patience() {
        let keys = KeyedSemaphore::new(1);
        let mut busy = pin!(keys.run(&1, PATIENCE, pending::<()>()));
        assert!(busy.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(keys.run(&1, Duration::ZERO, ready("done")).await, None);
    }

    #[tokio::test]
    async fn a_key_that_nobody_uses_is_forgotten() {
        let keys = KeyedSemaphore::new(1);
        let mut context = Context::from_waker(Waker::noop());
        {
            let mut busy = Box::pin(keys.run(&1, PATIENCE, pending::<()>()));
            let mut waiting = Box::pin(keys.run(&1, PATIENCE, ready(())));
            assert!(busy.as_mut().poll(&mut context).is_pending() && waiting.as_mut().poll(&mut context).is_pending());
            drop(busy);
            assert_eq!(keys.lock().len(), 1);
        }
        assert_eq!(keys.lock().len(), 0);
    }
}

//! A limit on what is done at the same time for one key.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};

/// How many pieces of work that keep a processor busy are done for one caller at the same time: half of the processors' number, so that
/// others find one free.
#[must_use]
pub fn half_of_processors() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| (processors.get() / 2).max(1))
}

/// The longest that a permit rests.
const LONGEST_REST: Duration = Duration::from_millis(100);

/// Lets each key do so many things at the same time. A further one waits for those of its own key, and for nobody else's. A key is a
/// caller, for example. Clones share the permits.
///
/// While others of the key wait, a permit rests after its work for as long as the work took, up to 100 ms. So a key that always has more
/// to do is busy half of the time, and what others do finds its way in between.
#[derive(Debug, Clone)]
pub struct KeyedSemaphore<K> {
    permits: usize,
    keys: Keys<K>,
}

type Keys<K> = Arc<Mutex<HashMap<K, KeyInUse>>>;

#[derive(Debug)]
struct KeyInUse {
    semaphore: Arc<Semaphore>,
    /// How many have a permit, or wait for one.
    users: usize,
}

impl<K: Clone + Eq + Hash + Send + 'static> KeyedSemaphore<K> {
    /// `permits`: for each key, at least one.
    #[must_use]
    pub fn new(permits: usize) -> Self {
        Self { permits: permits.max(1), keys: Arc::default() }
    }

    /// Does something with one of the key's permits. Those who came first are first. `None`: none was free within `patience`, and nothing
    /// was done.
    pub async fn run<T>(&self, key: &K, patience: Duration, work: impl Future<Output = T>) -> Option<T> {
        let (user, semaphore) = self.user(key);
        let permit = timeout(patience, semaphore.acquire_owned()).await.ok()?.ok();
        Some(self.run_with(user, permit, work).await)
    }

    /// Does something with one of the key's permits, however long those who came before take.
    pub async fn run_in_turn<T>(&self, key: &K, work: impl Future<Output = T>) -> T {
        let (user, semaphore) = self.user(key);
        let permit = semaphore.acquire_owned().await.ok();
        self.run_with(user, permit, work).await
    }

    /// There is always a permit: the semaphore is never closed.
    async fn run_with<T>(
        &self,
        user: KeyUser<K>,
        permit: Option<OwnedSemaphorePermit>,
        work: impl Future<Output = T>,
    ) -> T {
        let began = Instant::now();
        let done = work.await;
        if lock(&self.keys).get(&user.key).is_some_and(|key| key.users > self.permits) {
            let rest = began.elapsed().min(LONGEST_REST);
            tokio::spawn(async move {
                sleep(rest).await;
                drop((permit, user));
            });
        }
        done
    }

    fn user(&self, key: &K) -> (KeyUser<K>, Arc<Semaphore>) {
        let unused = || KeyInUse { semaphore: Arc::new(Semaphore::new(self.permits)), users: 0 };
        let mut keys = lock(&self.keys);
        let in_use = keys.entry(key.clone()).or_insert_with(unused);
        in_use.users += 1;
        (KeyUser { keys: Arc::clone(&self.keys), key: key.clone() }, Arc::clone(&in_use.semaphore))
    }
}

fn lock<K>(keys: &Keys<K>) -> MutexGuard<'_, HashMap<K, KeyInUse>> {
    // Nothing panics between the changes that belong together.
    keys.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One who has a permit of a key, or waits for one. The last one removes the key.
struct KeyUser<K: Eq + Hash> {
    keys: Keys<K>,
    key: K,
}

impl<K: Eq + Hash> Drop for KeyUser<K> {
    fn drop(&mut self) {
        let mut keys = lock(&self.keys);
        let Some(in_use) = keys.get_mut(&self.key) else { return };
        in_use.users -= 1;
        if in_use.users == 0 {
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

    #[tokio::test(start_paused = true)]
    async fn a_permit_rests_while_others_of_its_key_wait() {
        let keys = KeyedSemaphore::new(1);
        let work = || async { sleep(Duration::from_millis(30)).await };
        let began = Instant::now();
        // Nobody waits: it does not rest.
        keys.run_in_turn(&1, work()).await;
        keys.run_in_turn(&1, work()).await;
        assert_eq!(began.elapsed(), Duration::from_millis(60));
        // One who waits gets the permit after its rest, and whoever comes last leaves at once.
        let began = Instant::now();
        tokio::join!(keys.run_in_turn(&1, work()), keys.run_in_turn(&1, work()));
        assert_eq!(began.elapsed(), Duration::from_millis(90));
        // It rests no longer than that.
        let began = Instant::now();
        let long = || async { sleep(Duration::from_secs(2)).await };
        tokio::join!(keys.run_in_turn(&1, long()), keys.run_in_turn(&1, long()));
        assert_eq!(began.elapsed(), Duration::from_millis(4_100));
        assert_eq!(lock(&keys.keys).len(), 0);
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
            assert_eq!(lock(&keys.keys).len(), 1);
        }
        assert_eq!(lock(&keys.keys).len(), 0);
    }
}

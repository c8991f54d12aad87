//! One command at a time for each order, within this process. Side by side each command would read all of the order, and all but one
//! would have read it in vain. The locks only spare conflicts; correctness rests on the versions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::ids::OrderId;
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, timeout_at};

/// The locks of all orders that commands are handled for; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct OrderLocks(Arc<Mutex<HashMap<OrderId, Arc<tokio::sync::Mutex<()>>>>>);

/// The lock on an order, until it is dropped.
pub(crate) struct OrderLock {
    /// `None` only before it is acquired and while it is dropped.
    guard: Option<OwnedMutexGuard<()>>,
    order_id: OrderId,
    locks: OrderLocks,
}

impl OrderLocks {
    /// Waits for the lock on an order, first come, first served. `None`: it was not free by then.
    pub(crate) async fn lock(&self, order_id: &OrderId, until: Instant) -> Option<OrderLock> {
        let mutex = Arc::clone(self.mutexes().entry(order_id.clone()).or_default());
        // Made before it waits, so that a request that is cancelled cleans up as well.
        let mut lock = OrderLock { guard: None, order_id: order_id.clone(), locks: self.clone() };
        lock.guard = Some(timeout_at(until, mutex.lock_owned()).await.ok()?);
        Some(lock)
    }

    fn mutexes(&self) -> MutexGuard<'_, HashMap<OrderId, Arc<tokio::sync::Mutex<()>>>> {
        // Every change is a single insert or remove, so a panic leaves the map consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OrderLock {
    fn drop(&mut self) {
        self.guard = None;
        let mut mutexes = self.locks.mutexes();
        // Nobody holds it or waits for it: a mutex is only ever taken from here, while this map is locked.
        if mutexes.get(&self.order_id).is_some_and(|mutex| Arc::strong_count(mutex) == 1) {
            mutexes.remove(&self.order_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn order(id: &str) -> OrderId {
        OrderId::parse(id).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn an_order_is_locked_by_one_command_at_a_time_and_others_wait_for_none_but_their_own() {
        let locks = OrderLocks::default();
        let first = locks.lock(&order("a"), soon()).await.unwrap();
        assert!(locks.lock(&order("b"), soon()).await.is_some());

        assert!(locks.lock(&order("a"), soon()).await.is_none(), "it waits until then, and no longer");
        drop(first);
        assert!(locks.lock(&order("a"), soon()).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_stays_of_a_lock_that_nobody_holds_or_waits_for() {
        let locks = OrderLocks::default();
        let first = locks.lock(&order("a"), soon()).await.unwrap();
        let second = tokio::spawn({
            let locks = locks.clone();
            async move { locks.lock(&order("a"), soon()).await.is_some() }
        });
        tokio::task::yield_now().await;
        drop(first);
        assert!(second.await.unwrap());
        let held = locks.lock(&order("b"), soon()).await.unwrap();
        assert!(locks.lock(&order("b"), soon()).await.is_none());
        drop(held);

        assert!(locks.mutexes().is_empty());
    }
}

//! Commands of one order go one after the other: with all of them at once, each would read all of the order, and all but one would
//! have done so for nothing. It only spares conflicts, with others of this process; what makes the result right are the versions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::ids::OrderId;
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, timeout_at};

/// The lines before orders that somebody asks something of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<HashMap<OrderId, Arc<Line>>>>);

type Line = tokio::sync::Mutex<()>;

/// A turn on an order, until it is dropped.
pub(crate) struct Turn {
    /// `None` only while it is dropped.
    held: Option<OwnedMutexGuard<()>>,
    order_id: OrderId,
    lines: Lines,
}

impl Lines {
    /// Waits for its turn on the order; whoever came first goes first. `None`: it has not come by then.
    pub(crate) async fn turn(&self, order_id: &OrderId, until: Instant) -> Option<Turn> {
        let line = Arc::clone(self.lines().entry(order_id.clone()).or_default());
        // Made before it is waited for, so that whoever gives up cleans up as well.
        let mut turn = Turn { held: None, order_id: order_id.clone(), lines: self.clone() };
        turn.held = Some(timeout_at(until, line.lock_owned()).await.ok()?);
        Some(turn)
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<OrderId, Arc<Line>>> {
        // Every change is a single insert or remove.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.held = None;
        let mut lines = self.lines.lines();
        // Nobody has it or waits for it: a line is only ever taken from here, under this lock.
        if lines.get(&self.order_id).is_some_and(|line| Arc::strong_count(line) == 1) {
            lines.remove(&self.order_id);
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
    async fn an_order_is_one_caller_s_at_a_time_and_others_wait_for_none_but_their_own() {
        let lines = Lines::default();
        let first = lines.turn(&order("a"), soon()).await.unwrap();
        assert!(lines.turn(&order("b"), soon()).await.is_some());

        assert!(lines.turn(&order("a"), soon()).await.is_none(), "it waits until then, and no longer");
        drop(first);
        assert!(lines.turn(&order("a"), soon()).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_stays_of_a_line_that_nobody_is_in() {
        let lines = Lines::default();
        let first = lines.turn(&order("a"), soon()).await.unwrap();
        let second = tokio::spawn({
            let lines = lines.clone();
            async move { lines.turn(&order("a"), soon()).await.is_some() }
        });
        tokio::task::yield_now().await;
        drop(first);
        assert!(second.await.unwrap());
        let held = lines.turn(&order("b"), soon()).await.unwrap();
        assert!(lines.turn(&order("b"), soon()).await.is_none());
        drop(held);

        assert!(lines.lines().is_empty());
    }
}

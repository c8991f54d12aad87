//! Orders that are to be read, as many at once as memory takes.

use bounds::Budget;
use domain::order::Order;
use event_store::{EventStore, StoredEvent};

/// The most events that are read at once, beside the budget's bytes.
const EVENTS: usize = 5_000;

/// Orders that are still to be read, each once, and what each is read for.
pub(crate) struct Unread<T> {
    left: Vec<(String, T)>,
}

impl<T> Unread<T> {
    pub(crate) fn new(orders: impl IntoIterator<Item = (String, T)>) -> Self {
        Self { left: orders.into_iter().collect() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// Reads some of them, at least one if any is left: all events of each, which are none if there is no such order. If that fails,
    /// all are left that were.
    pub(crate) async fn read_some(&mut self, store: &EventStore) -> Result<Vec<(T, Vec<StoredEvent>)>, sqlx::Error> {
        if self.left.is_empty() {
            return Ok(vec![]);
        }
        let ids: Vec<String> = self.left.iter().map(|(order_id, _)| order_id.clone()).collect();
        let mut streams = store.read_streams::<Order>(&ids, Budget::of(EVENTS)).await?;
        let is_last = streams.is_empty();
        let (read, left) = self.left.drain(..).partition(|(order_id, _)| is_last || streams.contains_key(order_id));
        self.left = left;
        let read: Vec<(String, T)> = read;
        Ok(read.into_iter().map(|(order_id, what)| (what, streams.remove(&order_id).unwrap_or_default())).collect())
    }

    /// What those that are left were to be read for.
    pub(crate) fn into_rest(self) -> impl Iterator<Item = T> {
        self.left.into_iter().map(|(_, what)| what)
    }
}

//! Reads many orders, as many at once as memory takes.

use bounds::Budget;
use domain::order::Order;
use event_store::{EventStore, StoredEvent};

/// The most events that are read at once. The budget also bounds their bytes.
const MAX_EVENTS: usize = 5_000;

/// Reads the events of many orders batch by batch, and keeps what each is read for.
pub(crate) struct OrderBatchReader<T> {
    left: Vec<(String, T)>,
}

impl<T> OrderBatchReader<T> {
    pub(crate) fn new(orders: impl IntoIterator<Item = (String, T)>) -> Self {
        Self { left: orders.into_iter().collect() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// Reads all events of some of the orders, of at least one if any is left. An order that does not exist has no events. If this
    /// fails, the same orders are left as before.
    pub(crate) async fn read_batch(&mut self, store: &EventStore) -> Result<Vec<(T, Vec<StoredEvent>)>, sqlx::Error> {
        if self.left.is_empty() {
            return Ok(vec![]);
        }
        let ids: Vec<String> = self.left.iter().map(|(order_id, _)| order_id.clone()).collect();
        let mut streams = store.read_streams::<Order>(&ids, Budget::of(MAX_EVENTS)).await?;
        let is_last = streams.is_empty();
        let (read, left) = self.left.drain(..).partition(|(order_id, _)| is_last || streams.contains_key(order_id));
        self.left = left;
        let read: Vec<(String, T)> = read;
        Ok(read.into_iter().map(|(order_id, what)| (what, streams.remove(&order_id).unwrap_or_default())).collect())
    }

    /// What the orders that are left were to be read for.
    pub(crate) fn into_rest(self) -> impl Iterator<Item = T> {
        self.left.into_iter().map(|(_, what)| what)
    }
}

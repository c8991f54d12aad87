//! Stores what was decided on orders, together with the stock commands that it implies: in one append, all or nothing. So units are
//! never reserved for an order that does not know of them, or the other way round.

use domain::order::Order;
use domain::order::units::implies_stock_commands;
use domain::stock::Stock;
use error_chain::error_chain;
use event_store::{
    AppendError, Command, ConflictRetryPolicy, Decision, EventStore, HandleError, Handled, StreamLocks, StreamVersion,
};
use futures_util::future::join_all;

use crate::batched_reads::OrderBatchReader;
use crate::order_session::{DecisionEventIds, OrderSession};
use crate::outcome::StepError;
use crate::stock_ledger::StockLedger;

/// How often orders are decided on together; after that each is decided on by itself.
const ATTEMPTS_TOGETHER: u32 = 2;

/// An order, and whether what was decided on it is stored.
pub(crate) type OrderStoreResult = (OrderSession, Result<(), StepError>);

/// Stores what was decided on each of the orders.
pub(crate) async fn store(
    store: &EventStore,
    stock: &StreamLocks<Stock>,
    orders: Vec<OrderSession>,
) -> Vec<OrderStoreResult> {
    let touches_units = |order: &OrderSession| order.unstored().iter().any(implies_stock_commands);
    let (with_units, without): (Vec<_>, Vec<_>) = orders.into_iter().partition(touches_units);
    let mut stored = join_all(without.into_iter().map(|order| store_one(store, order))).await;
    if !with_units.is_empty() {
        stored.extend(decide_with_stock(store, stock, with_units, |_, _| Ok(())).await);
    }
    stored
}

/// Decides on the orders and on the stock of their SKUs, and stores all of it in one append. A change of a single order is enough for a
/// conflict. Then all is decided again, and after that each order by itself.
pub(crate) async fn decide_with_stock(
    store: &EventStore,
    stock: &StreamLocks<Stock>,
    orders: Vec<OrderSession>,
    decide: impl Fn(&mut OrderSession, &StockLedger<'_>) -> Result<(), StepError> + Send + Sync,
) -> Vec<OrderStoreResult> {
    let mut together = StoreWithStock::new(store, stock, orders, &decide);
    let handled = store.handle(&mut together, None, ConflictRetryPolicy::attempts(ATTEMPTS_TOGETHER)).await;
    let (mut stored, in_conflict) = together.finish(handled).await;
    for order in in_conflict {
        let mut alone = StoreWithStock::new(store, stock, vec![order], &decide);
        let handled = store.handle(&mut alone, None, ConflictRetryPolicy::default()).await;
        let (done, in_conflict) = alone.finish(handled).await;
        stored.extend(done);
        stored.extend(in_conflict.into_iter().map(|order| (order, Err(too_many_conflicts()))));
    }
    stored
}

/// Decides on orders and on the stock of their SKUs.
struct StoreWithStock<'a, F> {
    store: &'a EventStore,
    stock: &'a StreamLocks<Stock>,
    decide: &'a F,
    orders: Vec<OrderSession>,
    /// The ids of the orders' events, by order.
    ids: Vec<DecisionEventIds>,
    /// Orders that could not be decided on.
    failed: Vec<OrderStoreResult>,
    /// Whether others have changed the orders since they were read.
    is_outdated: bool,
}

impl<F> Command for StoreWithStock<'_, F>
where
    F: Fn(&mut OrderSession, &StockLedger<'_>) -> Result<(), StepError> + Sync,
{
    type Refusal = StepError;

    fn stream(&self) -> (&'static str, &str) {
        (<Order as cqrs_es::Aggregate>::TYPE, self.orders.first().map_or("", |order| &order.order_id))
    }

    async fn decide(&mut self) -> Result<Decision<'_>, HandleError<StepError>> {
        if std::mem::replace(&mut self.is_outdated, true) {
            self.rebase().await;
        }
        let mut ledger = StockLedger::lock(self.stock, &self.orders).await?;
        let mut appends = Vec::with_capacity(self.orders.len());
        self.ids.clear();
        for mut order in std::mem::take(&mut self.orders) {
            let decided = (self.decide)(&mut order, &ledger).and_then(|()| ledger.add(&order));
            match decided {
                Ok((append, ids)) => {
                    if !append.events.is_empty() {
                        appends.push(append);
                    }
                    self.ids.push(ids);
                    self.orders.push(order);
                }
                Err(error) => self.failed.push((order, Err(error))),
            }
        }
        Ok(match appends.is_empty() {
            true => Decision::Unchanged(StreamVersion::default()),
            false => Decision::Append(ledger.into_append(appends)),
        })
    }
}

impl<'a, F> StoreWithStock<'a, F> {
    fn new(store: &'a EventStore, stock: &'a StreamLocks<Stock>, orders: Vec<OrderSession>, decide: &'a F) -> Self {
        Self { store, stock, decide, orders, ids: Vec::new(), failed: Vec::new(), is_outdated: false }
    }

    /// Makes the decisions again on the orders as others have left them.
    async fn rebase(&mut self) {
        let orders = std::mem::take(&mut self.orders);
        let mut unread = OrderBatchReader::new(orders.into_iter().map(|order| (order.order_id.clone(), order)));
        while !unread.is_empty() {
            let read = match unread.read_batch(self.store).await {
                Ok(read) => read,
                Err(error) => {
                    self.failed.extend(unread.into_rest().map(|order| (order, Err(StepError::new(&error)))));
                    return;
                }
            };
            for (mut order, events) in read {
                match order.rebase(&events) {
                    Ok(()) => self.orders.push(order),
                    Err(error) => self.failed.push((order, Err(error))),
                }
            }
        }
    }

    /// What became of the orders, and those that still conflict. Those that are not stored are as others have left them: a decision that is
    /// not to be made again must not be stored later.
    async fn finish(
        mut self,
        handled: Result<Handled, HandleError<StepError>>,
    ) -> (Vec<OrderStoreResult>, Vec<OrderSession>) {
        let error = match handled {
            Ok(_) => {
                let stored = self.orders.into_iter().zip(self.ids).map(|(mut order, ids)| {
                    order.stored(ids);
                    (order, Ok(()))
                });
                self.failed.extend(stored);
                return (self.failed, vec![]);
            }
            Err(error) => error,
        };
        self.rebase().await;
        if matches!(error, HandleError::Contended { .. }) {
            return (self.failed, self.orders);
        }
        self.failed.extend(self.orders.into_iter().map(|order| (order, Err(not_stored(&error)))));
        (self.failed, vec![])
    }
}

/// Stores what was decided on an order and implies no stock commands.
async fn store_one(store: &EventStore, order: OrderSession) -> OrderStoreResult {
    let mut command = StoreOrder { store, order, ids: None, is_outdated: false };
    let handled = store.handle(&mut command, None, ConflictRetryPolicy::default()).await;
    let StoreOrder { mut order, ids, .. } = command;
    match handled {
        Ok(Handled::Appended(_)) => {
            if let Some(ids) = ids {
                order.stored(ids);
            }
            (order, Ok(()))
        }
        Ok(Handled::Unchanged(_) | Handled::Replayed(_)) => (order, Ok(())),
        Err(HandleError::Refused(error) | HandleError::Undecidable(error)) => (order, Err(error)),
        Err(HandleError::Contended { .. }) => {
            let rebased = rebase(store, &mut order).await;
            (order, rebased.and_then(|()| Err(too_many_conflicts())))
        }
        Err(error) => (order, Err(not_stored(&error))),
    }
}

/// A queue or a disk that is full for long must not leave an order to an operator.
fn not_stored(error: &HandleError<StepError>) -> StepError {
    match matches!(error, HandleError::Append(AppendError::QueueFull | AppendError::Unavailable(_))) {
        true => StepError::Unreachable(error_chain(error)),
        false => StepError::new(error),
    }
}

/// Makes the decisions again on the order as others have left it.
async fn rebase(store: &EventStore, order: &mut OrderSession) -> Result<(), StepError> {
    let events = store.read_stream::<Order>(&order.order_id).await.map_err(|error| StepError::new(&error))?;
    order.rebase(&events)
}

fn too_many_conflicts() -> StepError {
    StepError::Failed("others changed the order each time".to_owned())
}

/// Appends what was decided on an order.
struct StoreOrder<'a> {
    store: &'a EventStore,
    order: OrderSession,
    ids: Option<DecisionEventIds>,
    /// Whether others have changed the order since it was read.
    is_outdated: bool,
}

impl Command for StoreOrder<'_> {
    type Refusal = StepError;

    fn stream(&self) -> (&'static str, &str) {
        (<Order as cqrs_es::Aggregate>::TYPE, &self.order.order_id)
    }

    async fn decide(&mut self) -> Result<Decision<'_>, HandleError<StepError>> {
        if std::mem::replace(&mut self.is_outdated, true) {
            rebase(self.store, &mut self.order).await.map_err(HandleError::Undecidable)?;
        }
        if self.order.unstored().is_empty() {
            return Ok(Decision::Unchanged(StreamVersion::default()));
        }
        let (append, ids) = self.order.append().map_err(HandleError::Undecidable)?;
        self.ids = Some(ids);
        Ok(Decision::Append(vec![append].into()))
    }
}

#[cfg(test)]
mod tests;

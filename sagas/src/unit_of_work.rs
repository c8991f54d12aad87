//! Stores what was decided on orders, together with the stock commands that it implies: in one append, all or nothing. So units are
//! never reserved for an order that does not know of them, or the other way round.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::ids::{OrderId, Sku};
use domain::order::Order;
use domain::order::units::{moves_units, unit_moves};
use domain::stock::{self, Stock, StockCommand};
use event_store::{AppendError, EventStore, LockedStreams, Metadata, NewEvent, StreamAppend, StreamLocks};
use futures_util::future::join_all;

use crate::batched_reads::UnreadOrders;
use crate::order_session::{EventIds, OrderSession};
use crate::saga::StepError;

/// How often a decision is made again because others changed the order.
const ATTEMPTS: usize = 5;

/// An order, and whether what was decided on it is stored.
pub(crate) type Stored = (OrderSession, Result<(), StepError>);

/// Stores what was decided on each of the orders.
pub(crate) async fn store(store: &EventStore, stock: &StreamLocks<Stock>, orders: Vec<OrderSession>) -> Vec<Stored> {
    let touches_units = |order: &OrderSession| order.unstored().iter().any(moves_units);
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
) -> Vec<Stored> {
    let (mut stored, mut left) = (Vec::with_capacity(orders.len()), orders);
    for _ in 0..2 {
        left = attempt(store, stock, left, &decide, &mut stored).await;
        if left.is_empty() {
            return stored;
        }
    }
    for order in left {
        let mut one = vec![order];
        for _ in 0..ATTEMPTS {
            one = attempt(store, stock, one, &decide, &mut stored).await;
            if one.is_empty() {
                break;
            }
        }
        stored.extend(one.into_iter().map(|order| (order, Err(too_many_conflicts()))));
    }
    stored
}

/// The stock of the SKUs of some orders, with what was decided on it in this turn.
pub(crate) struct StockLedger<'a> {
    turn: LockedStreams<'a, Stock>,
    decided: StockChanges,
}

/// What was decided on SKUs.
#[derive(Default)]
struct StockChanges {
    /// The changed SKUs, as they will be once everything is stored.
    after: HashMap<String, Stock>,
    events: BTreeMap<String, Vec<NewEvent>>,
}

impl StockLedger<'_> {
    /// How many units can be reserved; `None`: the SKU is not tracked.
    pub(crate) fn available(&self, sku: &Sku) -> Option<i64> {
        match self.stock(sku.as_str()) {
            Stock::Untracked => None,
            Stock::Tracked(tracked) => Some(tracked.available()),
        }
    }

    fn stock(&self, sku: &str) -> &Stock {
        self.decided.after.get(sku).unwrap_or_else(|| &self.turn.stream(sku).state)
    }

    /// Decides on the units of one order. The ledger itself stays as it is.
    fn decide(&self, commands: Vec<(Sku, StockCommand)>, metadata: &Metadata) -> Result<StockChanges, StepError> {
        let mut changes = StockChanges::default();
        for (sku, command) in commands {
            let sku = sku.to_string();
            let stock = changes.after.entry(sku.clone()).or_insert_with(|| self.stock(&sku).clone());
            for event in stock::decide(stock, command).map_err(|error| StepError::new(&error))? {
                let new = NewEvent::new(&event, metadata).map_err(|error| StepError::new(&error))?;
                changes.events.entry(sku.clone()).or_default().push(new);
                stock::evolve(stock, event);
            }
        }
        Ok(changes)
    }

    /// Has the changes for one order stored with it.
    fn add(&mut self, changes: StockChanges) {
        self.decided.after.extend(changes.after);
        for (sku, events) in changes.events {
            self.decided.events.entry(sku).or_default().extend(events);
        }
    }

    /// Stores the orders with the stock.
    async fn append(self, orders: Vec<StreamAppend>) -> Result<(), AppendError> {
        let skus = self.decided.events.into_iter().map(|(sku, events)| StreamAppend {
            stream_type: <Stock as cqrs_es::Aggregate>::TYPE,
            expected_version: self.turn.stream(&sku).version,
            stream_id: sku,
            events,
        });
        let streams: Vec<StreamAppend> = skus.chain(orders).collect();
        if streams.is_empty() {
            return Ok(());
        }
        self.turn.append(streams).await.map(|_| ())
    }
}

/// Stores what was decided on an order and implies no stock commands.
async fn store_one(store: &EventStore, mut order: OrderSession) -> Stored {
    for _ in 0..ATTEMPTS {
        if order.unstored().is_empty() {
            return (order, Ok(()));
        }
        let (append, ids) = match order.append() {
            Ok(append) => append,
            Err(error) => return (order, Err(error)),
        };
        match store.append(vec![append]).await {
            Ok(_) => {
                order.stored(ids);
                return (order, Ok(()));
            }
            Err(AppendError::Conflict) => {
                let rebased = match store.read_stream::<Order>(&order.order_id).await {
                    Ok(events) => order.rebase(&events),
                    Err(error) => Err(StepError::new(&error)),
                };
                if let Err(error) = rebased {
                    return (order, Err(error));
                }
            }
            Err(error) => return (order, Err(StepError::new(&error))),
        }
    }
    (order, Err(too_many_conflicts()))
}

fn too_many_conflicts() -> StepError {
    StepError::Failed("others changed the order each time".to_owned())
}

/// Tries once to decide and store. Orders that are stored or failed go to `stored`. Orders that met a conflict are returned as others
/// have left them.
async fn attempt(
    store: &EventStore,
    stock: &StreamLocks<Stock>,
    orders: Vec<OrderSession>,
    decide: &(impl Fn(&mut OrderSession, &StockLedger<'_>) -> Result<(), StepError> + Send + Sync),
    stored: &mut Vec<Stored>,
) -> Vec<OrderSession> {
    let skus: BTreeSet<String> =
        orders.iter().flat_map(|order| &order.order.content.lines).map(|line| line.sku.to_string()).collect();
    let turn = match stock.lock(skus).await {
        Ok(turn) => turn,
        Err(error) => {
            stored.extend(orders.into_iter().map(|order| (order, Err(StepError::new(&error)))));
            return vec![];
        }
    };
    let mut ledger = StockLedger { turn, decided: StockChanges::default() };
    let (mut decided, mut appends) = (Vec::with_capacity(orders.len()), Vec::with_capacity(orders.len()));
    for mut order in orders {
        match decide_one(&mut order, &mut ledger, decide) {
            Ok((append, ids)) => {
                if !append.events.is_empty() {
                    appends.push(append);
                }
                decided.push((order, ids));
            }
            Err(error) => stored.push((order, Err(error))),
        }
    }
    match ledger.append(appends).await {
        Ok(()) => {
            stored.extend(decided.into_iter().map(|(mut order, ids)| {
                order.stored(ids);
                (order, Ok(()))
            }));
            vec![]
        }
        Err(AppendError::Conflict) => {
            rebase(store, decided.into_iter().map(|(order, _)| order).collect(), stored).await
        }
        Err(error) => {
            stored.extend(decided.into_iter().map(|(order, _)| (order, Err(StepError::new(&error)))));
            vec![]
        }
    }
}

/// Decides on one order and on its units. The ledger gets all changes for the order, or none.
fn decide_one(
    order: &mut OrderSession,
    ledger: &mut StockLedger<'_>,
    decide: &impl Fn(&mut OrderSession, &StockLedger<'_>) -> Result<(), StepError>,
) -> Result<(StreamAppend, EventIds), StepError> {
    decide(order, ledger)?;
    let order_id = OrderId::parse(order.order_id.as_str()).map_err(|error| StepError::new(&error))?;
    let commands = order.unstored().iter().flat_map(|event| unit_moves(&order_id, &order.order, event)).collect();
    let changes = ledger.decide(commands, &order.metadata)?;
    let append = order.append()?;
    ledger.add(changes);
    Ok(append)
}

/// Makes the decisions again on the orders as others have left them.
async fn rebase(store: &EventStore, orders: Vec<OrderSession>, stored: &mut Vec<Stored>) -> Vec<OrderSession> {
    let mut rebased = Vec::with_capacity(orders.len());
    let mut unread = UnreadOrders::new(orders.into_iter().map(|order| (order.order_id.clone(), order)));
    while !unread.is_empty() {
        let read = match unread.read_batch(store).await {
            Ok(read) => read,
            Err(error) => {
                stored.extend(unread.into_rest().map(|order| (order, Err(StepError::new(&error)))));
                break;
            }
        };
        for (mut order, events) in read {
            match order.rebase(&events) {
                Ok(()) => rebased.push(order),
                Err(error) => stored.push((order, Err(error))),
            }
        }
    }
    rebased
}

#[cfg(test)]
mod tests;

//! Storing what was decided on orders, together with what it means for units: in one append, all or nothing. So there is no
//! moment in which units are set aside for an order that does not know of it, or the other way round.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::ids::{OrderId, Sku};
use domain::order::Order;
use domain::order::units::{moves_units, unit_moves};
use domain::stock::{self, Stock, StockCommand};
use event_store::{AppendError, EventStore, LockedStreams, Metadata, NewEvent, StreamAppend, StreamLocks};
use futures_util::future::join_all;

use crate::case::Case;
use crate::saga::StepError;
use crate::unread::Unread;

/// How often it is decided anew because an order has moved on.
const ATTEMPTS: usize = 5;

/// An order, and whether what was decided on it is stored.
pub(crate) type Saved = (Case, Result<(), StepError>);

/// The SKUs of some orders while it is our turn: what is decided on them adds up.
pub(crate) struct Shelf<'a> {
    turn: LockedStreams<'a, Stock>,
    moved: Moved,
}

/// What was decided on SKUs.
#[derive(Default)]
struct Moved {
    /// As they will be once everything is stored; only those that changed.
    changed: HashMap<String, Stock>,
    events: BTreeMap<String, Vec<NewEvent>>,
}

impl Shelf<'_> {
    /// How many units can be had; `None`: nobody keeps count.
    pub(crate) fn available(&self, sku: &Sku) -> Option<i64> {
        match self.stock(sku.as_str()) {
            Stock::Untracked => None,
            Stock::Tracked(tracked) => Some(tracked.available()),
        }
    }

    fn stock(&self, sku: &str) -> &Stock {
        self.moved.changed.get(sku).unwrap_or_else(|| &self.turn.stream(sku).state)
    }

    /// Decides on the units of one order, by what is on the shelf. That stays as it is.
    fn decide(&self, moves: Vec<(Sku, StockCommand)>, metadata: &Metadata) -> Result<Moved, StepError> {
        let mut moved = Moved::default();
        for (sku, command) in moves {
            let sku = sku.to_string();
            let stock = moved.changed.entry(sku.clone()).or_insert_with(|| self.stock(&sku).clone());
            for event in stock::decide(stock, command).map_err(|refusal| StepError::new(&refusal))? {
                let new = NewEvent::new(&event, metadata).map_err(|error| StepError::new(&error))?;
                moved.events.entry(sku.clone()).or_default().push(new);
                stock::evolve(stock, event);
            }
        }
        Ok(moved)
    }

    /// What was decided on the units of an order is to be stored with it.
    fn take(&mut self, moved: Moved) {
        self.moved.changed.extend(moved.changed);
        for (sku, events) in moved.events {
            self.moved.events.entry(sku).or_default().extend(events);
        }
    }

    /// Stores the orders with the units.
    async fn append(self, orders: Vec<StreamAppend>) -> Result<(), AppendError> {
        let units = self.moved.events.into_iter().map(|(sku, events)| StreamAppend {
            stream_type: <Stock as cqrs_es::Aggregate>::TYPE,
            expected_version: self.turn.stream(&sku).version,
            stream_id: sku,
            events,
        });
        let streams: Vec<StreamAppend> = units.chain(orders).collect();
        if streams.is_empty() {
            return Ok(());
        }
        self.turn.append(streams).await.map(|_| ())
    }
}

/// Stores what was decided on each of the orders.
pub(crate) async fn save(store: &EventStore, stock: &StreamLocks<Stock>, cases: Vec<Case>) -> Vec<Saved> {
    let touches_units = |case: &Case| case.unsaved().iter().any(moves_units);
    let (with_units, without): (Vec<_>, Vec<_>) = cases.into_iter().partition(touches_units);
    let mut saved = join_all(without.into_iter().map(|case| save_one(store, case))).await;
    if !with_units.is_empty() {
        saved.extend(save_with_units(store, stock, with_units, |_, _| Ok(())).await);
    }
    saved
}

/// Stores what was decided on an order and does not touch units.
async fn save_one(store: &EventStore, mut case: Case) -> Saved {
    for _ in 0..ATTEMPTS {
        if case.unsaved().is_empty() {
            return (case, Ok(()));
        }
        let (append, happened) = match case.to_append() {
            Ok(append) => append,
            Err(error) => return (case, Err(error)),
        };
        match store.append(vec![append]).await {
            Ok(_) => {
                case.saved(happened);
                return (case, Ok(()));
            }
            Err(AppendError::Conflict) => {
                let reopened = match store.read_stream::<Order>(&case.order_id).await {
                    Ok(events) => case.reopen(&events),
                    Err(error) => Err(StepError::new(&error)),
                };
                if let Err(error) = reopened {
                    return (case, Err(error));
                }
            }
            Err(error) => return (case, Err(StepError::new(&error))),
        }
    }
    (case, Err(overtaken()))
}

fn overtaken() -> StepError {
    StepError::Failed("others changed the order each time".to_owned())
}

/// Decides on orders by what is on the shelf, and stores all of it in one append. After a conflict, which a change of a single
/// order is enough for, it is decided anew; when that does not help, for each order by itself.
pub(crate) async fn save_with_units(
    store: &EventStore,
    stock: &StreamLocks<Stock>,
    cases: Vec<Case>,
    plan: impl Fn(&mut Case, &Shelf<'_>) -> Result<(), StepError> + Send + Sync,
) -> Vec<Saved> {
    let (mut saved, mut left) = (Vec::with_capacity(cases.len()), cases);
    for _ in 0..2 {
        left = attempt(store, stock, left, &plan, &mut saved).await;
        if left.is_empty() {
            return saved;
        }
    }
    for case in left {
        let mut one = vec![case];
        for _ in 0..ATTEMPTS {
            one = attempt(store, stock, one, &plan, &mut saved).await;
            if one.is_empty() {
                break;
            }
        }
        saved.extend(one.into_iter().map(|case| (case, Err(overtaken()))));
    }
    saved
}

/// Tries it once. What is saved or failed goes to `saved`; what met a conflict comes back as others have left it.
async fn attempt(
    store: &EventStore,
    stock: &StreamLocks<Stock>,
    cases: Vec<Case>,
    plan: &(impl Fn(&mut Case, &Shelf<'_>) -> Result<(), StepError> + Send + Sync),
    saved: &mut Vec<Saved>,
) -> Vec<Case> {
    let skus: BTreeSet<String> =
        cases.iter().flat_map(|case| &case.order.content.lines).map(|line| line.sku.to_string()).collect();
    let turn = match stock.lock(skus).await {
        Ok(turn) => turn,
        Err(error) => {
            saved.extend(cases.into_iter().map(|case| (case, Err(StepError::new(&error)))));
            return vec![];
        }
    };
    let mut shelf = Shelf { turn, moved: Moved::default() };
    let (mut decided, mut appends) = (Vec::with_capacity(cases.len()), Vec::with_capacity(cases.len()));
    for mut case in cases {
        match decide(&mut case, &mut shelf, plan) {
            Ok((append, happened)) => {
                if !append.events.is_empty() {
                    appends.push(append);
                }
                decided.push((case, happened));
            }
            Err(error) => saved.push((case, Err(error))),
        }
    }
    match shelf.append(appends).await {
        Ok(()) => {
            saved.extend(decided.into_iter().map(|(mut case, happened)| {
                case.saved(happened);
                (case, Ok(()))
            }));
            vec![]
        }
        Err(AppendError::Conflict) => reopen(store, decided.into_iter().map(|(case, _)| case).collect(), saved).await,
        Err(error) => {
            saved.extend(decided.into_iter().map(|(case, _)| (case, Err(StepError::new(&error)))));
            vec![]
        }
    }
}

/// Decides on one order and on its units. The shelf has all that it takes, or nothing of it.
fn decide(
    case: &mut Case,
    shelf: &mut Shelf<'_>,
    plan: &impl Fn(&mut Case, &Shelf<'_>) -> Result<(), StepError>,
) -> Result<(StreamAppend, Vec<crate::case::Happened>), StepError> {
    plan(case, shelf)?;
    let order_id = OrderId::parse(case.order_id.as_str()).map_err(|error| StepError::new(&error))?;
    let moves = case.unsaved().iter().flat_map(|event| unit_moves(&order_id, &case.order, event)).collect();
    let moved = shelf.decide(moves, &case.metadata)?;
    let to_append = case.to_append()?;
    shelf.take(moved);
    Ok(to_append)
}

/// The orders as others have left them.
async fn reopen(store: &EventStore, cases: Vec<Case>, saved: &mut Vec<Saved>) -> Vec<Case> {
    let mut reopened = Vec::with_capacity(cases.len());
    let mut overtaken = Unread::new(cases.into_iter().map(|case| (case.order_id.clone(), case)));
    while !overtaken.is_empty() {
        let read = match overtaken.read_some(store).await {
            Ok(read) => read,
            Err(error) => {
                saved.extend(overtaken.into_rest().map(|case| (case, Err(StepError::new(&error)))));
                break;
            }
        };
        for (mut case, events) in read {
            match case.reopen(&events) {
                Ok(()) => reopened.push(case),
                Err(error) => saved.push((case, Err(error))),
            }
        }
    }
    reopened
}

#[cfg(test)]
mod tests;

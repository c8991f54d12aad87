//! The locked stock of the SKUs of some orders, with the decisions on it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::ids::{OrderId, Sku};
use domain::order::units::implied_stock_commands;
use domain::stock::{self, Stock, StockCommand, TrackedStock};
use event_store::{Append, LockedStreams, Metadata, NewEvent, ReadError, StreamAppend, StreamLocks};

use crate::order_session::{DecisionEventIds, OrderSession};
use crate::outcome::StepError;

/// The locked stock of the SKUs of some orders, with what was decided on it and is not stored yet.
pub(crate) struct StockLedger<'a> {
    locked: LockedStreams<'a, Stock>,
    decided: StockChanges,
}

/// What was decided on SKUs.
#[derive(Default)]
struct StockChanges {
    /// The changed SKUs, as they will be once everything is stored.
    after: HashMap<String, Stock>,
    events: BTreeMap<String, Vec<NewEvent>>,
}

impl<'a> StockLedger<'a> {
    /// Locks the stock of all SKUs of these orders.
    pub(crate) async fn lock<'b>(locks: &'a StreamLocks<Stock>, orders: &'b [OrderSession]) -> Result<Self, ReadError> {
        let added = |order: &'b OrderSession| {
            let requested = order.order.open_edit().and_then(|edit| edit.requested.as_deref());
            requested.into_iter().flat_map(|requested| &requested.changes.added_lines)
        };
        let lines = orders.iter().flat_map(|order| order.order.content.lines.iter().chain(added(order)));
        let skus: BTreeSet<String> = lines.map(|line| line.sku.to_string()).collect();
        Ok(Self { locked: locks.lock(skus).await?, decided: StockChanges::default() })
    }

    /// The stock of a SKU; `None`: it is not tracked.
    pub(crate) fn tracked(&self, sku: &Sku) -> Option<&TrackedStock> {
        match self.stock(sku.as_str()) {
            Stock::Untracked => None,
            Stock::Tracked(tracked) => Some(tracked),
        }
    }

    /// Decides on the units that an order's unstored events are about, and returns what has to be appended to the order's stream. The
    /// ledger gets all changes for the order, or none.
    pub(crate) fn add(&mut self, order: &OrderSession) -> Result<(StreamAppend, DecisionEventIds), StepError> {
        let order_id = OrderId::parse(order.order_id.as_str()).map_err(|error| StepError::new(&error))?;
        let commands =
            order.unstored().iter().flat_map(|event| implied_stock_commands(&order_id, &order.order, event)).collect();
        let changes = self.decide(commands, &order.metadata)?;
        let append = order.append()?;
        self.decided.after.extend(changes.after);
        for (sku, events) in changes.events {
            self.decided.events.entry(sku).or_default().extend(events);
        }
        Ok(append)
    }

    /// The changes of the stock and of the orders, to be appended while the stock is locked.
    pub(crate) fn into_append(self, orders: Vec<StreamAppend>) -> Append<'a> {
        let skus = self.decided.events.into_iter().map(|(sku, events)| StreamAppend {
            stream_type: <Stock as cqrs_es::Aggregate>::TYPE,
            expected_version: self.locked.stream(&sku).version,
            stream_id: sku,
            events,
        });
        let streams = skus.chain(orders).collect();
        self.locked.into_append(streams)
    }

    fn stock(&self, sku: &str) -> &Stock {
        self.decided.after.get(sku).unwrap_or_else(|| &self.locked.stream(sku).state)
    }

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
}

//! What SKUs hold for orders and what orders say they hold: the same, in both directions, at any moment.
//!
//! They are stored together, so there is no time in between. Orders that neither hold units nor were sent any are not kept.

use std::collections::{BTreeMap, HashMap};

use domain::ids::Sku;
use domain::order::StockState;
use domain::order::saga::SagaStep;
use domain::stock::{self, Stock, StockEvent};

use super::findings::Findings;
use super::order::OneOrder;

/// How many of a SKU an order has.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Has {
    /// Set aside for it.
    open: i64,
    /// Shipped to it and settled.
    sent: i64,
}

#[derive(Debug, Default)]
struct Both {
    by_order: Has,
    by_sku: Has,
    /// An operator left them where they were.
    by_hand: bool,
}

/// What each order has of each SKU, by its own word and by the SKU's.
#[derive(Debug, Default)]
pub(super) struct Units(BTreeMap<String, HashMap<String, Both>>);

impl Units {
    /// What an order says.
    pub(super) fn say(&mut self, order: &OneOrder) {
        if order.by_hand.contains(&SagaStep::ReleaseStock) {
            for line in &order.placed.content.lines {
                self.of(line.sku.as_str(), &order.id).by_hand = true;
            }
            return;
        }
        match &order.placed.stock {
            StockState::Reserved(reserved) => {
                let (settled, cancelled) = (order.placed.settled_by_sku(), order.placed.cancelled_by_sku());
                for units in &reserved.units {
                    let of_sku =
                        |counted: &BTreeMap<&Sku, u32>| i64::from(counted.get(&units.sku).copied().unwrap_or(0));
                    let sent = of_sku(&settled);
                    let open = i64::from(units.quantity) - sent - of_sku(&cancelled);
                    self.of(units.sku.as_str(), &order.id).by_order = Has { open, sent };
                }
            }
            StockState::None | StockState::Short | StockState::NotNeeded | StockState::Released => {}
        }
    }

    /// What a SKU says.
    pub(super) fn found(&mut self, shelf: Shelf, findings: &mut Findings) {
        shelf.check(findings);
        for (order_id, has) in shelf.orders {
            if has != Has::default() {
                self.of(&shelf.sku, &order_id).by_sku = has;
            }
        }
    }

    /// Both say the same.
    pub(super) fn check(&self, findings: &mut Findings) {
        for (sku, orders) in &self.0 {
            let mut differ: Vec<_> = orders.iter().filter(|(_, it)| it.by_order != it.by_sku && !it.by_hand).collect();
            differ.sort_by_key(|(order_id, _)| *order_id);
            for (order_id, Both { by_order, by_sku, .. }) in differ {
                let words = |has: &Has| format!("{} set aside, {} shipped", has.open, has.sent);
                let what = format!("for order {order_id}: {}; by the order: {}", words(by_sku), words(by_order));
                findings.add(format!("SKU {sku}"), what);
            }
        }
    }

    fn of(&mut self, sku: &str, order_id: &str) -> &mut Both {
        self.0.entry(sku.to_owned()).or_default().entry(order_id.to_owned()).or_default()
    }
}

/// A SKU whose events are being read: its fold, and the same added up by itself.
pub(super) struct Shelf {
    sku: String,
    pub(super) stock: Stock,
    came_in: i64,
    orders: HashMap<String, Has>,
    /// It was said already that more was promised than there is.
    oversold: bool,
}

impl Shelf {
    pub(super) fn of(sku: &str) -> Self {
        Self { sku: sku.to_owned(), stock: Stock::Untracked, came_in: 0, orders: HashMap::new(), oversold: false }
    }

    pub(super) fn changes(&mut self, event: StockEvent, position: i64, findings: &mut Findings) {
        match &event {
            StockEvent::StockReceived(it) => self.came_in += i64::from(it.quantity),
            StockEvent::StockAdjusted(it) => self.came_in += it.delta,
            StockEvent::ReservationMade(it) => self.has(it.order_id.as_str()).open += i64::from(it.quantity),
            StockEvent::ReservationReleased(it) => self.has(it.order_id.as_str()).open -= i64::from(it.quantity),
            StockEvent::ReservationCommitted(it) => {
                let has = self.has(it.order_id.as_str());
                has.open -= i64::from(it.quantity);
                has.sent += i64::from(it.quantity);
            }
        }
        stock::evolve(&mut self.stock, event);
        if let Stock::Tracked(it) = &self.stock
            && (it.available() < 0 || it.on_hand < 0 || it.reserved < 0)
            && !std::mem::replace(&mut self.oversold, true)
        {
            let what = format!("at position {position}, {} are on hand and {} set aside", it.on_hand, it.reserved);
            findings.add(format!("SKU {}", self.sku), what);
        }
    }

    fn has(&mut self, order_id: &str) -> &mut Has {
        if !self.orders.contains_key(order_id) {
            self.orders.insert(order_id.to_owned(), Has::default());
        }
        self.orders.entry(order_id.to_owned()).or_default()
    }

    /// The fold is what the events add up to.
    fn check(&self, findings: &mut Findings) {
        let (on_hand, reserved, listed) = match &self.stock {
            Stock::Untracked => (0, 0, 0),
            Stock::Tracked(it) => {
                (it.on_hand, it.reserved, it.reservations.values().map(|it| i64::from(it.quantity)).sum())
            }
        };
        let open: i64 = self.orders.values().map(|has| has.open).sum();
        let sent: i64 = self.orders.values().map(|has| has.sent).sum();
        let about = || format!("SKU {}", self.sku);
        if on_hand != self.came_in - sent {
            let what = format!("{on_hand} are on hand, but {} came in and {sent} were shipped", self.came_in);
            findings.add(about(), what);
        }
        if reserved != open || reserved != listed {
            findings.add(
                about(),
                format!("{reserved} are set aside, its reservations come to {listed}, its events to {open}"),
            );
        }
    }
}

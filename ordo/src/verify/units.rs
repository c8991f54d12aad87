//! Units that SKUs hold for orders equal those that orders hold, at any moment.
//!
//! Both are stored in one transaction. Orders without units are not kept in memory.

use std::collections::{BTreeMap, HashMap};

use domain::ids::Sku;
use domain::order::OrderStockState;
use domain::order::saga::SagaStep;
use domain::stock::{self, Stock, StockEvent};

use super::findings::Findings;
use super::order::AuditedOrder;

/// An order's units of a SKU.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct UnitCount {
    /// Reserved.
    open: i64,
    /// Shipped and settled.
    sent: i64,
    /// Put back into the stock after they had come back.
    put_back: i64,
}

#[derive(Debug, Default)]
struct UnitsBySide {
    by_order: UnitCount,
    by_sku: UnitCount,
    /// An operator decided about them.
    by_hand: bool,
}

impl UnitsBySide {
    /// What came back of a SKU that was not tracked then was not put back anywhere. So the order may say more.
    fn differ(&self) -> bool {
        let (order, sku) = (self.by_order, self.by_sku);
        (order.open, order.sent) != (sku.open, sku.sent) || sku.put_back > order.put_back
    }
}

/// The units of each order and SKU, once by the order's events and once by the SKU's, to see that both agree.
#[derive(Debug, Default)]
pub(super) struct ReservationReconciliation(BTreeMap<String, HashMap<String, UnitsBySide>>);

impl ReservationReconciliation {
    /// Adds the units by an order's events.
    pub(super) fn add_order(&mut self, order: &AuditedOrder) {
        if order.by_hand.contains(&SagaStep::ReleaseStock) {
            for line in &order.placed.content.lines {
                self.of(line.sku.as_str(), &order.id).by_hand = true;
            }
            return;
        }
        match &order.placed.stock {
            OrderStockState::Reserved(reserved) => {
                let (settled, cancelled) = (order.placed.settled_by_sku(), order.placed.cancelled_by_sku());
                for units in &reserved.units {
                    let of_sku =
                        |counted: &BTreeMap<&Sku, u32>| i64::from(counted.get(&units.sku).copied().unwrap_or(0));
                    let sent = of_sku(&settled);
                    let open = i64::from(units.quantity) - sent - of_sku(&cancelled);
                    self.of(units.sku.as_str(), &order.id).by_order = UnitCount { open, sent, put_back: 0 };
                }
            }
            OrderStockState::None | OrderStockState::Short | OrderStockState::NotNeeded | OrderStockState::Released => {
            }
        }
        for (sku, units) in order.placed.restocked_by_sku() {
            self.of(sku.as_str(), &order.id).by_order.put_back = i64::from(units);
        }
    }

    /// Adds the units by a SKU's events.
    pub(super) fn add_sku(&mut self, sku: StockFoldCheck, findings: &mut Findings) {
        sku.check(findings);
        for (order_id, has) in sku.orders {
            if has != UnitCount::default() {
                self.of(&sku.sku, &order_id).by_sku = has;
            }
        }
    }

    /// Checks that both agree.
    pub(super) fn check(&self, findings: &mut Findings) {
        for (sku, orders) in &self.0 {
            let mut differ: Vec<_> = orders.iter().filter(|(_, it)| it.differ() && !it.by_hand).collect();
            differ.sort_by_key(|(order_id, _)| *order_id);
            for (order_id, UnitsBySide { by_order, by_sku, .. }) in differ {
                let words = |has: &UnitCount| {
                    let back = if has.put_back > 0 { format!(", {} put back", has.put_back) } else { String::new() };
                    format!("{} set aside, {} shipped{back}", has.open, has.sent)
                };
                let what = format!("for order {order_id}: {}; by the order: {}", words(by_sku), words(by_order));
                findings.add(format!("SKU {sku}"), what);
            }
        }
    }

    fn of(&mut self, sku: &str, order_id: &str) -> &mut UnitsBySide {
        self.0.entry(sku.to_owned()).or_default().entry(order_id.to_owned()).or_default()
    }
}

/// The check of one SKU's folded stock against sums that are counted from its events independently.
pub(super) struct StockFoldCheck {
    sku: String,
    pub(super) stock: Stock,
    came_in: i64,
    orders: HashMap<String, UnitCount>,
    /// Whether overselling was already found.
    oversold: bool,
}

impl StockFoldCheck {
    pub(super) fn of(sku: &str) -> Self {
        Self { sku: sku.to_owned(), stock: Stock::Untracked, came_in: 0, orders: HashMap::new(), oversold: false }
    }

    pub(super) fn apply(&mut self, event: StockEvent, position: i64, findings: &mut Findings) {
        match &event {
            StockEvent::StockReceived(it) => self.came_in += i64::from(it.quantity),
            StockEvent::StockAdjusted(it) => self.came_in += it.delta,
            StockEvent::StockReturned(it) => {
                self.came_in += i64::from(it.quantity);
                self.count_of(it.order_id.as_str()).put_back += i64::from(it.quantity);
            }
            StockEvent::ReservationMade(it) => self.count_of(it.order_id.as_str()).open += i64::from(it.quantity),
            StockEvent::ReservationReleased(it) => self.count_of(it.order_id.as_str()).open -= i64::from(it.quantity),
            StockEvent::ReservationCommitted(it) => {
                let has = self.count_of(it.order_id.as_str());
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

    fn count_of(&mut self, order_id: &str) -> &mut UnitCount {
        if !self.orders.contains_key(order_id) {
            self.orders.insert(order_id.to_owned(), UnitCount::default());
        }
        self.orders.entry(order_id.to_owned()).or_default()
    }

    /// Checks that the fold equals the sums.
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

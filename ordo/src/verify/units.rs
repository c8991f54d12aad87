//! Units that SKUs hold for orders equal those that orders hold, at any moment.
//!
//! Both are stored in one transaction. Orders without units are not kept in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::ids::{LocationId, OrderId, Sku};
use domain::order::OrderStockState;
use domain::order::saga::SagaStep;
use domain::quantity::UnitOfMeasure;
use domain::stock::{self, LocationStock, Stock, StockEvent, TrackedStock};

mod low_stock;

use super::findings::Findings;
use super::order::AuditedOrder;

/// An order's units of a SKU, at all locations.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct UnitCount {
    /// Reserved.
    open: i64,
    /// Shipped and settled.
    sent: i64,
    /// Shipped before the SKU was counted, as the SKU knows it.
    uncounted: i64,
    /// Put back into the stock after they had come back, by location.
    put_back: BTreeMap<LocationId, i64>,
    /// The unit of measure in which they are counted; `None`: by the piece.
    unit: Option<UnitOfMeasure>,
    /// Those that are reserved at named locations, or were shipped from there. Most orders have none.
    named: BTreeMap<LocationId, (i64, i64)>,
}

impl UnitCount {
    /// Whether it counts anything.
    fn is_of_none(&self) -> bool {
        let Self { open, sent, uncounted, put_back, named, unit: _ } = self;
        (*open, *sent, *uncounted) == (0, 0, 0) && put_back.is_empty() && named.is_empty()
    }

    fn add(&mut self, location: &LocationId, open: i64, sent: i64) {
        self.open += open;
        self.sent += sent;
        if !location.is_default() {
            let here = self.named.entry(location.clone()).or_default();
            *here = (here.0 + open, here.1 + sent);
            if *here == (0, 0) {
                self.named.remove(location);
            }
        }
    }
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
        let (order, sku) = (&self.by_order, &self.by_sku);
        (order.open, order.sent, &order.named) != (sku.open, sku.sent + sku.uncounted, &sku.named)
            || sku.put_back.iter().any(|(location, back)| *back > order.put_back.get(location).copied().unwrap_or(0))
            || (!order.is_of_none() && !sku.is_of_none() && order.unit != sku.unit)
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
            OrderStockState::Reserved(_) if !order.placed.allocations.is_empty() => {
                for it in &order.placed.allocations {
                    let (sent, left) = (i64::from(it.settled), i64::from(it.quantity) - i64::from(it.settled));
                    self.of(it.sku.as_str(), &order.id).by_order.add(&it.location, left, sent);
                }
            }
            OrderStockState::Reserved(reserved) => {
                let (settled, cancelled) = (order.placed.settled_by_sku(), order.placed.cancelled_by_sku());
                for units in &reserved.units {
                    let of_sku =
                        |counted: &BTreeMap<&Sku, u32>| i64::from(counted.get(&units.sku).copied().unwrap_or(0));
                    let sent = of_sku(&settled);
                    let open = i64::from(units.quantity) - sent - of_sku(&cancelled);
                    self.of(units.sku.as_str(), &order.id).by_order.add(&LocationId::default(), open, sent);
                }
            }
            OrderStockState::None | OrderStockState::Short | OrderStockState::NotNeeded | OrderStockState::Released => {
            }
        }
        for ((sku, location), units) in &order.put_back {
            self.of(sku.as_str(), &order.id).by_order.put_back.insert(location.clone(), *units);
        }
        for line in &order.placed.content.lines {
            let counted = self.0.get_mut(line.sku.as_str()).and_then(|orders| orders.get_mut(&order.id));
            if let Some(units) = counted {
                units.by_order.unit = line.unit;
            }
        }
    }

    /// Adds the units by a SKU's events.
    pub(super) fn add_sku(&mut self, sku: StockFoldCheck, findings: &mut Findings) {
        sku.check(findings);
        let unit = match &sku.stock {
            Stock::Untracked => None,
            Stock::Tracked(tracked) => tracked.unit,
        };
        for (order_id, has) in sku.orders {
            if !has.is_of_none() {
                self.of(&sku.sku, &order_id).by_sku = UnitCount { unit, ..has };
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
                    let back: i64 = has.put_back.values().sum();
                    let places = has.put_back.keys().filter(|location| !location.is_default());
                    let places = places.map(|location| format!(" at {location}")).collect::<String>();
                    let back = if back > 0 { format!(", {back} put back{places}") } else { String::new() };
                    let unit = has.unit.map(|unit| format!(", in thousandths of {unit}")).unwrap_or_default();
                    let at = |(location, (open, sent)): (&LocationId, &(i64, i64))| {
                        format!(" (at {location}: {open} set aside, {sent} shipped)")
                    };
                    let named: String = has.named.iter().map(at).collect();
                    format!("{} set aside, {} shipped{back}{named}{unit}", has.open, has.sent)
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

/// What the events of a SKU say of one location.
#[derive(Debug, Default)]
struct LocationSums {
    came_in: i64,
    open: i64,
    sent: i64,
}

/// The check of one SKU's folded stock against sums that are counted from its events independently.
pub(super) struct StockFoldCheck {
    sku: String,
    pub(super) stock: Stock,
    locations: BTreeMap<LocationId, LocationSums>,
    orders: HashMap<String, UnitCount>,
    /// Whether overselling was already found.
    oversold: bool,
    /// Whether it is low, as the last event about that says.
    is_low: bool,
}

impl StockFoldCheck {
    pub(super) fn of(sku: &str) -> Self {
        Self {
            sku: sku.to_owned(),
            stock: Stock::Untracked,
            locations: BTreeMap::new(),
            orders: HashMap::new(),
            oversold: false,
            is_low: false,
        }
    }

    pub(super) fn apply(&mut self, event: StockEvent, position: i64, findings: &mut Findings) {
        match &event {
            StockEvent::StockReceived(it) => self.sums_at(&it.location).came_in += i64::from(it.quantity),
            StockEvent::StockAdjusted(it) => self.sums_at(&it.location).came_in += it.delta,
            StockEvent::StockReturned(it) => {
                self.sums_at(&it.location).came_in += i64::from(it.quantity);
                let back = &mut self.count_of(it.order_id.as_str()).put_back;
                *back.entry(it.location.clone()).or_default() += i64::from(it.quantity);
            }
            StockEvent::StockTransferred(it) => {
                self.sums_at(&it.from).came_in -= i64::from(it.quantity);
                self.sums_at(&it.to).came_in += i64::from(it.quantity);
            }
            StockEvent::BackorderLimitSet(_)
            | StockEvent::LowStockThresholdSet(_)
            | StockEvent::StockRanLow(_)
            | StockEvent::StockRecovered(_) => {}
            StockEvent::ReservationMade(it) => self.count(&it.order_id, &it.location, it.quantity.into(), 0),
            StockEvent::ReservationIncreased(it) => {
                self.count(&it.order_id, &it.location, it.quantity.into(), 0);
                // Only units at the default location can have shipped uncounted.
                if it.location.is_default() {
                    let has = self.count_of(it.order_id.as_str());
                    let sent = has.sent - has.named.values().map(|(_, sent)| sent).sum::<i64>();
                    has.uncounted = has.uncounted.max(i64::from(it.shipped) - sent);
                }
            }
            StockEvent::ReservationReleased(it) => {
                self.count(&it.order_id, &it.location, -i64::from(it.quantity), 0);
            }
            StockEvent::ReservationCommitted(it) => {
                let sent = i64::from(it.quantity);
                self.count(&it.order_id, &it.location, -sent, sent);
            }
        }
        let before = self.stock.clone();
        self.check_unit(&event, position, findings);
        self.check_low_stock(&event, position, findings);
        stock::evolve(&mut self.stock, event);
        let Stock::Tracked(tracked) = &self.stock else { return };
        let is_oversold = |(location, it): &(&LocationId, &LocationStock)| {
            it.on_hand < 0 || it.reserved < 0 || it.available() < least_available(&before, tracked, location, it)
        };
        if let Some((location, it)) = tracked.locations.iter().find(is_oversold)
            && !std::mem::replace(&mut self.oversold, true)
        {
            let (at, on_hand, reserved) = (at(location), it.on_hand, it.reserved);
            let what = format!("at position {position}, {on_hand} are on hand{at} and {reserved} set aside");
            findings.add(format!("SKU {}", self.sku), what);
        }
    }

    /// Checks that an event counts in the unit of the SKU.
    fn check_unit(&self, event: &StockEvent, position: i64, findings: &mut Findings) {
        let Stock::Tracked(tracked) = &self.stock else { return };
        let unit = match event {
            StockEvent::StockReceived(it) => it.unit,
            StockEvent::StockAdjusted(it) => it.unit,
            StockEvent::StockReturned(it) => it.unit,
            StockEvent::StockTransferred(it) => it.unit,
            StockEvent::BackorderLimitSet(it) => it.unit,
            StockEvent::LowStockThresholdSet(it) => it.unit,
            StockEvent::StockRanLow(it) => it.unit,
            StockEvent::StockRecovered(it) => it.unit,
            StockEvent::ReservationMade(it) => it.unit,
            // Of what was reserved in its unit.
            StockEvent::ReservationIncreased(_)
            | StockEvent::ReservationReleased(_)
            | StockEvent::ReservationCommitted(_) => return,
        };
        if unit != tracked.unit {
            let named = |unit: Option<UnitOfMeasure>| unit.map_or_else(|| "pieces".to_owned(), |unit| unit.to_string());
            let (own, other) = (named(tracked.unit), named(unit));
            let what = format!("it is counted in {own}, and the event at position {position} counts in {other}");
            findings.add(format!("SKU {}", self.sku), what);
        }
    }

    fn count(&mut self, order_id: &OrderId, location: &LocationId, open: i64, sent: i64) {
        self.count_of(order_id.as_str()).add(location, open, sent);
        let sums = self.sums_at(location);
        (sums.open, sums.sent) = (sums.open + open, sums.sent + sent);
    }

    fn sums_at(&mut self, location: &LocationId) -> &mut LocationSums {
        self.locations.entry(location.clone()).or_default()
    }

    fn count_of(&mut self, order_id: &str) -> &mut UnitCount {
        if !self.orders.contains_key(order_id) {
            self.orders.insert(order_id.to_owned(), UnitCount::default());
        }
        self.orders.entry(order_id.to_owned()).or_default()
    }

    /// Checks that the fold equals the sums, at each location.
    fn check(&self, findings: &mut Findings) {
        self.check_is_low(findings);
        let nothing = TrackedStock::default();
        let tracked = match &self.stock {
            Stock::Untracked => &nothing,
            Stock::Tracked(tracked) => tracked,
        };
        let (nowhere, no_events) = (LocationStock::default(), LocationSums::default());
        let known: BTreeSet<&LocationId> = tracked.locations.keys().chain(self.locations.keys()).collect();
        let (mut on_hand, mut reserved) = (0, 0);
        for location in known {
            let here = tracked.locations.get(location).unwrap_or(&nowhere);
            self.check_location(location, here, self.locations.get(location).unwrap_or(&no_events), findings);
            (on_hand, reserved) = (on_hand + here.on_hand, reserved + here.reserved);
        }
        if (tracked.on_hand, tracked.reserved) != (on_hand, reserved) {
            let (all, aside) = (tracked.on_hand, tracked.reserved);
            let what = format!("{all} are on hand and {aside} set aside, at its locations {on_hand} and {reserved}");
            findings.add(format!("SKU {}", self.sku), what);
        }
    }

    fn check_location(
        &self,
        location: &LocationId,
        here: &LocationStock,
        LocationSums { came_in, open, sent }: &LocationSums,
        findings: &mut Findings,
    ) {
        let LocationStock { on_hand, reserved, reservations, last_place: _ } = here;
        let listed: i64 = reservations.values().map(|it| i64::from(it.quantity)).sum();
        let (about, at) = (|| format!("SKU {}", self.sku), at(location));
        if *on_hand != came_in - sent {
            let what = format!("{on_hand} are on hand{at}, but {came_in} came in and {sent} were shipped");
            findings.add(about(), what);
        }
        if *reserved != *open || *reserved != listed {
            findings.add(
                about(),
                format!("{reserved} are set aside{at}, its reservations come to {listed}, its events to {open}"),
            );
        }
    }
}

/// The least that can be available at a location after an event: 0, or what it was before if orders wait for units, or as far below 0 as
/// more units may be promised than are there, at all locations together.
fn least_available(before: &Stock, now: &TrackedStock, location: &LocationId, here: &LocationStock) -> i64 {
    let was = match before {
        Stock::Untracked => None,
        Stock::Tracked(tracked) => tracked.locations.get(location),
    };
    if here.reserved > was.map_or(0, |was| was.reserved) {
        let backorder = now.backorder.as_ref().filter(|backorder| backorder.location == *location);
        let elsewhere = now.locations.iter().filter(|(other, _)| *other != location);
        let waiting: i64 = elsewhere.map(|(_, there)| (-there.available()).max(0)).sum();
        return backorder.map_or(0, |backorder| (waiting - i64::from(backorder.limit)).min(0));
    }
    was.map_or(0, LocationStock::available).min(0)
}

/// Where, if that has to be said.
fn at(location: &LocationId) -> String {
    if location.is_default() { String::new() } else { format!(" at {location}") }
}

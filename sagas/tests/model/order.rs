//! The order and its SKU in the model: the product's own, with what the checker needs beside.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use domain::ids::{LocationId, OrderId};
use domain::order::parse::PostedOrder;
use domain::order::units::implied_stock_commands;
use domain::order::{Order, OrderCommand, OrderError, OrderEvent, PlacedOrder};
use domain::stock::{self, Stock, StockCommand, StockReceived};

/// What is ordered of the one SKU, in two shipments.
pub(crate) const ORDERED: u32 = 2;

/// An order as its events left it. The product's order has no hash; it is that of its fields' text, taken once.
#[derive(Debug, Clone)]
pub(crate) struct KnownOrder {
    pub(crate) order: Arc<PlacedOrder>,
    pub(crate) version: u32,
    digest: u64,
}

impl Hash for KnownOrder {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl PartialEq for KnownOrder {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl KnownOrder {
    /// An order that was just posted, with these payments as JSON.
    pub(crate) fn placed(payments: &str) -> Self {
        // It does not divide by two: 1,999 and 100 of tax, less 332.
        let posted = format!(
            r#"{{"orderId":"o","customerId":"c","totalAmount":1767,"currency":"JPY","discounts":[{{"amount":332}}],
                 "payments":[{payments}],
                 "items":[{{"sku":"s","title":"t","quantity":{ORDERED},"unitPrice":1000,"discounts":[{{"amount":1}}],
                            "taxes":[{{"name":"t","rate":"0.05","amount":100}}]}}]}}"#
        );
        Self::of(&posted)
    }

    /// An order whose price divides by its units, so that some of it can ship before it is edited.
    pub(crate) fn plain(payments: &str) -> Self {
        Self::of(&format!(
            r#"{{"orderId":"o","customerId":"c","totalAmount":2000,"currency":"JPY","payments":[{payments}],
                 "items":[{{"sku":"s","title":"t","quantity":{ORDERED},"unitPrice":1000}}]}}"#
        ))
    }

    fn of(posted: &str) -> Self {
        let mut order = Order::Absent;
        let content = PostedOrder::parse(posted.as_bytes()).unwrap().content;
        domain::order::evolve(&mut order, OrderEvent::OrderCreated(content));
        let Order::Placed(order) = order else { panic!("it was not placed") };
        Self::new(*order, 1)
    }

    fn new(order: PlacedOrder, version: u32) -> Self {
        let mut hasher = DefaultHasher::new();
        let PlacedOrder {
            content: _,
            status,
            undoing,
            stock,
            payments,
            shipments,
            cancellations,
            edits,
            returns,
            refunds,
            given_up,
            mails,
            ..
        } = &order;
        let text = serde_json::to_string(&(
            status,
            undoing,
            stock,
            payments,
            shipments,
            cancellations,
            (edits, order.content.total_minor),
            returns,
            refunds,
            given_up,
            mails,
        ));
        (text.unwrap(), version).hash(&mut hasher);
        Self { order: Arc::new(order), version, digest: hasher.finish() }
    }

    /// Decides on it, as the product does, and applies what comes of it. Says which events those are.
    pub(crate) fn decide(&mut self, command: OrderCommand) -> Result<Vec<OrderEvent>, OrderError> {
        let events = self.order.decide(command)?;
        if !events.is_empty() {
            let mut order = PlacedOrder::clone(&self.order);
            events.iter().for_each(|event| order.apply(event.clone()));
            *self = Self::new(order, self.version + u32::try_from(events.len()).unwrap());
        }
        Ok(events)
    }
}

/// The SKU: the product's own rules.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SkuStock(pub(crate) Stock);

impl Hash for SkuStock {
    fn hash<H: Hasher>(&self, state: &mut H) {
        if let Stock::Tracked(tracked) = &self.0 {
            (tracked.on_hand, tracked.reserved, tracked.sold).hash(state);
        }
    }
}

impl SkuStock {
    pub(crate) fn with(quantity: u32) -> Self {
        let mut stock = Self(Stock::Untracked);
        stock.decide(StockCommand::Receive(StockReceived { unit: None, quantity, location: LocationId::default() }));
        stock
    }

    pub(crate) fn available(&self) -> i64 {
        match &self.0 {
            Stock::Untracked => 0,
            Stock::Tracked(tracked) => tracked.available(),
        }
    }

    pub(crate) fn reserved(&self) -> i64 {
        match &self.0 {
            Stock::Untracked => 0,
            Stock::Tracked(tracked) => tracked.reserved,
        }
    }

    /// What an event of the order means for its units, as the product has it.
    pub(crate) fn follow(&mut self, order: &PlacedOrder, event: &OrderEvent) {
        for (_, command) in implied_stock_commands(&OrderId::parse("o").unwrap(), order, event) {
            self.decide(command);
        }
    }

    fn decide(&mut self, command: StockCommand) {
        for event in stock::decide(&self.0, command).unwrap() {
            stock::evolve(&mut self.0, event);
        }
    }
}

/// What time it is before and after the reservation has run out.
pub(crate) fn clock(is_late: bool) -> DateTime<Utc> {
    let begin = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    if is_late { begin + TimeDelta::hours(1) } else { begin }
}

pub(crate) fn expires_at() -> DateTime<Utc> {
    clock(false) + TimeDelta::minutes(30)
}

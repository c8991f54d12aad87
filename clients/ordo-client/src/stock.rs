//! Stock and sales.

use serde_json::json;

use crate::{AcceptedCommand, Client, Command, PagedQuery, ReadRequest, Sales, StockLevel};

impl Client {
    /// Tells that units of a SKU came in. From then on it is tracked.
    pub fn receive_stock(&self, sku: &str, quantity: u32) -> Command<AcceptedCommand> {
        Command::post(self, &["stock", sku, "receive"], Some(&json!({ "quantity": quantity })))
    }

    /// Puts the count right by so many units, more or fewer.
    pub fn adjust_stock(&self, sku: &str, delta: i64, reason: &str) -> Command<AcceptedCommand> {
        Command::post(self, &["stock", sku, "adjust"], Some(&json!({ "delta": delta, "reason": reason })))
    }

    /// The units of a SKU.
    pub fn stock_level(&self, sku: &str) -> ReadRequest<StockLevel> {
        ReadRequest::new(self, &["stock", sku])
    }

    /// All tracked SKUs, by name.
    pub fn stock_levels(&self) -> PagedQuery<StockLevel> {
        PagedQuery::new(self, &["stock"])
    }

    /// What was ordered from one day, as `2026-11-20`, to the day before another.
    pub fn sales(&self, from: &str, to: &str) -> ReadRequest<Sales> {
        ReadRequest::new(self, &["sales"]).parameter("from", from).parameter("to", to)
    }
}

//! The documents say when what can be asked of an order, and which events there are.

use std::fmt::Write as _;

use domain::document::DocumentEvent;
use domain::order::{OrderAction, OrderEvent, OrderGrowthLimits, OrderStage, TRANSITIONS};
use domain::stock;

const ORDERS: &str = include_str!("../../docs/reference/orders.md");
const EVENTS: &str = include_str!("../../docs/reference/events.md");

#[test]
fn the_table_of_what_can_be_asked_is_the_one_that_decides() {
    let limits = OrderGrowthLimits::default();
    let mut table = "| asked for by | of an order that is | at the most |\n|---|---|---|\n".to_owned();
    for (action, stages) in &TRANSITIONS {
        let stages: Vec<&str> = stages.iter().map(|stage| stage.name()).collect();
        let stages = if stages.len() == OrderStage::ALL.len() { "anything".to_owned() } else { stages.join(", ") };
        let limit = limits.of(*action).map_or("–".to_owned(), |limit| limit.to_string());
        let method = if *action == OrderAction::ChangeTracking { "PUT" } else { "POST" };
        writeln!(table, "| `{method} /orders/{{id}}/{action}` | {stages} | {limit} |").unwrap();
    }
    assert!(ORDERS.contains(&table), "put this into docs/reference/orders.md:\n{table}");
}

#[test]
fn every_event_is_described_once() {
    let described: Vec<&str> = EVENTS.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    for name in OrderEvent::NAMES.iter().chain(stock::StockEvent::NAMES).chain(DocumentEvent::NAMES) {
        let rows = described.iter().filter(|row| *row == name).count();
        assert_eq!(rows, 1, "docs/reference/events.md has {rows} rows of {name}");
    }
}

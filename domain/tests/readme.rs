//! The README says when what can be asked of an order.

use std::fmt::Write as _;

use domain::{OrderLimits, Stage, TRANSITIONS};

const README: &str = include_str!("../../README.md");

#[test]
fn its_table_of_what_can_be_asked_is_the_one_that_decides() {
    let limits = OrderLimits::default();
    let mut table = "| asked for by | of an order that is | at the most |\n|---|---|---|\n".to_owned();
    for (action, stages) in &TRANSITIONS {
        let stages: Vec<&str> = stages.iter().map(|stage| stage.name()).collect();
        let stages = if stages.len() == Stage::ALL.len() { "anything".to_owned() } else { stages.join(", ") };
        let limit = limits.of(*action).map_or("–".to_owned(), |limit| limit.to_string());
        writeln!(table, "| `POST /orders/{{id}}/{action}` | {stages} | {limit} |").unwrap();
    }
    assert!(README.contains(&table), "put this into README.md:\n{table}");
}

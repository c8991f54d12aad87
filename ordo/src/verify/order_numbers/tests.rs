use chrono::DateTime;
use domain::ids::OrderId;
use domain::order::OrderEvent;
use domain::order::event::OrderNumbered;
use domain::order::parse::PostedOrder;
use domain::order_number::{OrderNumberIssued, OrderNumberSeries};

use super::*;
use crate::verify::order::OrderAudit;

fn issued(order_id: &str, sequence: i64) -> OrderNumberIssued {
    OrderNumberSeries { issued: sequence - 1 }.next("A", &OrderId::parse(order_id).unwrap())
}

fn named(order_id: &str, sequence: i64) -> (&str, OrderNumbered) {
    let OrderNumberIssued { order_number, sequence, .. } = issued(order_id, sequence);
    (order_id, OrderNumbered { order_number, series: "A".into(), sequence })
}

/// What is found in a series and orders.
fn found(numbers: Vec<OrderNumberIssued>, orders: Vec<(&str, OrderNumbered)>) -> Vec<String> {
    let (mut findings, mut all) = (Findings::new(10), OrderNumberReconciliation::default());
    let content =
        PostedOrder::parse(include_bytes!("../../../../domain/golden/posted/demo-order.json")).unwrap().content;
    for (order_id, number) in orders {
        let mut audit = OrderAudit::of(order_id);
        for event in [OrderEvent::OrderCreated(content.clone()), OrderEvent::OrderNumbered(number)] {
            audit.apply(event, 1, DateTime::UNIX_EPOCH);
        }
        all.add_order(&audit.finish(&mut findings).unwrap(), &mut findings);
    }
    if !numbers.is_empty() {
        let mut series = OrderNumberSeriesAudit::of("A");
        for (version, number) in (1..).zip(numbers) {
            series.apply(&OrderNumberSeriesEvent::OrderNumberIssued(number), version, &mut findings);
        }
        all.add_series(series);
    }
    all.check(&mut findings);
    findings.shown().map(|it| format!("{}: {}", it.about, it.what)).collect()
}

#[test]
fn a_series_and_its_orders_agree() {
    let both = vec![named("o-1", 1), named("o-2", 2)];
    assert_eq!(found(vec![issued("o-1", 1), issued("o-2", 2)], both), Vec::<String>::new());
}

#[test]
fn a_number_that_no_order_has_is_found_and_so_is_one_that_another_order_has() {
    let other = "series A: A-000001 is of no order, or of another one";
    assert_eq!(found(vec![issued("o-1", 1)], vec![]), [other]);
    assert_eq!(found(vec![issued("o-1", 1)], vec![named("o-2", 1)]), [other]);
}

#[test]
fn a_number_that_the_series_did_not_give_is_found() {
    let both = vec![named("o-1", 1), named("o-2", 2)];
    assert_eq!(found(vec![issued("o-1", 1)], both), ["series A: an order has A-000002, which it did not give"]);
    assert_eq!(found(vec![], vec![named("o-1", 1)]), ["series A: orders have numbers of it, and it gave none"]);
}

#[test]
fn a_number_that_two_orders_have_is_found() {
    let found = found(vec![issued("o-1", 1)], vec![named("o-2", 1), named("o-1", 1)]);
    assert_eq!(found, ["order o-1: another order has A-000001 as well"]);
}

#[test]
fn a_number_that_is_not_its_place_is_found() {
    let found = found(vec![issued("o-1", 2)], vec![named("o-1", 1)]);
    assert_eq!(found, ["series A: version 1 is A-000002, number 2"]);
}

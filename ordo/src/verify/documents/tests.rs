use chrono::{DateTime, NaiveDate};
use domain::document::{DocumentIssued, Seller};
use domain::ids::OrderId;
use domain::order::event::{LineQuantity, OrderConfirmed, OrderShipped, PaymentAuthorized, PaymentCaptured};
use domain::order::parse::PostedOrder;
use domain::order::{DocumentFacts, Order, OrderEvent};

use super::*;
use crate::verify::order::OrderAudit;

fn day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 30).unwrap()
}

/// The events of an order that was sent, and its invoice under a number.
fn invoiced(order_id: &str, sequence: i64) -> (Vec<OrderEvent>, DocumentIssued) {
    let body = include_bytes!("../../../../domain/golden/posted/demo-order.json");
    let content = PostedOrder::parse(body).unwrap().content;
    let (amount_minor, shipment_id) = (content.total_minor, "s-1".to_owned().try_into());
    let shipment_id: domain::ids::ShipmentId = shipment_id.unwrap();
    let line = LineQuantity { line_number: 1, quantity: content.lines[0].quantity };
    let captured =
        PaymentCaptured { payment_number: None, shipment_id: shipment_id.clone(), amount_minor, reference: "c".into() };
    let mut events = vec![
        OrderEvent::OrderCreated(content),
        OrderEvent::PaymentAuthorized(PaymentAuthorized { payment_number: None, reference: "p".into(), amount_minor }),
        OrderEvent::OrderConfirmed(OrderConfirmed::default()),
        OrderEvent::OrderShipped(OrderShipped { shipment_id, lines: vec![line], parcels: vec![], location: None }),
        OrderEvent::PaymentCaptured(captured),
    ];
    let mut order = Order::default();
    events.iter().for_each(|event| domain::order::evolve(&mut order, event.clone()));
    let Order::Placed(placed) = order else { panic!("it is placed") };
    let seller = Seller { name: "Shop".into(), address: "Street 1".into(), tax_id: "DE1".into() };
    let series = DocumentSeries { issued: sequence - 1, last_issued_on: None };
    let order_id = OrderId::parse(order_id).unwrap();
    let facts =
        DocumentFacts { order_id: &order_id, seller: &seller, series: &series, today: day(), supplied_on: None };
    let (document, named) = placed.issue(placed.next_due_document(true).unwrap(), facts);
    events.push(named);
    (events, document)
}

/// What is found in a series and orders.
fn found(documents: Vec<DocumentIssued>, orders: Vec<(&str, Vec<OrderEvent>)>) -> Vec<String> {
    let (mut findings, mut all) = (Findings::new(10), DocumentReconciliation::default());
    let mut series = SeriesAudit::of("INV-2026");
    for (version, document) in (1..).zip(documents) {
        series.apply(&DocumentEvent::DocumentIssued(document), version, &mut findings);
    }
    all.add_series(series);
    for (order_id, events) in orders {
        let mut audit = OrderAudit::of(order_id);
        events.into_iter().for_each(|event| audit.apply(event, 1, DateTime::UNIX_EPOCH));
        all.add_order(&audit.finish(&mut findings).unwrap(), &mut findings);
    }
    all.check(&mut findings);
    findings.shown().map(|it| format!("{}: {}", it.about, it.what)).collect()
}

#[test]
fn a_series_and_its_orders_agree() {
    let ((first, one), (second, two)) = (invoiced("o-1", 1), invoiced("o-2", 2));
    assert_eq!(found(vec![one, two], vec![("o-1", first), ("o-2", second)]), Vec::<String>::new());
}

#[test]
fn a_document_that_no_order_names_is_found() {
    let (_, document) = invoiced("o-1", 1);
    assert_eq!(found(vec![document], vec![]), ["series INV-2026: no order names INV-2026-000001"]);
}

#[test]
fn a_document_that_its_series_does_not_have_is_found_and_so_is_one_that_two_orders_name() {
    let (events, document) = invoiced("o-1", 1);
    let missing = "order o-1: INV-2026-000001: its series has another document under this number, or none";
    assert_eq!(found(vec![], vec![("o-1", events.clone())]), [missing]);
    let twice = found(vec![document], vec![("o-1", events.clone()), ("o-2", events)]);
    assert_eq!(twice, [missing.replace("o-1", "o-2")]);
}

#[test]
fn a_number_that_is_not_its_place_is_found() {
    let (events, document) = invoiced("o-1", 2);
    let found = found(vec![document], vec![("o-1", events)]);
    assert_eq!(found[0], "series INV-2026: version 1 has number 2");
}

#[test]
fn an_amount_that_does_not_add_up_is_found() {
    let (events, document) = invoiced("o-1", 1);
    let wrong = DocumentIssued { net_minor: document.net_minor + 1, ..document };
    let found = found(vec![wrong], vec![("o-1", events)]);
    assert_eq!(found, ["series INV-2026: version 1 does not come to its total of 12999"]);
}

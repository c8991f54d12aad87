//! Which invoices and credit notes an order calls for, and that they come to what was captured and refunded.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use proptest::prelude::*;

use super::life::{Life, StepKind, steps};
use super::{Parts, parts};
use crate::document::{DocumentIssued, DocumentKind, DocumentSeries, Seller};
use crate::ids::OrderId;
use crate::order::tests::*;

fn seller() -> Seller {
    Seller { name: "Shop".into(), address: "Street 1, 10115 Berlin".into(), tax_id: "DE123456789".into() }
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// The series of invoices and of credit notes.
#[derive(Default)]
struct AllSeries(BTreeMap<bool, DocumentSeries>);

impl AllSeries {
    /// Issues all that is due.
    fn issue_all(&mut self, order: &mut PlacedOrder) -> Vec<DocumentIssued> {
        let (mut issued, seller, order_id) = (vec![], seller(), OrderId::parse("o-1").unwrap());
        while let Some(due) = order.next_due_document(true) {
            let series = self.0.entry(due.cause.kind() == DocumentKind::Invoice).or_default();
            let facts = DocumentFacts {
                order_id: &order_id,
                seller: &seller,
                series,
                today: day("2026-11-30"),
                supplied_on: Some(day("2026-11-29")),
            };
            let (document, event) = order.issue(due, facts);
            let stored = series.decide(document.clone()).unwrap();
            series.evolve(&stored);
            order.apply(event);
            issued.push(document);
        }
        issued
    }
}

fn is_consistent(document: &DocumentIssued) {
    assert_eq!(document.net_minor + document.tax_minor, document.total_minor);
    assert_eq!(document.taxes.iter().map(|tax| tax.amount_minor).sum::<i64>(), document.tax_minor);
    if document.kind == DocumentKind::Invoice || !document.lines.is_empty() {
        assert_eq!(document.lines.iter().map(|line| line.total_minor).sum::<i64>(), document.total_minor);
        assert_eq!(document.lines.iter().map(|line| line.net_minor).sum::<i64>(), document.net_minor);
    }
}

/// The taxes that were posted.
fn posted_taxes(parts: &Parts) -> i64 {
    let of_parts = parts.lines.iter().chain(&parts.postage).flat_map(|part| part.included.iter().chain(&part.added));
    of_parts.sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn invoices_come_to_what_was_captured_and_credit_notes_to_what_was_refunded(parts in parts(), steps in steps()) {
        let (mut life, mut series) = (Life::new(parts.content()), AllSeries::default());
        for (nth, (kind, line_number, quantity)) in steps.iter().enumerate() {
            life.step(nth, *kind, vec![LineQuantity { line_number: *line_number, quantity: *quantity }]);
            series.issue_all(&mut life.order).iter().for_each(is_consistent);
            prop_assert_eq!(life.order.documents_minor(DocumentKind::Invoice), life.order.captured_minor());
            prop_assert_eq!(life.order.documents_minor(DocumentKind::CreditNote), life.order.refunded_minor());
        }
        let numbers = life.order.documents.iter().map(|it| (it.series.clone(), it.sequence)).collect::<Vec<_>>();
        for kind in ["INV-2026", "CN-2026"] {
            let of_kind: Vec<i64> = numbers.iter().filter(|(it, _)| it == kind).map(|(_, nth)| *nth).collect();
            prop_assert_eq!(&of_kind, &(1..).take(of_kind.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_invoices_of_an_order_have_every_tax_that_was_posted(parts in parts(), steps in steps()) {
        let mut life = Life::new(parts.content());
        for (nth, (kind, line_number, quantity)) in steps.iter().enumerate() {
            let kind = if matches!(kind, StepKind::Cancel) { StepKind::Ship } else { *kind };
            life.step(nth, kind, vec![LineQuantity { line_number: *line_number, quantity: *quantity }]);
        }
        life.ship_the_rest();
        let issued = AllSeries::default().issue_all(&mut life.order);
        let invoices = issued.iter().filter(|it| it.kind == DocumentKind::Invoice && it.total_minor > 0);
        let taxes: i64 = invoices.map(|it| it.tax_minor).sum();
        // A shipment that costs nothing has no invoice, and its taxes are nobody's.
        if life.captured.iter().all(|(_, amount)| *amount > 0) {
            prop_assert_eq!(taxes, posted_taxes(&parts));
        }
    }
}

fn two_rates() -> OrderCreated {
    super::parse(&serde_json::json!({
        "currency": "EUR", "totalAmount": "37.70",
        "customer": { "email": "ann@example.com", "name": "Ann", "taxId": "DE999" },
        "billingAddress": { "line1": "Hauptstr. 1", "postalCode": "10115", "city": "Berlin", "country": "DE" },
        "items": [
            { "sku": "book", "title": "A book", "quantity": 2, "unitPrice": "10.70",
              "taxes": [{ "name": "VAT", "rate": "0.07", "amount": "1.40", "included": true }] },
            { "sku": "mug", "title": "A mug", "quantity": 1, "unitPrice": "11.90",
              "taxes": [{ "name": "VAT", "rate": "0.19", "amount": "1.90", "included": true }] },
        ],
        "shipping": { "method": "Post", "amount": "4.40" },
    }))
    .unwrap()
}

#[test]
fn an_invoice_says_who_what_and_how_much_tax_at_each_rate() {
    let mut life = Life::new(two_rates());
    life.ship_the_rest();
    let issued = AllSeries::default().issue_all(&mut life.order);
    let [invoice] = &issued[..] else { panic!("{issued:?}") };
    assert_eq!((invoice.number.as_str(), invoice.total_minor), ("INV-2026-000001", 3_770));
    assert_eq!((invoice.net_minor, invoice.tax_minor), (3_440, 330));
    assert_eq!(invoice.supplied_on, Some(day("2026-11-29")));
    let taxes: Vec<_> = invoice.taxes.iter().map(|it| (it.rate.to_string(), it.net_minor, it.amount_minor)).collect();
    assert_eq!(taxes, [("0.07".to_owned(), 2_000, 140), ("0.19".to_owned(), 1_000, 190)]);
    let lines: Vec<_> =
        invoice.lines.iter().map(|it| (it.title.as_str(), it.quantity.as_str(), it.total_minor)).collect();
    assert_eq!(lines, [("A book", "2", 2_140), ("A mug", "1", 1_190), ("Post", "1", 440)]);
    assert_eq!(invoice.buyer.name.as_deref(), Some("Ann"));
    assert_eq!(invoice.buyer.tax_id.as_deref(), Some("DE999"));
    assert_eq!(invoice.buyer.address.as_ref().unwrap().line1, "Hauptstr. 1");
}

#[test]
fn a_credit_note_names_its_invoice_and_takes_back_the_taxes_of_the_goods_that_came_back() {
    let mut life = Life::new(two_rates());
    life.ship_the_rest();
    life.step(1, StepKind::SendBack, line(1));
    let issued = AllSeries::default().issue_all(&mut life.order);
    let [_, note] = &issued[..] else { panic!("{issued:?}") };
    assert_eq!((note.number.as_str(), note.total_minor, note.tax_minor), ("CN-2026-000001", 1_070, 70));
    assert_eq!(note.invoices, ["INV-2026-000001"]);
    let rates: Vec<String> = note.taxes.iter().map(|it| it.rate.to_string()).collect();
    assert_eq!(rates, ["0.07"]);
    let lines: Vec<_> = note.lines.iter().map(|it| (it.title.as_str(), it.quantity.as_str(), it.total_minor)).collect();
    assert_eq!(lines, [("A book", "1", 1_070)]);
}

#[test]
fn a_refund_that_is_for_no_goods_has_no_lines() {
    let mut life = Life::new(two_rates());
    life.ship_the_rest();
    life.order.refunds.push(Refund {
        id: RefundId::parse("f").unwrap(),
        payment_number: 1,
        amount_minor: 1_070,
        reason: None,
        settled: true,
        reference: None,
        retries: 0,
    });
    let issued = AllSeries::default().issue_all(&mut life.order);
    assert!(issued[1].lines.is_empty() && issued[1].total_minor == 1_070, "{issued:?}");
}

#[test]
fn an_invoice_has_the_posted_prices_and_all_that_was_taken_off() {
    let mut life = Life::new(
        super::parse(&serde_json::json!({
            "currency": "EUR", "totalAmount": "28.69",
            "customer": { "email": "ann@example.com", "locale": "de-AT" },
            "items": [
                { "sku": "cup", "title": "A cup", "quantity": 3, "unitPrice": "10.00",
                  "discounts": [{ "amount": "1.00" }],
                  "taxes": [{ "name": "VAT", "rate": "0.1", "amount": "2.90", "included": false }] },
                { "sku": "tea", "title": "Tea", "quantity": 0.5, "unit": "kg", "unitPrice": "3.1250" },
            ],
            "discounts": [{ "amount": "10.00" }],
            "shipping": { "method": "Post", "amount": "5.23" },
        }))
        .unwrap(),
    );
    let mut issued = vec![];
    let mut series = AllSeries::default();
    for nth in 0..3 {
        life.step(nth, StepKind::Ship, line(1));
        issued.extend(series.issue_all(&mut life.order));
    }
    life.ship_the_rest();
    issued.extend(series.issue_all(&mut life.order));
    assert!(issued.iter().all(|it| it.locale.as_ref().is_some_and(|locale| locale.as_str() == "de-AT")));
    let lines: Vec<_> = issued.iter().flat_map(|it| &it.lines).collect();
    let price = |title: &str| lines.iter().find(|it| it.title == title).unwrap().unit_price.clone().unwrap();
    assert_eq!(["A cup", "Tea", "Post"].map(price), ["10.00", "3.125", "5.23"]);
    // One euro of the line, and ten of the order.
    assert_eq!(lines.iter().map(|it| it.discount_minor).sum::<i64>(), 1_100);
    assert!(lines.iter().all(|it| it.discount_minor >= 0), "{lines:?}");
}

#[test]
fn a_line_that_ships_in_parts_adds_up_on_each_invoice() {
    let mut life = Life::new(
        super::parse(&serde_json::json!({
            "currency": "EUR", "totalAmount": "29.00", "customer": { "email": "ann@example.com" },
            "items": [{ "sku": "cup", "quantity": 3, "unitPrice": "10.00", "discounts": [{ "amount": "1.00" }] }],
        }))
        .unwrap(),
    );
    let (mut issued, mut series) = (vec![], AllSeries::default());
    for nth in 0..3 {
        life.step(nth, StepKind::Ship, line(1));
        issued.extend(series.issue_all(&mut life.order));
    }
    let lines = issued.iter().flat_map(|it| &it.lines);
    let added_up: Vec<_> =
        lines.map(|it| (it.discount_minor, it.net_minor, it.discount_minor + it.net_minor)).collect();
    assert_eq!(added_up, [(34, 966, 1000), (33, 967, 1000), (33, 967, 1000)]);
}

/// The taxes of the documents of a kind, by rate.
fn taxes_of(issued: &[DocumentIssued], kind: DocumentKind) -> BTreeMap<String, i64> {
    let mut taxes = BTreeMap::new();
    for tax in issued.iter().filter(|it| it.kind == kind).flat_map(|it| &it.taxes) {
        *taxes.entry(tax.rate.to_string()).or_default() += tax.amount_minor;
    }
    taxes
}

#[test]
fn once_all_went_back_the_credit_notes_have_every_tax_of_the_invoices() {
    let mut life = Life::new(two_rates());
    life.ship_the_rest();
    let mut series = AllSeries::default();
    let mut issued = series.issue_all(&mut life.order);
    // A mug and a book come back, and then the rest of the money goes back without the other book.
    for (nth, line_number) in [(1, 2), (2, 1)] {
        life.step(nth, StepKind::SendBack, line(line_number));
        issued.extend(series.issue_all(&mut life.order));
    }
    let rest = Refund {
        id: RefundId::parse("rest").unwrap(),
        payment_number: 1,
        amount_minor: life.order.captured_minor() - life.order.refunded_minor(),
        reason: None,
        settled: true,
        reference: None,
        retries: 0,
    };
    life.order.refunds.push(rest);
    issued.extend(series.issue_all(&mut life.order));
    assert_eq!(taxes_of(&issued, DocumentKind::CreditNote), taxes_of(&issued, DocumentKind::Invoice));
}

#[test]
fn units_that_come_back_one_by_one_have_all_their_tax_taken_back() {
    let seven = serde_json::json!({
        "currency": "JPY", "totalAmount": "112", "customer": { "email": "ann@example.com" },
        "items": [{ "sku": "cup", "title": "A cup", "quantity": 7, "unitPrice": "16",
                    "taxes": [{ "name": "VAT", "rate": "0.1", "amount": "10", "included": true }] }],
    });
    let mut life = Life::new(super::parse(&seven).unwrap());
    life.ship_the_rest();
    let mut series = AllSeries::default();
    let mut issued = series.issue_all(&mut life.order);
    for nth in 1..=7 {
        life.step(nth, StepKind::SendBack, line(1));
        issued.extend(series.issue_all(&mut life.order));
    }
    assert_eq!(issued.len(), 8);
    assert_eq!(taxes_of(&issued, DocumentKind::CreditNote), taxes_of(&issued, DocumentKind::Invoice));
}

#[test]
fn money_that_went_back_without_an_invoice_has_no_credit_note() {
    let mut life = Life::new(two_rates());
    life.order.refunds.push(Refund {
        id: RefundId::parse("f").unwrap(),
        payment_number: 1,
        amount_minor: 500,
        reason: None,
        settled: true,
        reference: None,
        retries: 0,
    });
    assert_eq!(life.order.next_due_document(true), None);
}

#[test]
fn a_refund_of_which_some_is_still_to_go_back_waits_for_the_rest() {
    let mut life = Life::new(two_rates());
    life.ship_the_rest();
    AllSeries::default().issue_all(&mut life.order);
    let share = |payment_number, settled| Refund {
        id: RefundId::parse("f").unwrap(),
        payment_number,
        amount_minor: 500,
        reason: None,
        settled,
        reference: None,
        retries: 0,
    };
    life.order.refunds.extend([share(2, true), share(1, false)]);
    assert_eq!(life.order.next_due_document(true), None);
    life.order.refunds[1].settled = true;
    let due = life.order.next_due_document(true).unwrap();
    assert_eq!(due.total_minor, 1_000);
}

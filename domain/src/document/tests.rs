use super::*;
use crate::golden;
use crate::ids::Sku;
use crate::money::Currency;
use crate::order::event::TaxRate;

const EVENTS: &str = "document-events";

fn tax(net_minor: i64, amount_minor: i64) -> DocumentTax {
    DocumentTax { name: "VAT".into(), rate: TaxRate::parse("0.19").unwrap(), net_minor, amount_minor }
}

fn invoice(sequence: i64, issued_on: &str) -> DocumentIssued {
    let order_id = OrderId::parse("order-1001").unwrap();
    let shipment_id = ShipmentId::parse("s-1").unwrap();
    DocumentIssued {
        document_id: DocumentId::of_shipment(&order_id, &shipment_id),
        kind: DocumentKind::Invoice,
        series: "INV-2026".into(),
        sequence,
        number: number_of("INV-2026", sequence),
        issued_on: issued_on.parse().unwrap(),
        supplied_on: issued_on.parse().ok(),
        order_id,
        order_number: None,
        shipment_id: Some(shipment_id),
        refund_id: None,
        invoices: vec![],
        reason: None,
        seller: Seller { name: "Shop".into(), address: "Street 1, 10115 Berlin".into(), tax_id: "DE123456789".into() },
        buyer: Buyer {
            name: Some("Ann".into()),
            email: Some("ann@example.com".into()),
            tax_id: Some("DE999".into()),
            address: None,
        },
        locale: None,
        currency: Currency::parse("EUR").unwrap(),
        lines: vec![DocumentLine {
            sku: Some(Sku::parse("mug").unwrap()),
            title: "A mug".into(),
            variant: Some("blue".into()),
            quantity: "1".into(),
            unit: None,
            unit_price: None,
            discount_minor: 0,
            taxes: vec![tax(1_000, 190)],
            net_minor: 1_000,
            total_minor: 1_190,
        }],
        taxes: vec![tax(1_000, 190)],
        net_minor: 1_000,
        tax_minor: 190,
        total_minor: 1_190,
    }
}

fn issued(sequence: i64, issued_on: &str) -> DocumentEvent {
    DocumentEvent::DocumentIssued(invoice(sequence, issued_on))
}

#[test]
fn every_event_version_decodes_from_its_golden_file_and_encodes_to_it() {
    golden::check_today::<DocumentSeries>(EVENTS, [issued(1, "2026-11-30")]);
}

#[test]
fn every_golden_file_still_decodes() {
    golden::check_all::<DocumentSeries>(EVENTS);
}

#[test]
fn every_version_of_every_event_has_a_golden_file() {
    golden::check_versions::<DocumentSeries>(EVENTS, DocumentEvent::NAMES);
}

#[test]
fn a_state_that_folds_or_reads_differently_has_another_version() {
    let events = [issued(1, "2026-11-30"), issued(2, "2026-12-01")];
    golden::check_states::<DocumentSeries>("document-states", DocumentEvent::NAMES, events);
}

#[tokio::test]
async fn numbers_have_no_gap_and_days_ascend_with_them() {
    use cqrs_es::Aggregate;
    let (sink, mut series) = (EventSink::default(), DocumentSeries::default());
    series.handle(invoice(1, "2026-11-30"), &(), &sink).await.unwrap();
    assert_eq!(sink.collect().await, [issued(1, "2026-11-30")]);
    assert_eq!(series.next_sequence(), 2);
    for sequence in [0, 1, 3] {
        let refused = series.decide(invoice(sequence, "2026-12-01"));
        assert_eq!(refused, Err(DocumentSeriesError::NotNext { next: 2 }), "{sequence}");
    }
    let last = "2026-11-30".parse().unwrap();
    assert_eq!(series.decide(invoice(2, "2026-11-29")), Err(DocumentSeriesError::TooEarly { last }));
    assert_eq!(series.day_of_next("2026-11-29".parse().unwrap()), last);
}

#[test]
fn a_kind_of_document_has_a_series_for_each_year() {
    let day = "2026-12-31".parse().unwrap();
    assert_eq!(series_of(DocumentKind::Invoice, day), "INV-2026");
    assert_eq!(series_of(DocumentKind::CreditNote, day), "CN-2026");
    assert_eq!(number_of("INV-2026", 42), "INV-2026-000042");
    assert_eq!(number_of("INV-2026", 1_234_567), "INV-2026-1234567");
}

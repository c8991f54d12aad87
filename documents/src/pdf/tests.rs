use domain::document::DocumentEvent;
use serde_json::json;

use super::*;

fn invoice() -> DocumentIssued {
    let golden = include_str!("../../../domain/golden/document-events/DocumentIssued-1.0.json");
    let DocumentEvent::DocumentIssued(invoice) = serde_json::from_str(golden).unwrap();
    invoice
}

/// How often a text is in a file.
fn count(pdf: &[u8], text: &str) -> usize {
    pdf.windows(text.len()).filter(|window| *window == text.as_bytes()).count()
}

#[test]
fn the_same_document_is_the_same_file_to_the_byte() {
    let pdf = render(&invoice()).unwrap();
    assert!(pdf.starts_with(b"%PDF-1.") && pdf.ends_with(b"%%EOF"));
    assert_eq!(pdf, render(&invoice()).unwrap());
    assert!(pdf.len() < 100_000, "{} bytes", pdf.len());
    let other = DocumentIssued { total_minor: 1, ..invoice() };
    assert_ne!(pdf, render(&other).unwrap());
}

#[test]
fn its_day_is_that_of_the_issue() {
    assert_eq!(count(&render(&invoice()).unwrap(), "(D:20261130)"), 1);
}

#[test]
fn the_largest_invoice_has_as_many_pages_as_it_needs() {
    let line = invoice().lines.remove(0);
    let long = DocumentLine { title: "a title of many words ".repeat(8) + &"x".repeat(200), ..line.clone() };
    let lines = [vec![line; 499], vec![long]].concat();
    let pdf = render(&DocumentIssued { lines, ..invoice() }).unwrap();
    let pages = count(&pdf, "/Type /Page\n");
    assert!((10..=20).contains(&pages), "{pages} pages");
}

#[test]
fn letters_of_other_scripts_are_taken_and_those_that_the_font_lacks_are_boxes() {
    let buyer = |name: &str| domain::document::Buyer { name: Some(name.to_owned()), ..invoice().buyer };
    for name in ["Łukasz Żółć", "Ελένη", "Иван", "山田太郎 🎉", ""] {
        let pdf = render(&DocumentIssued { buyer: buyer(name), ..invoice() }).unwrap();
        assert!(pdf.ends_with(b"%%EOF"), "{name}");
    }
}

#[test]
fn no_text_stands_over_another_however_long_names_are_and_however_many_taxes_there_are() {
    let tax = |rate: &str, name: &str| {
        let of = json!({ "name": name, "rate": rate, "netMinor": 12_345_678, "amountMinor": 999_999 });
        serde_json::from_value::<DocumentTax>(of).unwrap()
    };
    let long = "a name of many words ".repeat(5);
    let taxes = vec![tax("0.09975", &long), tax("0.05", &"x".repeat(100)), tax("0.02", "GST\nand more")];
    let line = DocumentLine {
        title: format!("a title\n{long}"),
        net_minor: 12_345_678,
        taxes: taxes.clone(),
        ..invoice().lines.remove(0)
    };
    let mut document = DocumentIssued { lines: vec![line; 60], taxes, ..invoice() };
    document.seller.name = "A very long name of a seller ".repeat(6) + &"y".repeat(20);
    document.buyer.name = Some("z".repeat(200));
    let pages = laid_out(&document).unwrap();
    assert_eq!(pages.misplaced(), Vec::<String>::new());
}

#[test]
fn a_rate_is_a_percentage() {
    for (rate, text) in [
        ("0", "0 %"),
        ("0.19", "19 %"),
        ("0.055", "5.5 %"),
        ("0.1", "10 %"),
        ("0.007", "0.7 %"),
        ("1", "100 %"),
        ("2.5", "250 %"),
        ("0.08875", "8.875 %"),
    ] {
        assert_eq!(percent(rate), text);
    }
}

use domain::document::DocumentEvent;
use serde_json::json;

use super::*;

fn invoice() -> DocumentIssued {
    let golden = include_str!("../../../domain/golden/document-events/DocumentIssued-1.0.json");
    let DocumentEvent::DocumentIssued(invoice) = serde_json::from_str(golden).unwrap();
    invoice
}

/// A German invoice of goods by weight, with a discount.
fn rechnung() -> DocumentIssued {
    let line = DocumentLine {
        quantity: "1.235".into(),
        unit: serde_json::from_value(json!("kg")).unwrap(),
        unit_price: Some("3.1250".into()),
        discount_minor: 123_456,
        ..invoice().lines.remove(0)
    };
    DocumentIssued { locale: domain::locale::Locale::parse("de-AT").ok(), lines: vec![line], ..invoice() }
}

/// All that is printed, in its order.
fn printed(document: &DocumentIssued) -> Vec<String> {
    laid_out(document).unwrap().texts()
}

#[test]
fn it_is_in_the_language_of_its_reader_with_prices_and_discounts() {
    let texts = printed(&rechnung());
    for text in [
        "Rechnung INV-2026-000001",
        "Rechnungsdatum: 30.11.2026",
        "Lieferdatum: 30.11.2026",
        "Bestellung: order-1001",
        "1,235 kg",
        "Einzelpreis 3,1250 / kg, Nachlass 1.234,56",
        "VAT 19 % auf 10,00",
        "Seite 1 von 1",
    ] {
        assert!(texts.iter().any(|it| it == text), "{text}: {texts:?}");
    }
    assert_eq!(count(&render(&rechnung()).unwrap(), "/Lang (de)"), 1);
    let english = printed(&DocumentIssued { locale: domain::locale::Locale::parse("fr").ok(), ..rechnung() });
    for text in ["Date of issue: 2026-11-30", "Unit price 3.1250 / kg, Discount 1234.56", "Page 1 of 1"] {
        assert!(english.iter().any(|it| it == text), "{text}: {english:?}");
    }
}

#[test]
fn a_document_names_the_number_of_its_order() {
    let numbered = DocumentIssued { order_number: Some("A-2026-000042".into()), ..invoice() };
    assert!(printed(&numbered).contains(&"Order: A-2026-000042".to_owned()));
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
fn hebrew_and_arabic_are_painted_from_right_to_left_with_joined_letters() {
    let mut document = invoice();
    document.buyer.name = Some("\u{5d3}\u{5e0}\u{5d4} \u{5db}\u{5d4}\u{5df} (12)".into());
    document.lines.truncate(1);
    // Kitab (book), and Salam with its lam and alef; a mark of direction turns nothing.
    document.lines[0].title = "\u{643}\u{62a}\u{627}\u{628} \u{633}\u{644}\u{627}\u{645}\u{202e}".into();
    document.lines[0].variant = None;
    document.lines[0].sku = domain::ids::Sku::parse("SKU-1").ok();
    document.reason = Some("\u{5d0}\u{5d1}".into());
    let texts = printed(&document);
    for painted in [
        "(12) \u{5df}\u{5d4}\u{5db} \u{5d4}\u{5e0}\u{5d3}",
        "(SKU-1) \u{fee1}\u{fefc}\u{feb3} \u{fe8f}\u{fe8e}\u{fe98}\u{fedb}",
        "Reason: \u{5d1}\u{5d0}",
    ] {
        assert!(texts.iter().any(|it| it == painted), "{painted:?}: {texts:?}");
    }
    // The font has all of them, and what is copied is the letters.
    let painted: String = texts.concat();
    let face = ttf_parser::Face::parse(include_bytes!("../../fonts/DejaVuSans.ttf"), 0).unwrap();
    assert_eq!(painted.chars().find(|char| face.glyph_index(*char).is_none()), None);
    let pdf = render(&document).unwrap();
    // The map to Unicode: what is lam and alef in one, and beh at the end.
    assert_eq!((count(&pdf, "<06440627>"), count(&pdf, "<0628>")), (1, 1));
    assert_eq!(laid_out(&document).unwrap().misplaced(), Vec::<String>::new());
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

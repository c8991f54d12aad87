//! Taxes of what was shipped: its invoice said them.

use super::*;

/// Two units of 119.00 each, 19 % of which is in the price; one of them is shipped.
fn half_shipped() -> Order {
    let mut order = ordered("");
    let body = r#"{"lines":[{"lineNumber":1,"unitPrice":119,
                   "taxes":[{"name":"VAT","rate":"0.19","amount":38,"included":true}]}]}"#;
    asks(&mut order, "dear", body);
    pays(&mut order, 2, 21_800);
    applies(&mut order, "dear", &[]);
    ships(&mut order, "s", 1);
    order
}

fn taxed(quantity: u32, taxes: &str) -> String {
    format!(r#"{{"lines":[{{"lineNumber":1,"quantity":{quantity},"taxes":[{taxes}]}}]}}"#)
}

#[test]
fn an_edit_changes_no_tax_of_what_was_shipped() {
    let order = half_shipped();
    for taxes in [
        "",
        r#"{"name":"VAT","rate":"0.07","amount":57,"included":true}"#,
        r#"{"name":"GST","rate":"0.19","amount":57,"included":true}"#,
        r#"{"name":"VAT","rate":"0.19","amount":50,"included":true}"#,
        r#"{"name":"VAT","rate":"0.19","amount":57}"#,
    ] {
        assert_eq!(wrong(&order, &taxed(3, taxes)), [("/lines/0".to_owned(), "shipped")], "{taxes}");
    }
}

#[test]
fn another_unit_with_the_same_tax_is_taken() {
    let mut order = half_shipped();
    let taxes = r#"{"name":"VAT","rate":"0.19","amount":57,"included":true}"#;
    assert_eq!(asks(&mut order, "more", &taxed(3, taxes)), ["OrderEditRequested"]);
}

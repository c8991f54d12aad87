//! Goods by measure: their units, quantities and prices.

use super::*;

/// An order of one item.
#[expect(clippy::needless_pass_by_value, reason = "values are written where they are passed")]
fn of(item: Value, total: &str) -> Value {
    let mut body = demo();
    body["items"] = json!([item]);
    body["totalAmount"] = json!(total);
    body
}

#[expect(clippy::needless_pass_by_value, reason = "values are written where they are passed")]
fn apples(quantity: Value, unit_price: Value) -> Value {
    json!({ "sku": "APPLES", "quantity": quantity, "unit": "kg", "unitPrice": unit_price })
}

fn posted(body: &Value) -> OrderCreated {
    let order = PostedOrder::parse(body.to_string().as_bytes()).unwrap_or_else(|error| panic!("{body}: {error:?}"));
    order.content
}

#[test]
fn goods_by_measure_have_three_decimals_and_their_price_has_four() {
    for (quantity, unit_price, total, kept) in [
        (json!("1.235"), json!("3.1250"), "3.86", (1_235, 312, 5_000)),
        (json!(1.235), json!(3.125), "3.86", (1_235, 312, 5_000)),
        (json!(2), json!("3.10"), "6.20", (2_000, 310, 0)),
        (json!("0.001"), json!("0.0001"), "0.00", (1, 0, 100)),
        (json!("1000000"), json!("0.01"), "10000.00", (1_000_000_000, 1, 0)),
        // Half a cent, once to the even one below and once to that above.
        (json!("0.5"), json!("0.01"), "0.00", (500, 1, 0)),
        (json!("0.5"), json!("0.03"), "0.02", (500, 3, 0)),
    ] {
        let body = of(apples(quantity, unit_price), total);
        let line = &posted(&body).lines[0];
        assert_eq!((line.quantity, line.unit_price_minor, line.unit_price_ten_thousandths), kept, "{body}");
        assert_eq!(line.unit.map(|unit| unit.to_string()).as_deref(), Some("kg"));
    }
}

#[test]
fn what_is_no_quantity_or_price_by_measure_is_refused_by_its_field() {
    for quantity in
        [json!("0"), json!("-1"), json!("0.0001"), json!("1000000.001"), json!("x"), json!("1e9"), json!("")]
    {
        let found = violations(&of(apples(quantity.clone(), json!("1")), "1"));
        assert_eq!(found, [("/items/0/quantity".to_owned(), "out_of_range")], "{quantity}");
    }
    let found = violations(&of(apples(json!(true), json!("1")), "1"));
    assert_eq!(found, [("/items/0/quantity".to_owned(), "wrong_type")]);
    for price in [json!("0.00001"), json!("-1"), json!("x")] {
        let found = violations(&of(apples(json!("1"), price.clone()), "1"));
        assert_eq!(found, [("/items/0/unitPrice".to_owned(), "invalid")], "{price}");
    }
    for (unit, code) in [(json!("KG"), "invalid"), (json!(""), "invalid"), (json!(7), "wrong_type")] {
        let mut item = apples(json!("1.5"), json!("1.0001"));
        item["unit"] = unit.clone();
        assert_eq!(violations(&of(item, "1.50")), [("/items/0/unit".to_owned(), code)], "{unit}");
    }
    let short = of(apples(json!("1.235"), json!("3.1250")), "3.87");
    assert_eq!(violations(&short), [("/totalAmount".to_owned(), "not_the_sum")]);
}

#[test]
fn goods_without_a_unit_are_whole_pieces_at_a_price_that_can_be_paid() {
    for unit in [None, Some(Value::Null)] {
        let mut item = json!({ "sku": "s", "quantity": "1.5", "unitPrice": "1.0001" });
        if let Some(unit) = unit {
            item["unit"] = unit;
        }
        let both = [("/items/0/quantity".to_owned(), "out_of_range"), ("/items/0/unitPrice".to_owned(), "invalid")];
        assert_eq!(violations(&of(item, "1.50")), both);
    }
}

#[test]
fn the_lines_of_a_sku_have_one_unit_and_can_be_counted_together() {
    let mut body = of(apples(json!("1"), json!("1")), "3.00");
    let pieces = json!({ "sku": "APPLES", "quantity": 2, "unitPrice": "1" });
    body["items"] = json!([apples(json!("1"), json!("1")), pieces]);
    assert_eq!(violations(&body), [("/items/1/unit".to_owned(), "contradiction")]);
    body["items"][1]["sku"] = json!("PEARS");
    assert_eq!(posted(&body).lines.len(), 2);

    body["items"] = json!([apples(json!("999999"), json!("0")), apples(json!("1.001"), json!("0"))]);
    assert_eq!(violations(&body), [("/items/1/quantity".to_owned(), "out_of_range")]);
}

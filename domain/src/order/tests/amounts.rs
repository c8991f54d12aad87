//! What the parts of an order come to, and what is paid for its pieces.

mod documents;
mod life;

use proptest::prelude::*;
use serde_json::{Value, json};

use self::life::{Life, StepKind, steps};
use super::*;
use crate::body::InvalidBody;

/// An order of any lines, discounts, taxes and postage, as it is posted. Amounts are in yen, which have no decimals.
#[derive(Debug, Clone)]
struct Parts {
    lines: Vec<Part>,
    postage: Option<Part>,
    discount: i64,
}

/// A line, or postage: then there is one of it, without a discount.
#[derive(Debug, Clone)]
struct Part {
    /// Its quantity is in thousandths of a kilogram, and its price in ten-thousandths of a yen.
    by_weight: bool,
    quantity: i64,
    unit_price: i64,
    discounts: Vec<i64>,
    included: Vec<i64>,
    added: Vec<i64>,
}

impl Part {
    fn price(&self) -> i64 {
        let exact = self.quantity * self.unit_price;
        if !self.by_weight {
            return exact;
        }
        let (above, half) = ((exact + 5_000_000) / 10_000_000, exact % 10_000_000 == 5_000_000);
        if half && above % 2 == 1 { above - 1 } else { above }
    }

    fn net(&self) -> i64 {
        self.price() - self.discounts.iter().sum::<i64>()
    }

    fn payable(&self) -> i64 {
        self.net() + self.added.iter().sum::<i64>()
    }

    fn taxes(&self) -> Value {
        let tax = |amount: &i64, included: bool| json!({ "name": "VAT", "rate": "0.19", "amount": amount, "included": included });
        self.included.iter().map(|it| tax(it, true)).chain(self.added.iter().map(|it| tax(it, false))).collect()
    }
}

impl Parts {
    fn before_discount(&self) -> i64 {
        self.lines.iter().chain(&self.postage).map(Part::payable).sum()
    }

    fn total(&self) -> i64 {
        self.before_discount() - self.discount
    }

    fn body(&self) -> Value {
        let item = |part: &Part| {
            let discounts: Value = part.discounts.iter().map(|it| json!({ "amount": it })).collect();
            let mut item = json!({ "sku": "s", "quantity": part.quantity, "unitPrice": part.unit_price,
                                   "discounts": discounts, "taxes": part.taxes() });
            if part.by_weight {
                (item["sku"], item["unit"]) = (json!("loose"), json!("kg"));
                item["quantity"] = json!(format!("{}.{:03}", part.quantity / 1_000, part.quantity % 1_000));
                item["unitPrice"] = json!(format!("{}.{:04}", part.unit_price / 10_000, part.unit_price % 10_000));
            }
            item
        };
        let mut body = json!({
            "customerId": "c", "currency": "JPY", "totalAmount": self.total(),
            "items": self.lines.iter().map(item).collect::<Value>(), "discounts": [{ "amount": self.discount }],
        });
        if let Some(postage) = &self.postage {
            body["shipping"] = json!({ "method": "post", "amount": postage.unit_price, "taxes": postage.taxes() });
        }
        body
    }

    fn content(&self) -> OrderCreated {
        parse(&self.body()).unwrap()
    }
}

fn parse(body: &Value) -> Result<OrderCreated, Vec<String>> {
    match PostedOrder::parse(body.to_string().as_bytes()) {
        Ok(order) => Ok(order.content),
        Err(InvalidBody::Invalid(violations)) => Err(violations.into_iter().map(|it| it.pointer).collect()),
        Err(InvalidBody::Malformed(error)) => panic!("{error}"),
    }
}

/// Some amounts that are no more than another together: thousandths of it.
fn up_to(most: i64, thousandths: &[i64]) -> Vec<i64> {
    let mut left = most;
    let take = |share: &i64| {
        let amount = left * share / 1_000;
        left -= amount;
        amount
    };
    thousandths.iter().map(take).collect()
}

fn part(quantities: std::ops::Range<i64>) -> impl Strategy<Value = Part> {
    let shares = || prop::collection::vec(0..=1_000_i64, 0..3);
    let added = prop::collection::vec(0..500_i64, 0..3);
    (quantities, 0..3_000_i64, shares(), shares(), added, any::<bool>(), 0..10_000_000_i64).prop_map(
        |(quantity, unit_price, discounts, included, added, by_weight, fine)| {
            let part = Part { by_weight: false, quantity, unit_price, discounts: vec![], included: vec![], added };
            let (quantity, unit_price) = (quantity * 1_000 + fine % 1_000, unit_price * 10_000 + fine / 1_000);
            let part = if by_weight { Part { by_weight, quantity, unit_price, ..part } } else { part };
            let part = Part { discounts: up_to(part.price(), &discounts), ..part };
            Part { included: up_to(part.net(), &included), ..part }
        },
    )
}

fn parts() -> impl Strategy<Value = Parts> {
    let postage = prop::option::of(part(1..2).prop_map(by_the_piece).prop_map(|part| Part { quantity: 1, ..part }));
    (prop::collection::vec(part(1..6), 1..5), postage, 0..=1_000_i64).prop_map(|(lines, postage, share)| {
        let parts = Parts { lines, postage, discount: 0 };
        Parts { discount: parts.before_discount() * share / 1_000, ..parts }
    })
}

/// The same by the piece, without discounts and included taxes.
fn by_the_piece(part: Part) -> Part {
    let (quantity, unit_price) = if part.by_weight {
        (part.quantity / 1_000, part.unit_price / 10_000)
    } else {
        (part.quantity, part.unit_price)
    };
    Part { by_weight: false, quantity, unit_price, discounts: vec![], included: vec![], ..part }
}

/// An order by the piece, without discounts, taxes and postage.
fn plain_parts() -> impl Strategy<Value = Parts> {
    parts().prop_map(|parts| {
        let plain = |part: Part| Part { added: vec![], ..by_the_piece(part) };
        Parts { lines: parts.lines.into_iter().map(plain).collect(), postage: None, discount: 0 }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_parts_of_any_order_come_to_its_total_and_to_nothing_else(parts in parts(), off in -50..50_i64) {
        let content = parts.content();
        let totals = OrderTotals::of(&content).unwrap();
        prop_assert_eq!(totals.total_minor, parts.total());
        prop_assert_eq!(totals.items_minor, parts.lines.iter().map(Part::price).sum::<i64>());
        let made_of = totals.items_minor - totals.discounts_minor + totals.shipping_minor + totals.taxes_minor;
        prop_assert_eq!(made_of, totals.total_minor);
        let mut body = parts.body();
        body["totalAmount"] = json!(parts.total() + off);
        match off {
            0 => prop_assert_eq!(parse(&body), Ok(content)),
            _ => prop_assert_eq!(parse(&body), Err(vec!["/totalAmount".to_owned()])),
        }
    }

    #[test]
    fn every_part_that_is_wrong_is_named(parts in parts(), wrong in prop::collection::btree_set(0..7_usize, 1..7)) {
        let mut body = parts.body();
        let line = parts.lines.len() - 1;
        let mut pointers = Vec::new();
        for wrong in wrong {
            let item = &mut body["items"][line];
            match wrong {
                0 => item["discounts"] = json!([{ "amount": parts.lines[line].price() + 1 }]),
                1 => item["taxes"] = json!([{ "name": "VAT", "rate": "0.19", "amount": parts.lines[line].net() + 1, "included": true }]),
                2 => item["requiresShipping"] = json!("x"),
                3 => body["shipping"] = json!({ "method": "post", "amount": -1 }),
                4 => body["discounts"] = json!([{ "amount": 1, "percent": 3 }]),
                5 => body["totalAmount"] = json!("x"),
                _ => item["taxes"] = json!([{ "name": "VAT", "rate": "-1", "amount": 1 }]),
            }
            let at = |field: &str| format!("/items/{line}/{field}");
            pointers.push(match wrong {
                0 => at("discounts"),
                1 => at("taxes"),
                2 => at("requiresShipping"),
                3 => "/shipping/amount".to_owned(),
                4 => "/discounts/0/percent".to_owned(),
                5 => "/totalAmount".to_owned(),
                _ => at("taxes/0/rate"),
            });
        }
        // Of its taxes it is said first that they can't be read, and that its discounts are too much.
        if [at_line(line, "discounts"), at_line(line, "taxes/0/rate")].iter().any(|it| pointers.contains(it)) {
            pointers.retain(|it| *it != at_line(line, "taxes"));
        }
        pointers.sort();
        let mut found = parse(&body).unwrap_err();
        found.sort();
        prop_assert_eq!(found, pointers);
    }

    #[test]
    fn whatever_way_an_order_is_shipped_its_pieces_come_to_its_total(parts in parts(), steps in steps()) {
        let mut life = Life::of(parts.content(), &steps);
        prop_assert!(life.captured.iter().chain(&life.refunded).all(|(_, amount)| *amount >= 0));
        life.ship_the_rest();
        let captured = Life::sum(&life.captured);
        prop_assert_eq!(captured + life.order.cancelled_minor(), parts.total());
        prop_assert_eq!(life.order.captured_minor(), captured);
        prop_assert_eq!(life.order.has_rest_to_void(), life.order.cancelled_minor() > 0);
        // What comes back is refunded, but for the postage.
        life.send_all_back();
        let shares = life.order.content.shares();
        let postage = i64::try_from(shares.shipping).unwrap();
        let was_sent = !life.order.shipments.is_empty();
        prop_assert_eq!(Life::sum(&life.refunded), captured - if was_sent { postage } else { 0 });
        prop_assert_eq!(life.order.refunded_minor(), Life::sum(&life.refunded));
    }

    #[test]
    fn an_order_without_discounts_taxes_and_postage_costs_what_it_always_did(parts in plain_parts(), steps in steps()) {
        let life = Life::of(parts.content(), &steps);
        let price = |lines: &[LineQuantity]| -> i64 {
            let price = |it: &LineQuantity| life.order.line(it.line_number).unwrap().price_minor(it.quantity);
            lines.iter().map(price).sum()
        };
        for (lines, amount) in life.captured.iter().chain(&life.refunded) {
            prop_assert_eq!(*amount, price(lines));
        }
        let cancelled: i64 = life.order.cancellations.iter().map(|it| price(&it.lines)).sum();
        prop_assert_eq!(life.order.cancelled_minor(), cancelled);
    }

    #[test]
    fn merged_amounts_come_to_the_same(parts in parts(), steps in steps()) {
        let content = parts.content();
        let mut merged = content.clone();
        merged.merge_amounts();
        prop_assert_eq!(OrderTotals::of(&merged), OrderTotals::of(&content));
        let (one, other) = (Life::of(content, &steps), Life::of(merged, &steps));
        prop_assert_eq!((one.captured, one.refunded), (other.captured, other.refunded));
        prop_assert_eq!(one.order.cancelled_minor(), other.order.cancelled_minor());
    }
}

fn at_line(line: usize, field: &str) -> String {
    format!("/items/{line}/{field}")
}

#[test]
fn an_amount_that_does_not_divide_is_shared_out_to_the_last_unit() {
    let line =
        Part { by_weight: false, quantity: 3, unit_price: 100, discounts: vec![], included: vec![], added: vec![] };
    let postage = Part { quantity: 1, unit_price: 100, ..line.clone() };
    let content = Parts { lines: vec![line], postage: Some(postage), discount: 50 }.content();
    let mut life = Life::new(content);
    for nth in 0..3 {
        life.step(nth, StepKind::Ship, vec![LineQuantity { line_number: 1, quantity: 1 }]);
    }
    // Of 300 and 100, 50 less are 263 and 87. The postage goes with the first of three.
    let captured: Vec<i64> = life.captured.iter().map(|(_, amount)| *amount).collect();
    assert_eq!(captured, [87 + 87, 88, 88]);
}

#[test]
fn a_shipment_that_costs_nothing_ends_and_so_does_its_order() {
    let line =
        Part { by_weight: false, quantity: 1, unit_price: 100, discounts: vec![100], included: vec![], added: vec![] };
    let mut life = Life::new(Parts { lines: vec![line.clone(), line], postage: None, discount: 0 }.content());
    life.ship_the_rest();
    assert_eq!(life.captured.iter().map(|(_, amount)| *amount).collect::<Vec<_>>(), [0]);
    assert!(life.order.unsettled_shipment().is_none());
    assert!(life.does(OrderCommand::DeliverOrder));
}

#[test]
fn sums_beyond_every_amount_are_refused() {
    let most = i64::MAX.to_string();
    let item = json!({ "sku": "s", "quantity": 1, "unitPrice": most });
    for (name, value) in [
        ("shipping", json!({ "method": "post", "amount": most })),
        ("items", json!([item, item])),
        ("items", json!([{ "sku": "s", "quantity": 2, "unitPrice": most, "discounts": [{ "amount": most }] }, item])),
    ] {
        let mut body = json!({ "customerId": "c", "currency": "JPY", "totalAmount": most, "items": [item],
                               "discounts": [{ "amount": most }] });
        body[name] = value;
        assert_eq!(parse(&body), Err(vec!["/totalAmount".to_owned()]), "{body}");
    }
}

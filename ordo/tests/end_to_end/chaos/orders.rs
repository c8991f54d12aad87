//! Orders as shops have them, each part of it by chance: what is in them adds up.

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::support::{TOKENS, order_of};

/// What an order is of. For a hundred orders there are so many of each; of the last one nobody keeps count.
pub(super) const SKUS: [(&str, Option<usize>); 4] =
    [("plenty", Some(10_000)), ("some", Some(60)), ("few", Some(10)), ("any", None)];
/// Which share of the orders has a line of it.
const ODDS: [f64; 4] = [0.5, 0.3, 0.1, 0.4];

/// An order like the demo's, or with all that a shop has.
pub(super) fn posted(id: &str, random: &mut StdRng) -> Value {
    let lines = lines(random);
    if random.random_bool(0.4) {
        return order_of(id, any_token(random), &lines);
    }
    let mut total = 0;
    let items: Vec<Value> = lines.iter().map(|(sku, quantity)| item(sku, *quantity, &mut total, random)).collect();
    let mut order = json!({ "orderId": id, "currency": "USD", "items": items });
    if random.random_bool(0.7) {
        let amount = random.random_range(0..2_000);
        let tax = amount / 10;
        let included = random.random_bool(0.5);
        total += amount + if included { 0 } else { tax };
        order["shipping"] = json!({
            "method": "standard",
            "amount": decimal(amount),
            "taxes": [{ "name": "Sales tax", "rate": "0.1", "amount": decimal(tax), "included": included }],
        });
        order["shippingAddress"] = address("Ada Lovelace");
        order["billingAddress"] = address("Charles Babbage");
    }
    if random.random_bool(0.5) {
        let amount = random.random_range(0..total);
        total -= amount;
        order["discounts"] = json!([{ "code": "WELCOME", "amount": decimal(amount) }]);
    }
    order["totalAmount"] = json!(decimal(total));
    // Each has an address of its own: nobody gets more than a few mails at once.
    let email = format!("{id}@example.com");
    order["customer"] = match random.random_bool(0.7) {
        true => json!({ "id": "customer-1", "email": email, "locale": "de-AT" }),
        false => json!({ "email": email }),
    };
    pay(&mut order, total, random);
    order
}

fn lines(random: &mut StdRng) -> Vec<(&'static str, u32)> {
    let mut lines = Vec::new();
    for ((sku, _), odds) in SKUS.into_iter().zip(ODDS) {
        if random.random_bool(odds) {
            lines.push((sku, random.random_range(1..4)));
        }
    }
    if lines.is_empty() {
        lines.push((SKUS[0].0, 1));
    }
    lines
}

/// A line, whose amount is added to the total.
fn item(sku: &str, quantity: u32, total: &mut i64, random: &mut StdRng) -> Value {
    let price = random.random_range(1..3_000);
    let mut amount = i64::from(quantity) * price;
    let mut item = json!({ "sku": sku, "title": sku, "quantity": quantity, "unitPrice": decimal(price) });
    if random.random_bool(0.4) {
        let off = random.random_range(0..=amount);
        amount -= off;
        item["discounts"] = json!([{ "reason": "slightly used", "amount": decimal(off) }]);
    }
    if random.random_bool(0.5) {
        let (tax, included) = (random.random_range(0..=amount / 4), random.random_bool(0.5));
        item["taxes"] = json!([{ "name": "VAT", "rate": "0.19", "amount": decimal(tax), "included": included }]);
        amount += if included { 0 } else { tax };
    }
    *total += amount;
    item
}

/// By one means that has no name, or by several, of which some were paid elsewhere.
fn pay(order: &mut Value, total: i64, random: &mut StdRng) {
    let payments = random.random_range(0..4);
    if payments == 0 || total < payments {
        if let Some(token) = any_token(random) {
            order["paymentToken"] = json!(token);
        }
        return;
    }
    let mut rest = total;
    let mut payment = |nth| {
        let amount = if nth == payments { rest } else { random.random_range(1..=rest - (payments - nth)) };
        rest -= amount;
        let mut payment = json!({ "method": "card", "amount": decimal(amount) });
        if random.random_bool(0.3) {
            payment["reference"] = json!(format!("TRANSFER {nth}"));
        } else if let Some(token) = any_token(random) {
            payment["token"] = json!(token);
        }
        payment
    };
    order["payments"] = (1..=payments).map(&mut payment).collect();
}

/// Most are good ones: an order that is rejected has little of a life.
/// Changes of an order with so many lines, and sometimes with what they are to be paid. It has one of a few names, so that some is asked twice.
pub(super) fn any_edit(lines: usize, random: &mut StdRng) -> Value {
    let mut edit = json!({ "editId": format!("e-{}", random.random_range(1..=4)) });
    let which = random.random_range(0..4);
    if which < 2 {
        let line = random.random_range(1..=lines);
        edit["lines"] = json!([{ "lineNumber": line, "quantity": random.random_range(0..=5), "taxes": [] }]);
    }
    if matches!(which, 1 | 2) {
        let (sku, quantity) = (SKUS[random.random_range(0..SKUS.len())].0, random.random_range(1..=2));
        let price = decimal(random.random_range(1..3_000));
        edit["addedLines"] = json!([{ "sku": sku, "title": sku, "quantity": quantity, "unitPrice": price }]);
    }
    if which == 3 {
        edit["discounts"] = json!([{ "code": "SORRY", "amount": decimal(random.random_range(1..500)) }]);
    }
    if let Some(token) = any_token(random).filter(|_| random.random_bool(0.5)) {
        edit["payment"] = json!({ "method": "card", "token": token });
    }
    edit
}

fn any_token(random: &mut StdRng) -> Option<&'static str> {
    match random.random_range(0..5) {
        0 => None,
        1..4 => Some(TOKENS[0].0),
        _ => Some(TOKENS[random.random_range(0..TOKENS.len())].0),
    }
}

fn address(name: &str) -> Value {
    json!({ "name": name, "line1": "1 Main St", "city": "Reno", "region": "NV", "postalCode": "89501", "country": "US" })
}

pub(super) fn decimal(minor: i64) -> String {
    format!("{}.{:02}", minor / 100, minor % 100)
}

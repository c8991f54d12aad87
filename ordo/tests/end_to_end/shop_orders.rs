//! Orders as shops have them: posted, read back whole, mailed, sent in two pieces, and brought back in part, with the money right to the
//! last cent.

use serde_json::{Value, json};
use testkit::eventually;

use crate::support::{Client, Ordo, PATIENCE, at_rest, settled};

/// One a line: a name and a body.
const ORDERS: &str = include_str!("../../../domain/golden/posted/shop-orders.jsonl");

/// Of each: what is captured for one unit of its first line (of goods by weight: half of one), and refunded when that comes back.
const FIRST_UNIT: [(&str, &str, &str); 6] = [
    ("nothing but what it needs", "49.99", "49.99"),
    ("with the time of the order", "10.00", "10.00"),
    // 81.00 for three, and 15.84 of postage.
    ("postage and tax on top", "42.84", "27.00"),
    ("VAT in the prices", "32.35", "27.45"),
    // 500 of 1235 grams for 3.86.
    ("by weight, at a fine price", "1.56", "1.56"),
    // 40.00 less 4.00 for two, and 6.00 less 0.60 of postage: 10 % are taken off the order.
    ("everything", "23.40", "18.00"),
];

async fn ask(client: &Client, path: &str, body: Value) -> Value {
    let answer = client.post(path, "application/json", body.to_string()).await;
    assert!(matches!(answer.status, 200..=202), "{path}: {}", answer.text());
    answer.json()
}

/// The order, once what is asked of its view holds.
async fn shown(client: &Client, order_id: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let path = format!("/orders/{order_id}");
    eventually(PATIENCE, || async { holds(&client.get(&path).await.json()) }).await;
    client.get(&path).await.json()
}

/// An answer with each amount as it was posted: its decimal alone.
fn amounts(value: &Value) -> Value {
    match value {
        Value::Object(fields) if fields.len() == 2 && fields.contains_key("currency") => fields["amount"].clone(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), amounts(value))).collect(),
        Value::Array(elements) => elements.iter().map(amounts).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// Asserts that what was posted is in what is shown: what was said of the customer in its place, and everything else under its name.
fn assert_whole(posted: &Value, shown: &Value) {
    let shown_amounts = amounts(shown);
    let same = |name: &str| assert_eq!(shown_amounts[name], posted[name], "{name} of {posted}");
    for name in ["shipping", "discounts", "billingAddress", "shippingAddress", "channel", "source", "tags", "notes"] {
        if !posted[name].is_null() {
            same(name);
        }
    }
    let customer = posted["customer"].as_object().into_iter().flatten();
    for (name, value) in customer.filter(|(name, _)| *name != "id" && *name != "email") {
        assert_eq!(shown["customer"][name], *value, "{name}");
    }
    if let Some(email) = posted["customer"]["email"].as_str() {
        assert_eq!(shown["customerEmail"], email);
    }
    for (item, line) in posted["items"].as_array().unwrap().iter().zip(shown_amounts["lines"].as_array().unwrap()) {
        for (name, value) in item.as_object().unwrap().iter().filter(|(name, _)| *name != "unitPrice") {
            assert_eq!(line[name], *value, "{name} of {item}");
        }
    }
}

#[tokio::test]
async fn every_order_of_a_shop_is_taken_whole_and_comes_to_its_end_with_the_money_right() {
    // Given
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    let orders: Vec<Value> = ORDERS.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(orders.len(), FIRST_UNIT.len());
    for (order, (name, first, back)) in orders.iter().zip(FIRST_UNIT) {
        let body = &order["body"];
        let id = body["orderId"].as_str().unwrap();
        assert_eq!(order["name"], name);

        // When
        ask(&client, "/orders", body.clone()).await;
        let confirmed = settled(&client, id).await;

        // Then
        assert_eq!(confirmed["status"], "confirmed", "{confirmed}");
        assert_whole(body, &confirmed);

        // When it is sent in two pieces
        let total = confirmed["total"]["amount"].as_str().unwrap();
        let quantity = if body["items"][0]["unit"].is_null() { json!(1) } else { json!("0.5") };
        let one = json!([{ "lineNumber": 1, "quantity": quantity }]);
        ask(&client, &format!("/orders/{id}/ship"), json!({ "lines": one })).await;
        let sent = shown(&client, id, |order| order["captured"]["amount"] == first).await;
        if sent["fulfilmentStatus"] != "shipped" {
            ask(&client, &format!("/orders/{id}/ship"), json!({})).await;
        }
        // Then all of it was captured, and not a cent more.
        let sent = shown(&client, id, |order| order["paymentStatus"] == "captured").await;
        assert_eq!(sent["captured"]["amount"], total, "{name}");

        // When some of it comes back
        ask(&client, &format!("/orders/{id}/deliver"), json!({})).await;
        ask(&client, &format!("/orders/{id}/returns"), json!({ "returnId": "r-1", "lines": one })).await;
        ask(&client, &format!("/orders/{id}/returns/r-1/receive"), json!({})).await;
        // Then that is refunded.
        let over = shown(&client, id, |order| order["refunded"]["amount"] == back).await;
        let (line, sent) = (&over["lines"][0], &over["shipments"][0]["lines"]);
        assert_eq!((sent, &over["returns"][0]["lines"], &line["returned"]), (&one, &one, &quantity), "{over}");
    }
    // Every sum agrees, and the customers know what they pay and where it goes.
    at_rest(&ordo.database, orders.len(), PATIENCE).await;
    let mails = Client::new(&ordo.inbox).get("/messages").await.text();
    for said in [
        "Items: US$100.00\\nDiscounts: -US$2.50\\nShipping (standard): US$14.66\\nTaxes: US$8.98\\nTotal: US$121.14",
        "Shipping address:\\n  Ada Lovelace\\n  12 St James's Square\\n  London SW1Y 4JH\\n  GB",
        "Versand (DHL Paket): 4,90\u{a0}€\\nGesamtbetrag: 59,80\u{a0}€\\nIn den Preisen enthaltene Steuern: 4,37\u{a0}€",
        "  50667 Köln\\n",
        "1.235 kg x Apples (APPLES)\\n      €3.125 per kg, together €3.86",
        "0.5 kg x Apples (APPLES)",
    ] {
        assert!(mails.contains(said), "{said} is not in {mails}");
    }
}

#[tokio::test]
async fn the_whole_order_of_the_book_is_taken_and_comes_to_what_the_book_says() {
    let book = include_str!("../../../docs/reference/orders.md");
    let (_, example) = book.split_once("### An example").unwrap();
    let (json, after) = example.split_once("```json").unwrap().1.split_once("```").unwrap();
    let ordo = Ordo::up(&[]).await;
    let posted = ordo.client().order(&serde_json::from_str(json).unwrap()).await;
    assert_eq!(posted.status, 201, "{}", posted.text());

    let accepted = posted.json();
    let path = format!("/orders/{}?minPosition={}", accepted["orderId"].as_str().unwrap(), accepted["position"]);
    let order = ordo.client().get(&path).await.json();
    let totals = &order["totals"];
    let amount = |part: &str| totals[part]["amount"].as_str().unwrap_or_else(|| panic!("{part}: {order}")).to_owned();
    let sum = format!(
        "items {} − discounts {} + shipping {} + taxes {} = total {}",
        amount("items"),
        amount("discounts"),
        amount("shipping"),
        amount("taxes"),
        order["total"]["amount"].as_str().unwrap()
    );
    assert!(after.contains(&sum), "{sum}");
}

//! An order is edited before it ships: from the preview to the money.

use http::Method;
use serde_json::{Value, json};
use testkit::eventually;

use crate::support::{Client, Ordo, PATIENCE, at_rest, run, settled};

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

/// Has an edit done under the version of its preview, and returns the order once it is through.
async fn edit(client: &Client, order_id: &str, body: Value) -> Value {
    // A mail that goes out meanwhile is another version.
    let (preview, answer) = loop {
        let preview = ask(client, &format!("/orders/{order_id}/edits/preview"), body.clone()).await;
        let version = format!("\"{}\"", preview["version"]);
        let headers = [("content-type", "application/json"), ("if-match", version.as_str())];
        let path = format!("/orders/{order_id}/edits");
        let answer = client.send_with(Method::POST, &path, &headers, body.to_string()).await;
        if answer.status != 412 {
            break (preview, answer);
        }
    };
    assert_eq!(answer.status, 202, "{}", answer.text());
    let edit_id = answer.json()["editId"].clone();
    let is_over = |order: &Value| {
        let edits = order["edits"].as_array();
        edits.is_some_and(|edits| edits.iter().any(|it| it["editId"] == edit_id && it["status"] != "requested"))
    };
    let order = shown(client, order_id, is_over).await;
    if order["edits"].as_array().and_then(|edits| edits.last()).is_some_and(|edit| edit["status"] == "applied") {
        assert_eq!(order["total"], preview["total"], "{order}");
    }
    order
}

#[tokio::test]
async fn an_order_is_edited_up_and_down_and_each_unit_is_paid_once() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    ask(&client, "/stock/cable/receive", json!({ "quantity": 5 })).await;
    let order = json!({
        "orderId": "a", "customerId": "c", "currency": "EUR", "totalAmount": 20, "paymentToken": "tok_ok",
        "items": [{ "sku": "cable", "title": "Cable", "quantity": 2, "unitPrice": 10 }]
    });
    ask(&client, "/orders", order.clone()).await;
    settled(&client, "a").await;

    // One more, and something else.
    let more = json!({
        "lines": [{ "lineNumber": 1, "quantity": 3 }],
        "addedLines": [{ "sku": "case", "title": "Case", "quantity": 1, "unitPrice": "4.50" }]
    });
    let edited = edit(&client, "a", more).await;
    assert_eq!((&edited["edits"][0]["status"], &edited["total"]["amount"]), (&json!("applied"), &json!("34.50")));
    assert_eq!(edited["lines"][0]["quantity"], 3);
    assert_eq!(edited["lines"][1]["title"], "Case");
    let amounts: Vec<_> =
        edited["payments"].as_array().unwrap().iter().map(|it| it["amount"]["amount"].clone()).collect();
    assert_eq!(amounts, ["20.00", "14.50"]);
    assert_eq!(client.get("/stock/cable").await.json()["reserved"], 3);
    // It is still the order that was posted.
    assert_eq!(client.post("/orders", "application/json", order.to_string()).await.status, 201);

    // One ships; what is left becomes less, and costs less.
    ask(&client, "/orders/a/ship", json!({ "lines": [{ "lineNumber": 1, "quantity": 1 }] })).await;
    shown(&client, "a", |order| order["captured"]["amount"] == "10.00").await;
    let less = json!({ "lines": [{ "lineNumber": 1, "quantity": 2 }, { "lineNumber": 2, "quantity": 0 }] });
    let edited = edit(&client, "a", less).await;
    assert_eq!(edited["total"]["amount"], "20.00");
    ask(&client, "/orders/a/ship", json!({})).await;
    let paid = shown(&client, "a", |order| order["captured"]["amount"] == "20.00").await;
    assert_eq!(paid["paymentStatus"], "captured");
    eventually(PATIENCE, || async { client.get("/stock/cable").await.json()["onHand"] == 3 }).await;
    at_rest(&ordo.database, 1, PATIENCE).await;
    let timeline = client.get("/orders/a/events").await.text();
    assert!(timeline.contains("OrderEdited") && !timeline.contains("tok_ok"), "{timeline}");
    // The payment that the order was placed with has no method, and is shown all the same.
    let page = run(&["order", "show", "a"], &[("DATABASE_URL", ordo.database.as_str())]).await;
    assert!(page.code == 0 && page.out.contains("14.50 EUR"), "{page:?}");
}

#[tokio::test]
async fn an_edit_that_cannot_be_had_leaves_the_order_as_it_was_and_says_why() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    ask(&client, "/stock/rare/receive", json!({ "quantity": 2 })).await;
    let order = json!({
        "orderId": "a", "customerId": "c", "currency": "EUR", "totalAmount": 10,
        "items": [{ "sku": "cable", "title": "Cable", "quantity": 1, "unitPrice": 10 }]
    });
    ask(&client, "/orders", order).await;
    settled(&client, "a").await;

    let short = json!({ "addedLines": [{ "sku": "rare", "quantity": 3, "unitPrice": 1 }] });
    let rejected = edit(&client, "a", short).await;
    assert_eq!(rejected["edits"][0]["rejection"], "not enough in stock: rare (3 more needed, 2 left)");
    let declined = json!({
        "lines": [{ "lineNumber": 1, "quantity": 2 }],
        "payment": { "method": "card", "token": "tok_declined" }
    });
    let rejected = edit(&client, "a", declined).await;
    assert_eq!(rejected["edits"][1]["status"], "rejected", "{rejected}");
    assert_eq!((&rejected["total"]["amount"], &rejected["paymentStatus"]), (&json!("10.00"), &json!("authorized")));

    // Both are let go of, and the order ships as it is.
    ask(&client, "/orders/a/ship", json!({})).await;
    let paid = shown(&client, "a", |order| order["captured"]["amount"] == "10.00").await;
    assert_eq!(paid["paymentStatus"], "captured");
    assert_eq!(client.get("/stock/rare").await.json()["reserved"], 0);
    at_rest(&ordo.database, 1, PATIENCE).await;
}

#[tokio::test]
async fn units_that_an_edit_adds_can_come_from_another_location() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    ask(&client, "/stock/cable/receive", json!({ "quantity": 2 })).await;
    let order = json!({
        "orderId": "a", "customerId": "c", "currency": "EUR", "totalAmount": 20, "paymentToken": "tok_ok",
        "items": [{ "sku": "cable", "title": "Cable", "quantity": 2, "unitPrice": 10 }]
    });
    ask(&client, "/orders", order).await;
    settled(&client, "a").await;
    ask(&client, "/stock/cable/receive", json!({ "quantity": 5, "location": "berlin" })).await;

    let edited = edit(&client, "a", json!({ "lines": [{ "lineNumber": 1, "quantity": 5 }] })).await;
    let units = |order: &Value| -> Vec<(String, u64)> {
        let rows = order["allocations"].as_array().unwrap_or_else(|| panic!("{order}"));
        rows.iter().map(|it| (it["location"].as_str().unwrap().to_owned(), it["quantity"].as_u64().unwrap())).collect()
    };
    assert_eq!(units(&edited), [("default".to_owned(), 2), ("berlin".to_owned(), 3)]);
    at_rest(&ordo.database, 1, PATIENCE).await;
    ask(&client, "/orders/a/ship", json!({ "lines": [{ "lineNumber": 1, "quantity": 3 }] })).await;
    shown(&client, "a", |order| order["captured"]["amount"] == "30.00").await;
    let edited = edit(&client, "a", json!({ "lines": [{ "lineNumber": 1, "quantity": 4 }] })).await;
    assert_eq!(units(&edited), [("default".to_owned(), 2), ("berlin".to_owned(), 2)]);
    at_rest(&ordo.database, 1, PATIENCE).await;
    ask(&client, "/orders/a/ship", json!({ "location": "berlin" })).await;
    shown(&client, "a", |order| order["captured"]["amount"] == "40.00").await;
    at_rest(&ordo.database, 1, PATIENCE).await;
    let stock = client.get("/stock/cable").await.json();
    assert_eq!((&stock["onHand"], &stock["reserved"]), (&json!(3), &json!(0)), "{stock}");
}

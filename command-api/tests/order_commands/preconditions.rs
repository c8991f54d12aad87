//! Requests that are meant for some versions only.

use serde_json::json;

use crate::shop::Shop;

#[tokio::test]
async fn an_order_is_posted_only_if_what_is_there_is_what_the_client_says() {
    let shop = Shop::open().await;
    let order = |id: &str, amount: &str| {
        json!({
            "orderId": id, "customerId": "customer-42", "currency": "USD", "totalAmount": amount,
            "items": [{ "sku": "cable", "title": "Cable", "quantity": 1, "unitPrice": amount }]
        })
    };
    let post = async |id: &str, amount: &str, headers: &[(&str, &str)]| {
        let answer = shop.post_with("/orders", order(id, amount), headers).await;
        (answer.status, answer.body["currentVersion"].as_i64())
    };
    // New ones.
    assert_eq!(post("a", "5.50", &[("if-match", "*")]).await, (412, Some(0)));
    assert_eq!(post("a", "5.50", &[("if-match", "\"1\"")]).await, (412, Some(0)));
    assert_eq!(post("a", "5.50", &[("if-match", "one")]).await, (400, None));
    assert_eq!(shop.version().await, 0);
    let once = [("if-none-match", "*"), ("idempotency-key", "k-1")];
    assert_eq!(post("a", "5.50", &once).await, (201, None));
    assert_eq!(post("b", "5.50", &[("if-match", "\"0\"")]).await, (201, None));

    // One that is there.
    assert_eq!(post("a", "5.50", &[("if-none-match", "*")]).await, (412, Some(1)));
    assert_eq!(post("a", "7.50", &[("if-none-match", "*")]).await, (412, Some(1)));
    assert_eq!(post("a", "5.50", &[("if-match", "\"0\"")]).await, (412, Some(1)));
    assert_eq!(post("a", "5.50", &[("if-match", "*")]).await, (201, None));
    assert_eq!(post("a", "5.50", &[("if-match", "\"1\"")]).await, (201, None));
    // What was carried out is answered as it was.
    assert_eq!(post("a", "5.50", &once).await, (201, None));
    assert_eq!(shop.version().await, 1);
    let note = shop.post_with("/orders/a/notes", json!({ "text": "x" }), &[("if-none-match", "\"1\"")]).await;
    assert_eq!((note.status, &note.body["currentVersion"]), (412, &json!(1)));
}

#[tokio::test]
async fn a_command_that_is_meant_for_another_version_changes_nothing() {
    let shop = Shop::with_confirmed_order().await;
    let ship = async |version: &str| shop.post_with("/orders/a/ship", json!({}), &[("if-match", version)]).await;
    let old = ship("\"3\"").await;
    assert_eq!((old.status, &old.body["code"]), (412, &json!("precondition-failed")), "{}", old.body);
    assert_eq!(old.body["currentVersion"], 4);
    assert_eq!(ship("4").await.status, 400);
    assert_eq!(shop.version().await, 4);

    assert_eq!(ship("\"4\"").await.status, 202);
    let note = shop.post_with("/orders/a/notes", json!({ "text": "x" }), &[("if-match", "*")]).await;
    assert_eq!(note.status, 201);
    shop.store.close().await;
}

//! Requests under an idempotency key.

use serde_json::json;

use crate::shop::Shop;

#[tokio::test]
async fn a_request_that_comes_again_under_its_key_gets_its_first_answer_again() {
    let shop = Shop::with_confirmed_order().await;
    shop.confirm("b").await;
    // Each would be refused, or do more, without its key: what is left is sent already, and the version has moved on.
    let one = json!({ "lines": [{ "lineNumber": 1, "quantity": 1 }] });
    for (path, body, headers) in [
        ("hold", json!({ "reason": "x" }), vec![("idempotency-key", "k-1")]),
        ("release", json!({}), vec![("idempotency-key", "k-1")]),
        ("ship", one.clone(), vec![("idempotency-key", "k-1")]),
        ("ship", json!({}), vec![("idempotency-key", "k-2"), ("if-match", "\"7\"")]),
        ("deliver", json!({}), vec![("idempotency-key", "k-1")]),
        ("returns", one.clone(), vec![("idempotency-key", "k-1")]),
        ("notes", json!({ "text": "x" }), vec![("idempotency-key", "k-1")]),
        ("notes", json!({ "text": "x", "noteId": "n-1" }), vec![("idempotency-key", "k-2")]),
    ] {
        let path = format!("/orders/a/{path}");
        let first = shop.post_with(&path, body.clone(), &headers).await;
        assert!(first.status < 300, "{path}: {}", first.body);
        assert_eq!(first.header("idempotent-replayed"), "");
        let version = shop.version().await;

        let again = shop.post_with(&path, body, &headers).await;

        assert_eq!((again.status, &again.body), (first.status, &first.body), "{path}");
        for header in ["etag", "event-position", "location"] {
            assert_eq!(again.header(header), first.header(header), "{path}: {header}");
        }
        assert_eq!(again.header("idempotent-replayed"), "true");
        assert_eq!(shop.version().await, version);
    }
    // A key is for one request: neither another body nor another order.
    let key = [("idempotency-key", "k-1")];
    for (path, body) in [("/orders/a/notes", json!({ "text": "y" })), ("/orders/b/notes", json!({ "text": "x" }))] {
        let reused = shop.post_with(path, body, &key).await;
        assert_eq!((reused.status, &reused.body["code"]), (422, &json!("idempotency-key-reused")), "{path}");
    }
    shop.store.close().await;
}

#[tokio::test]
async fn the_id_that_was_made_is_answered_again_where_the_order_ended_with_what_was_made() {
    let shop = Shop::with_confirmed_order().await;
    let one = json!({ "shipmentId": "s-1", "lines": [{ "lineNumber": 1, "quantity": 1 }] });
    shop.post("/orders/a/ship", one).await;
    shop.post("/orders/a/shipments/s-1/deliver", json!({})).await;
    let rest = [1, 2].map(|line_number| json!({ "lineNumber": line_number, "quantity": 1 }));
    let (path, body, key) = ("/orders/a/cancel", json!({ "lines": rest }), [("idempotency-key", "k")]);

    let first = shop.post_with(path, body.clone(), &key).await;
    assert_eq!((first.status, shop.last_event().await.name()), (202, "OrderDelivered"));
    let again = shop.post_with(path, body, &key).await;

    assert_eq!((again.header("idempotent-replayed"), &again.body), ("true", &first.body));
    assert!(again.body["cancellationId"].is_string(), "{}", again.body);
    shop.store.close().await;
}

#[tokio::test]
async fn a_request_that_changes_nothing_takes_its_key() {
    let shop = Shop::with_confirmed_order().await;
    let note = json!({ "noteId": "n-1", "text": "x" });
    shop.post("/orders/a/notes", note.clone()).await;
    shop.post("/orders/a/notes", json!({ "noteId": "n-2", "text": "y" })).await;
    let key = [("idempotency-key", "k")];

    let first = shop.post_with("/orders/a/notes", note.clone(), &key).await;
    assert_eq!((first.status, &first.body["noteId"], &first.body["version"]), (201, &json!("n-1"), &json!(6)));
    shop.post("/orders/a/notes", json!({ "text": "z" })).await;

    let again = shop.post_with("/orders/a/notes", note, &key).await;
    assert_eq!((again.header("idempotent-replayed"), &again.body), ("true", &first.body));
    let other = shop.post_with("/orders/a/notes", json!({ "text": "another" }), &key).await;
    assert_eq!(other.status, 422);
    shop.store.close().await;
}

#[tokio::test]
async fn a_refused_command_leaves_its_key_free() {
    let shop = Shop::with_confirmed_order().await;
    let key = [("idempotency-key", "k")];
    assert_eq!(shop.post_with("/orders/a/deliver", json!({}), &key).await.status, 409);
    shop.post("/orders/a/ship", json!({})).await;
    assert_eq!(shop.post_with("/orders/a/deliver", json!({}), &key).await.status, 200);
    shop.store.close().await;
}

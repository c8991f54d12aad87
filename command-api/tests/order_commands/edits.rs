//! Edits: a preview that stores nothing, and the edit under the version that it was made from.

use axum::body::Body;
use http::Request;
use serde_json::json;

use crate::shop::Shop;

#[tokio::test]
async fn a_preview_says_what_an_edit_would_do_and_stores_nothing() {
    let shop = Shop::with_confirmed_order().await;
    let body = json!({
        "lines": [{ "lineNumber": 1, "quantity": 1 }],
        "addedLines": [{ "sku": "case", "title": "Case", "quantity": 2, "unitPrice": "7.25" }]
    });
    let preview = shop.post("/orders/a/edits/preview", body).await;
    assert_eq!((preview.status, preview.header("etag")), (200, "\"4\""), "{}", preview.body);
    let amounts = ["totalBefore", "total", "authorize", "release", "refund"].map(|name| &preview.body[name]["amount"]);
    assert_eq!(amounts, ["25.50", "30.00", "4.50", "0.00", "0.00"].map(|amount| json!(amount)).each_ref());
    assert_eq!(preview.body["lines"][2]["lineNumber"], 3);
    let less = shop.post("/orders/a/edits/preview", json!({ "lines": [{ "lineNumber": 1, "quantity": 1 }] })).await;
    assert_eq!((&less.body["release"]["amount"], &less.body["authorize"]["amount"]), (&json!("10.00"), &json!("0.00")));

    let wrong = json!({ "lines": [{ "lineNumber": 1, "quantity": 1 }, { "lineNumber": 9, "quantity": 1 }] });
    let wrong = shop.post("/orders/a/edits/preview", wrong).await;
    assert_eq!(wrong.violation(), ("/lines/1/lineNumber", "no_such_line"));
    let nothing = shop.post("/orders/a/edits/preview", json!({})).await;
    assert_eq!(nothing.violation(), ("", "changes_nothing"));
    assert_eq!(shop.version().await, 4);
    shop.store.close().await;
}

#[tokio::test]
async fn an_edit_is_taken_under_the_version_of_its_preview_and_holds_up_what_ships() {
    let shop = Shop::with_confirmed_order().await;
    let body = json!({ "editId": "e-1", "lines": [{ "lineNumber": 1, "quantity": 3 }], "reason": "one more" });
    let without = shop.post("/orders/a/edits", body.clone()).await;
    assert_eq!((without.status, &without.body["code"]), (428, &json!("precondition-required")), "{}", without.body);
    let any = shop.post_with("/orders/a/edits", body.clone(), &[("if-match", "*")]).await;
    assert_eq!(any.status, 428, "{}", any.body);
    shop.post("/orders/a/notes", json!({ "text": "x" })).await;
    let old = shop.post_with("/orders/a/edits", body.clone(), &[("if-match", "\"4\"")]).await;
    assert_eq!((old.status, &old.body["currentVersion"]), (412, &json!(5)), "{}", old.body);

    let once = [("if-match", "\"5\""), ("idempotency-key", "k")];
    let edited = shop.post_with("/orders/a/edits", body.clone(), &once).await;
    assert_eq!((edited.status, &edited.body["editId"]), (202, &json!("e-1")), "{}", edited.body);
    assert_eq!(shop.post_with("/orders/a/edits", body, &once).await.header("idempotent-replayed"), "true");
    for (path, body) in [("ship", json!({})), ("edits/preview", json!({ "discounts": [{ "amount": 1 }] }))] {
        let refused = shop.post(&format!("/orders/a/{path}"), body).await;
        assert_eq!((refused.status, &refused.body["code"]), (409, &json!("being-edited")), "{path}: {}", refused.body);
        assert_eq!(refused.body["stage"], "being edited");
    }
    // What it would refuse without the edit too does not say that it will go once the edit is over.
    for (path, body) in [
        ("deliver", json!({})),
        ("refunds", json!({})),
        ("returns", json!({ "lines": [{ "lineNumber": 1, "quantity": 1 }] })),
    ] {
        let refused = shop.post(&format!("/orders/a/{path}"), body).await;
        assert_eq!((refused.status, &refused.body["code"]), (409, &json!("not-allowed")), "{path}: {}", refused.body);
    }
    assert_eq!(shop.version().await, 6);

    // A cancellation of lines ends it.
    let cancelled = json!({ "lines": [{ "lineNumber": 2, "quantity": 1 }] });
    let cancelled = shop.post_with("/orders/a/cancel", cancelled, &[("idempotency-key", "c")]).await;
    let again = json!({ "lines": [{ "lineNumber": 2, "quantity": 1 }] });
    let again = shop.post_with("/orders/a/cancel", again, &[("idempotency-key", "c")]).await;
    assert_eq!(again.body["cancellationId"], cancelled.body["cancellationId"], "{}", again.body);
    assert_eq!(shop.version().await, 8);
    assert_eq!(shop.post("/orders/a/ship", json!({})).await.status, 202);
    shop.store.close().await;
}

#[tokio::test]
async fn an_edit_is_json() {
    let shop = Shop::with_confirmed_order().await;
    let text = Request::post("/orders/a/edits/preview").body(Body::from("{}")).unwrap();
    assert_eq!(shop.send(text).await.status, 415);
    assert_eq!(shop.post("/orders/a/edits/preview", json!([])).await.status, 400);
    shop.store.close().await;
}

//! `POST /orders/batch`: each order for itself.

use std::collections::BTreeSet;

use axum::body::Body;
use domain::order::Order;
use http::Request;
use serde_json::{Value, json};

use crate::shop::{Answer, Shop};

fn order(id: &str, price: &str) -> Value {
    json!({
        "orderId": id, "customerId": "customer-42", "currency": "USD", "totalAmount": price,
        "items": [{ "sku": "cable", "quantity": 1, "unitPrice": price }]
    })
}

async fn versions(shop: &Shop, ids: &[&str]) -> Vec<i64> {
    let mut versions = Vec::new();
    for id in ids {
        versions.push(shop.store.load::<Order>(id).await.unwrap().version);
    }
    versions
}

async fn post_text(shop: &Shop, media_type: &str, body: impl Into<Body>) -> Answer {
    let request = Request::post("/orders/batch").header("content-type", media_type);
    shop.send(request.body(body.into()).unwrap()).await
}

fn statuses(answer: &Answer) -> Vec<i64> {
    answer.body["results"].as_array().unwrap().iter().map(|result| result["status"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn a_bad_order_keeps_none_of_the_others() {
    let shop = Shop::open().await;
    assert_eq!(shop.post("/orders", order("taken", "1.00")).await.status, 201);
    let mut without_id = order("x", "1.00");
    without_id.as_object_mut().unwrap().remove("orderId");
    let mut bad = order("bad", "1.00");
    bad["items"][0]["quantity"] = json!(0);
    let batch = json!([
        order("a", "5.50"),
        bad,
        order("taken", "2.00"),
        without_id,
        7,
        order("b", "5.50"),
        order("taken", "1.00")
    ]);
    let answer = shop.post("/orders/batch", batch).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(statuses(&answer), [201, 422, 409, 422, 400, 201, 201]);
    assert_eq!((&answer.body["accepted"], &answer.body["refused"]), (&json!(3), &json!(4)));
    let results = &answer.body["results"];
    assert_eq!(results[0]["orderId"], "a");
    assert_eq!(results[0]["version"], 1);
    assert!(results[0].get("problem").is_none());
    assert_eq!(results[1]["problem"]["errors"][0]["pointer"], "/items/0/quantity");
    assert_eq!(results[2]["problem"]["code"], "order-exists");
    assert_eq!(results[2]["orderId"], "taken");
    assert_eq!(results[3]["problem"]["errors"][0]["pointer"], "/orderId");
    assert_eq!(results[6]["position"], 1, "posted again, it has the answer that it had");
    let last = [0, 5].map(|nth| results[nth]["position"].as_i64().unwrap()).into_iter().max().unwrap();
    assert_eq!(answer.header("event-position"), last.to_string());
    assert_eq!(versions(&shop, &["a", "b", "taken", "bad"]).await, [1, 1, 1, 0]);
}

#[tokio::test]
async fn a_batch_that_comes_again_stores_nothing_more() {
    let shop = Shop::open().await;
    let ids: Vec<String> = (0..100).map(|nth| format!("o-{nth}")).collect();
    let batch = Value::from(ids.iter().map(|id| order(id, "1.00")).collect::<Vec<_>>());
    let first = shop.post("/orders/batch", batch.clone()).await;
    assert_eq!(first.body["accepted"], 100, "{}", first.body);
    let again = shop.post("/orders/batch", batch.clone()).await;
    assert_eq!(again.body, first.body);
    // In one batch twice, and by two clients at once.
    let twice = json!([order("twice", "1.00"), order("twice", "1.00")]);
    let (one, other) = tokio::join!(shop.post("/orders/batch", twice.clone()), shop.post("/orders/batch", twice));
    assert_eq!([statuses(&one), statuses(&other)].concat(), [201; 4]);
    assert_eq!(one.body["results"][0]["position"], other.body["results"][1]["position"]);
    assert_eq!(versions(&shop, &["o-0", "o-99", "twice"]).await, [1, 1, 1]);
}

#[tokio::test]
async fn a_batch_may_have_an_order_a_line() {
    let shop = Shop::open().await;
    let body = format!("{}\r\n\n{{\n{}", order("a", "1.00"), order("b", "1.00"));
    let answer = post_text(&shop, "application/x-ndjson", body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(statuses(&answer), [201, 400, 201]);
    assert_eq!(versions(&shop, &["a", "b"]).await, [1, 1]);
}

#[tokio::test]
async fn of_each_order_some_violations_are_answered_and_that_there_are_more() {
    let shop = Shop::open().await;
    let flood = json!({ "orderId": "flood", "items": vec![json!({}); 500] });
    let answer = shop.post("/orders/batch", Value::from(vec![flood; 100])).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(statuses(&answer), [422; 100]);
    for result in answer.body["results"].as_array().unwrap() {
        let codes: Vec<_> = result["problem"]["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| error["code"].as_str().unwrap())
            .collect();
        assert_eq!(codes, [["required"; 10].as_slice(), &["too_many_violations"]].concat());
    }
    let ten = json!({ "orderId": "ten", "items": [{}], "a": 1, "b": 1, "c": 1, "d": 1 });
    let answer = shop.post("/orders/batch", json!([ten])).await;
    let errors = answer.body["results"][0]["problem"]["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 10, "{errors:?}");
    assert!(errors.iter().all(|error| error["code"] != "too_many_violations"), "{errors:?}");
}

#[tokio::test]
async fn what_is_no_batch_is_refused_as_a_whole() {
    let shop = Shop::open().await;
    let too_many = Value::from((0..101).map(|nth| order(&format!("o-{nth}"), "1.00")).collect::<Vec<_>>());
    for (body, status) in [
        (json!([]), 422),
        (too_many, 422),
        (json!({}), 400),
        (order("a", "1.00"), 400),
        (json!("x".repeat(300_000)), 413),
    ] {
        let answer = shop.post("/orders/batch", body).await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
    assert_eq!(post_text(&shop, "text/csv", "a").await.status, 415);
    assert_eq!(post_text(&shop, "application/json", "[{").await.status, 400);
    assert_eq!(post_text(&shop, "application/x-ndjson", "\n").await.status, 422);
    for header in ["idempotency-key", "if-match", "if-none-match"] {
        let answer = shop.post_with("/orders/batch", json!([order("a", "1.00")]), &[(header, "\"1\"")]).await;
        assert_eq!(answer.status, 400, "{}", answer.body);
        assert!(answer.body["detail"].as_str().unwrap().contains(header), "{}", answer.body);
    }
    assert_eq!(versions(&shop, &["a", "o-0"]).await, [0, 0]);
}

#[tokio::test]
async fn no_new_order_has_the_address_of_another_route() {
    let shop = Shop::open().await;
    let words = access_control::ROUTES.iter().filter_map(|route| route.path.strip_prefix("/orders/"));
    let words: BTreeSet<&str> = words.filter(|rest| !rest.contains(['{', '/'])).collect();
    assert!(words.contains("export") && words.contains("batch"), "{words:?}");
    for word in words {
        let refused = shop.post("/orders", order(word, "1.00")).await;
        assert_eq!((refused.status, &refused.body["errors"][0]["pointer"]), (422, &json!("/orderId")), "{word}");
        let answer = shop.post("/orders/batch", json!([order(word, "1.00")])).await;
        assert_eq!(statuses(&answer), [422], "{word}");
        assert_eq!(versions(&shop, &[word]).await, [0]);
    }
    assert_eq!(shop.post("/orders", order("Export", "1.00")).await.status, 201);
}

//! `POST /orders/import`: orders that another system has handled, each for itself.

use domain::order::Order;
use serde_json::{Value, json};

use crate::shop::Shop;

fn old_order(id: &str) -> Value {
    json!({
        "orderId": id, "customerId": "customer-42", "currency": "USD", "totalAmount": "1.00", "placedAt": "2024-03-01T10:30:00Z",
        "items": [{ "sku": "cable", "quantity": 1, "unitPrice": "1.00" }], "status": "delivered",
        "payments": [{ "method": "card", "amount": "1.00", "reference": "ch-1" }]
    })
}

#[tokio::test]
async fn an_order_is_imported_once_also_by_two_at_the_same_time() {
    let shop = Shop::open().await;
    let (one, other) = tokio::join!(
        shop.post("/orders/import", json!([old_order("old"), old_order("old")])),
        shop.post("/orders/import", json!([old_order("old")]))
    );
    assert_eq!((one.status, &one.body["accepted"]), (200, &json!(2)), "{}", one.body);
    assert_eq!(&other.body["accepted"], &json!(1), "{}", other.body);
    let version = shop.store.load::<Order>("old").await.unwrap().version;
    for result in one.body["results"].as_array().unwrap().iter().chain(other.body["results"].as_array().unwrap()) {
        assert_eq!(result["version"], json!(version), "{result}");
    }
}

#[tokio::test]
async fn a_bad_one_keeps_none_of_the_others_and_names_its_mistakes() {
    let shop = Shop::open().await;
    assert_eq!(shop.post("/orders", without(&["status", "placedAt"], old_order("posted"))).await.status, 201);
    let mut future = old_order("future");
    future["placedAt"] = json!("2999-01-01T00:00:00Z");
    let several = without(&["placedAt", "payments"], old_order("several"));
    let answer = shop.post("/orders/import", json!([old_order("a"), future, old_order("posted"), several])).await;
    let results = answer.body["results"].as_array().unwrap();
    let pointers = |nth: usize| -> Vec<&str> {
        let errors = results[nth]["problem"]["errors"].as_array().unwrap();
        errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect()
    };
    assert_eq!(results.iter().map(|it| it["status"].as_i64().unwrap()).collect::<Vec<_>>(), [201, 422, 409, 422]);
    assert_eq!((pointers(1), pointers(3)), (vec!["/placedAt"], vec!["/placedAt", "/payments"]));
    assert_eq!(shop.store.load::<Order>("posted").await.unwrap().version, 1);
}

#[tokio::test]
async fn an_import_takes_no_headers_of_one_order() {
    let shop = Shop::open().await;
    for header in ["idempotency-key", "if-match", "if-none-match"] {
        let answer = shop.post_with("/orders/import", json!([old_order("a")]), &[(header, "\"1\"")]).await;
        assert_eq!(answer.status, 400, "{header}: {}", answer.body);
    }
}

fn without(names: &[&str], mut order: Value) -> Value {
    for name in names {
        order.as_object_mut().unwrap().remove(*name);
    }
    order
}

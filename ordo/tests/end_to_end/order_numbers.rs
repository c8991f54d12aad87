//! Orders get numbers for people, by which they are found and called.

use access_control::Role;
use serde_json::{Value, json};
use testkit::eventually;

use crate::access::{SECRET, as_role};
use crate::support::{Client, Ordo, PATIENCE, settled, verify};

fn order(order_id: &str, email: &str) -> Value {
    json!({
        "orderId": order_id, "currency": "EUR", "totalAmount": "11.90", "customerEmail": email,
        "customer": { "name": "Ann", "locale": "de" },
        "items": [{ "sku": "mug", "title": "A mug", "quantity": 1, "unitPrice": "11.90" }],
    })
}

/// The number of an order, once it has one.
async fn number(client: &Client, order_id: &str) -> String {
    let path = format!("/orders/{order_id}");
    let read = async || client.get(&path).await.json()["orderNumber"].as_str().map(str::to_owned);
    eventually(PATIENCE, || async { read().await.is_some() }).await;
    read().await.unwrap()
}

async fn found(client: &Client, query: &str) -> Vec<String> {
    let answer = client.get(&format!("/orders?{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    let orders = answer.json()["items"].as_array().unwrap().clone();
    orders.iter().map(|order| order["orderId"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_guest_s_order_is_found_by_its_number_and_address_and_everything_calls_it_by_that() {
    // Given
    let settings = [
        ("ORDO_ORDER_NUMBERS", "A-{year}"),
        ("ORDO_SELLER_NAME", "Shop Ltd"),
        ("ORDO_SELLER_ADDRESS", "Street 1, 10115 Berlin"),
        ("ORDO_SELLER_TAX_ID", "DE123456789"),
        ("ORDO_REQUIRE_AUTH", "true"),
        ("ORDO_TOKEN_SECRET", SECRET),
    ];
    let ordo = Ordo::up(&settings).await;
    let shop = as_role(&ordo, Role::Shop);
    for (order_id, email) in [("o-1", "ann@example.com"), ("o-2", "bob@example.com")] {
        assert_eq!(shop.order(&order(order_id, email)).await.status, 201);
        settled(&shop, order_id).await;
    }

    // Then: one after the other
    let (first, second) = (number(&shop, "o-1").await, number(&shop, "o-2").await);
    assert!(first.starts_with("A-2") && first.ends_with("-000001"), "{first}");
    assert!(second.ends_with("-000002"), "{second}");

    // Found by it
    let support = as_role(&ordo, Role::Support);
    assert_eq!(found(&support, &format!("orderNumber={first}&email=ANN@example.com")).await, ["o-1"]);
    assert_eq!(found(&support, &format!("orderNumber={}", second.to_lowercase())).await, ["o-2"]);
    assert!(found(&support, &format!("orderNumber={first}&email=bob@example.com")).await.is_empty());
    assert!(found(&support, "orderNumber=A-1").await.is_empty());
    assert_eq!(found(&support, &format!("q={first} ann").replace(' ', "%20")).await, ["o-1"]);
    assert_eq!(
        support.get(&format!("/orders?orderNumber={first}&fields=orderNumber")).await.json()["items"],
        json!([{ "orderNumber": first }])
    );

    // In the timeline, and on the invoice
    let events = shop.get("/orders/o-1/events").await.json();
    let numbered = events["items"].as_array().unwrap().iter().find(|it| it["type"] == "OrderNumbered");
    assert_eq!(numbered.unwrap()["data"]["orderNumber"], json!(first), "{events}");
    let shipped = shop.post("/orders/o-1/ship", "application/json", "{}".to_owned()).await;
    assert!(shipped.status < 300, "{}", shipped.text());
    let documents = async || shop.get("/orders/o-1/documents").await.json()["items"].clone();
    eventually(PATIENCE, || async { documents().await.as_array().is_some_and(|all| all.len() == 1) }).await;
    let document = documents().await[0]["documentId"].as_str().unwrap().to_owned();
    assert_eq!(shop.get(&format!("/orders/o-1/documents/{document}")).await.json()["orderNumber"], json!(first));

    // And all of it agrees.
    let told = verify(&ordo.database).await;
    assert_eq!((&told["ok"], &told["orderNumbers"]), (&json!(true), &json!(2)), "{told}");
}

#[tokio::test]
async fn without_the_setting_orders_get_no_numbers() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    assert_eq!(client.order(&order("o-1", "ann@example.com")).await.status, 201);
    settled(&client, "o-1").await;
    assert_eq!(client.get("/orders/o-1").await.json()["orderNumber"], Value::Null);
    let told = verify(&ordo.database).await;
    assert_eq!((&told["ok"], &told["orderNumbers"]), (&json!(true), &json!(0)), "{told}");
}

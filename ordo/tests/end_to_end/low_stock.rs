//! A SKU that runs low by orders and recovers, who has it reserved, and an order in exchange for another.

use serde_json::{Value, json};

use crate::support::{Client, Ordo, PATIENCE, at_rest, order_of, settled};

async fn ask(client: &Client, path: &str, body: Value) -> Value {
    let answer = client.post(path, "application/json", body.to_string()).await;
    assert!((200..300).contains(&answer.status), "{path}: {}", answer.text());
    answer.json()
}

async fn low(client: &Client, position: &Value) -> Vec<Value> {
    let listed = client.get(&format!("/stock?low=true&minPosition={position}")).await.json();
    listed["items"].as_array().unwrap().iter().map(|it| it["sku"].clone()).collect()
}

#[tokio::test]
async fn orders_bring_a_sku_below_its_threshold_once_and_a_receipt_brings_it_back() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    // Given
    client.receive("mug", 5).await;
    let set = ask(&client, "/stock/mug/low-stock", json!({ "threshold": 4 })).await;
    assert!(low(&client, &set["position"]).await.is_empty());
    // When
    for id in ["first", "second", "third"] {
        client.order(&order_of(id, None, &[("mug", 1)])).await;
        assert_eq!(settled(&client, id).await["status"], "confirmed");
    }
    // Then
    let told = at_rest(&ordo.database, 3, PATIENCE).await;
    assert_eq!(low(&client, &told["position"]).await, ["mug"]);
    let reserved = client.get("/stock/mug/reservations?limit=2").await.json();
    let ids =
        |page: &Value| page["items"].as_array().unwrap().iter().map(|it| it["orderId"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&reserved), ["first", "second"]);
    // Three orders, the threshold, the receipt, and one crossing.
    assert_eq!(reserved["version"], 6);
    let next = format!("/stock/mug/reservations?limit=2&cursor={}", reserved["cursor"].as_str().unwrap());
    let rest = client.get(&next).await.json();
    assert_eq!((ids(&rest), &rest["cursor"]), (vec![json!("third")], &json!(null)));

    // When
    let received = ask(&client, "/stock/mug/receive", json!({ "quantity": 3 })).await;
    // Then
    assert_eq!(received["version"], 8, "with the event that says so");
    assert!(low(&client, &received["position"]).await.is_empty());
    assert_eq!(client.get("/stock/mug").await.json()["lowStock"], json!({ "threshold": 4, "low": false }));
    let metrics = client.get("/metrics").await.text();
    for became in ["low", "recovered"] {
        let line = format!("ordo_stock_low_crossings_total{{became=\"{became}\"}} 1");
        assert!(metrics.lines().any(|it| it == line), "{line}: {metrics}");
    }
}

#[tokio::test]
async fn an_order_in_exchange_for_another_says_so_and_is_found_by_it() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    client.order(&order_of("bought", None, &[("mug", 1)])).await;
    settled(&client, "bought").await;
    ask(&client, "/orders/bought/ship", json!({})).await;
    ask(&client, "/orders/bought/returns", json!({ "returnId": "r-1", "lines": [{ "lineNumber": 1, "quantity": 1 }] }))
        .await;
    let exchange = json!({ "orderId": "bought", "returnId": "r-1" });
    let mut other = order_of("other", None, &[("cup", 1)]);
    other["exchangeFor"] = exchange.clone();
    client.order(&other).await;
    let shown = settled(&client, "other").await;
    assert_eq!((&shown["status"], &shown["exchangeFor"]), (&json!("confirmed"), &exchange));
    let found = client.get("/orders?exchangeFor=bought").await.json();
    let ids: Vec<_> = found["items"].as_array().unwrap().iter().map(|it| &it["orderId"]).collect();
    assert_eq!(ids, ["other"]);
    let events = client.get("/orders/other/events?limit=1").await.json();
    assert_eq!(events["items"][0]["data"]["exchangeFor"], exchange);
    let itself = client.post("/orders", "application/json", {
        let mut own = order_of("own", None, &[("cup", 1)]);
        own["exchangeFor"] = json!({ "orderId": "own", "returnId": "r" });
        own.to_string()
    });
    let refused = itself.await;
    assert_eq!((refused.status, &refused.json()["errors"][0]["pointer"]), (422, &json!("/exchangeFor/orderId")));
}

//! Units that are sold before they are on hand: up to a limit, and shipped in the order in which they were sold.

use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};
use testkit::eventually;

use crate::support::{Client, Ordo, PATIENCE, at_rest, order_of, settled};

const EXPECTED: &str = "2030-01-15T08:00:00Z";

async fn ask(client: &Client, path: &str, body: Value) -> (u16, Value) {
    let answer = client.post(path, "application/json", body.to_string()).await;
    (answer.status, answer.json())
}

/// The status of the order once it is settled, and how many of its units wait.
async fn ordered(client: &Client, id: &str, quantity: u32) -> (Value, Value) {
    client.order(&order_of(id, None, &[("console", quantity)])).await;
    let order = settled(client, id).await;
    (order["status"].clone(), order["backorders"][0]["quantity"].clone())
}

#[tokio::test]
async fn what_is_not_there_yet_is_sold_and_ships_when_it_came_first_come_first_served() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    // Given a SKU of which three may be sold ahead
    let ahead = json!({ "limit": 3, "availableAt": EXPECTED });
    assert_eq!(ask(&client, "/stock/console/backorder", ahead.clone()).await.0, 409, "it is not tracked");
    client.receive("console", 1).await;
    assert_eq!(ask(&client, "/stock/console/backorder", ahead.clone()).await.0, 200);
    let wrong = ask(&client, "/stock/console/backorder", json!({ "limit": -1, "availableAt": "soon" })).await;
    let pointers =
        |it: &Value| it["errors"].as_array().unwrap().iter().map(|it| it["pointer"].clone()).collect::<Vec<_>>();
    assert_eq!((wrong.0, pointers(&wrong.1)), (422, vec![json!("/limit"), json!("/availableAt")]));

    // When more is ordered than there is
    assert_eq!(ordered(&client, "first", 3).await, (json!("confirmed"), json!(2)));
    assert_eq!(ordered(&client, "second", 1).await, (json!("confirmed"), json!(1)));
    assert_eq!(ordered(&client, "too-much", 1).await.0, "rejected");
    // Then the orders say what waits until when, and so does the SKU.
    let first = client.get("/orders/first").await.json();
    let waits = json!([{ "sku": "console", "quantity": 2, "availableAt": EXPECTED, "location": "default" }]);
    assert_eq!(first["backorders"], waits);
    let sku = client.get("/stock/console").await.json();
    assert_eq!((&sku["available"], &sku["onHand"], &sku["reserved"]), (&json!(-3), &json!(1), &json!(4)));
    assert_eq!(sku["backorder"], json!({ "limit": 3, "availableAt": EXPECTED, "location": "default" }));

    // When it is to be shipped before it is there
    let (status, refused) = ask(&client, "/orders/first/ship", json!({})).await;
    // Then the answer says so, and what is there can be shipped.
    assert_eq!((status, &refused["sku"], &refused["onHand"]), (409, &json!("console"), &json!(1)), "{refused}");
    assert!(refused["type"].as_str().unwrap().ends_with("backordered"), "{refused}");
    assert_eq!(refused["availableAt"], EXPECTED);
    let one = json!({ "lines": [{ "lineNumber": 1, "quantity": 1 }] });
    let under_a_key = [("content-type", "application/json"), ("idempotency-key", "one")];
    let ship_one = || client.send_with(Method::POST, "/orders/first/ship", &under_a_key, one.to_string());
    let shipped = ship_one().await;
    assert_eq!(shipped.status, 202);
    // Sent again after a lost answer, it is answered as before, though no more is there.
    assert_eq!(ship_one().await.json(), shipped.json());
    assert_eq!(ask(&client, "/orders/first/ship", one.clone()).await.0, 409);

    // When some of it comes
    client.receive("console", 2).await;
    // Then the first is served, and the second waits on.
    assert_eq!(ask(&client, "/orders/second/ship", json!({})).await.0, 409);
    assert_eq!(ask(&client, "/orders/first/ship", json!({})).await.0, 202);
    // When the rest comes
    client.receive("console", 1).await;
    assert_eq!(ask(&client, "/orders/second/ship", json!({})).await.0, 202);
    eventually(PATIENCE, || async {
        let sku = client.get("/stock/console").await.json();
        ["onHand", "reserved", "sold"].map(|of| sku[of].clone()) == [json!(0), json!(0), json!(4)]
    })
    .await;
    assert!(client.get("/orders/first").await.json().get("backorders").is_none());

    // When no more may be sold ahead
    assert_eq!(ask(&client, "/stock/console/backorder", json!({ "limit": 0 })).await.0, 200);
    assert_eq!(ordered(&client, "too-late", 1).await.0, "rejected");
    assert!(client.get("/stock/console").await.json().get("backorder").is_none());
    at_rest(&ordo.database, 4, PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_is_sold_ahead_than_may_be_whatever_is_ordered_at_once() {
    const ORDERS: usize = 60;
    let ordo = Ordo::up(&[("ORDO_LOG", "warn")]).await;
    let client = ordo.client();
    client.receive("console", 7).await;
    assert_eq!(ask(&client, "/stock/console/backorder", json!({ "limit": 10 })).await.0, 200);
    let post = |nth: usize| {
        let client = &client;
        async move { client.order(&order_of(&format!("o-{nth}"), None, &[("console", 2)])).await.status }
    };
    assert!(join_all((0..ORDERS).map(post)).await.iter().all(|status| *status == 201));
    let told = at_rest(&ordo.database, ORDERS, PATIENCE).await;
    // Seven and ten are enough for eight orders of two.
    assert_eq!((&told["sagas"]["completed"], &told["sagas"]["compensated"]), (&json!(8), &json!(ORDERS - 8)));
    let sku = client.get(&format!("/stock/console?minPosition={}", told["position"])).await.json();
    assert_eq!((&sku["reserved"], &sku["available"]), (&json!(16), &json!(-9)));
}

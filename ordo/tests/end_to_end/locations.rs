//! Stock at several locations: where orders are served from, and that no location sells more than it has.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use testkit::eventually;

use crate::support::{Client, Ordo, PATIENCE, at_rest, order_of, settled};

const BOUND: Duration = Duration::from_secs(120);

async fn ask(client: &Client, path: &str, body: Value) -> Value {
    let answer = client.post(path, "application/json", body.to_string()).await;
    assert!(matches!(answer.status, 200..=202), "{path}: {}", answer.text());
    answer.json()
}

async fn receive(client: &Client, sku: &str, quantity: usize, location: &str) {
    ask(client, &format!("/stock/{sku}/receive"), json!({ "quantity": quantity, "location": location })).await;
}

/// Of each location that has any of a SKU: on hand, and reserved.
async fn levels(client: &Client, sku: &str, position: &Value) -> BTreeMap<String, (i64, i64)> {
    let shown = client.get(&format!("/stock/{sku}?minPosition={position}")).await.json();
    let number = |it: &Value, of: &str| it[of].as_i64().unwrap();
    let level = |it: &Value| {
        assert_eq!(number(it, "available"), number(it, "onHand") - number(it, "reserved"), "{it}");
        (it["location"].as_str().unwrap().to_owned(), (number(it, "onHand"), number(it, "reserved")))
    };
    shown["locations"].as_array().unwrap_or_else(|| panic!("{shown}")).iter().map(level).collect()
}

/// Where an order's units are: SKU, location, units, and those that were sent.
fn allocations(order: &Value) -> Vec<(&str, &str, u64, u64)> {
    let rows = order["allocations"].as_array().unwrap_or_else(|| panic!("{order}"));
    fn row(it: &Value) -> (&str, &str, u64, u64) {
        let number = |of: &str| it[of].as_u64().unwrap();
        (it["sku"].as_str().unwrap(), it["location"].as_str().unwrap(), number("quantity"), number("shipped"))
    }
    rows.iter().map(row).collect()
}

#[tokio::test]
async fn an_order_over_two_locations_ships_in_two_shipments_and_completes() {
    // Given a location that is preferred, and that has not everything
    let ordo = Ordo::up(&[("ORDO_LOCATIONS", "hamburg,berlin")]).await;
    let client = ordo.client();
    for (sku, quantity, location) in [("mug", 1, "hamburg"), ("mug", 9, "berlin"), ("tea", 3, "ulm")] {
        receive(&client, sku, quantity, location).await;
    }
    // When one location can serve everything
    client.order(&order_of("whole", None, &[("mug", 1)])).await;
    // Then it does, the preferred one first.
    let whole = settled(&client, "whole").await;
    assert_eq!(allocations(&whole), [("mug", "hamburg", 1, 0)]);

    // When none can
    client.order(&order_of("split", None, &[("mug", 2), ("tea", 3)])).await;
    // Then it comes from as few as possible.
    let split = settled(&client, "split").await;
    assert_eq!(split["status"], "confirmed");
    assert_eq!(allocations(&split), [("mug", "berlin", 2, 0), ("tea", "ulm", 3, 0)]);

    // When each location sends what it has
    let ulm = json!({ "lines": [{ "lineNumber": 1, "quantity": 1 }], "location": "ulm" }).to_string();
    let refused = client.post("/orders/split/ship", "application/json", ulm).await;
    assert_eq!((refused.status, refused.pointers()), (422, vec!["/lines/0/quantity".to_owned()]));
    for location in ["berlin", "ulm"] {
        ask(&client, "/orders/split/ship", json!({ "shipmentId": location, "location": location })).await;
    }
    eventually(PATIENCE, || async {
        let split = client.get("/orders/split").await.json();
        let shipments = split["shipments"].as_array().unwrap();
        shipments.len() == 2 && shipments.iter().all(|it| it["settled"] == true)
    })
    .await;
    let delivered = ask(&client, "/orders/split/deliver", json!({})).await;
    // Then the order is complete, and the units have left the shelves where they were.
    let split = client.get(&format!("/orders/split?minPosition={}", delivered["position"])).await.json();
    assert_eq!((&split["status"], &split["fulfilmentStatus"]), (&json!("completed"), &json!("delivered")));
    assert_eq!(allocations(&split), [("mug", "berlin", 2, 2), ("tea", "ulm", 3, 3)]);
    let from =
        |shipments: &Value| shipments.as_array().unwrap().iter().map(|it| it["location"].clone()).collect::<Vec<_>>();
    assert_eq!(from(&split["shipments"]), ["berlin", "ulm"]);
    assert_eq!(from(&client.get("/orders/split/shipments").await.json()["items"]), ["berlin", "ulm"]);
    let expected = BTreeMap::from([("berlin".to_owned(), (7, 0)), ("hamburg".to_owned(), (1, 1))]);
    assert_eq!(levels(&client, "mug", &delivered["position"]).await, expected);

    // When some of it comes back for sale
    let one = json!([{ "lineNumber": 1, "quantity": 1 }]);
    ask(&client, "/orders/split/returns", json!({ "returnId": "r", "lines": one })).await;
    let good = json!([{ "lineNumber": 1, "quantity": 1, "condition": "sellable", "restock": true }]);
    let back = ask(&client, "/orders/split/returns/r/receive", json!({ "lines": good })).await;
    // Then it is where it came from.
    assert_eq!(levels(&client, "mug", &back["position"]).await["berlin"], (8, 0));
    // Or where somebody says that it is.
    ask(&client, "/orders/split/returns", json!({ "returnId": "r-2", "lines": one })).await;
    let back = ask(&client, "/orders/split/returns/r-2/receive", json!({ "lines": good, "location": "halle" })).await;
    assert_eq!(levels(&client, "mug", &back["position"]).await["halle"], (1, 0));
    let split = client.get(&format!("/orders/split?minPosition={}", back["position"])).await.json();
    assert_eq!(split["returns"][1]["receipts"][0]["location"], "halle", "{split}");
    ask(&client, "/stock/mug/adjust", json!({ "delta": -1, "reason": "broken", "location": "halle" })).await;

    // When one shipment takes units from several
    client.order(&order_of("at-once", None, &[("mug", 1), ("tea", 1)])).await;
    assert_eq!(settled(&client, "at-once").await["status"], "rejected", "there is no tea left");
    receive(&client, "tea", 1, "ulm").await;
    client.order(&order_of("both", None, &[("mug", 1), ("tea", 1)])).await;
    settled(&client, "both").await;
    let shipped = ask(&client, "/orders/both/ship", json!({})).await;
    // Then it says what came from where.
    let both = client.get(&format!("/orders/both?minPosition={}", shipped["position"])).await.json();
    let units = |sku: &str, location: &str| json!({ "sku": sku, "location": location, "quantity": 1 });
    let expected = json!([units("mug", "berlin"), units("tea", "ulm")]);
    assert_eq!((&both["shipments"][0]["allocations"], both["shipments"][0].get("location")), (&expected, None));
    eventually(PATIENCE, || async { client.get("/orders/both").await.json()["shipments"][0]["settled"] == true }).await;
    receive(&client, "mug", 1, "berlin").await;

    // When units are moved, as far as they are not promised
    let all = json!({ "from": "hamburg", "to": "ulm", "quantity": 1 }).to_string();
    client.post("/stock/mug/transfer", "application/json", all).await.problem(409);
    let moved = ask(&client, "/stock/mug/transfer", json!({ "from": "berlin", "to": "ulm", "quantity": 8 })).await;
    // Then they are there.
    let expected = BTreeMap::from([("hamburg".to_owned(), (1, 1)), ("ulm".to_owned(), (8, 0))]);
    assert_eq!(levels(&client, "mug", &moved["position"]).await, expected);
    at_rest(&ordo.database, 4, PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_location_sells_more_than_it_has_whatever_is_ordered_at_once() {
    const ORDERS: usize = 200;
    let ordo = Ordo::up(&[("ORDO_LOG", "warn"), ("ORDO_LOCATIONS", "berlin")]).await;
    let client = ordo.client();
    let units = BTreeMap::from([("berlin", 15), ("hamburg", 11), ("ulm", 9)]);
    for (location, quantity) in &units {
        receive(&client, "last-ones", *quantity, location).await;
    }

    // Two each: the odd ones are left for orders over two locations.
    let post = |n: usize| {
        let client = &client;
        async move {
            for nth in (n..ORDERS).step_by(20) {
                let answer = client.order(&order_of(&format!("sale-{nth}"), None, &[("last-ones", 2)])).await;
                assert_eq!(answer.status, 201, "{}", answer.text());
            }
        }
    };
    join_all((0..20).map(post)).await;

    let told = at_rest(&ordo.database, ORDERS, BOUND).await;
    assert_eq!((&told["sagas"]["completed"], &told["sagas"]["compensated"]), (&json!(17), &json!(ORDERS - 17)));
    let mut allocated = BTreeMap::<String, i64>::new();
    let mut split = 0;
    for nth in 0..ORDERS {
        let order = client.get(&format!("/orders/sale-{nth}?minPosition={}", told["position"])).await.json();
        if order["status"] != "confirmed" {
            assert_eq!(order["status"], "rejected", "{order}");
            continue;
        }
        let rows = allocations(&order);
        assert_eq!(rows.iter().map(|row| row.2).sum::<u64>(), 2, "{order}");
        split += usize::from(rows.len() > 1);
        for (_, location, quantity, _) in rows {
            *allocated.entry(location.to_owned()).or_default() += i64::try_from(quantity).unwrap();
        }
    }
    let levels = levels(&client, "last-ones", &told["position"]).await;
    for (location, quantity) in units {
        let (on_hand, reserved) = levels[location];
        assert_eq!((usize::try_from(on_hand).unwrap(), reserved), (quantity, allocated[location]), "{location}");
    }
    assert_eq!((allocated.values().sum::<i64>(), split), (34, 1), "{allocated:?}");
}

#[tokio::test]
async fn what_names_no_location_is_as_ever() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    client.receive("plain", 3).await;
    client.order(&order_of("o", None, &[("plain", 1)])).await;
    let order = settled(&client, "o").await;
    assert!(order.get("allocations").is_none(), "{order}");
    let stock = client.get("/stock/plain").await.json();
    assert!(stock.get("locations").is_none() && stock.get("named").is_none(), "{stock}");
    // The default location may be named, and comes first once there is another.
    receive(&client, "plain", 1, "default").await;
    let received = ask(&client, "/stock/plain/receive", json!({ "quantity": 5, "location": "berlin" })).await;
    let expected = BTreeMap::from([("berlin".to_owned(), (5, 0)), ("default".to_owned(), (4, 1))]);
    assert_eq!(levels(&client, "plain", &received["position"]).await, expected);

    let body = json!({ "quantity": 1, "location": "Halle 3" }).to_string();
    let refused = client.post("/stock/plain/receive", "application/json", body).await;
    refused.problem(422);
    assert_eq!(refused.pointers(), ["/location"]);
}

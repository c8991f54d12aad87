//! A shop that moves here brings its orders: they are as they were, and nothing is done for them.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Ordo, PATIENCE, folder, run, settled, verify};

const STATUSES: [&str; 4] = ["confirmed", "shipped", "delivered", "cancelled"];

fn old_order(id: &str, status: &str) -> Value {
    json!({
        "orderId": id, "customerId": "customer-42", "customerEmail": "customer-42@example.com", "currency": "USD",
        "totalAmount": "20.00", "placedAt": "2024-03-01T10:30:00Z", "status": status,
        "items": [{ "sku": "cup", "quantity": 2, "unitPrice": "10.00" }],
        "payments": [{ "method": "card", "amount": "20.00", "reference": format!("ch-{id}") }]
    })
}

async fn sql_count(database: &str, query: &str) -> i64 {
    let pool = sqlx::PgPool::connect(database).await.unwrap();
    let count = sqlx::query_scalar(query).fetch_one(&pool).await.unwrap();
    pool.close().await;
    count
}

#[tokio::test]
async fn imported_orders_are_as_they_were_and_nothing_is_done_for_them() {
    // Given a SKU that is counted.
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    client.receive("cup", 5).await;

    // When
    let orders: Vec<Value> = STATUSES.iter().map(|status| old_order(&format!("old-{status}"), status)).collect();
    let bad = [old_order("bad", "lost"), json!({ "orderId": "bad" })];
    let posted: Value = orders.iter().chain(&bad).cloned().collect();
    let answer = client.try_post("/orders/import", &posted).await.unwrap();

    // Then
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    assert_eq!((&answer["accepted"], &answer["refused"]), (&json!(4), &json!(2)), "{answer}");
    let again = client.try_post("/orders/import", &Value::from(orders)).await.unwrap().json();
    assert_eq!((&again["accepted"], &again["results"][2]["version"]), (&json!(4), &answer["results"][2]["version"]));
    let seen = async |id: &str| {
        let position = answer["results"].as_array().unwrap().iter().filter_map(|it| it["position"].as_i64()).max();
        let order = client.get(&format!("/orders/{id}?minPosition={}", position.unwrap())).await.json();
        ["status", "paymentStatus", "fulfilmentStatus", "source"].map(|name| order[name].as_str().unwrap().to_owned())
    };
    assert_eq!(seen("old-confirmed").await, ["confirmed", "authorized", "none", "import"]);
    assert_eq!(seen("old-shipped").await[..3], ["confirmed", "captured", "shipped"]);
    assert_eq!(seen("old-delivered").await[..3], ["completed", "captured", "delivered"]);
    assert_eq!(seen("old-cancelled").await[..1], ["cancelled"]);

    // And nothing comes of it: the sagas have passed them once an order behind them is settled.
    let mut new = testkit::demo_order("new-1");
    new["items"][0]["sku"] = json!("not-counted");
    assert_eq!(client.order(&new).await.status, 201);
    settled(&client, "new-1").await;
    let mails = "select count(*) from notification_deliveries where order_id like 'old-%'";
    assert_eq!(sql_count(&ordo.database, mails).await, 0);
    let moved = "select count(*) from events where aggregate_type = 'stock' and aggregate_id = 'cup'";
    assert_eq!(sql_count(&ordo.database, moved).await, 1);
    let asked = "select count(*) from sandbox_payments where order_id like 'old-%'";
    assert_eq!(sql_count(&ordo.database, asked).await, 0);
    let sagas = client.get("/sagas").await.json();
    assert!(!sagas.to_string().contains("old-"), "{sagas}");

    // They count as sold when they were placed.
    let sales = async || client.get("/sales?day=2024-03-01").await.text().to_owned();
    testkit::eventually(PATIENCE, || async { sales().await.contains("completed") }).await;
    let verified = verify(&ordo.database).await;
    assert_eq!(verified["ok"], true, "{verified}");
}

#[tokio::test]
async fn a_file_of_orders_is_imported_once_however_often() {
    let (ordo, folder) = (Ordo::up(&[]).await, folder());
    let file = folder.path().join("orders.ndjson");
    let lines: Vec<String> =
        (0..250).map(|nth| old_order(&format!("old-{nth}"), STATUSES[nth % STATUSES.len()]).to_string()).collect();
    fs::write(&file, format!("{}\n{{\"orderId\": \"bad\"}}\n", lines[..150].join("\n"))).unwrap();
    let database = [("DATABASE_URL", ordo.database.as_str())];
    let import = ["order", "import", file.to_str().unwrap(), "--json"];

    let first = run(&import, &database).await;
    assert_eq!(first.code, 1, "{first:?}");
    assert!(first.err.contains("line 151: "), "{first:?}");
    assert_eq!(
        serde_json::from_str::<Value>(&first.out).unwrap(),
        json!({ "imported": 150, "known": 0, "refused": 1 })
    );

    fs::write(&file, lines.join("\n")).unwrap();
    let second = run(&import, &database).await;
    assert_eq!((second.code, second.err.as_str()), (0, ""), "{second:?}");
    assert_eq!(
        serde_json::from_str::<Value>(&second.out).unwrap(),
        json!({ "imported": 100, "known": 150, "refused": 0 })
    );

    // An array is told from orders line by line before any of it is imported.
    fs::write(&file, format!("[{},\n{}]\n", lines[0], lines[1])).unwrap();
    let array = run(&import, &database).await;
    assert!(array.code == 1 && array.err.contains("the file is a JSON array"), "{array:?}");

    // Nobody is mailed about them, wherever the sagas' batches of events ended.
    let client = ordo.client();
    assert_eq!(client.order(&testkit::demo_order("new-1")).await.status, 201);
    settled(&client, "new-1").await;
    let mails = "select count(*) from notification_deliveries where order_id like 'old-%'";
    let told = "select count(*) from notification_deliveries where order_id = 'new-1'";
    testkit::eventually(PATIENCE, || async { sql_count(&ordo.database, told).await == 1 }).await;
    assert_eq!(sql_count(&ordo.database, mails).await, 0);
}

//! Streams of other kinds that others keep in the same log.

use std::fs;

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use testkit::demo_order;

use crate::support::{Ordo, folder, run, settled, verify};

#[tokio::test]
async fn foreign_streams_are_kept_with_the_log_and_are_nobodys_business() {
    // Given: accounts that others keep beside orders.
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    let mut others = PgConnection::connect(&ordo.database).await.unwrap();
    for order in ["a", "b"] {
        client.order(&demo_order(order)).await;
        let insert =
            "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                      select 'account', $1, generate_series(1, 3), 'OrderCreated', '1.0', '{\"secret\":1}', '{}'";
        sqlx::query(insert).bind(order).execute(&mut others).await.unwrap();
        settled(&client, order).await;
    }
    let from = [("DATABASE_URL", ordo.database.as_str())];

    // Then: they are counted, and nothing is found to be wrong with them, sealed and compared with a head, too.
    let told = verify(&ordo.database).await;
    assert_eq!((&told["ok"], &told["orders"]), (&json!(true), &json!(2)), "{told}");
    assert_eq!(told["foreign"], json!({ "events": 6, "streams": 2 }));
    let sealed = run(&["verify", "--seal", "--json"], &from).await;
    let sealed: Value = serde_json::from_str(&sealed.out).unwrap();
    assert_eq!(sealed["log"]["notSealed"], 0, "{sealed}");
    let head = sealed["log"]["head"].as_str().unwrap();
    let compared = run(&["verify", "--head", head], &from).await;
    assert_eq!(compared.code, 0, "{compared:?}");
    assert!(compared.out.contains("6 events of 2 foreign streams"), "{}", compared.out);

    // Then: whoever follows the log passes over them, and clients do not see them.
    let last = told["position"].as_i64().unwrap();
    assert_eq!(client.get(&format!("/orders/b?minPosition={last}")).await.status, 200);
    let tail = ["tail", "--api", &ordo.api, "--after", "0", "--type", "OrderCreated", "--limit", "2", "--json"];
    let seen = run(&tail, &from).await.out;
    assert_eq!(seen.lines().count(), 2, "{seen}");
    assert!(!seen.contains("account") && !seen.contains("secret"), "{seen}");
    client.get("/events/stream?streamType=account").await.problem(422);

    // Then: they are exported and imported as they are.
    let folder = folder();
    let file = folder.path().join("log.ndjson");
    let exported = run(&["events", "export", "--out", file.to_str().unwrap()], &from).await;
    assert_eq!(exported.code, 0, "{exported:?}");
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().filter(|line| line.contains("account")).count(), 6);
    let other = testkit::durable_database().await;
    let to = [("DATABASE_URL", other.url())];
    assert_eq!(run(&["migrate"], &to).await.code, 0);
    let imported = run(&["events", "import", file.to_str().unwrap()], &to).await;
    assert_eq!(imported.code, 0, "{imported:?}");
    assert_eq!(run(&["events", "export"], &to).await.out, text);
}

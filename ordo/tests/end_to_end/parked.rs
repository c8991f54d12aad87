//! `ordo subscriptions`: an operator finds out what hangs, and repairs it.

use serde_json::Value;
use sqlx::{Connection, PgConnection};
use testkit::{demo_order, eventually};

use crate::support::{Finished, Ordo, PATIENCE, run, settled};

#[tokio::test]
async fn an_operator_sees_what_is_parked_and_has_it_retried_or_skipped() {
    // Given: an order whose view was spoilt, so that nothing more can be shown of it.
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    for order in ["mended", "skipped"] {
        client.order(&demo_order(order)).await;
        settled(&client, order).await;
    }
    let mut database = PgConnection::connect(&ordo.database).await.unwrap();
    for order in ["mended", "skipped"] {
        let spoil = "update read_model_orders set item = json_build_object('was', item) where pk = $1 and sk = '#META'";
        sqlx::query(spoil).bind(format!("ORDER#{order}")).execute(&mut database).await.unwrap();
        let again = "insert into events
            (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
            values ('order', $1, 6, 'OrderConfirmed', '1.0', '{\"OrderConfirmed\":{}}', '{}')";
        sqlx::query(again).bind(order).execute(&mut database).await.unwrap();
    }

    // Then: it is told what hangs, and why.
    eventually(PATIENCE, || async { parked(&ordo).await.len() == 2 }).await;
    let all = parked(&ordo).await;
    assert_eq!((&all[0]["streamId"], &all[0]["version"]), (&Value::from("mended"), &Value::from(6)));
    assert!(all[0]["error"].as_str().unwrap().contains("missing field"), "{all:?}");
    let list: Value = serde_json::from_str(&ask(&ordo, &["list", "--json"]).await.out).unwrap();
    let orders = list["subscriptions"].as_array().unwrap().iter().find(|row| row["name"] == "orders").unwrap();
    assert_eq!((&orders["parked"], &orders["lagEvents"]), (&Value::from(2), &Value::from(0)));
    assert_eq!(orders["owners"][0]["partitions"].as_array().unwrap().len(), 16);
    let answered = client.get("/subscriptions").await.json();
    let row = answered["items"].as_array().unwrap().iter().find(|row| row["name"] == "orders").unwrap();
    for field in ["parked", "position", "owners", "stops"] {
        assert_eq!(row[field], orders[field], "{field}");
    }
    let shown = ask(&ordo, &["list"]).await.out;
    assert!(shown.contains("0 events and 0.0 s behind, 2 parked"), "{shown}");
    let shown = ask(&ordo, &["parked", "orders"]).await.out;
    assert!(shown.starts_with("orders  mended  OrderConfirmed, version 6 at position"), "{shown}");

    // When it is retried without anything being mended, then it says so.
    let retried = ask(&ordo, &["retry", "orders", "mended"]).await;
    assert_eq!(retried.code, 1);
    assert!(retried.err.starts_with("ordo: mended stays parked at position"), "{}", retried.err);

    // When the one is mended and retried, and the other skipped, then both go on.
    let mend = "update read_model_orders set item = item -> 'was' where pk = 'ORDER#mended' and sk = '#META'";
    sqlx::query(mend).execute(&mut database).await.unwrap();
    for (verb, order) in [("retry", "mended"), ("skip", "skipped")] {
        let done = ask(&ordo, &[verb, "orders", order]).await;
        let expected = format!("{order} goes on: orders has nothing of it parked any more\n");
        assert_eq!((done.code, done.out), (0, expected), "{}", done.err);
    }
    assert_eq!(client.get("/orders/mended").await.json()["version"], 6);
    assert!(parked(&ordo).await.is_empty());

    // What is not there is said to be so.
    for (line, error) in [
        (
            ["retry", "order", "mended"],
            "ordo: there is no subscription order; there are: order_fulfilment, orders, sales, stock, webhooks\n",
        ),
        (["skip", "orders", "mended"], "ordo: nothing of stream mended is parked in orders\n"),
    ] {
        let refused = ask(&ordo, &line).await;
        assert_eq!((refused.code, refused.err.as_str()), (1, error));
    }
}

async fn ask(ordo: &Ordo, arguments: &[&str]) -> Finished {
    run(&[&["subscriptions"], arguments].concat(), &[("DATABASE_URL", &ordo.database)]).await
}

async fn parked(ordo: &Ordo) -> Vec<Value> {
    let told = ask(ordo, &["parked", "--json"]).await;
    let answer: Value = serde_json::from_str(&told.out).unwrap();
    answer["parked"].as_array().unwrap().iter().filter(|row| row["subscription"] == "orders").cloned().collect()
}

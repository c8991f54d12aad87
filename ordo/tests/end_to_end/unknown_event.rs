//! An event that this build does not know, such as a later build wrote before it was taken back: whoever follows it stops, and
//! says so everywhere an operator looks; all others go on.

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use testkit::{demo_order, eventually};

use crate::support::{Client, Ordo, PATIENCE, run, settled};

#[tokio::test]
async fn an_event_that_is_not_known_stops_those_who_follow_it_and_shows_until_it_is_known() {
    // Given
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    client.order(&demo_order("a")).await;
    settled(&client, "a").await;
    let mut database = PgConnection::connect(&ordo.database).await.unwrap();
    let insert =
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                  select 'order', 'a', max(sequence) + 1, 'OrderTeleported', '3.0', '{\"OrderTeleported\":{}}', '{}'
                    from events where aggregate_type = 'order' and aggregate_id = 'a' returning global_position";
    let position: i64 = sqlx::query_scalar(insert).fetch_one(&mut database).await.unwrap();

    // Then: those who follow orders have stopped before it, and it is said which event it is, where, and why.
    eventually(PATIENCE, || async { stops(&ordo, "orders").await.len() == 1 }).await;
    eventually(PATIENCE, || async { stops(&ordo, "order_fulfilment").await.len() == 1 }).await;
    let stop = stops(&ordo, "orders").await.remove(0);
    assert_eq!((&stop["eventType"], &stop["eventVersion"]), (&json!("OrderTeleported"), &json!("3.0")));
    assert_eq!(
        (&stop["waitsFrom"], &stop["position"], &stop["streamId"]),
        (&json!(position), &json!(position), &json!("a"))
    );
    let shown = list(&ordo, &[]).await;
    let line = format!("  stopped before position {position} since ");
    let line = shown.lines().find(|shown| shown.starts_with(&line)).unwrap_or_else(|| panic!("{shown}"));
    assert!(
        line.contains(&format!(
            "event OrderTeleported 3.0 at position {position} of stream a can't be read: its version is"
        )),
        "{line}"
    );
    let log = ordo.log();
    // Others who follow orders stop there, too, and may say so first.
    let of_orders = |line: &&str| line.contains("stopped at an event") && line.contains(r#""subscription":"orders""#);
    let said = log.lines().find(of_orders).unwrap_or_else(|| panic!("{log}"));
    for what in ["OrderTeleported", "3.0", &position.to_string()] {
        assert!(said.contains(what), "{what}: {said}");
    }
    assert_eq!(stopped_partitions(&client, "orders").await, "1");
    assert_eq!(stopped_partitions(&client, "stock").await, "0");

    // Everything else goes on, and the process is as ready as before: it takes orders.
    let received = client.try_post("/stock/sku-123/receive", &json!({ "quantity": 5 })).await.unwrap().json();
    let stock = client.get(&format!("/stock/sku-123?minPosition={}", received["position"])).await;
    assert_eq!((stock.status, &stock.json()["onHand"]), (200, &json!(5)));
    assert_eq!(client.order(&demo_order("b")).await.status, 201);
    assert_eq!(client.get("/health/ready").await.status, 200);

    // When: as if a build ran that knows the event. Those who stopped go on by themselves, and nothing was skipped.
    for statement in [
        "alter table events disable trigger events_are_final",
        "update events set event_type = 'NoteAdded', event_version = '1.0',
                payload = '{\"NoteAdded\":{\"noteId\":\"n\",\"text\":\"teleported\"}}'
          where event_type = 'OrderTeleported'",
        "alter table events enable trigger events_are_final",
    ] {
        sqlx::query(statement).execute(&mut database).await.unwrap();
    }
    settled(&client, "b").await;
    assert_eq!(client.get("/orders/a").await.json()["addedNotes"][0]["text"], "teleported");
    for subscription in ["orders", "order_fulfilment"] {
        eventually(PATIENCE, || async { stops(&ordo, subscription).await.is_empty() }).await;
        assert_eq!(stopped_partitions(&client, subscription).await, "0");
    }
}

async fn stops(ordo: &Ordo, subscription: &str) -> Vec<Value> {
    let list: Value = serde_json::from_str(&list(ordo, &["--json"]).await).unwrap();
    let rows = list["subscriptions"].as_array().unwrap();
    let row = rows.iter().find(|row| row["name"] == subscription).unwrap_or_else(|| panic!("{list}"));
    row["stops"].as_array().unwrap().clone()
}

async fn list(ordo: &Ordo, arguments: &[&str]) -> String {
    let ended = run(&[&["subscriptions", "list"], arguments].concat(), &[("DATABASE_URL", &ordo.database)]).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    ended.out
}

async fn stopped_partitions(client: &Client, subscription: &str) -> String {
    let text = client.get("/metrics").await.text();
    let name = format!("ordo_subscription_stopped_partitions{{subscription=\"{subscription}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or_else(|| panic!("{text}")).to_owned()
}

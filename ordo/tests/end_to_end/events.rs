//! The log as a file, and such a file as another platform's log.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use testkit::{Database, demo_order, eventually};

use crate::support::{Finished, Ordo, PATIENCE, Setting, folder, items, order_of, run, settled};

#[tokio::test]
async fn a_log_that_is_exported_and_imported_is_the_same_log() {
    // Given: orders that came to different ends, and stock.
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    client.receive("sku-123", 1).await;
    client.order(&demo_order("confirmed")).await;
    settled(&client, "confirmed").await;
    client.order(&demo_order("out-of-stock")).await;
    client.order(&order_of("declined", Some("tok_declined"), &[("mug", 2)])).await;
    let note = json!({ "text": "Grüße,\n\"Ann\" \u{1F600}" }).to_string();
    client.post("/orders/confirmed/notes", "application/json", note).await;
    for order in ["out-of-stock", "declined"] {
        settled(&client, order).await;
    }
    let from = [("DATABASE_URL", ordo.database.as_str())];
    let folder = folder();
    let (file, again) = (folder.path().join("log.ndjson"), folder.path().join("again.ndjson"));

    // When
    let exported = export(&from, &["--out", path(&file)]).await;
    let other = empty_store().await;
    let to = [("DATABASE_URL", other.url())];
    let imported = run(&["events", "import", path(&file), "--json"], &to).await;
    let exported_again = export(&to, &["--out", path(&again)]).await;

    // Then
    let text = fs::read_to_string(&file).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = &lines.last().unwrap()["position"];
    assert!(
        exported.out.starts_with(&format!("{} events, positions 1 to {last}, are in ", lines.len())),
        "{exported:?}"
    );
    assert_eq!(imported.code, 0, "{}", imported.err);
    let done: Value = serde_json::from_str(&imported.out).unwrap();
    assert_eq!(done, json!({ "events": lines.len(), "streams": 4, "lastPosition": last }));
    assert_eq!((exported_again.code, fs::read_to_string(&again).unwrap()), (0, text.clone()));
    assert_eq!(export(&from, &[]).await.out, text);
    // Nothing is left beside them.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);

    // What is made of them is the same, and what comes next comes behind them.
    let reads = Ordo::serve("projections", &to).await;
    let position = last.as_i64().unwrap();
    for order in ["confirmed", "out-of-stock", "declined"] {
        let path = format!("/orders/{order}?minPosition={position}");
        assert_eq!(reads.client().get(&path).await.json(), client.get(&path).await.json());
    }
    assert_eq!(items(other.url()).await, items(&ordo.database).await);
    drop(reads);
    let writes = Ordo::serve("command-api", &to).await;
    assert_eq!(writes.client().order(&demo_order("next")).await.json()["position"], position + 1);
}

#[tokio::test]
async fn an_export_has_what_was_asked_for() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    client.receive("sku-123", 9).await;
    for order in ["a", "b"] {
        client.order(&demo_order(order)).await;
        settled(&client, order).await;
    }
    let settings = [("DATABASE_URL", ordo.database.as_str())];
    let events = async |arguments: &[&str]| {
        let told = export(&settings, arguments).await;
        assert_eq!((told.code, told.err.as_str()), (0, ""), "{arguments:?}");
        told.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    let all = events(&[]).await;
    let keep = |holds: &dyn Fn(&Value) -> bool| all.iter().filter(|event| holds(event)).cloned().collect::<Vec<_>>();
    let middle = &all[all.len() / 2];
    let (position, instant) = (middle["position"].as_i64().unwrap(), middle["recordedAt"].as_str().unwrap());
    let up_to = |event: &Value| event["position"].as_i64().unwrap() <= position;
    let position = position.to_string();

    assert_eq!(events(&["--stream", "order/a"]).await, keep(&|event| event["streamId"] == "a"));
    assert_eq!(events(&["--stream-type", "stock"]).await, keep(&|event| event["streamType"] == "stock"));
    let named = keep(&|event| event["type"] == "OrderCreated" || event["type"] == "StockReceived");
    assert_eq!(events(&["--type", "OrderCreated,StockReceived"]).await, named);
    assert_eq!(events(&["--to", &position]).await, keep(&up_to));
    let from = keep(&|event| !up_to(event) || event == middle);
    assert_eq!(events(&["--from", &position]).await, from);
    let recorded = |event: &Value| event["recordedAt"].as_str().unwrap() <= instant;
    assert_eq!(events(&["--to", instant]).await, keep(&recorded));
    assert_eq!(events(&["--from", "2999-01-01T00:00:00Z"]).await, [] as [Value; 0]);
    assert_eq!(events(&["--stream", "order/nobody"]).await, [] as [Value; 0]);
}

#[tokio::test]
async fn a_file_with_one_bad_line_is_not_imported_at_all() {
    // Given
    let store = filled_store().await;
    let settings = [("DATABASE_URL", store.url())];
    let all = export(&settings, &[]).await.out;
    let lines: Vec<&str> = all.lines().collect();
    assert_eq!(lines.len(), 6);
    let other = empty_store().await;
    let to = [("DATABASE_URL", other.url())];
    let folder = folder();
    let file = folder.path().join("log.ndjson");

    // Streams without their beginnings, a line that is cut off, an event that nobody knows.
    let cut = &lines[5][..lines[5].len() / 2];
    for (text, says) in [
        (lines[3..].join("\n"), "line 1: stream order/a has version 2 where 1 has to come"),
        ([&lines[..5], &[cut]].concat().join("\n"), "line 6: EOF while parsing"),
        (all.replace("NoteAdded", "NoteSung"), "line 4: NoteSung 1.0 is not an event that this version knows"),
    ] {
        fs::write(&file, text).unwrap();
        // When
        let refused = run(&["events", "import", path(&file)], &to).await;
        // Then
        assert_eq!((refused.code, refused.err.lines().count()), (1, 1), "{}", refused.err);
        assert!(refused.err.starts_with("ordo: nothing is imported: "), "{}", refused.err);
        assert!(refused.err.contains(says), "{}", refused.err);
        assert_eq!(export(&to, &[]).await.out, "");
    }

    // A part of the log whose streams are whole goes in.
    fs::write(&file, export(&settings, &["--stream", "order/b"]).await.out).unwrap();
    let imported = run(&["events", "import", path(&file)], &to).await;
    assert!(imported.out.starts_with("2 events of 1 streams are in the log, up to position 5"), "{imported:?}");
    let refused = run(&["events", "import", path(&file)], &to).await;
    assert_eq!(
        (refused.code, refused.err.as_str()),
        (1, "ordo: this store has events already; import into one that has none\n")
    );
    let nowhere = run(&["events", "import", "nowhere.ndjson"], &to).await;
    assert!(nowhere.err.starts_with("ordo: cannot read nowhere.ndjson"), "{}", nowhere.err);
    let nowhere = export(&settings, &["--out", "no/folder/log.ndjson"]).await;
    assert!(nowhere.err.starts_with("ordo: cannot write no/folder/log.ndjson"), "{}", nowhere.err);
}

#[tokio::test]
async fn a_running_platform_takes_up_what_is_imported() {
    let store = filled_store().await;
    let folder = folder();
    let file = folder.path().join("log.ndjson");
    export(&[("DATABASE_URL", store.url())], &["--out", path(&file)]).await;
    let other = empty_store().await;
    let to = [("DATABASE_URL", other.url())];
    let reads = Ordo::serve("projections", &to).await;
    assert_eq!(reads.client().get("/orders/a").await.status, 404);

    assert_eq!(run(&["events", "import", path(&file)], &to).await.code, 0);
    eventually(PATIENCE, || async {
        let order = reads.client().get("/orders/a").await;
        order.status == 200 && order.json()["version"] == 3
    })
    .await;
}

#[tokio::test]
async fn nothing_is_imported_where_who_begins_at_the_end_has_begun() {
    let store = empty_store().await;
    let folder = folder();
    let file = folder.path().join("log.ndjson");
    fs::write(&file, "").unwrap();
    let begun =
        "insert into subscription_partitions (subscription, partition, position) values ('order_numbers', 0, 0)";
    sqlx::query(begun).execute(store.pool()).await.unwrap();

    let refused = run(&["events", "import", path(&file)], &[("DATABASE_URL", store.url())]).await;

    assert_eq!((refused.code, refused.err.lines().count()), (1, 1), "{}", refused.err);
    assert!(refused.err.starts_with("ordo: the subscription order_numbers has begun on this store"), "{}", refused.err);
}

async fn empty_store() -> Database {
    let database = testkit::durable_database().await;
    let migrated = run(&["migrate"], &[("DATABASE_URL", database.url())]).await;
    assert_eq!(migrated.code, 0, "{}", migrated.err);
    database
}

/// Orders a, b and c, without sagas: created in this order, then noted upon: a, b, a.
async fn filled_store() -> Database {
    let database = empty_store().await;
    let ordo = Ordo::serve("command-api", &[("DATABASE_URL", database.url())]).await;
    let client = ordo.client();
    for order in ["a", "b", "c"] {
        assert_eq!(client.order(&demo_order(order)).await.status, 201);
    }
    for order in ["a", "b", "a"] {
        let note = json!({ "text": "called" }).to_string();
        let noted = client.post(&format!("/orders/{order}/notes"), "application/json", note).await;
        assert_eq!(noted.status, 201, "{}", noted.text());
    }
    database
}

async fn export(settings: &[Setting<'_>], arguments: &[&str]) -> Finished {
    run(&[&["events", "export"], arguments].concat(), settings).await
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

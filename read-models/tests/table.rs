//! Items under keys: versions, pages, replacement.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

use read_models::{Index, Item, Key, QueryError, Table};
use serde_json::value::to_raw_value;
use sqlx::{PgConnection, PgPool};

async fn table(pool: &PgPool) -> Table {
    let table = Table::named("read_model_things");
    table.create(&mut pool.acquire().await.unwrap()).await.unwrap();
    table
}

fn item(id: &str, sort: &str, version: i64, body: &str) -> Item {
    Item {
        key: Key::new(format!("THING#{id}"), "#META"),
        index_keys: [Some(Key::new("ALL", sort)), None, None],
        version,
        body: to_raw_value(body).unwrap(),
    }
}

async fn bodies(table: &Table, connection: &mut PgConnection, id: &str) -> Vec<String> {
    let items = table.collection(connection, &format!("THING#{id}")).await.unwrap();
    items.iter().map(|item| item.read().unwrap()).collect()
}

#[tokio::test]
async fn an_older_version_never_replaces_a_newer_one() {
    let database = testkit::database().await;
    let table = table(database.pool()).await;
    let mut connection = database.pool().acquire().await.unwrap();
    table.put(&mut connection, &[item("a", "1", 5, "five")]).await.unwrap();
    table.put(&mut connection, &[item("a", "1", 4, "four"), item("b", "1", 4, "new")]).await.unwrap();
    table.put(&mut connection, &[item("a", "1", 5, "five again")]).await.unwrap();
    assert_eq!(bodies(&table, &mut connection, "a").await, ["five"]);
    assert_eq!(bodies(&table, &mut connection, "b").await, ["new"]);
    table.put(&mut connection, &[item("a", "1", 6, "six")]).await.unwrap();
    assert_eq!(bodies(&table, &mut connection, "a").await, ["six"]);

    let found = table.get(&mut connection, &[item("a", "", 0, "").key, Key::new("THING#c", "#META")]).await.unwrap();
    assert_eq!((found.len(), found[0].version), (1, 6));
}

#[tokio::test]
async fn pages_neither_skip_nor_repeat_while_items_come_in() {
    let database = testkit::database().await;
    let table = table(database.pool()).await;
    let mut connection = database.pool().acquire().await.unwrap();
    // Several share a sort key: their own keys then decide.
    let items: Vec<Item> = (0..10).map(|n| item(&format!("{n}"), &format!("{}", n / 3), 1, "x")).collect();
    table.put(&mut connection, &items).await.unwrap();

    let (mut seen, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = table.query_newest_first(&mut *connection, Index::Gsi1, "ALL", 3, cursor.as_deref()).await.unwrap();
        seen.extend(page.items.iter().map(|item| item.key.pk.clone()));
        let newer = item(&format!("new-{}", seen.len()), "9", 1, "x");
        table.put(&mut connection, &[newer]).await.unwrap();
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    let expected: Vec<String> = (0..10).rev().map(|n| format!("THING#{n}")).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_query_only() {
    let database = testkit::database().await;
    let table = table(database.pool()).await;
    let mut connection = database.pool().acquire().await.unwrap();
    let items: Vec<Item> = (0..3).map(|n| item(&format!("{n}"), "1", 1, "x")).collect();
    table.put(&mut connection, &items).await.unwrap();
    let page = table.query_newest_first(&mut *connection, Index::Gsi1, "ALL", 1, None).await.unwrap();
    let cursor = page.cursor.unwrap();
    for (index, partition, cursor) in [
        (Index::Gsi1, "OTHER", cursor.as_str()),
        (Index::Gsi2, "ALL", &cursor),
        (Index::Gsi1, "ALL", "AAAA"),
        (Index::Gsi1, "ALL", "%"),
    ] {
        let refused = table.query_newest_first(&mut *connection, index, partition, 1, Some(cursor)).await;
        assert!(matches!(refused, Err(QueryError::Cursor(_))), "{partition} {cursor}");
    }
}

#[tokio::test]
async fn a_table_takes_the_place_of_another_again_and_again() {
    let database = testkit::database().await;
    let live = table(database.pool()).await;
    let mut connection = database.pool().acquire().await.unwrap();
    live.put(&mut connection, &[item("a", "1", 1, "old")]).await.unwrap();
    for round in 2..4 {
        let next = Table::named("read_model_things_next");
        next.create(&mut connection).await.unwrap();
        next.put(&mut connection, &[item("a", "1", round, &format!("round {round}"))]).await.unwrap();
        next.replace(&mut connection, &live).await.unwrap();
        assert_eq!(bodies(&live, &mut connection, "a").await, [format!("round {round}")]);
    }
}

//! Items by their words: in Postgres, and in no other store.

use read_models::{Generation, Index, Item, Key, SortOrder, WordMatches, WordQuery, WordSearchError, Words};

use crate::world::{THINGS, World, change, item, key};

fn words(words: &[&str]) -> Words {
    words.iter().collect()
}

fn with(words: &[&str], item: Item) -> Item {
    Item { words: Some(words.iter().collect()), ..item }
}

fn question(words: &Words) -> WordQuery<'_> {
    let order = SortOrder::Ascending;
    WordQuery { words, index: Index::Gsi1, from: None, until: None, after: None, order, limit: 100, most: 100 }
}

async fn found(world: &World, query: &WordQuery<'_>) -> Option<Vec<String>> {
    match world.live().find_by_words(query).await.unwrap() {
        WordMatches::Found(items) => Some(items.into_iter().map(|(key, _)| key.pk.replace("THING#", "")).collect()),
        WordMatches::TooMany => None,
    }
}

fn things() -> Vec<Item> {
    vec![
        with(&["red", "shirt"], item("a", "1", 1, "x")),
        with(&["red", "shoe", "redwood"], item("b", "3", 1, "x")),
        with(&["blue", "shirt"], item("c", "2", 1, "x")),
        item("d", "4", 1, "x"),
        with(&["red"], Item { index_keys: [None, None, None], ..item("e", "5", 1, "x") }),
    ]
}

#[tokio::test]
async fn items_are_found_by_the_beginnings_of_all_words_in_the_order_of_an_index() {
    let world = World::postgres().await;
    world.put(&things()).await;
    for (asked, expected) in [
        (&["red"][..], &["a", "b"][..]),
        (&["r"], &["a", "b"]),
        (&["redw"], &["b"]),
        (&["sh"], &["a", "c", "b"]),
        (&["sh", "red"], &["a", "b"]),
        (&["shirt", "shoe"], &[]),
        (&["green"], &[]),
        (&[], &[]),
    ] {
        let asked = words(asked);
        let query = question(&asked);
        assert_eq!(found(&world, &query).await.unwrap(), expected, "{asked:?}");
        let downwards = found(&world, &WordQuery { order: SortOrder::Descending, ..query }).await.unwrap();
        assert_eq!(downwards.into_iter().rev().collect::<Vec<_>>(), expected, "{asked:?}");
    }
    let sh = words(&["sh"]);
    let within = |from, until, after| WordQuery { from, until, after, ..question(&sh) };
    assert_eq!(found(&world, &within(Some("2"), Some("3"), None)).await.unwrap(), ["c"]);
    assert_eq!(found(&world, &within(None, None, Some("1"))).await.unwrap(), ["c", "b"]);
    assert_eq!(found(&world, &WordQuery { limit: 2, ..question(&sh) }).await.unwrap(), ["a", "c"]);
    let among = world.live().with_words(&["a", "b", "c", "d", "f"].map(key), &words(&["red"])).await.unwrap();
    assert_eq!(among, ["a", "b"].map(key).into());
}

#[tokio::test]
async fn too_many_are_said_to_be_too_many_wherever_they_are() {
    let world = World::postgres().await;
    world.put(&things()).await;
    let sh = words(&["sh"]);
    assert_eq!(found(&world, &WordQuery { most: 3, ..question(&sh) }).await.map(|found| found.len()), Some(3));
    assert_eq!(found(&world, &WordQuery { most: 2, ..question(&sh) }).await, None);
    assert_eq!(found(&world, &WordQuery { most: 2, after: Some("3"), ..question(&sh) }).await, None);
}

#[tokio::test]
async fn words_that_are_written_later_come_to_those_that_are_there() {
    let world = World::postgres().await;
    let (red, both) = (words(&["red"]), words(&["red", "blue"]));
    world.put(&[with(&["red"], item("a", "1", 1, "x"))]).await;
    world.put(&[item("a", "1", 2, "y")]).await;
    assert_eq!(found(&world, &question(&red)).await.unwrap(), ["a"]);
    world.put(&[with(&["blue"], item("a", "1", 3, "z"))]).await;
    assert_eq!(found(&world, &question(&both)).await.unwrap(), ["a"]);
    world.put(&[item("b", "2", 1, "x")]).await;
    world.put(&[with(&["blue"], item("b", "2", 2, "y"))]).await;
    assert_eq!(found(&world, &question(&words(&["blue"]))).await.unwrap(), ["a", "b"]);
}

#[tokio::test]
async fn a_generation_that_is_written_in_bulk_has_the_same_words() {
    let world = World::postgres().await;
    world.put(&[with(&["old"], item("z", "9", 1, "x"))]).await;
    let mut connection = world.database.pool().acquire().await.unwrap();
    let mut bulk = world.read_models.begin_next(THINGS, &mut connection).await.unwrap();
    bulk.add(&mut connection, &things(), &[]).await.unwrap();
    bulk.finish(&mut connection).await.unwrap();
    world.read_models.promote(THINGS, &mut connection).await.unwrap();
    let sh = words(&["sh", "red"]);
    assert_eq!(found(&world, &question(&sh)).await.unwrap(), ["a", "b"]);
    // The index went with the table, and the one before has its own.
    world.write_to(Generation::Live, &[change(with(&["shred", "red"], item("f", "6", 7, "x")), None)]).await.unwrap();
    assert_eq!(found(&world, &question(&sh)).await.unwrap(), ["a", "b", "f"]);
    world.read_models.roll_back(THINGS, &mut connection).await.unwrap();
    assert_eq!(found(&world, &question(&words(&["old"]))).await.unwrap(), ["z"]);
    assert!(found(&world, &question(&sh)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_table_without_the_index_is_said_to_be_of_an_earlier_build() {
    let world = World::postgres().await;
    world.put(&things()).await;
    sqlx::query("drop index read_model_things_words").execute(world.database.pool()).await.unwrap();
    // As it is at every start.
    world.read_models.create(THINGS).await.unwrap();
    let red = words(&["red"]);
    let refused = world.live().find_by_words(&question(&red)).await.unwrap_err();
    assert!(matches!(refused, WordSearchError::NotBuilt), "{refused}");
    let refused = world.live().with_words(&[Key::new("a", "b")], &red).await.unwrap_err();
    assert!(matches!(refused, WordSearchError::NotBuilt), "{refused}");
}

#[cfg(feature = "dynamodb")]
#[tokio::test]
async fn dynamodb_says_that_it_can_not() {
    let world = World::dynamodb().await;
    world.put(&things()).await;
    let red = words(&["red"]);
    let refused = world.live().find_by_words(&question(&red)).await.unwrap_err();
    assert!(matches!(refused, WordSearchError::Unsupported), "{refused}");
}
